//! Log of published events, where several nodes serve the lake: each appends its own, and all read all of them.

use crate::model::error::Error;
use crate::model::id::{SyncId, UploadId};
use crate::model::path::LakePath;
use crate::model::sync::job::SyncJob;
use async_trait::async_trait;
use std::collections::BTreeMap;

/// An event before it has its number.
#[derive(Debug, Clone)]
pub struct NewEvent {
    pub kind: &'static str,
    pub json: String,
    pub sync_id: Option<SyncId>,
    pub path: Option<LakePath>,
    /// The upload in flight whose progress it tells, or its end.
    pub upload: Option<(UploadId, Progress)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    Sends {
        /// At this moment.
        has_request: bool,
    },
    Left,
}

/// An upload in flight of any node.
#[derive(Debug, Clone)]
pub struct ReportedUpload {
    pub upload_id: UploadId,
    /// The last event of its progress, if there was one.
    pub json: Option<String>,
    /// Told by another node that is at work.
    pub is_elsewhere: bool,
    /// As that node told it.
    pub has_request: bool,
}

/// An event of the log.
#[derive(Debug, Clone)]
pub struct LoggedEvent {
    /// Counts from 1 without gaps, in the order in which events became visible.
    pub number: u64,
    pub kind: String,
    pub json: String,
    pub sync_id: Option<SyncId>,
    pub path: Option<LakePath>,
}

/// Makes events of the current state of syncs. May be called more than once.
pub type Describe<'a> = dyn Fn(&BTreeMap<SyncId, SyncJob>) -> Vec<NewEvent> + Send + Sync + 'a;

#[async_trait]
pub trait EventLog: Send + std::marker::Sync {
    /// Start of the log, which names it (numbers of another start mean nothing in it), and the number of its last event.
    async fn event_log_position(&self) -> Result<(u64, u64), Error> {
        Ok((0, 0))
    }

    /// Appends events in one transaction, which reads the syncs after all events before: so none has an older state than
    /// the one before it. Events that are `kept` numbers behind are deleted.
    async fn append_events(&self, _: &[SyncId], _: &Describe<'_>, _kept: u64) -> Result<(), Error> {
        Ok(())
    }

    /// Events after a number, in order, at most `size`.
    async fn events_after(&self, _: u64, _size: u64) -> Result<Vec<LoggedEvent>, Error> {
        Ok(Vec::new())
    }

    /// The oldest uploads in flight of all nodes, in the order of their begin, at most `size`.
    async fn uploads_in_flight(&self, _: Option<SyncId>, _size: u64) -> Result<Vec<ReportedUpload>, Error> {
        Ok(Vec::new())
    }
}
