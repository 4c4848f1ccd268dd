//! Namespace of a lake on object storage: the tables `nodes`, `objects`, `object_parts` and `object_checkpoints`.

mod rows;

use super::SqliteState;
use super::job::Durability::{self, Synced, Written};
use super::writing::Writing;
use crate::namespace::{self, NamespaceRows};
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
use rows::SqliteRows;
use sqlx::Connection;
use std::collections::BTreeSet;
use std::pin::Pin;

type Running<'r, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'r>>;

/// Which connections read.
#[derive(Clone, Copy)]
enum Reading {
    /// An index look-up.
    Look,
    /// May visit many rows.
    List,
}

impl SqliteState {
    /// Runs steps in a transaction of the writer. They change nothing that groups of landings keep in memory.
    async fn write_namespace<T: Send + 'static>(
        &self,
        durability: Durability,
        steps: impl for<'r> FnOnce(&'r mut dyn NamespaceRows) -> Running<'r, T> + Send + 'static,
    ) -> Result<T, Error> {
        self.writer
            .write_aside(durability, move |writing: &mut Writing| {
                Box::pin(async move { steps(&mut SqliteRows::writing(writing)).await })
            })
            .await
    }

    /// Runs steps that read, on one snapshot of the database.
    async fn read_namespace<T: Send>(
        &self,
        reading: Reading,
        steps: impl for<'r> FnOnce(&'r mut dyn NamespaceRows) -> Running<'r, T> + Send,
    ) -> Result<T, Error> {
        match reading {
            Reading::Look => {
                let mut connection = self.readers.look().await?;
                let mut view = connection.begin().await.map_err(super::fault)?;
                steps(&mut SqliteRows::reading(&mut view)).await
            }
            Reading::List => {
                let mut connection = self.readers.list().await?;
                let mut view = connection.begin().await.map_err(super::fault)?;
                steps(&mut SqliteRows::reading(&mut view)).await
            }
        }
    }
}

#[async_trait]
impl Namespace for SqliteState {
    async fn intend(&self, new: &[NewObject], at: Timestamp) -> Result<Vec<IntendedObject>, Error> {
        let new = new.to_vec();
        self.write_namespace(Synced, move |rows| Box::pin(async move { namespace::intend(rows, &new, at).await })).await
    }

    async fn intend_tail(&self, key: &ObjectKey, size_bytes: u64, at: Timestamp) -> Result<ObjectId, Error> {
        let key = key.clone();
        self.write_namespace(Synced, move |rows| {
            Box::pin(async move { namespace::intend_tail(rows, &key, size_bytes, at).await })
        })
        .await
    }

    async fn begin_multipart(&self, object: ObjectId, multipart_id: &str) -> Result<(), Error> {
        let multipart_id = multipart_id.to_owned();
        self.write_namespace(Synced, move |rows| {
            Box::pin(async move { namespace::begin_multipart(rows, object, &multipart_id).await })
        })
        .await
    }

    async fn checkpoint(
        &self,
        object: ObjectId,
        checkpoint: &ObjectCheckpoint,
        new_parts: &[StoredPart],
        at: Timestamp,
    ) -> Result<(), Error> {
        let (checkpoint, new_parts) = (checkpoint.clone(), new_parts.to_vec());
        self.write_namespace(Synced, move |rows| {
            Box::pin(async move { namespace::checkpoint(rows, object, &checkpoint, &new_parts, at).await })
        })
        .await
    }

    async fn seal(&self, object: ObjectId, digest: &Digest, at: Timestamp) -> Result<(), Error> {
        let digest = *digest;
        self.write_namespace(Synced, move |rows| {
            Box::pin(async move { namespace::seal(rows, object, &digest, at).await })
        })
        .await
    }

    async fn reopen(
        &self,
        name: &PartialName,
        key: &ObjectKey,
        checkpoint: &ObjectCheckpoint,
        at: Timestamp,
    ) -> Result<ObjectId, Error> {
        let (name, key, checkpoint) = (name.clone(), key.clone(), checkpoint.clone());
        self.write_namespace(Synced, move |rows| {
            Box::pin(async move { namespace::reopen(rows, &name, &key, &checkpoint, at).await })
        })
        .await
    }

    async fn upload(&self, name: &PartialName) -> Result<Option<StoredUpload>, Error> {
        let name = name.clone();
        self.read_namespace(Reading::Look, move |rows| Box::pin(async move { namespace::upload(rows, &name).await }))
            .await
    }

    async fn discard(&self, name: &PartialName, at: Timestamp) -> Result<(), Error> {
        let name = name.clone();
        self.write_namespace(Written, move |rows| Box::pin(async move { namespace::discard(rows, &name, at).await }))
            .await
    }

    async fn land(&self, landings: &[Landing], at: Timestamp) -> Result<Vec<Result<LandingOutcome, Error>>, Error> {
        let landings = landings.to_vec();
        self.write_namespace(Synced, move |rows| Box::pin(async move { namespace::land(rows, &landings, at).await }))
            .await
    }

    async fn rollback_landing(&self, landing: &Landing, at: Timestamp) -> Result<(), Error> {
        let landing = landing.clone();
        self.write_namespace(Synced, move |rows| {
            Box::pin(async move { namespace::rollback_landing(rows, &landing, at).await })
        })
        .await
    }

    async fn recover_landing(&self, landing: &Landing) -> Result<Option<LandingOutcome>, Error> {
        let landing = landing.clone();
        self.read_namespace(Reading::Look, move |rows| {
            Box::pin(async move { namespace::recover_landing(rows, &landing).await })
        })
        .await
    }

