//! The calls of the namespace, each in one transaction.
//!
//! A transaction that changes the tree holds the counter `namespace`, so that such transactions run one after the other. One
//! that changes an upload that has not landed locks its node alone.

use super::NamespaceRows;
use super::sql::SqlRows;
use crate::backend::{Backend, MetadataStore};
use crate::namespace;
use crate::transaction::Durability::{self, Passing, Synced};
use crate::transaction::{Counter, WriteTransaction as _};
use async_trait::async_trait;
use futures_util::future::BoxFuture;
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
    FolderEntry, FolderState, Landing, LandingOutcome, Measured, Publication, Removed, Restoration, ReuseRequest,
    ReusedCopy,
};
use lakeshore::{Error, Timestamp};
use sqlx::Database;
use std::collections::BTreeSet;

/// Steps of a transaction.
type Steps<A, T> = for<'r> fn(&'r mut dyn NamespaceRows, &'r A) -> BoxFuture<'r, Result<T, Error>>;

type Reading<B> = <<B as Backend>::Db as Database>::Connection;

impl<B: Backend> Calls for MetadataStore<B> {
    async fn change_upload<A: Send + Sync + 'static, T: Send + 'static>(
        &self,
        given: A,
        steps: Steps<A, T>,
    ) -> Result<T, Error> {
        let work = self.0.write_aside(Synced, (given, steps), |writing, (given, steps)| {
            Box::pin(async move { steps(&mut SqlRows::<Reading<B>, _>::Writing(writing), given).await })
        });
        work.await
    }

    async fn change_tree<A: Send + Sync + 'static, T: Send + 'static>(
        &self,
        durability: Durability,
        given: A,
        steps: Steps<A, T>,
    ) -> Result<T, Error> {
        let work = self.0.write_aside(durability, (given, steps), |writing, (given, steps)| {
            Box::pin(async move {
                writing.lock(Counter::Namespace).await?;
                steps(&mut SqlRows::<Reading<B>, _>::Writing(writing), given).await
            })
        });
        work.await
    }

    async fn read<A: Send + Sync, T: Send>(&self, is_list: bool, given: A, steps: Steps<A, T>) -> Result<T, Error> {
        let work = self.0.view(is_list, (given, steps), |view, (given, steps)| {
            Box::pin(async move { steps(&mut SqlRows::<_, B::Writing>::Reading(view), given).await })
        });
        work.await
    }
}

/// How the calls of the namespace run.
trait Calls {
    /// Runs steps in a transaction that changes an upload.
    fn change_upload<A: Send + Sync + 'static, T: Send + 'static>(
        &self,
        given: A,
        steps: Steps<A, T>,
    ) -> impl Future<Output = Result<T, Error>> + Send;

    /// Runs steps in a transaction that changes the tree.
    fn change_tree<A: Send + Sync + 'static, T: Send + 'static>(
        &self,
        durability: Durability,
        given: A,
        steps: Steps<A, T>,
    ) -> impl Future<Output = Result<T, Error>> + Send;

    /// Runs steps that read, on one snapshot of the database. They visit many rows if `is_list`.
    fn read<A: Send + Sync, T: Send>(
        &self,
        is_list: bool,
        given: A,
        steps: Steps<A, T>,
    ) -> impl Future<Output = Result<T, Error>> + Send;
}

#[async_trait]
impl<B: Backend> Namespace for MetadataStore<B> {
    async fn intend(&self, new: &[NewObject], at: Timestamp) -> Result<Vec<IntendedObject>, Error> {
        self.change_upload((new.to_vec(), at), |rows, (new, at)| Box::pin(namespace::intend(rows, new, *at))).await
    }

    async fn intend_tail(&self, key: &ObjectKey, size_bytes: u64, at: Timestamp) -> Result<ObjectId, Error> {
        self.change_upload((key.clone(), size_bytes, at), |rows, (key, size_bytes, at)| {
            Box::pin(namespace::intend_tail(rows, key, *size_bytes, *at))
        })
        .await
    }

