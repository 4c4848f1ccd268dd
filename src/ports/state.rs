//! What is remembered. Each call is one transaction; "durably" means on stable storage when the call returns.
//!
//! A call that is a deed of somebody remembers it in the same transaction: what as, says [`Deed`].
//!
//! The rules that a transaction has to check (who may start beside whom, when a sync may close) are functions of
//! [`crate::sync`], which every backend calls inside its transaction.

use crate::activity::{Activity, ActivityQuery, Actor, Deed};
use crate::error::Error;
use crate::expected::{Comparison, Declaration};
use crate::guard::Hold;
use crate::idempotency::{Fingerprint, IdempotencyKey};
use crate::key::{Key, KeyId, NewKey, SecretHash};
use crate::list::{SyncQuery, TrashQuery, UploadQuery};
use crate::path::LakePath;
use crate::ports::{
    ClockState, DatasetState, ResumableState, SchemaState, SearchState, SessionState, Space, StateInspection,
};
use crate::principal::Principal;
use crate::sync::{Closing, Status, Supersede, Sync, SyncId, SyncRecord, SyncType};
use crate::time::Timestamp;
use crate::trash::{Doomed, Totals, TrashEntry, TrashGroup, TrashId, TrashKey, TrashKind, TrashReason};
use crate::upload::{Digest, Identity, PartialName, Upload, UploadId};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSync {
    pub name: String,
    pub path: LakePath,
    pub sync_type: SyncType,
    pub started_by: Actor,
    /// What it is to hold when it ends.
    pub expected: Option<Declaration>,
    /// Set for a start that may be asked for again.
    pub once: Option<OnceOnly>,
    pub at: Timestamp,
}

/// What makes a start the same as an earlier one of the same caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnceOnly {
    /// Whose key it is: the same text under another owner is another key.
    pub owner: Principal,
    pub key: IdempotencyKey,
    pub fingerprint: Fingerprint,
    /// Keys that came before this time are forgotten first.
    pub forget_before: Timestamp,
}

/// An upload whose bytes are about to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewUpload {
    pub sync_id: SyncId,
    pub file_name: String,
    /// Where it will land.
    pub target: LakePath,
    pub partial: PartialName,
    pub identity: Identity,
    pub at: Timestamp,
}

/// An upload that failed before it had a row. It gets one as long as its sync has few of such, and counts in any case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedUpload {
    pub sync_id: SyncId,
    pub file_name: String,
    pub folder: LakePath,
    /// Where it would have landed; absent when its name was refused.
    pub target: Option<LakePath>,
    pub message: String,
    /// Bytes that had arrived.
    pub size_bytes: u64,
    /// Rows of such uploads that the sync may have: where it has as many, this one is counted only.
    pub rows_max: u64,
    pub begun_at: Timestamp,
    pub at: Timestamp,
}

/// An upload whose bytes are all there, and that is about to get its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WholeUpload {
    /// Its row, when it has one already; else it gets one when it has landed.
    pub upload_id: Option<UploadId>,
    pub sync_id: SyncId,
    pub file_name: String,
    /// Where it lands.
    pub target: LakePath,
    pub partial: PartialName,
    pub identity: Identity,
    pub digest: Digest,
    pub begun_at: Timestamp,
    pub by: String,
    /// Its bytes are a copy of the dataset's own file.
    #[serde(default)]
    pub taken_over: bool,
}

/// What is remembered of a file that has landed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LandedContent {
    pub digest: Digest,
    /// When it had landed: whatever changed the file later was not the lake.
    pub landed_at: Timestamp,
}

/// A group of uploads that land together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LandingsId(pub u64);

/// An upload that has its name now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LandedUpload {
    pub upload: WholeUpload,
    /// What it has replaced.
    pub trash: Option<NewTrash>,
}

/// How a group has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedLandings {
    pub id: LandingsId,
    /// Those that have landed, and what they replaced.
    pub landed: Vec<LandedUpload>,
    /// Those of which that is not known yet: they stay in the group. The others were given up.
    pub left: Vec<WholeUpload>,
    pub at: Timestamp,
}

