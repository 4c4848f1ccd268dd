//! Overview of the lake. All figures come from counters that are updated with the rows, never from a scan.

use super::Lake;
use crate::model::access::key::Caller;
use crate::model::dataset::day::{DAY_MS, Day};
use crate::model::dataset::record::{DayCounts, DayOfType, RECENT_DAYS};
use crate::model::error::Error;
use crate::model::limits::LIST_SIZE_MAX;
use crate::model::overview::{
    Attention, Breakdown, DATASETS_NAMED_MAX, DAYS_BEFORE, Disk, FullTrash, Mean, NAMED_MAX, NEAR_BOUND_PERCENT,
    Overview, OverviewParameters, Room, Series,
};
use crate::model::page::{Order, Page, SyncQuery};
use crate::model::path::LakePath;
use crate::model::sync::status::{Status, SyncType};
use crate::model::time::Timestamp;

/// Time for which a failed sync needs attention, in milliseconds.
const FAILURE_SHOWN_MS: i64 = DAY_MS;

fn syncs(page: Page, status: Option<Status>, scope: Option<&LakePath>) -> SyncQuery {
    SyncQuery { page, status, sync_type: None, path: None, text: None, scope: scope.cloned() }
}

fn first<T>(mut rows: Vec<T>) -> (u64, Vec<T>) {
    let number = rows.len() as u64;
    rows.truncate(usize::try_from(NAMED_MAX).unwrap_or(usize::MAX));
    (number, rows)
}

/// Series with one number for each of the days.
fn series(name: String, path: Option<LakePath>, days: &[Day], of_days: &[DayOfType]) -> Series {
    let sum = |number: fn(&DayCounts) -> u64| {
        let of_day = |day: &Day| of_days.iter().filter(|of| of.day == *day).map(|of| number(&of.counts)).sum();
        days.iter().map(of_day).collect()
    };
    Series { name, path, files: sum(|counts| counts.files), bytes: sum(|counts| counts.bytes) }
}

impl Lake {
    pub async fn overview(&self, caller: &Caller, wanted: &OverviewParameters) -> Result<Overview, Error> {
        let scope = caller.may_read()?;
        let scope = scope.as_ref();
        let now = self.now();
        let today = Day::of(now);
        let days: Vec<_> = today.since(today.plus(1 - RECENT_DAYS)).collect();
        let of_types = self.0.state.days(scope, today.plus(1 - RECENT_DAYS), today).await?;
        let sum = |days: std::ops::Range<Day>| {
            let mut sum = DayCounts::default();
            of_types.iter().filter(|of| days.contains(&of.day)).for_each(|of| sum += of.counts);
            sum
        };
        let page = |size, order| Page { from: 0, size, order };
        let oldest = self.0.state.syncs(&syncs(page(1, Order::Asc), None, scope)).await?;
        let age = oldest.first().map_or(0, |sync| (today.0 - Day::of(sync.start_time).0).clamp(0, DAYS_BEFORE));
        let running = syncs(page(NAMED_MAX, Order::Desc), Some(Status::Syncing), scope);
        // Disks and trash would reveal data outside the caller's prefix.
        let disks = if scope.is_none() { self.disks()? } else { Vec::new() };
        Ok(Overview {
            now,
            is_empty: oldest.is_empty(),
            today: sum(today..today.plus(1)),
            before: Mean::of(&sum(today.plus(-age)..today), age.unsigned_abs()),
            by: wanted.by,
            series: match wanted.by {
                Breakdown::Type => by_type(&days, &of_types),
                Breakdown::Dataset => self.by_dataset(&days, &of_types, scope).await?,
            },
            days,
            running: self.0.state.syncs(&running).await?,
            attention: self.attention(scope, &disks, now).await?,
            disks,
        })
    }

    async fn by_dataset(
        &self,
        days: &[Day],
        of_lake: &[DayOfType],
        scope: Option<&LakePath>,
    ) -> Result<Vec<Series>, Error> {
        let (Some(first), Some(last)) = (days.first(), days.last()) else { return Ok(Vec::new()) };
        let busiest = self.0.state.busiest(*first, scope, DATASETS_NAMED_MAX).await?;
        let of_datasets = self.0.state.days_of(&busiest, *first, *last).await?;
        let named = busiest.into_iter().zip(&of_datasets);
        let mut all: Vec<_> = named.map(|(path, of)| series(path.to_string(), Some(path), days, of)).collect();
        let mut others = series("Other datasets".to_owned(), None, days, of_lake);
        for named in &all {
            // The two were read at different moments.
            let less = |rest: &mut u64, part: &u64| *rest = rest.saturating_sub(*part);
            others.files.iter_mut().zip(&named.files).for_each(|(rest, part)| less(rest, part));
            others.bytes.iter_mut().zip(&named.bytes).for_each(|(rest, part)| less(rest, part));
        }
        if others.files.iter().chain(&others.bytes).any(|number| *number > 0) {
            all.push(others);
        }
        Ok(all)
    }

    async fn attention(&self, scope: Option<&LakePath>, disks: &[Disk], now: Timestamp) -> Result<Attention, Error> {
        let since = Timestamp(now.0 - FAILURE_SHOWN_MS);
        let (num_held, held) = first(self.0.state.held_syncs(scope).await?);
        let (num_failed, failed) = first(self.0.state.failed_syncs(since, scope, LIST_SIZE_MAX).await?);
        let (num_late, late) = first(self.late_datasets(scope, now).await?);
        let disks = disks.iter().filter(|disk| disk.room != Room::Enough).cloned().collect();
        let trash = match self.0.limits.trash_bytes_max {
            Some(bytes_max) if scope.is_none() => {
                let bytes = self.0.state.trash_bytes().await?;
                (bytes >= bytes_max / 100 * NEAR_BOUND_PERCENT).then_some(FullTrash { bytes, bytes_max })
            }
            _ => None,
        };
        Ok(Attention { held, num_held, failed, num_failed, late, num_late, disks, trash })
    }
}

fn by_type(days: &[Day], of_types: &[DayOfType]) -> Vec<Series> {
    let types = [(SyncType::FullSync, "Full syncs"), (SyncType::IncrementalSync, "Incremental syncs")];
    let of = types.map(|(sync_type, name)| {
        let of_type: Vec<_> = of_types.iter().filter(|of| of.sync_type == sync_type).copied().collect();
        series(name.to_owned(), None, days, &of_type)
    });
    of.into()
}
