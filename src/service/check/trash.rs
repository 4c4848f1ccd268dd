//! Check of the trash folders against their rows.

use super::{Check, Finding, FindingKind};
use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::id::TrashId;
use crate::model::path::LakePath;
use crate::model::storage_path::StoragePath;
use crate::model::storage_path::TrashKey;
use crate::model::sync::status::Status;
use crate::model::trash::NewTrash;
use crate::model::trash::{PurgeSelector, TrashKind, TrashReason};
use crate::ports::inspection::{Entry, EntryKind, TrashSlot};
use std::collections::BTreeSet;

const BY: &str = "lakeshore check";
const PAGE_ROWS: u64 = 1000;

impl Check<'_> {
    pub(super) async fn trash(&mut self) -> Result<(), Error> {
        let mut known = BTreeSet::new();
        let mut after = TrashId(0);
        loop {
            let slots = self.lake.0.state.trash_slots(after, PAGE_ROWS).await?;
            let Some(last) = slots.last() else { break };
            after = last.trash_id;
            for slot in slots {
                if !slot.is_emptying {
                    self.judge_item(&slot).await?;
                }
                known.insert(slot.key.as_str().to_owned());
            }
        }
        known.extend(self.keys_in_doubt.iter().map(|key| key.as_str().to_owned()));
        for entry in self.lake.0.files.list(&StoragePath::TrashSlots).await? {
            if !known.contains(&entry.name) {
                self.judge_slot(&entry).await?;
            }
        }
        Ok(())
    }

    /// Checks that the item of a restorable row exists.
    async fn judge_item(&mut self, slot: &TrashSlot) -> Result<(), Error> {
        let identity = match self.lake.0.files.identify_trash(&slot.key, &slot.origin).await {
            Err(Error::InTheWay(_)) => None,
            other => other?,
        };
        let is_restoring = self.in_doubt.contains(&slot.origin);
        if identity.is_some() || is_restoring {
            return Ok(());
        }
        let path = StoragePath::trashed(&slot.key, &slot.origin).shown();
        let detail = format!("trash item {}, from {}, is missing", slot.trash_id, slot.origin);
        let mut finding = Finding::new(FindingKind::MissingTrash, path, detail).repair("removes it from the list");
        if self.options.repair {
            let state = &self.lake.0.state;
            state.begin_emptying(&PurgeSelector::Item(slot.trash_id), 1, &BY.into(), self.lake.now()).await?;
            state.finish_emptying(&[slot.trash_id], self.lake.now()).await?;
            finding.repaired = true;
        }
        self.tell(&finding);
        Ok(())
    }

    /// Identifies a trash folder without a row.
    async fn judge_slot(&mut self, entry: &Entry) -> Result<(), Error> {
        let files = &self.lake.0.files;
        let key = TrashKey::from_stored(entry.name.clone());
        let slot = StoragePath::TrashSlot(key.clone());
        let items = files.list(&slot).await?;
        let path = slot.shown();
        if entry.kind == EntryKind::Folder && items.is_empty() {
            let note = Finding::new(FindingKind::EmptySlot, path, "left behind by an interrupted move");
            let note = note.repair("removes it");
            if self.options.repair {
                files.remove_empty_slot(&key).await?;
            }
            self.tell(&Finding { repaired: self.options.repair, ..note });
            return Ok(());
        }
        let unknown = |detail: String| Finding::new(FindingKind::UnknownTrash, path.clone(), detail);
        if let Some((origin, kind, sync_id)) = self.origin_of(&key, &items).await? {
            let mut finding = unknown(format!("not in the database; it came from {origin}"));
            finding.repair = Some("lists it as a trash item again");
            if self.options.repair {
                self.adopt(&key, origin, kind, sync_id).await?;
                finding.repaired = true;
            }
            self.tell(&finding);
            return Ok(());
        }
        let mut detail = "neither it nor its origin is in the database; inspect it, then move or delete it".to_owned();
        let is_in_the_way = match key.sync() {
            Some(sync_id) => self.lake.0.state.sync(sync_id).await?.is_none(),
            None => false,
        };
        // A later sync will need this name.
        if is_in_the_way && self.options.repair {
            files.rename_slot(&key, &key.set_aside()).await?;
            detail = format!("{detail} (it is now {})", StoragePath::TrashSlot(key.set_aside()).shown());
        }
        self.tell(&unknown(detail));
        Ok(())
    }

    /// Original path of the single entry of a trash folder, if it can be determined.
    async fn origin_of(
        &self,
        key: &TrashKey,
        items: &[Entry],
    ) -> Result<Option<(LakePath, TrashKind, Option<SyncId>)>, Error> {
        let [item] = items else { return Ok(None) };
        match (key.sync(), item.kind) {
            // A sync moves the old content of its path, or its staged files, to the trash.
            (Some(sync_id), EntryKind::Folder) => {
                let record = self.lake.0.state.sync(sync_id).await?;
                let path = record.map(|record| record.sync.path).filter(|path| path.leaf() == item.name);
                Ok(path.map(|path| (path, TrashKind::Dataset, Some(sync_id))))
            }
            // An upload moves the file that it replaces to the trash: one that landed there before, with this content.
            (None, EntryKind::File) => {
                let place = StoragePath::Trashed { key: key.clone(), leaf: item.name.clone() };
                let Some(content) = self.lake.0.files.digest(&place).await? else { return Ok(None) };
                let mut origins = self.lake.0.state.landed_as(&content, &item.name, 2).await?;
                let only = if origins.len() == 1 { origins.pop() } else { None };
                Ok(only.map(|origin| (origin, TrashKind::File, None)))
            }
            _ => Ok(None),
        }
    }

    /// Renames the folder first, to a name that nobody else chooses, then adds the row. In between it is a folder
    /// without a row, as before.
    async fn adopt(
        &self,
        key: &TrashKey,
        origin: LakePath,
        kind: TrashKind,
        sync_id: Option<SyncId>,
    ) -> Result<(), Error> {
        let adopted = key.adopted();
        if adopted != *key {
            self.lake.0.files.rename_slot(key, &adopted).await?;
        }
        let reason = match sync_id {
            None => TrashReason::Overwritten,
            Some(id) if self.lake.record(id).await?.sync.sync_status == Status::Failed => TrashReason::Aborted,
            Some(_) => TrashReason::Replaced,
        };
        let at = self.lake.now();
        let found = NewTrash { key: adopted, origin, kind, reason, sync_id, by: BY.to_owned(), at };
        self.lake.0.state.adopt_trash(&found).await
    }
}