    async fn begin_multipart(&self, object: ObjectId, multipart_id: &str) -> Result<(), Error> {
        self.change_upload((object, multipart_id.to_owned()), |rows, (object, multipart_id)| {
            Box::pin(namespace::begin_multipart(rows, *object, multipart_id))
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
        self.change_upload(
            (object, checkpoint.clone(), new_parts.to_vec(), at),
            |rows, (object, checkpoint, new_parts, at)| {
                Box::pin(namespace::checkpoint(rows, *object, checkpoint, new_parts, *at))
            },
        )
        .await
    }

    async fn seal(&self, object: ObjectId, digest: &Digest, at: Timestamp) -> Result<(), Error> {
        self.change_upload((object, *digest, at), |rows, (object, digest, at)| {
            Box::pin(namespace::seal(rows, *object, digest, *at))
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
        self.change_upload((name.clone(), key.clone(), checkpoint.clone(), at), |rows, (name, key, checkpoint, at)| {
            Box::pin(namespace::reopen(rows, name, key, checkpoint, *at))
        })
        .await
    }

    async fn upload(&self, name: &PartialName) -> Result<Option<StoredUpload>, Error> {
        self.read(false, name.clone(), |rows, name| Box::pin(namespace::upload(rows, name))).await
    }

    async fn discard(&self, name: &PartialName, at: Timestamp) -> Result<(), Error> {
        self.change_tree(Passing, (name.clone(), at), |rows, (name, at)| Box::pin(namespace::discard(rows, name, *at)))
            .await
    }

    async fn land(&self, landings: &[Landing], at: Timestamp) -> Result<Vec<Result<LandingOutcome, Error>>, Error> {
        self.change_tree(Synced, (landings.to_vec(), at), |rows, (landings, at)| {
            Box::pin(namespace::land(rows, landings, *at))
        })
        .await
    }

    async fn rollback_landing(&self, landing: &Landing, at: Timestamp) -> Result<(), Error> {
        self.change_tree(Synced, (landing.clone(), at), |rows, (landing, at)| {
            Box::pin(namespace::rollback_landing(rows, landing, *at))
        })
        .await
    }

    async fn recover_landing(&self, landing: &Landing) -> Result<Option<LandingOutcome>, Error> {
        // Behind the lock of the landing itself, which may still be about to commit.
        self.change_tree(Passing, landing.clone(), |rows, landing| Box::pin(namespace::recover_landing(rows, landing)))
            .await
    }

    async fn find(&self, places: &[StoragePath]) -> Result<Vec<Option<FoundObject>>, Error> {
        const FEW: usize = 16;
        if places.len() > FEW {
            return namespace::find(&mut self.0.list().await?, places).await;
        }
        namespace::find(&mut self.0.look().await?, places).await
    }

    async fn find_identified(&self, identities: &[Identity]) -> Result<Vec<Option<FoundObject>>, Error> {
        namespace::find_identified(&mut self.0.look().await?, identities).await
    }

    async fn list_folder(
        &self,
        folder: Option<&LakePath>,
        from: u64,
        size: u64,
    ) -> Result<Option<Vec<FolderEntry>>, Error> {
        self.read(true, (folder.cloned(), from, size), |rows, (folder, from, size)| {
            Box::pin(namespace::list_folder(rows, folder.as_ref(), *from, *size))
        })
        .await
    }

    async fn take_over(&self, files: &[ReuseRequest], at: Timestamp) -> Result<Vec<Option<ReusedCopy>>, Error> {
        self.change_tree(Synced, (files.to_vec(), at), |rows, (files, at)| {
            Box::pin(namespace::take_over(rows, files, *at))
        })
        .await
    }

    async fn stage(&self, sync: SyncId, at: Timestamp) -> Result<Identity, Error> {
        self.change_tree(Synced, (sync, at), |rows, (sync, at)| Box::pin(namespace::stage(rows, *sync, *at))).await
    }

    async fn publish(&self, publication: &Publication, at: Timestamp) -> Result<LandingOutcome, Error> {
        self.change_tree(Synced, (publication.clone(), at), |rows, (publication, at)| {
            Box::pin(namespace::publish(rows, publication, *at))
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
        self.change_tree(Synced, (sync, dataset.clone(), trash.clone(), at), |rows, (sync, dataset, trash, at)| {
            Box::pin(namespace::drop_staging(rows, *sync, dataset, trash, *at))
        })
        .await
    }

    async fn identify_trash(&self, trash: &TrashKey, origin: &LakePath) -> Result<Option<Identity>, Error> {
        self.read(false, (trash.clone(), origin.clone()), |rows, (trash, origin)| {
            Box::pin(namespace::identify_trash(rows, trash, origin))
        })
        .await
    }

    async fn restore(&self, restoration: &Restoration, at: Timestamp) -> Result<LandingOutcome, Error> {
        self.change_tree(Synced, (restoration.clone(), at), |rows, (restoration, at)| {
            Box::pin(namespace::restore(rows, restoration, *at))
        })
        .await
    }

    async fn remove_trash(&self, items: &[TrashKey], removals_max: u64, at: Timestamp) -> Result<Removed, Error> {
        self.change_tree(Synced, (items.to_vec(), removals_max, at), |rows, (items, removals_max, at)| {
            Box::pin(namespace::remove_trash(rows, items, *removals_max, *at))
        })
        .await
    }

    async fn measure(&self, place: &StoragePath) -> Result<Totals, Error> {
        self.read(true, place.clone(), |rows, place| Box::pin(namespace::measure(rows, place))).await
    }

    async fn measure_folders(&self, place: &StoragePath, folders_max: usize) -> Result<Measured, Error> {
        self.read(true, (place.clone(), folders_max), |rows, (place, folders_max)| {
            Box::pin(namespace::measure_folders(rows, place, *folders_max))
        })
        .await
    }

    async fn are_unchanged(&self, place: &StoragePath, folders: &[FolderState]) -> Result<bool, Error> {
        self.read(true, (place.clone(), folders.to_vec()), |rows, (place, folders)| {
            Box::pin(namespace::are_unchanged(rows, place, folders))
        })
        .await
    }

    async fn exists(&self, place: &StoragePath) -> Result<bool, Error> {
        self.read(false, place.clone(), |rows, place| Box::pin(namespace::exists(rows, place))).await
    }

    async fn sweep(&self, open_syncs: &[SyncId], kept: &BTreeSet<PartialName>, at: Timestamp) -> Result<(), Error> {
        self.change_tree(Synced, (open_syncs.to_vec(), kept.clone(), at), |rows, (open_syncs, kept, at)| {
            Box::pin(namespace::sweep(rows, open_syncs, kept, *at))
        })
        .await
    }

    async fn list(&self, folder: &StoragePath) -> Result<Vec<Entry>, Error> {
        self.read(true, folder.clone(), |rows, folder| Box::pin(namespace::list(rows, folder))).await
    }

    async fn list_page(&self, folder: &StoragePath, from: u64, size: u64) -> Result<Vec<Entry>, Error> {
        self.read(true, (folder.clone(), from, size), |rows, (folder, from, size)| {
            Box::pin(namespace::list_page(rows, folder, *from, *size))
        })
        .await
    }

    async fn rename_slot(&self, from: &TrashKey, to: &TrashKey) -> Result<(), Error> {
        self.change_tree(Synced, (from.clone(), to.clone()), |rows, (from, to)| {
            Box::pin(namespace::rename_slot(rows, from, to))
        })
        .await
    }

    async fn remove_empty_slot(&self, key: &TrashKey) -> Result<(), Error> {
        self.change_tree(Synced, key.clone(), |rows, key| Box::pin(namespace::remove_empty_slot(rows, key))).await
    }

    async fn unreferenced_objects(&self, before: Timestamp, size: u64) -> Result<Vec<UnreferencedObject>, Error> {
        self.read(true, (before, size), |rows, (before, size)| {
            Box::pin(namespace::unreferenced_objects(rows, *before, *size))
        })
        .await
    }

    async fn forget_objects(&self, objects: &[ObjectId]) -> Result<(), Error> {
        self.change_tree(Synced, objects.to_vec(), |rows, objects| Box::pin(namespace::forget_objects(rows, objects)))
            .await
    }
}
