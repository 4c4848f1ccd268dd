//! Events of the stream, as sent to scripts and pages.
//!
//! An event carries the state after a change, not the change: a sync is sent complete, as the lists return it. So a
//! client that receives an event twice, or misses the one before, still has the correct state.

use crate::model::id::SyncId;
use crate::model::id::TrashId;
use crate::model::id::UploadId;
use crate::model::overview::LateDataset;
use crate::model::path::LakePath;
use crate::model::sync::job::SyncJob;
use crate::model::time::Timestamp;
use crate::model::upload::in_flight::UploadInFlight;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::str::FromStr;

/// Position of an event in the stream: `{start}-{number}`. Numbers count from 1 without gaps. `start` identifies one
/// run of the server, since events are not kept across restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventId {
    pub start: u64,
    pub number: u64,
}

impl EventId {
    /// Whether the events up to `self` include all of those up to `other`.
    pub fn includes(self, other: Self) -> bool {
        self.start == other.start && self.number >= other.number
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}", self.start, self.number)
    }
}

/// Filter of events. `None` filters nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EventFilter {
    pub sync_id: Option<SyncId>,
    /// Events on this path and below it.
    pub path: Option<LakePath>,
}

/// The text is not an event id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoEventId;

impl FromStr for EventId {
    type Err = NoEventId;

    fn from_str(text: &str) -> Result<Self, NoEventId> {
        let (start, number) = text.split_once('-').ok_or(NoEventId)?;
        let start = u64::from_str_radix(start, 16).map_err(|_| NoEventId)?;
        Ok(Self { start, number: number.parse().map_err(|_| NoEventId)? })
    }
}

/// Serialized as text, since a JavaScript number cannot hold it.
impl Serialize for EventId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EventId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|NoEventId| de::Error::custom("not the id of an event"))
    }
}

/// A change, with its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    pub at: Timestamp,
    #[serde(flatten)]
    pub happened: EventKind,
}

/// Kinds of events. [`Self::kind`] is the name in the stream, and the `type` in the JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum EventKind {
    /// The stream is complete from here on.
    Ready,
    /// The events after the given id are no longer kept: reload the lists. The stream is complete from here on.
    Reset,
    SyncStarted {
        sync: SyncJob,
    },
    /// The counters or the declaration changed, and no file landed.
    SyncChanged {
        sync: SyncJob,
    },
    /// Files landed within a short interval. All are counted, and the first ones are named.
    UploadsLanded {
        sync: SyncJob,
        num_files: u64,
        size_bytes: u64,
        /// Number of files that replaced another one, which is in the trash now.
        num_replaced: u64,
        /// The first [`crate::model::limits::LANDED_NAMED_MAX`] files.
        files: Vec<FileLanded>,
    },
    /// An upload failed. Of many failures within a short interval only some are sent; [`SyncJob::num_failed`] counts
    /// all.
    UploadFailed {
        sync_id: SyncId,
        /// Dataset of the sync.
        path: LakePath,
        file_name: String,
        message: String,
    },
    /// Progress of an upload in flight, sent at most once a second for each.
    UploadProgress {
        upload: UploadInFlight,
    },
    /// An upload with an earlier progress event is no longer in flight: it landed or failed.
    UploadLeft {
        sync_id: SyncId,
        /// Dataset of the sync.
        path: LakePath,
        history_id: UploadId,
    },
    /// The end of the sync was refused until somebody confirms it.
    SyncHeld {
        sync: SyncJob,
    },
    /// A full sync replaced the dataset.
    SyncPublished {
        sync: SyncJob,
    },
    /// An incremental sync ended.
    SyncFinished {
        sync: SyncJob,
    },
    /// A sync was aborted, expired or superseded, or could not be published.
    SyncFailed {
        sync: SyncJob,
    },
    /// A dataset missed a deadline of its schedule. Sent once, within moments of the deadline.
    DatasetLate {
        dataset: LateDataset,
    },
    TrashRestored {
        trash_id: TrashId,
        /// Lake path of the restored item.
        path: LakePath,
        by: String,
    },
    /// Trash was purged or counted: reload the list.
    TrashChanged,
    /// An audit entry was written for an action without an event of its own, such as a new key or a sign-in: reload the
    /// activity.
    ActivityChanged,
}

