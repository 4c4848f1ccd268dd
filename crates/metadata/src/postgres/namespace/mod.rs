//! Namespace of a lake on object storage: the tables `nodes`, `objects`, `object_parts` and `object_checkpoints`.
//!
//! A transaction that changes the tree holds the counter `namespace`, so that such transactions run one after the other. One
//! that changes an upload that has not landed locks its node alone.

mod rows;

use super::PostgresState;
use super::connection::fault;
use super::writing::Durability::{Passing, Synced};
use super::writing::{Counter, transaction};
use crate::backend::Backend as _;
use crate::namespace;
use async_trait::async_trait;
use lakeshore::model::digest::Digest;
use lakeshore::model::id::SyncId;
use lakeshore::model::object_key::ObjectKey;
use lakeshore::model::path::LakePath;
use lakeshore::model::storage_path::{Identity, PartialName, StoragePath, TrashKey};
use lakeshore::model::totals::Totals;
use lakeshore::ports::Namespace;
use lakeshore::ports::inspection::Entry;
use lakeshore::ports::namespace::{
    FoundObject, IntendedObject, NewObject, ObjectCheckpoint, ObjectId, StoredPart, StoredUpload, UnreferencedObject,
};
use lakeshore::ports::storage::{
    FolderEntry, FolderState, Landing, LandingOutcome, Measured, Publication, Removed, Restoration, TakeOver, TakenOver,
};
use lakeshore::{Error, Timestamp};
use rows::PostgresRows;
use sqlx::{Postgres, Transaction};
use std::collections::BTreeSet;

/// Evaluates steps in a transaction that changes an upload.
macro_rules! upload_change {
    ($state:expr, |$rows:ident| $steps:expr) => {
        transaction!($state, Synced, |writing| {
            let $rows = &mut PostgresRows::writing(writing);
            $steps.await
        })
    };
}

/// Evaluates steps in a transaction that changes the tree.
macro_rules! tree_change {
    ($state:expr, $durability:expr, |$rows:ident| $steps:expr) => {
        transaction!($state, $durability, |writing| {
            writing.next_ids(Counter::Namespace, 0).await?;
            let $rows = &mut PostgresRows::writing(writing);
            $steps.await
        })
    };
}

/// Evaluates steps that read, on one snapshot of the database. `look` is for look-ups by an index, `list` for what may visit
/// many rows.
macro_rules! reading {
    (look $state:expr, |$rows:ident| $steps:expr) => {{
        let mut view = $state.view().await?;
        let $rows = &mut PostgresRows::reading(&mut view);
        $steps.await
    }};
    (list $state:expr, |$rows:ident| $steps:expr) => {{
        let mut view = $state.0.list().await?;
        let $rows = &mut PostgresRows::reading(&mut view);
        $steps.await
    }};
}

impl PostgresState {
    /// Snapshot for a few look-ups.
    async fn view(&self) -> Result<Transaction<'static, Postgres>, Error> {
        self.pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await.map_err(fault)
    }
}

#[async_trait]
impl Namespace for PostgresState {
    async fn intend(&self, new: &[NewObject], at: Timestamp) -> Result<Vec<IntendedObject>, Error> {
        upload_change!(self, |rows| namespace::intend(rows, new, at))
    }

    async fn intend_tail(&self, key: &ObjectKey, size_bytes: u64, at: Timestamp) -> Result<ObjectId, Error> {
        upload_change!(self, |rows| namespace::intend_tail(rows, key, size_bytes, at))
    }

    async fn begin_multipart(&self, object: ObjectId, multipart_id: &str) -> Result<(), Error> {
        upload_change!(self, |rows| namespace::begin_multipart(rows, object, multipart_id))
    }

    async fn checkpoint(
        &self,
        object: ObjectId,
        checkpoint: &ObjectCheckpoint,
        new_parts: &[StoredPart],
        at: Timestamp,
    ) -> Result<(), Error> {
        upload_change!(self, |rows| namespace::checkpoint(rows, object, checkpoint, new_parts, at))
    }

    async fn seal(&self, object: ObjectId, digest: &Digest, at: Timestamp) -> Result<(), Error> {
        upload_change!(self, |rows| namespace::seal(rows, object, digest, at))
    }

    async fn reopen(
        &self,
        name: &PartialName,
        key: &ObjectKey,
        checkpoint: &ObjectCheckpoint,
        at: Timestamp,
    ) -> Result<ObjectId, Error> {
        upload_change!(self, |rows| namespace::reopen(rows, name, key, checkpoint, at))
    }

    async fn upload(&self, name: &PartialName) -> Result<Option<StoredUpload>, Error> {
        reading!(look self, |rows| namespace::upload(rows, name))
    }

    async fn discard(&self, name: &PartialName, at: Timestamp) -> Result<(), Error> {
        tree_change!(self, Passing, |rows| namespace::discard(rows, name, at))
    }