    async fn find(&self, places: &[StoragePath]) -> Result<Vec<Option<FoundObject>>, Error> {
        const FEW: usize = 16;
        let places = places.to_vec();
        let reading = if places.len() > FEW { Reading::List } else { Reading::Look };
        self.read_namespace(reading, move |rows| Box::pin(async move { namespace::find(rows, &places).await })).await
    }

    async fn list_folder(
        &self,
        folder: Option<&LakePath>,
        from: u64,
        size: u64,
    ) -> Result<Option<Vec<FolderEntry>>, Error> {
        let folder = folder.cloned();
        self.read_namespace(Reading::List, move |rows| {
            Box::pin(async move { namespace::list_folder(rows, folder.as_ref(), from, size).await })
        })
        .await
    }

    async fn take_over(&self, files: &[TakeOver], at: Timestamp) -> Result<Vec<Option<TakenOver>>, Error> {
        let files = files.to_vec();
        self.write_namespace(Synced, move |rows| Box::pin(async move { namespace::take_over(rows, &files, at).await }))
            .await
    }

    async fn stage(&self, sync: SyncId, at: Timestamp) -> Result<Identity, Error> {
        self.write_namespace(Synced, move |rows| Box::pin(namespace::stage(rows, sync, at))).await
    }

    async fn publish(&self, publication: &Publication, at: Timestamp) -> Result<LandingOutcome, Error> {
        let publication = publication.clone();
        self.write_namespace(Synced, move |rows| {
            Box::pin(async move { namespace::publish(rows, &publication, at).await })
        })
        .await
    }

    async fn drop_staging(
        &self,
        sync: SyncId,
        dataset: &LakePath,
        trash: &TrashKey,
        at: Timestamp,
    ) -> Result<bool, Error> {
        let (dataset, trash) = (dataset.clone(), trash.clone());
        self.write_namespace(Synced, move |rows| {
            Box::pin(async move { namespace::drop_staging(rows, sync, &dataset, &trash, at).await })
        })
        .await
    }

    async fn identify_trash(&self, trash: &TrashKey, origin: &LakePath) -> Result<Option<Identity>, Error> {
        let (trash, origin) = (trash.clone(), origin.clone());
        self.read_namespace(Reading::Look, move |rows| {
            Box::pin(async move { namespace::identify_trash(rows, &trash, &origin).await })
        })
        .await
    }

    async fn restore(&self, restoration: &Restoration, at: Timestamp) -> Result<LandingOutcome, Error> {
        let restoration = restoration.clone();
        self.write_namespace(Synced, move |rows| {
            Box::pin(async move { namespace::restore(rows, &restoration, at).await })
        })
        .await
    }

    async fn remove_trash(&self, pieces: &[TrashKey], removals_max: u64, at: Timestamp) -> Result<Removed, Error> {
        let pieces = pieces.to_vec();
        self.write_namespace(Synced, move |rows| {
            Box::pin(async move { namespace::remove_trash(rows, &pieces, removals_max, at).await })
        })
        .await
    }

    async fn measure(&self, place: &StoragePath) -> Result<Totals, Error> {
        let place = place.clone();
        self.read_namespace(Reading::List, move |rows| Box::pin(async move { namespace::measure(rows, &place).await }))
            .await
    }

    async fn measure_folders(&self, place: &StoragePath, folders_max: usize) -> Result<Measured, Error> {
        let place = place.clone();
        self.read_namespace(Reading::List, move |rows| {
            Box::pin(async move { namespace::measure_folders(rows, &place, folders_max).await })
        })
        .await
    }

    async fn are_unchanged(&self, place: &StoragePath, folders: &[FolderState]) -> Result<bool, Error> {
        let (place, folders) = (place.clone(), folders.to_vec());
        self.read_namespace(Reading::List, move |rows| {
            Box::pin(async move { namespace::are_unchanged(rows, &place, &folders).await })
        })
        .await
    }

    async fn exists(&self, place: &StoragePath) -> Result<bool, Error> {
        let place = place.clone();
        self.read_namespace(Reading::Look, move |rows| Box::pin(async move { namespace::exists(rows, &place).await }))
            .await
    }

    async fn sweep(&self, open_syncs: &[SyncId], kept: &BTreeSet<PartialName>, at: Timestamp) -> Result<(), Error> {
        let (open_syncs, kept) = (open_syncs.to_vec(), kept.clone());
        self.write_namespace(Synced, move |rows| {
            Box::pin(async move { namespace::sweep(rows, &open_syncs, &kept, at).await })
        })
        .await
    }

    async fn list(&self, folder: &StoragePath) -> Result<Vec<Entry>, Error> {
        let folder = folder.clone();
        self.read_namespace(Reading::List, move |rows| Box::pin(async move { namespace::list(rows, &folder).await }))
            .await
    }

    async fn rename_slot(&self, from: &TrashKey, to: &TrashKey) -> Result<(), Error> {
        let (from, to) = (from.clone(), to.clone());
        self.write_namespace(Synced, move |rows| {
            Box::pin(async move { namespace::rename_slot(rows, &from, &to).await })
        })
        .await
    }

    async fn remove_empty_slot(&self, key: &TrashKey) -> Result<(), Error> {
        let key = key.clone();
        self.write_namespace(Synced, move |rows| {
            Box::pin(async move { namespace::remove_empty_slot(rows, &key).await })
        })
        .await
    }

    async fn unreferenced_objects(&self, before: Timestamp, size: u64) -> Result<Vec<UnreferencedObject>, Error> {
        self.read_namespace(Reading::List, move |rows| Box::pin(namespace::unreferenced_objects(rows, before, size)))
            .await
    }

    async fn forget_objects(&self, objects: &[ObjectId]) -> Result<(), Error> {
        let objects = objects.to_vec();
        self.write_namespace(Synced, move |rows| {
            Box::pin(async move { namespace::forget_objects(rows, &objects).await })
        })
        .await
    }
}