/// A landed file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileLanded {
    /// Lake path of the file; of a full sync, after its publish.
    pub path: LakePath,
    pub size_bytes: u64,
}

impl EventKind {
    /// All kinds, as [`Self::kind`] names them.
    pub const KINDS: [&str; 16] = [
        "ready",
        "reset",
        "sync_started",
        "sync_changed",
        "uploads_landed",
        "upload_failed",
        "upload_progress",
        "upload_left",
        "sync_held",
        "sync_published",
        "sync_finished",
        "sync_failed",
        "dataset_late",
        "trash_restored",
        "trash_changed",
        "activity_changed",
    ];

    pub fn kind(&self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Reset => "reset",
            Self::SyncStarted { .. } => "sync_started",
            Self::SyncChanged { .. } => "sync_changed",
            Self::UploadsLanded { .. } => "uploads_landed",
            Self::UploadFailed { .. } => "upload_failed",
            Self::UploadProgress { .. } => "upload_progress",
            Self::UploadLeft { .. } => "upload_left",
            Self::SyncHeld { .. } => "sync_held",
            Self::SyncPublished { .. } => "sync_published",
            Self::SyncFinished { .. } => "sync_finished",
            Self::SyncFailed { .. } => "sync_failed",
            Self::DatasetLate { .. } => "dataset_late",
            Self::TrashRestored { .. } => "trash_restored",
            Self::TrashChanged => "trash_changed",
            Self::ActivityChanged => "activity_changed",
        }
    }

    /// Sync of the event, in its current state.
    pub fn sync(&self) -> Option<&SyncJob> {
        match self {
            Self::SyncStarted { sync }
            | Self::SyncChanged { sync }
            | Self::UploadsLanded { sync, .. }
            | Self::SyncHeld { sync }
            | Self::SyncPublished { sync }
            | Self::SyncFinished { sync }
            | Self::SyncFailed { sync } => Some(sync),
            _ => None,
        }
    }

    pub fn sync_id(&self) -> Option<SyncId> {
        match self {
            Self::UploadFailed { sync_id, .. } | Self::UploadLeft { sync_id, .. } => Some(*sync_id),
            Self::UploadProgress { upload } => Some(upload.sync_id),
            other => other.sync().map(|sync| sync.sync_id),
        }
    }

    /// Lake path of the event, if it has one.
    pub fn path(&self) -> Option<&LakePath> {
        match self {
            Self::UploadFailed { path, .. } | Self::UploadLeft { path, .. } | Self::TrashRestored { path, .. } => {
                Some(path)
            }
            Self::UploadProgress { upload } => Some(&upload.dataset),
            Self::DatasetLate { dataset } => Some(&dataset.path),
            other => other.sync().map(|sync| &sync.path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_back_from_its_text() {
        let id = EventId { start: 0x0123_4567_89ab_cdef, number: 42 };
        assert_eq!(id.to_string(), "0123456789abcdef-42");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(serde_json::from_str::<EventId>(&serde_json::to_string(&id).unwrap()).unwrap(), id);
        for wrong in ["", "42", "-", "g-1", "1-", "1--1", "1-2-3"] {
            assert_eq!(wrong.parse::<EventId>(), Err(NoEventId), "{wrong}");
        }
    }

    #[test]
    fn an_id_includes_those_before_it_of_the_same_start() {
        let id = |start, number| EventId { start, number };
        assert!(id(1, 3).includes(id(1, 3)) && id(1, 3).includes(id(1, 2)));
        assert!(!id(1, 3).includes(id(1, 4)) && !id(1, 3).includes(id(2, 1)));
    }

    #[test]
    fn the_type_in_the_json_is_the_kind() {
        for happened in [EventKind::Ready, EventKind::Reset, EventKind::TrashChanged, EventKind::ActivityChanged] {
            let kind = happened.kind();
            assert!(EventKind::KINDS.contains(&kind));
            let json = serde_json::to_value(Event { at: Timestamp(7), happened }).unwrap();
            assert_eq!(json, serde_json::json!({ "at": 7, "type": kind }));
        }
    }
}