    async fn land(&self, landings: &[Landing], at: Timestamp) -> Result<Vec<Result<LandingOutcome, Error>>, Error> {
        tree_change!(self, Synced, |rows| namespace::land(rows, landings, at))
    }

    async fn rollback_landing(&self, landing: &Landing, at: Timestamp) -> Result<(), Error> {
        tree_change!(self, Synced, |rows| namespace::rollback_landing(rows, landing, at))
    }

    async fn recover_landing(&self, landing: &Landing) -> Result<Option<LandingOutcome>, Error> {
        reading!(look self, |rows| namespace::recover_landing(rows, landing))
    }

    async fn find(&self, places: &[StoragePath]) -> Result<Vec<Option<FoundObject>>, Error> {
        const FEW: usize = 16;
        if places.len() > FEW {
            return reading!(list self, |rows| namespace::find(rows, places));
        }
        reading!(look self, |rows| namespace::find(rows, places))
    }

    async fn list_folder(
        &self,
        folder: Option<&LakePath>,
        from: u64,
        size: u64,
    ) -> Result<Option<Vec<FolderEntry>>, Error> {
        reading!(list self, |rows| namespace::list_folder(rows, folder, from, size))
    }

    async fn take_over(&self, files: &[TakeOver], at: Timestamp) -> Result<Vec<Option<TakenOver>>, Error> {
        tree_change!(self, Synced, |rows| namespace::take_over(rows, files, at))
    }

    async fn stage(&self, sync: SyncId, at: Timestamp) -> Result<Identity, Error> {
        tree_change!(self, Synced, |rows| namespace::stage(rows, sync, at))
    }

    async fn publish(&self, publication: &Publication, at: Timestamp) -> Result<LandingOutcome, Error> {
        tree_change!(self, Synced, |rows| namespace::publish(rows, publication, at))
    }

    async fn drop_staging(
        &self,
        sync: SyncId,
        dataset: &LakePath,
        trash: &TrashKey,
        at: Timestamp,
    ) -> Result<bool, Error> {
        tree_change!(self, Synced, |rows| namespace::drop_staging(rows, sync, dataset, trash, at))
    }

    async fn identify_trash(&self, trash: &TrashKey, origin: &LakePath) -> Result<Option<Identity>, Error> {
        reading!(look self, |rows| namespace::identify_trash(rows, trash, origin))
    }

    async fn restore(&self, restoration: &Restoration, at: Timestamp) -> Result<LandingOutcome, Error> {
        tree_change!(self, Synced, |rows| namespace::restore(rows, restoration, at))
    }

    async fn remove_trash(&self, pieces: &[TrashKey], removals_max: u64, at: Timestamp) -> Result<Removed, Error> {
        tree_change!(self, Synced, |rows| namespace::remove_trash(rows, pieces, removals_max, at))
    }

    async fn measure(&self, place: &StoragePath) -> Result<Totals, Error> {
        reading!(list self, |rows| namespace::measure(rows, place))
    }

    async fn measure_folders(&self, place: &StoragePath, folders_max: usize) -> Result<Measured, Error> {
        reading!(list self, |rows| namespace::measure_folders(rows, place, folders_max))
    }

    async fn are_unchanged(&self, place: &StoragePath, folders: &[FolderState]) -> Result<bool, Error> {
        reading!(list self, |rows| namespace::are_unchanged(rows, place, folders))
    }

    async fn exists(&self, place: &StoragePath) -> Result<bool, Error> {
        reading!(look self, |rows| namespace::exists(rows, place))
    }

    async fn sweep(&self, open_syncs: &[SyncId], kept: &BTreeSet<PartialName>, at: Timestamp) -> Result<(), Error> {
        tree_change!(self, Synced, |rows| namespace::sweep(rows, open_syncs, kept, at))
    }

    async fn list(&self, folder: &StoragePath) -> Result<Vec<Entry>, Error> {
        reading!(list self, |rows| namespace::list(rows, folder))
    }

    async fn rename_slot(&self, from: &TrashKey, to: &TrashKey) -> Result<(), Error> {
        tree_change!(self, Synced, |rows| namespace::rename_slot(rows, from, to))
    }

    async fn remove_empty_slot(&self, key: &TrashKey) -> Result<(), Error> {
        tree_change!(self, Synced, |rows| namespace::remove_empty_slot(rows, key))
    }

    async fn unreferenced_objects(&self, before: Timestamp, size: u64) -> Result<Vec<UnreferencedObject>, Error> {
        reading!(list self, |rows| namespace::unreferenced_objects(rows, before, size))
    }

    async fn forget_objects(&self, objects: &[ObjectId]) -> Result<(), Error> {
        tree_change!(self, Synced, |rows| namespace::forget_objects(rows, objects))
    }
}
