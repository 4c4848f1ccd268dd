//! Several servers of one lake ("nodes"), where the metadata store and the file store let them share it.
//!
//! A store that one process has to itself leaves all of this as it is: nothing waits, and nothing belongs to another node.

use crate::model::access::principal::Principal;
use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::storage_path::PartialName;
use crate::model::time::Timestamp;
use crate::model::trash::NewTrash;
use crate::model::upload::resumable::Token;
use crate::ports::metadata::trash::TrashRecord;
use crate::ports::metadata::upload::{CompletedUpload, UnfinishedUpload};
use crate::ports::storage::{Landing, LandingOutcome};
use async_trait::async_trait;
use std::collections::BTreeSet;

/// One run of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServingNode(pub u64);

/// Something that other nodes wait for, until it is dropped.
pub trait Held: Send + Sync {}

impl Held for () {}

/// Unfinished work of a node that has ended.
#[derive(Debug, Default)]
pub struct UnfinishedWork {
    /// `Syncing`, in ascending order, without resumable ones.
    pub uploads: Vec<UnfinishedUpload>,
    /// Files of uploads that have not landed, also of resumable ones.
    pub partials: BTreeSet<PartialName>,
    /// Syncs by which it restored versions.
    pub restoring_syncs: Vec<SyncId>,
    /// Restores from the trash.
    pub restores: Vec<TrashRecord>,
}

/// An upload that lands in one transaction with others.
#[derive(Debug, Clone)]
pub struct LandingUpload {
    pub upload: CompletedUpload,
    pub landing: Landing,
    /// Item of the trash for the file that it may replace.
    pub replaced: NewTrash,
}

#[async_trait]
pub trait NodeState: Send + std::marker::Sync {
    /// Whether other nodes may serve the lake too.
    fn has_other_nodes(&self) -> bool {
        false
    }

    /// Whether others served the lake at the start of this node: unfinished work may be theirs.
    fn is_joining(&self) -> bool {
        false
    }

    /// Whether this node does the jobs of the lake, such as expiry. One of several does.
    fn is_first_node(&self) -> bool {
        true
    }

    /// Marks this node as ready, so that others may join.
    async fn mark_ready(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Ends the work of this node, which writes nothing more. True where no other node is there.
    async fn leave(&self) -> Result<bool, Error> {
        Ok(true)
    }

    /// Nodes that have ended, and whose unfinished work is not recovered yet.
    async fn dead_nodes(&self) -> Result<Vec<ServingNode>, Error> {
        Ok(Vec::new())
    }

    /// Unfinished work of a node that writes nothing any more.
    async fn unfinished_work(&self, _: ServingNode) -> Result<UnfinishedWork, Error> {
        Ok(UnfinishedWork::default())
    }

    /// Marks the work of an ended node as completed or undone.
    async fn mark_recovered(&self, _: ServingNode) -> Result<(), Error> {
        Ok(())
    }

    /// Keeps uploads of other nodes from beginning and landing in a sync, and other nodes from ending it. Waits for those
    /// that are landing. The caller excludes other tasks of its own node.
    async fn take_gate(&self, _: SyncId) -> Result<Box<dyn Held>, Error> {
        Ok(Box::new(()))
    }

    /// Keeps other nodes from reading landed files for their schemas. The caller excludes other tasks of its own node.
    async fn take_inspections(&self) -> Result<Box<dyn Held>, Error> {
        Ok(Box::new(()))
    }

    /// Takes a resumable upload for a request of this node. A request of another node that has it is asked to stop, and
    /// waited for.
    async fn hold_upload(&self, _: &Token) -> Result<Box<dyn Held>, Error> {
        Ok(Box::new(()))
    }

    /// Takes it, unless another node has it.
    async fn try_hold_upload(&self, _: &Token) -> Result<Option<Box<dyn Held>>, Error> {
        Ok(Some(Box::new(())))
    }

    /// Resumable uploads of requests of this node that other nodes wait for.
    async fn wanted_uploads(&self) -> Result<Vec<Token>, Error> {
        Ok(Vec::new())
    }

    /// Stores the time of a call to a sync that changes nothing else of it, for other nodes.
    async fn note_call(&self, _: SyncId, _: Timestamp) -> Result<(), Error> {
        Ok(())
    }

    /// Stores for other nodes whose restore a sync is.
    async fn set_restorer(&self, _: SyncId, _: Principal) -> Result<(), Error> {
        Ok(())
    }

    /// Whose restore a sync is, as another node may have stored it.
    async fn restorer(&self, _: SyncId) -> Result<Option<Principal>, Error> {
        Ok(None)
    }

    /// Whether uploads land by [`Self::land_together`].
    fn lands_together(&self) -> bool {
        false
    }

    /// Names files and stores their rows in one transaction. Each is checked by
    /// [`crate::model::sync::job::may_accept_uploads`]. After an error, nothing is done.
    async fn land_together(
        &self,
        _: &[LandingUpload],
        _: Timestamp,
    ) -> Result<Vec<Result<LandingOutcome, Error>>, Error> {
        Ok(Vec::new())
    }
}
