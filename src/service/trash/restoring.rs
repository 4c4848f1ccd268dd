//! Restores of several trash items: a selection, or those that one sync replaced.

use crate::model::access::key::Caller;
use crate::model::error::{Error, Refusal};
use crate::model::id::SyncId;
use crate::model::id::TrashId;
use crate::model::limits::{DISPLACED_NAMED_MAX, LIST_SIZE_MAX, NOT_RESTORED_NAMED_MAX, RESTORED_ITEMS_MAX};
use crate::model::page::{ListParameters, Order};
use crate::model::trash::{NotRestored, RestoreTrash, RestoredTrash};
use crate::service::Lake;
use std::collections::HashSet;

impl Lake {
    /// Restores items. For a single item a failure is an error; of several, each has its own result.
    pub async fn restore_trash(&self, caller: &Caller, wanted: &RestoreTrash) -> Result<RestoredTrash, Error> {
        caller.may_write_somewhere()?;
        if let (Some(id), None, []) = (wanted.trash_id, wanted.sync_id, wanted.trash_ids.as_slice()) {
            let displaced = self.restore_item(caller, id).await?.into_iter().collect();
            return Ok(RestoredTrash { restored: 1, displaced, ..RestoredTrash::default() });
        }
        let ids = self.items_to_restore(caller, wanted).await?;
        let mut restored = RestoredTrash::default();
        for trash_id in ids {
            match self.restore_item(caller, trash_id).await {
                Ok(displaced) => {
                    restored.restored += 1;
                    let room = DISPLACED_NAMED_MAX.saturating_sub(restored.displaced.len());
                    restored.displaced.extend(displaced.into_iter().take(room));
                }
                Err(error) => {
                    restored.num_failed += 1;
                    if restored.failed.len() < NOT_RESTORED_NAMED_MAX {
                        restored.failed.push(NotRestored { trash_id, refusal: Refusal::from(&error) });
                    }
                }
            }
        }
        Ok(restored)
    }

    /// Items that the call selects.
    pub(in crate::service) async fn items_to_restore(
        &self,
        caller: &Caller,
        wanted: &RestoreTrash,
    ) -> Result<Vec<TrashId>, Error> {
        let ids = match (wanted.trash_id, wanted.sync_id, wanted.trash_ids.as_slice()) {
            (Some(id), None, []) => vec![id],
            (None, Some(sync_id), []) => self.replaced_by(caller, sync_id).await?,
            (None, None, ids) if !ids.is_empty() => ids.to_vec(),
            _ => {
                let msg = "nothing is selected to be restored; send one of \"trash_id\", \"trash_ids\" and \"sync_id\"";
                return Err(Error::Invalid(msg.into()));
            }
        };
        if ids.len() as u64 > RESTORED_ITEMS_MAX {
            let msg = format!("a request restores at most {RESTORED_ITEMS_MAX} items; select some with \"trash_ids\"");
            return Err(Error::Invalid(msg));
        }
        Ok(ids)
    }

    /// Oldest item of each path, at most one more than a call may restore.
    async fn replaced_by(&self, caller: &Caller, sync_id: SyncId) -> Result<Vec<TrashId>, Error> {
        let (mut ids, mut places, mut from) = (Vec::new(), HashSet::new(), 0);
        loop {
            let page = ListParameters {
                from: Some(from),
                size: Some(LIST_SIZE_MAX),
                order: Order::Asc,
                sync_id: Some(sync_id),
                ..ListParameters::default()
            };
            let entries = self.trash(caller, &page).await?;
            from += entries.len() as u64;
            let is_last = (entries.len() as u64) < LIST_SIZE_MAX;
            let oldest = entries.into_iter().filter(|entry| places.insert(entry.origin.clone()));
            ids.extend(oldest.map(|entry| entry.trash_id));
            if is_last || ids.len() as u64 > RESTORED_ITEMS_MAX {
                return Ok(ids);
            }
        }
    }
}