/// A file that an incremental sync has landed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LandedChange {
    /// Of the last upload to it, in its sync.
    pub ordinal: u64,
    pub target: LakePath,
    pub size_bytes: u64,
    /// It took the place of a file that the sync had not brought itself.
    pub has_replaced: bool,
    /// Where they are known.
    pub row_count: Option<u64>,
}

/// An upload that a restart found in flight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfinishedUpload {
    pub upload_id: UploadId,
    pub partial: PartialName,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTrash {
    pub key: TrashKey,
    pub origin: LakePath,
    pub kind: TrashKind,
    pub reason: TrashReason,
    pub sync_id: Option<SyncId>,
    pub by: String,
    pub at: Timestamp,
}

/// A piece of trash as the lake remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrashRecord {
    pub entry: TrashEntry,
    pub key: TrashKey,
    /// Set while it is being put back: what is moving, and who asked for it.
    pub restoring: Option<(Identity, Actor)>,
}

/// How much of the trash there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TrashSum {
    pub pieces: u64,
    pub totals: Totals,
    pub num_uncounted: u64,
}

/// How a sync has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    pub sync_id: SyncId,
    pub status: Status,
    pub message: String,
    pub trash: Option<NewTrash>,
    pub at: Timestamp,
}

#[async_trait]
pub trait SyncState: Send + std::marker::Sync {
    /// Remembers a new sync durably, unless [`crate::sync::obstacle`] finds an open one, a restore is under way on an
    /// overlapping path, or a full sync has other datasets below its path. One that an earlier call under the same key has
    /// started is given again, however it stands; under the key of another call it is refused.
    async fn start_sync(&self, new: &NewSync) -> Result<SyncId, Error>;

    /// The same where a full sync is in the way that [`crate::sync::gives_way`]: that one is closed, as by [`Self::close_sync`]
    /// with [`crate::sync::superseded_by`], in the transaction that remembers the new one. Where it does not give way, it is
    /// refused as by [`Self::start_sync`].
    async fn supersede_sync(&self, new: &NewSync, supersede: &Supersede) -> Result<SyncId, Error>;

    async fn sync(&self, id: SyncId) -> Result<Option<SyncRecord>, Error>;

    async fn syncs(&self, query: &SyncQuery) -> Result<Vec<Sync>, Error>;

    /// Closes a sync to uploads, durably, if [`crate::sync::may_close`] allows it. With `discard_in_flight`, its uploads
    /// in flight fail in the same transaction. `Closing::Finish` ends it there and then.
    async fn close_sync(
        &self,
        id: SyncId,
        closing: &Closing,
        discard_in_flight: bool,
        at: Timestamp,
    ) -> Result<(), Error>;

    /// Ends a sync that was closed, durably, and remembers what went to the trash. Doing it again changes nothing.
    async fn settle_sync(&self, settlement: &Settlement) -> Result<(), Error>;

    /// Remembers durably that an open sync is held, with the figures of this time, unless it is so already: since when then
    /// stays what it was. The next landing and the closing of the sync lift it.
    async fn hold_sync(&self, id: SyncId, hold: Hold, by: &Actor) -> Result<Hold, Error>;

    /// Opens a closed sync again: what it was closed for could not be done.
    async fn reopen_sync(&self, id: SyncId, why: &str, at: Timestamp) -> Result<(), Error>;

    /// Syncs that a restart found `Publishing` or `Aborting`.
    async fn closing_syncs(&self) -> Result<Vec<SyncRecord>, Error>;

    /// Every sync that has not ended.
    async fn open_syncs(&self) -> Result<Vec<SyncId>, Error>;

    /// Open syncs without an upload in flight whose last upload (or start) was before `before`.
    async fn idle_syncs(&self, before: Timestamp) -> Result<Vec<SyncId>, Error>;

    /// Datasets at or below `beginning`, most lately written first; `beginning` is any text that a path may begin with.
    async fn datasets(&self, beginning: &str, scope: Option<&LakePath>, size: u64) -> Result<Vec<LakePath>, Error>;

