//! Datasets in memory: their days are counted from the rows, anew each time.

use super::state::{Data, Fate, MemoryState};
use crate::model::access::actor::Actor;
use crate::model::audit::Deed;
use crate::model::dataset::day::Day;
use crate::model::dataset::record::{Counted, DatasetRecord, DayCounts, DayOfType};
use crate::model::dataset::schedule::{Arrival, Rhythm, SLOT_MS};
use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::page::Order;
use crate::model::path::LakePath;
use crate::model::sync::job::Sync;
use crate::model::sync::status::{Status, SyncType};
use crate::model::time::Timestamp;
use crate::model::totals::Totals;
use crate::model::trash::{TrashEntry, TrashKind};
use crate::ports::OverviewState;
use crate::ports::metadata::dataset::{DatasetQuery, DatasetState, DaysOf, Uncounted};
use async_trait::async_trait;
use std::collections::BTreeMap;

/// A dataset, and which of its changes was counted.
pub(super) struct DatasetRow {
    pub(super) record: DatasetRecord,
    change: u64,
    counted_change: u64,
    count_after: Timestamp,
}

fn bounded(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}

/// A change of the counts of a day: of which sync, when, and by what.
type Fact<'a> = (&'a Sync, Timestamp, DayCounts);

impl Data {
    /// The path holds a dataset now, to which something has come.
    pub(super) fn remember_dataset(&mut self, path: &LakePath, id: SyncId, at: Timestamp) {
        match self.datasets.iter_mut().find(|row| row.record.path == *path) {
            Some(DatasetRow { record, .. }) => {
                record.last_sync_id = record.last_sync_id.max(id);
                record.last_landed = record.last_landed.max(at);
            }
            None => {
                let (path, rhythm, counted) = (path.clone(), None, None);
                let record =
                    DatasetRecord { path, last_sync_id: id, first_landed: at, last_landed: at, rhythm, counted };
                let count_after = Timestamp(0);
                self.datasets.push(DatasetRow { record, change: 1, counted_change: 0, count_after });
            }
        }
    }

    /// Something at this place has changed.
    pub(super) fn touch_datasets(&mut self, place: &LakePath) {
        for row in self.datasets.iter_mut().filter(|row| row.record.path.contains(place)) {
            row.change += 1;
        }
    }

    fn sync_of(&self, id: SyncId) -> Option<&Sync> {
        self.syncs.iter().map(|(record, _)| &record.sync).find(|sync| sync.sync_id == id)
    }

