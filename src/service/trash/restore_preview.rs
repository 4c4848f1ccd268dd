//! Preview of restoring trash items, and the check by the shrink guard.

use crate::model::access::key::Caller;
use crate::model::error::Error;
use crate::model::id::TrashId;
use crate::model::storage_path::StoragePath;
use crate::model::totals::Totals;
use crate::model::trash::{ItemPreview, RestorePreview, RestoreTrash, RestoredTrash, TrashKind};
use crate::ports::metadata::trash::TrashRecord;
use crate::service::Lake;

impl Lake {
    /// Effect of a restore. Counts the files of datasets that have not been counted yet.
    pub async fn restore_preview(&self, caller: &Caller, wanted: &RestoreTrash) -> Result<RestorePreview, Error> {
        caller.may_write_somewhere()?;
        let ids = self.items_to_restore(caller, wanted).await?;
        let mut preview = RestorePreview::default();
        for id in &ids {
            match self.item_preview(caller, *id).await {
                Ok((item, _)) => preview.add(item),
                // One of several may be gone meanwhile.
                Err(Error::NoSuchTrash(_)) if ids.len() > 1 => {}
                Err(refused) => return Err(refused),
            }
        }
        if let [id] = ids[..] {
            let record = self.seen_trash(caller, id).await?;
            if record.entry.kind == TrashKind::Dataset {
                preview.difference = Some(self.restore_difference(caller, &record).await?);
            }
        }
        Ok(preview)
    }

    /// As [`Lake::restore_trash`], but refused if the shrink guard holds it and `confirm` is false.
    pub async fn restore_trash_guarded(
        &self,
        caller: &Caller,
        wanted: &RestoreTrash,
        confirm: bool,
    ) -> Result<RestoredTrash, Error> {
        caller.may_write_somewhere()?;
        if !confirm {
            for id in self.items_to_restore(caller, wanted).await? {
                if let Ok((item, record)) = self.item_preview(caller, id).await
                    && item.is_shrinking
                {
                    let (replaced, restored) = (item.replaced, item.restored);
                    return Err(Error::TrashRestoreHeld { path: record.entry.origin, replaced, restored });
                }
            }
        }
        self.restore_trash(caller, wanted).await
    }

    async fn item_preview(&self, caller: &Caller, id: TrashId) -> Result<(ItemPreview, TrashRecord), Error> {
        let record = self.seen_trash(caller, id).await?;
        let origin = &record.entry.origin;
        let restored = match record.entry.totals {
            Some(totals) => totals,
            None => self.0.files.measure(&StoragePath::trashed(&record.key, origin)).await?,
        };
        let replaced = match record.entry.kind {
            TrashKind::Dataset => self.measure_dataset(origin).await?,
            TrashKind::File => {
                let found = self.0.files.find(&[StoragePath::Live(origin.clone())]).await?.into_iter().next().flatten();
                found.map_or_else(Totals::default, |file| Totals { files: 1, bytes: file.size_bytes })
            }
        };
        let is_emptying = restored.files == 0 && replaced.files > 0;
        let is_guarded = record.entry.kind == TrashKind::Dataset && replaced.files > 0;
        let is_shrinking = is_guarded && (is_emptying || self.0.limits.shrink_guard.holds(origin, replaced, restored));
        let mut item = record.entry.clone();
        item.expires_at = self.trash_ends(item.trashed_at);
        Ok((ItemPreview { item, replaced, restored, is_shrinking }, record))
    }
}
