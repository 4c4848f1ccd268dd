//! Purge of trash: by age, by size, and by hand.
//!
//! An item is first marked, durably: it leaves the list and can no longer be restored. Then its files are removed in
//! small steps, so that an item of a hundred thousand files blocks nothing. At last its row is deleted. After a crash
//! in between, the next start continues with the marked item.

use crate::model::access::actor::Actor;
use crate::model::access::key::{Caller, may_administer};
use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::id::TrashId;
use crate::model::limits::{EMPTYING_ITEMS_MAX, EMPTYING_REMOVALS_MAX};
use crate::model::page::{Order, Page, TrashQuery};
use crate::model::storage_path::StoragePath;
use crate::model::trash::{Emptied, EmptyTrash};
use crate::model::trash::{PurgeSelector, TrashEntry};
use crate::service::Lake;
use std::time::Duration;

impl Lake {
    /// Marks trash items for a purge. They leave the list before this returns; their files are removed in the
    /// background.
    pub async fn empty_trash(&self, caller: &Caller, wanted: &EmptyTrash) -> Result<Emptied, Error> {
        caller.may_destroy_somewhere()?;
        match (wanted.trash_id, wanted.sync_id, wanted.all, wanted.older_than_days) {
            (Some(id), None, false, None) => self.empty_item(caller, id).await,
            (None, Some(id), false, None) => self.empty_group(caller, id).await,
            (None, None, true, days) => self.empty_all(caller, days.unwrap_or(0)).await,
            (None, None, false, _) => Err(Error::Invalid(
                "nothing is selected to be deleted; send \"trash_id\", \"sync_id\", or \"all\": true with an optional \"older_than_days\""
                    .into(),
            )),
            _ => Err(Error::Invalid(
                "trash_id selects one item, and sync_id the items of one sync; send one of them, without \"all\" and \"older_than_days\""
                    .into(),
            )),
        }
    }

    async fn empty_group(&self, caller: &Caller, sync_id: SyncId) -> Result<Emptied, Error> {
        match sync_id {
            // Items without a sync may be of any path.
            SyncId(0) => may_administer(caller)?,
            _ => drop(self.sync(caller, sync_id).await?),
        }
        self.mark_for_purge(PurgeSelector::OfSync(sync_id), &caller.actor()).await
    }

    async fn empty_item(&self, caller: &Caller, id: TrashId) -> Result<Emptied, Error> {
        let record = self.seen_trash(caller, id).await?;
        // The count is only for the response; an item that cannot be counted can still be purged.
        if record.entry.totals.is_none()
            && let Ok(totals) = self.0.files.measure(&StoragePath::trashed(&record.key, &record.entry.origin)).await
        {
            self.0.state.count_trash(id, totals).await?;
        }
        let mut emptied = Emptied::default();
        let begun = self.begin_emptying(&PurgeSelector::Item(id), 1, &caller.actor()).await;
        emptied.add(&begun.map_err(|refused| match refused {
            // The pin may be on a dataset above the prefix of the key.
            Error::Pinned { trash_id, origin, dataset } => {
                Error::Pinned { trash_id, origin, dataset: dataset.filter(|dataset| caller.sees(dataset)) }
            }
            refused => refused,
        })?);
        self.0.events.pending_changes().trash_changed();
        Ok(emptied)
    }

    async fn empty_all(&self, caller: &Caller, older_than_days: u32) -> Result<Emptied, Error> {
        may_administer(caller)?;
        let Some(newest) = self.newest_trash().await? else { return Ok(Emptied::default()) };
        // For the response. Items that arrive meanwhile are neither counted nor purged.
        let is_before_newest = |counted: Vec<TrashId>| counted.last().is_some_and(|last| *last < newest);
        while self.count_some_trash().await.is_ok_and(is_before_newest) {}
        let selector = match older_than_days {
            // Not by time: the clock may have been ahead when an item arrived.
            0 => PurgeSelector::UpTo(newest),
            // Includes items that arrived in this millisecond.
            days => {
                let age = Duration::from_secs(u64::from(days) * 24 * 3600);
                PurgeSelector::Before(self.older_than(age).plus(Duration::from_millis(1)))
            }
        };
        self.mark_for_purge(selector, &caller.actor()).await
    }

    async fn newest_trash(&self) -> Result<Option<TrashId>, Error> {
        let page = Page { from: 0, size: 1, order: Order::Desc };
        let query = TrashQuery { page, sync_id: None, path: None, text: None, scope: None };
        Ok(self.0.state.trash(&query).await?.first().map(|entry| entry.trash_id))
    }

    /// Marks items that have been in the trash for too long.
    pub async fn mark_old_trash_for_purge(&self) -> Result<Emptied, Error> {
        self.mark_for_purge(PurgeSelector::Before(self.older_than(self.0.limits.trash_age_max)), &Actor::lake()).await
    }

    /// Marks the oldest items while the trash exceeds its size limit. Items without a count are ignored.
    pub async fn mark_excess_trash_for_purge(&self) -> Result<Emptied, Error> {
        match self.0.limits.trash_bytes_max {
            Some(bytes_max) => self.mark_for_purge(PurgeSelector::Beyond { bytes_max }, &Actor::lake()).await,
            None => Ok(Emptied::default()),
        }
    }

    /// Releases parts of the reserve if the disk of the metadata is full.
    async fn begin_emptying(&self, selector: &PurgeSelector, size: u64, by: &Actor) -> Result<Vec<TrashEntry>, Error> {
        loop {
            let begun = self.0.state.begin_emptying(selector, size, by, self.now()).await;
            if !self.release_reserve_if_full(&begun) {
                return begun;
            }
        }
    }

    async fn finish_emptying(&self, gone: &[TrashId]) -> Result<(), Error> {
        loop {
            let finished = self.0.state.finish_emptying(gone, self.now()).await;
            if !self.release_reserve_if_full(&finished) {
                return finished;
            }
        }
    }

    /// Marks in transactions of a bounded size, between which other writes run.
    async fn mark_for_purge(&self, selector: PurgeSelector, by: &Actor) -> Result<Emptied, Error> {
        let mut emptied = Emptied::default();
        loop {
            let entries = self.begin_emptying(&selector, EMPTYING_ITEMS_MAX, by).await?;
            emptied.add(&entries);
            if !entries.is_empty() {
                self.0.events.pending_changes().trash_changed();
            }
            if (entries.len() as u64) < EMPTYING_ITEMS_MAX {
                return Ok(emptied);
            }
        }
    }

    /// One small step of removing marked items, after the item `after`. Returns where the next step continues; `None`
    /// when this round has seen every item. An item that cannot be removed is left for the next round.
    pub async fn remove_some_trash(&self, after: TrashId) -> Result<(Option<TrashId>, Vec<Error>), Error> {
        let items = self.0.state.emptying_trash(after, EMPTYING_ITEMS_MAX).await?;
        let Some((last, _)) = items.last() else { return Ok((None, Vec::new())) };
        let keys: Vec<_> = items.iter().map(|(_, key)| key.clone()).collect();
        let removed = self.0.files.remove_trash(&keys, EMPTYING_REMOVALS_MAX).await;
        let gone = items.iter().filter(|(_, key)| removed.gone.contains(key));
        let gone: Vec<_> = gone.map(|(id, _)| *id).collect();
        if !gone.is_empty() {
            self.finish_emptying(&gone).await?;
        }
        // Removed items are not returned again, so the next step continues with the rest.
        Ok((Some(if removed.has_more { after } else { *last }), removed.faults))
    }
}
