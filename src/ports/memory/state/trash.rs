//! The trash.

use super::{Fate, MemoryState, holds, index, page_of, within};
use crate::model::access::actor::Actor;
use crate::model::audit::Deed;
use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::id::TrashId;
use crate::model::page::{Order, Page, TrashQuery};
use crate::model::path::LakePath;
use crate::model::storage_path::Identity;
use crate::model::storage_path::TrashKey;
use crate::model::sync::status::SyncType;
use crate::model::time::Timestamp;
use crate::model::totals::Totals;
use crate::model::trash::NewTrash;
use crate::model::trash::{Doomed, TrashEntry, TrashGroup, TrashKind};
use crate::ports::metadata::trash::{TrashRecord, TrashState, TrashSum};
use async_trait::async_trait;
use std::collections::BTreeMap;

#[async_trait]
impl TrashState for MemoryState {
    async fn trash(&self, query: &TrashQuery) -> Result<Vec<TrashEntry>, Error> {
        let data = self.data();
        let kept = data.trash.iter().filter(|(_, fate)| *fate == Fate::Kept).map(|(record, _)| &record.entry);
        let rows = kept.filter(|entry| {
            query.sync_id.is_none_or(|sync_id| entry.sync_id.unwrap_or(SyncId(0)) == sync_id)
                && within(query.path.as_ref(), &entry.origin)
                && within(query.scope.as_ref(), &entry.origin)
                && holds(query.text.as_deref(), [entry.origin.as_str(), &entry.trashed_by])
        });
        Ok(page_of(rows.cloned().collect(), &query.page))
    }

    async fn trash_groups(&self, query: &TrashQuery) -> Result<Vec<TrashGroup>, Error> {
        let all = TrashQuery { page: Page { from: 0, size: u64::MAX, order: Order::Asc }, ..query.clone() };
        let entries = self.trash(&all).await?;
        let data = self.data();
        let mut groups: BTreeMap<SyncId, TrashGroup> = BTreeMap::new();
        for entry in entries {
            let sync_id = entry.sync_id.unwrap_or(SyncId(0));
            let sync = data.syncs.get(index(sync_id.0)).map(|(record, _)| &record.sync);
            let group = groups.entry(sync_id).or_insert_with(|| TrashGroup {
                sync_id,
                sync_name: sync.map(|sync| sync.name.clone()).unwrap_or_default(),
                path: sync.map(|sync| sync.path.clone()),
                reason: entry.reason,
                pieces: 0,
                totals: Totals::default(),
                num_uncounted: 0,
                first_at: entry.trashed_at,
                last_at: entry.trashed_at,
                expires_at: None,
            });
            group.pieces += 1;
            group.first_at = group.first_at.min(entry.trashed_at);
            group.last_at = group.last_at.max(entry.trashed_at);
            group.num_uncounted += u64::from(entry.totals.is_none());
            let totals = entry.totals.unwrap_or_default();
            group.totals.files += totals.files;
            group.totals.bytes += totals.bytes;
        }
        let clamp = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        Ok(groups.into_values().rev().skip(clamp(query.page.from)).take(clamp(query.page.size)).collect())
    }

    async fn trash_sum(&self, scope: Option<&LakePath>) -> Result<TrashSum, Error> {
        let page = Page { from: 0, size: u64::MAX, order: Order::Asc };
        let all = TrashQuery { page, sync_id: None, path: None, text: None, scope: scope.cloned() };
        let mut sum = TrashSum::default();
        for group in self.trash_groups(&all).await? {
            sum.pieces += group.pieces;
            sum.num_uncounted += group.num_uncounted;
            sum.totals.files += group.totals.files;
            sum.totals.bytes += group.totals.bytes;
        }
        Ok(sum)
    }

    async fn trash_record(&self, id: TrashId) -> Result<Option<TrashRecord>, Error> {
        Ok(self.data().kept_trash(id).map(|(record, _)| record.clone()))
    }

    async fn begin_restore(&self, id: TrashId, identity: &Identity, by: &Actor) -> Result<(), Error> {
        let mut data = self.data();
        let entry = data.kept_trash(id).map(|(record, _)| record.entry.clone()).ok_or(Error::NoSuchTrash(id))?;
        let shares_as = match entry.kind {
            TrashKind::Dataset => SyncType::FullSync,
            TrashKind::File => SyncType::IncrementalSync,
        };
        data.refuse_if_held(&entry.origin, shares_as, None)?;
        if entry.kind == TrashKind::Dataset {
            data.refuse_above_datasets(&entry.origin)?;
        }
        if let Some((record, _)) = data.kept_trash(id) {
            record.restoring = Some((identity.clone(), by.clone()));
        }
        Ok(())
    }

    async fn finish_restore(&self, id: TrashId, replaced: Option<&NewTrash>, at: Timestamp) -> Result<(), Error> {
        let mut data = self.data();
        data.faults.next("finish_restore")?;
        let Some((record, fate)) = data.kept_trash(id) else { return Ok(()) };
        let by = record.restoring.take().map(|(_, by)| by).unwrap_or_default();
        let deed = Deed::trash_restored(&record.entry, &by, at);
        *fate = Fate::Restored(at);
        let origin = record.entry.origin.clone();
        data.touch_datasets(&origin);
        data.remember(deed);
        if let Some(trash) = replaced {
            data.add_trash(trash);
        }
        Ok(())
    }

    async fn cancel_restore(&self, id: TrashId) -> Result<(), Error> {
        if let Some((record, _)) = self.data().kept_trash(id) {
            record.restoring = None;
        }
        Ok(())
    }

    async fn unfinished_restores(&self) -> Result<Vec<TrashRecord>, Error> {
        let data = self.data();
        Ok(data.trash.iter().map(|(record, _)| record).filter(|record| record.restoring.is_some()).cloned().collect())
    }

    async fn uncounted_trash(&self, size: u64) -> Result<Vec<TrashRecord>, Error> {
        let data = self.data();
        let kept = data.trash.iter().filter(|(record, fate)| *fate == Fate::Kept && record.entry.totals.is_none());
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        Ok(kept.map(|(record, _)| record.clone()).take(size).collect())
    }

    async fn count_trash(&self, id: TrashId, totals: Totals) -> Result<(), Error> {
        if let Some((record, _)) = self.data().kept_trash(id) {
            record.entry.totals = Some(totals);
        }
        Ok(())
    }

    async fn begin_emptying(
        &self,
        doomed: &Doomed,
        size: u64,
        by: &Actor,
        at: Timestamp,
    ) -> Result<Vec<TrashEntry>, Error> {
        let mut data = self.data();
        let entries = data.doom(doomed, size)?;
        Deed::trash_emptied(&entries, by, at).into_iter().for_each(|deed| data.remember(deed));
        Ok(entries)
    }

    async fn emptying_trash(&self, after: TrashId, size: u64) -> Result<Vec<(TrashId, TrashKey)>, Error> {
        let data = self.data();
        let emptying = data.trash.iter().filter(|(_, fate)| *fate == Fate::Emptying);
        let pieces = emptying.map(|(record, _)| (record.entry.trash_id, record.key.clone()));
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        Ok(pieces.filter(|(id, _)| *id > after).take(size).collect())
    }

    async fn finish_emptying(&self, ids: &[TrashId], _at: Timestamp) -> Result<(), Error> {
        let mut data = self.data();
        for id in ids {
            if let Some((_, fate)) = data.trash.get_mut(index(id.0)).filter(|(_, fate)| *fate == Fate::Emptying) {
                *fate = Fate::Emptied;
            }
        }
        Ok(())
    }
}