    /// Forgets that a dataset was ever at `path`: it is no longer there.
    async fn forget_dataset(&self, path: &LakePath) -> Result<(), Error>;
}

#[async_trait]
pub trait UploadState: Send + std::marker::Sync {
    /// Remembers an upload as `Syncing`, if [`crate::sync::may_accept_uploads`] allows it. Not durable by itself.
    async fn begin_upload(&self, new: &NewUpload) -> Result<UploadId, Error>;

    /// Remembers an upload that has no row as `Failed`, if [`crate::sync::may_accept_uploads`] allows it. `None`: it was
    /// counted only.
    async fn refuse_upload(&self, refused: &RefusedUpload) -> Result<Option<UploadId>, Error>;

    /// Remembers durably that these uploads are about to get their names, so that a restart knows them even where they
    /// have no row yet. Each is asked for by [`crate::sync::may_accept_uploads`]; a refused one is not in the group. With
    /// `finished`, also what [`Self::finish_landings`] does; an error is one of both then.
    async fn intend_landings(
        &self,
        finished: Option<&FinishedLandings>,
        uploads: &[WholeUpload],
    ) -> Result<(LandingsId, Vec<Result<(), Error>>), Error>;

    /// Remembers durably how a group has ended. Doing it again changes nothing.
    async fn finish_landings(&self, finished: &FinishedLandings) -> Result<(), Error>;

    /// Groups that a restart found unfinished, in ascending order.
    async fn unfinished_landings(&self) -> Result<Vec<(LandingsId, Vec<WholeUpload>)>, Error>;

    /// Remembers that an upload has failed after `size_bytes`. Does nothing to one that is not `Syncing`.
    async fn fail_upload(&self, id: UploadId, message: &str, size_bytes: u64, at: Timestamp) -> Result<(), Error>;

    async fn upload(&self, id: UploadId) -> Result<Option<Upload>, Error>;

    /// Of each file, by its place and what it is: what has landed there as just that. Known of the last hundred uploads to
    /// a place.
    async fn landed_contents(&self, files: &[(LakePath, Identity)]) -> Result<Vec<Option<LandedContent>>, Error>;

    async fn uploads(&self, query: &UploadQuery) -> Result<Vec<Upload>, Error>;

    /// Uploads that a restart found `Syncing`, in ascending order; but for those that can be resumed.
    async fn unfinished_uploads(&self) -> Result<Vec<UnfinishedUpload>, Error>;
}

#[async_trait]
pub trait BatchState: Send + std::marker::Sync {
    /// Remembers durably what a sync is to hold, in place of what was said before, if
    /// [`crate::sync::may_accept_uploads`] allows it.
    async fn expect(&self, id: SyncId, expected: &Declaration, at: Timestamp) -> Result<(), Error>;

    /// What was declared beside what the sync has landed: the last of its uploads to each target. `None` when nothing was
    /// declared. Visits each of its files.
    async fn compare_expected(&self, id: SyncId) -> Result<Option<Comparison>, Error>;

    /// What the sync has landed, each target once, in the order of their last uploads: at most `size` of those behind the
    /// upload of this ordinal. Of each, whether the first of its uploads found a file there.
    async fn landed_changes(&self, id: SyncId, after: u64, size: u64) -> Result<Vec<LandedChange>, Error>;
}

#[async_trait]
pub trait TrashState: Send + std::marker::Sync {
    /// What is in the trash, in the order in which it came.
    async fn trash(&self, query: &TrashQuery) -> Result<Vec<TrashEntry>, Error>;

    /// The same by what has put it there, the newest sync first and what none has put there last. Of the query's page the
    /// order counts for nothing.
    async fn trash_groups(&self, query: &TrashQuery) -> Result<Vec<TrashGroup>, Error>;

    /// All of the trash, in one group.
    async fn trash_sum(&self, scope: Option<&LakePath>) -> Result<TrashSum, Error>;

    async fn trash_record(&self, id: TrashId) -> Result<Option<TrashRecord>, Error>;