    fn facts(&self) -> Vec<Fact<'_>> {
        let none = DayCounts::default();
        let mut facts: Vec<Fact<'_>> = Vec::new();
        for (record, _) in &self.syncs {
            facts.push((&record.sync, record.sync.start_time, DayCounts { syncs: 1, ..none }));
            if record.sync.sync_status == Status::Failed {
                facts.push((&record.sync, record.sync.end_time, DayCounts { failed_syncs: 1, ..none }));
            }
        }
        for upload in self.uploads.iter().map(|row| &row.upload) {
            let Some(sync) = self.sync_of(upload.sync_id) else { continue };
            match upload.sync_status {
                Status::Finished => {
                    facts.push((sync, upload.end_time, DayCounts { files: 1, bytes: upload.size_bytes, ..none }));
                }
                Status::Failed => facts.push((sync, upload.end_time, DayCounts { failed: 1, ..none })),
                Status::Syncing => {}
            }
        }
        facts
    }

    fn days(&self, of: &DaysOf, first: Day, last: Day) -> Vec<DayOfType> {
        let mut days: BTreeMap<(Day, &str), DayOfType> = BTreeMap::new();
        for (sync, at, counts) in self.facts() {
            let day = Day::of(at);
            if is_of(of, &sync.path) && (first..=last).contains(&day) {
                let none = DayOfType { day, sync_type: sync.sync_type, counts: DayCounts::default() };
                days.entry((day, sync.sync_type.as_str())).or_insert(none).counts += counts;
            }
        }
        days.into_values().collect()
    }

    fn arrivals(&self, path: &LakePath, since: Timestamp) -> Vec<Arrival> {
        let mut arrivals: BTreeMap<i64, Totals> = BTreeMap::new();
        let mut arrive = |at: Timestamp, files: u64, bytes: u64| {
            let totals = arrivals.entry(at.0.div_euclid(SLOT_MS)).or_default();
            totals.files += files;
            totals.bytes += bytes;
        };
        for sync in self.syncs.iter().map(|(record, _)| &record.sync).filter(|sync| sync.path == *path) {
            if sync.sync_type == SyncType::FullSync && sync.sync_status == Status::Finished {
                arrive(sync.end_time, sync.num_landed(), sync.size_bytes);
            }
            if sync.sync_type == SyncType::IncrementalSync {
                let landed = self
                    .uploads
                    .iter()
                    .map(|row| &row.upload)
                    .filter(|upload| upload.sync_id == sync.sync_id && upload.sync_status == Status::Finished);
                landed.for_each(|upload| arrive(upload.end_time, 1, upload.size_bytes));
            }
        }
        let since = since.0.div_euclid(SLOT_MS);
        let arrivals = arrivals.into_iter().filter(|(slot, _)| *slot >= since);
        arrivals
            .map(|(slot, Totals { files, bytes })| Arrival { slot: Timestamp(slot * SLOT_MS), files, bytes })
            .collect()
    }
}

fn is_of(of: &DaysOf, path: &LakePath) -> bool {
    match of {
        DaysOf::Lake => true,
        DaysOf::Within(place) => place.contains(path),
        DaysOf::Dataset(dataset) => dataset == path,
    }
}

fn is_within(scope: Option<&LakePath>, path: &LakePath) -> bool {
    scope.is_none_or(|scope| scope.contains(path))
}

impl DatasetRow {
    fn record(&self) -> DatasetRecord {
        let is_current = self.change == self.counted_change;
        let counted = self.record.counted.map(|counted| Counted { is_current, ..counted });
        DatasetRecord { counted, ..self.record.clone() }
    }
}

#[async_trait]
impl DatasetState for MemoryState {
    async fn dataset_records(&self, query: &DatasetQuery) -> Result<Vec<DatasetRecord>, Error> {
        let data = self.data();
        let text = query.text.as_deref().map(str::to_lowercase);
        let mut records: Vec<_> = data.datasets.iter().map(DatasetRow::record).collect();
        records.retain(|record| {
            is_within(query.path.as_ref(), &record.path)
                && is_within(query.scope.as_ref(), &record.path)
                && text.as_ref().is_none_or(|text| record.path.as_str().to_lowercase().contains(text))
                && (!query.has_rhythm || record.rhythm.is_some())
        });
        records.sort_by(|one, other| one.path.cmp(&other.path));
        if query.page.order == Order::Desc {
            records.reverse();
        }
        Ok(records.into_iter().skip(bounded(query.page.from)).take(bounded(query.page.size)).collect())
    }

    async fn dataset_record(&self, path: &LakePath) -> Result<Option<DatasetRecord>, Error> {
        Ok(self.data().datasets.iter().find(|row| row.record.path == *path).map(DatasetRow::record))
    }

    async fn set_rhythm(
        &self,
        path: &LakePath,
        rhythm: Option<&Rhythm>,
        by: &Actor,
        at: Timestamp,
    ) -> Result<bool, Error> {
        let mut data = self.data();
        let Some(row) = data.datasets.iter_mut().find(|row| row.record.path == *path) else { return Ok(false) };
        row.record.rhythm = rhythm.copied();
        data.remember(Deed::rhythm_set(path, rhythm, by, at));
        Ok(true)
    }

    async fn days(&self, of: &[DaysOf], first: Day, last: Day) -> Result<Vec<Vec<DayOfType>>, Error> {
        let data = self.data();
        Ok(of.iter().map(|of| data.days(of, first, last)).collect())
    }

