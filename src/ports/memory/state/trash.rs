//! The trash.

use super::{Fate, MemoryState, holds, index, page_of, within};
use crate::error::Error;
use crate::list::TrashQuery;
use crate::ports::state::{NewTrash, TrashRecord, TrashState};
use crate::sync::SyncType;
use crate::time::Timestamp;
use crate::trash::{Doomed, Totals, TrashEntry, TrashId, TrashKey, TrashKind};
use crate::upload::Identity;
use async_trait::async_trait;

#[async_trait]
impl TrashState for MemoryState {
    async fn trash(&self, query: &TrashQuery) -> Result<Vec<TrashEntry>, Error> {
        let data = self.data();
        let kept = data.trash.iter().filter(|(_, fate)| *fate == Fate::Kept).map(|(record, _)| &record.entry);
        let rows = kept.filter(|entry| {
            within(query.path.as_ref(), &entry.origin)
                && within(query.scope.as_ref(), &entry.origin)
                && holds(query.text.as_deref(), [entry.origin.as_str(), &entry.trashed_by])
        });
        Ok(page_of(rows.cloned().collect(), &query.page))
    }

    async fn trash_record(&self, id: TrashId) -> Result<Option<TrashRecord>, Error> {
        Ok(self.data().kept_trash(id).map(|(record, _)| record.clone()))
    }

    async fn begin_restore(&self, id: TrashId, identity: &Identity, by: &str) -> Result<(), Error> {
        let mut data = self.data();
        let entry = data.kept_trash(id).map(|(record, _)| record.entry.clone()).ok_or(Error::NoSuchTrash(id))?;
        let shares_as = match entry.kind {
            TrashKind::Dataset => SyncType::FullSync,
            TrashKind::File => SyncType::IncrementalSync,
        };
        data.refuse_if_held(&entry.origin, shares_as)?;
        if entry.kind == TrashKind::Dataset {
            data.refuse_above_datasets(&entry.origin)?;
        }
        if let Some((record, _)) = data.kept_trash(id) {
            record.restoring = Some((identity.clone(), by.to_owned()));
        }
        Ok(())
    }

    async fn finish_restore(&self, id: TrashId, replaced: Option<&NewTrash>, at: Timestamp) -> Result<(), Error> {
        let mut data = self.data();
        let Some((record, fate)) = data.kept_trash(id) else { return Ok(()) };
        record.restoring = None;
        *fate = Fate::Restored(at);
        let origin = record.entry.origin.clone();
        data.touch_datasets(&origin);
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
        _by: &str,
        _at: Timestamp,
    ) -> Result<Vec<TrashEntry>, Error> {
        self.data().doom(doomed, size)
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