    /// Remembers durably that a piece is about to be put back, unless an open sync (or another restore) holds the path:
    /// a dataset wants it for itself, as a full sync does; a file shares it, as an incremental one does.
    async fn begin_restore(&self, id: TrashId, identity: &Identity, by: &Actor) -> Result<(), Error>;

    /// The piece is back: it leaves the list, and what it replaced enters it. Durably.
    async fn finish_restore(&self, id: TrashId, replaced: Option<&NewTrash>, at: Timestamp) -> Result<(), Error>;

    /// The piece could not be put back, and stays.
    async fn cancel_restore(&self, id: TrashId) -> Result<(), Error>;

    /// Restores that a restart found under way.
    async fn unfinished_restores(&self) -> Result<Vec<TrashRecord>, Error>;

    /// Pieces that nobody has counted yet, at most `size`.
    async fn uncounted_trash(&self, size: u64) -> Result<Vec<TrashRecord>, Error>;

    async fn count_trash(&self, id: TrashId, totals: Totals) -> Result<(), Error>;

    /// Remembers durably that these pieces are about to be removed for good, the oldest first and at most `size` of them:
    /// from now on they are in no list and cannot be restored. One that is being restored is left out; asked for by
    /// itself, it is refused. Gives those that it has marked.
    async fn begin_emptying(
        &self,
        doomed: &Doomed,
        size: u64,
        by: &Actor,
        at: Timestamp,
    ) -> Result<Vec<TrashEntry>, Error>;

    /// Pieces that are being removed, in ascending order, at most `size` of those behind `after`.
    async fn emptying_trash(&self, after: TrashId, size: u64) -> Result<Vec<(TrashId, TrashKey)>, Error>;

    /// Nothing is left of these pieces. Doing it again changes nothing.
    async fn finish_emptying(&self, ids: &[TrashId], at: Timestamp) -> Result<(), Error>;
}

#[async_trait]
pub trait KeyState: Send + std::marker::Sync {
    /// Remembers a key, durably. The session of the first sign-in ends with it, and its link.
    async fn create_key(
        &self,
        new: &NewKey,
        hint: &str,
        hash: &SecretHash,
        by: &Actor,
        at: Timestamp,
    ) -> Result<Key, Error>;

    async fn keys(&self) -> Result<Vec<Key>, Error>;

    /// The key of this secret, active or not.
    async fn key_of(&self, hash: &SecretHash) -> Result<Option<Key>, Error>;

    /// Revokes a key, durably, and ends the sessions that were begun with it. False when there was none to revoke.
    async fn revoke_key(&self, id: KeyId, by: &Actor, at: Timestamp) -> Result<bool, Error>;

    /// Remembers that the key was used, unless that was remembered less than [`crate::limits::LAST_USE_GRANULARITY`] ago.
    async fn touch_key(&self, id: KeyId, at: Timestamp) -> Result<(), Error>;
}

#[async_trait]
pub trait ActivityState: Send + std::marker::Sync {
    /// Remembers a deed that changes nothing else.
    async fn record(&self, deed: &Deed) -> Result<(), Error>;

    /// Deeds, the newest first; behind one that is named, the oldest first.
    async fn activity(&self, query: &ActivityQuery) -> Result<Vec<Activity>, Error>;
}

/// All that is remembered.
pub trait State:
    SyncState
    + UploadState
    + BatchState
    + ResumableState
    + SchemaState
    + TrashState
    + KeyState
    + SessionState
    + ActivityState
    + DatasetState
    + SearchState
    + ClockState
    + StateInspection
{
    /// The room where the state is. Asked often: it answers at once.
    fn space(&self) -> Result<Space, Error>;

    /// Bytes that were set aside for a full disk, and are to be set aside again before anything takes their room.
    fn missing_reserve_bytes(&self) -> u64 {
        0
    }

    /// The disk is full: gives a part of what was set aside back to it, so that a write may succeed. False where nothing is
    /// left.
    fn release_reserve(&self) -> bool {
        false
    }

    /// Sets aside what is missing, once there is room.
    fn refill_reserve(&self) -> Result<(), Error> {
        Ok(())
    }
}