    async fn arrivals(&self, paths: &[LakePath], since: Timestamp) -> Result<Vec<Vec<Arrival>>, Error> {
        let data = self.data();
        Ok(paths.iter().map(|path| data.arrivals(path, since)).collect())
    }

    async fn uncounted_datasets(&self, now: Timestamp, size: u64) -> Result<Vec<Uncounted>, Error> {
        let data = self.data();
        let due = |row: &&DatasetRow| row.change != row.counted_change && row.count_after <= now;
        let mut uncounted: Vec<_> = data.datasets.iter().filter(due).collect();
        uncounted.sort_by_key(|row| row.count_after);
        let uncounted = uncounted.into_iter().take(bounded(size));
        Ok(uncounted.map(|row| Uncounted { path: row.record.path.clone(), change: row.change }).collect())
    }

    async fn count_dataset(
        &self,
        counted: &Uncounted,
        totals: Totals,
        at: Timestamp,
        next: Timestamp,
    ) -> Result<(), Error> {
        let mut data = self.data();
        let row = data.datasets.iter_mut().find(|row| row.record.path == counted.path);
        if let Some(row) = row.filter(|row| row.counted_change < counted.change) {
            row.record.counted = Some(Counted { totals, at, is_current: true });
            row.counted_change = counted.change;
            row.count_after = next;
        }
        Ok(())
    }

    async fn versions(&self, path: &LakePath, size: u64) -> Result<Vec<TrashEntry>, Error> {
        let data = self.data();
        let kept = data.trash.iter().rev().filter(|(record, fate)| {
            *fate == Fate::Kept && record.entry.kind == TrashKind::Dataset && record.entry.origin == *path
        });
        Ok(kept.map(|(record, _)| record.entry.clone()).take(bounded(size)).collect())
    }
}

#[async_trait]
impl OverviewState for MemoryState {
    async fn busiest(&self, first: Day, scope: Option<&LakePath>, size: u64) -> Result<Vec<LakePath>, Error> {
        let data = self.data();
        let mut bytes: BTreeMap<&LakePath, u64> = BTreeMap::new();
        for (sync, at, counts) in data.facts() {
            if Day::of(at) >= first && is_within(scope, &sync.path) {
                *bytes.entry(&sync.path).or_default() += counts.bytes;
            }
        }
        let mut busiest: Vec<_> = bytes.into_iter().filter(|(_, bytes)| *bytes > 0).collect();
        busiest.sort_by_key(|(path, bytes)| (std::cmp::Reverse(*bytes), *path));
        Ok(busiest.into_iter().take(bounded(size)).map(|(path, _)| path.clone()).collect())
    }

    async fn held_syncs(&self, scope: Option<&LakePath>) -> Result<Vec<Sync>, Error> {
        let data = self.data();
        let syncs = data.syncs.iter().map(|(record, _)| &record.sync);
        Ok(syncs.filter(|sync| sync.held.is_some() && is_within(scope, &sync.path)).cloned().collect())
    }

    async fn failed_syncs(&self, since: Timestamp, scope: Option<&LakePath>, size: u64) -> Result<Vec<Sync>, Error> {
        let data = self.data();
        let syncs = data.syncs.iter().map(|(record, _)| &record.sync).filter(|sync| {
            sync.sync_status == Status::Failed && sync.end_time >= since && is_within(scope, &sync.path)
        });
        let mut failed: Vec<_> = syncs.cloned().collect();
        failed.sort_by_key(|sync| std::cmp::Reverse(sync.end_time));
        failed.truncate(bounded(size));
        Ok(failed)
    }

    async fn trash_bytes(&self) -> Result<u64, Error> {
        let data = self.data();
        let kept = data.trash.iter().filter(|(_, fate)| *fate == Fate::Kept);
        Ok(kept.filter_map(|(record, _)| record.entry.totals).map(|totals| totals.bytes).sum())
    }
}
