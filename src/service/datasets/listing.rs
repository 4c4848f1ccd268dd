//! Lists of datasets: size, last landing, schedule and lateness of each.

use crate::model::access::key::Caller;
use crate::model::dataset::day::Day;
use crate::model::dataset::record::{
    CALENDAR_DAYS, Dataset, DatasetDetail, DatasetParameters, DatasetRecord, RECENT_DAYS, RecentDay, SetSchedule,
};
use crate::model::dataset::schedule::{Arrival, Arrivals, LATE_DAYS_MAX, calendar};
use crate::model::error::Error;
use crate::model::limits::{DATASET_COUNTS_MAX, DATASET_REST_FACTOR, DATASET_REST_MIN, VERSIONS_NAMED_MAX};
use crate::model::overview::LateDataset;
use crate::model::page::{Order, Page};
use crate::model::path::LakePath;
use crate::model::time::Timestamp;
use crate::ports::metadata::dataset::DatasetQuery;
use crate::service::Lake;
use std::time::Duration;

impl Lake {
    /// Datasets, ordered by path.
    pub async fn list_datasets(&self, caller: &Caller, wanted: &DatasetParameters) -> Result<Vec<Dataset>, Error> {
        let scope = caller.may_read()?;
        let query = DatasetQuery {
            page: Page::new(wanted.from, wanted.size, Order::Asc)?,
            path: wanted.path.clone(),
            text: wanted.q.clone().filter(|text| !text.is_empty()),
            scope,
            has_schedule: false,
        };
        let _turn = self.search_turn(caller, query.text.as_deref()).await?;
        let records = self.0.state.dataset_records(&query).await?;
        self.datasets_of(records, self.now()).await
    }

    pub async fn dataset(&self, caller: &Caller, path: &str) -> Result<DatasetDetail, Error> {
        caller.may_read()?;
        let path = LakePath::parse(path)?;
        if !caller.sees(&path) {
            return Err(Error::NoSuchDataset(path));
        }
        let record = self.0.state.dataset_record(&path).await?;
        let record = record.ok_or_else(|| Error::NoSuchDataset(path.clone()))?;
        let now = self.now();
        let first = Day::of(now).plus(1 - CALENDAR_DAYS);
        let paths = std::slice::from_ref(&path);
        let all = self.0.state.arrivals(paths, first.start()).await?.into_iter().next().unwrap_or_default();
        let arrived = Arrivals { first: record.first_landed, all: &all };
        let calendar = calendar(record.rhythm.as_ref(), &arrived, first, now);
        let versions = self.0.state.versions(&path, VERSIONS_NAMED_MAX).await?;
        let dataset = self.datasets_of(vec![record], now).await?.into_iter().next();
        let dataset = dataset.ok_or(Error::NoSuchDataset(path))?;
        Ok(DatasetDetail { dataset, calendar, versions })
    }

    /// Sets the schedule of a dataset. The calendar applies it to the days before too.
    pub async fn set_schedule(&self, caller: &Caller, wanted: &SetSchedule) -> Result<(), Error> {
        caller.may_write_somewhere()?;
        if !caller.sees(&wanted.path) {
            return Err(Error::NoSuchDataset(wanted.path.clone()));
        }
        let by = caller.actor();
        if self.0.state.set_schedule(&wanted.path, wanted.rhythm.as_ref(), &by, self.now()).await? {
            self.0.events.pending_changes().activity();
            Ok(())
        } else {
            Err(Error::NoSuchDataset(wanted.path.clone()))
        }
    }

    async fn datasets_of(&self, records: Vec<DatasetRecord>, now: Timestamp) -> Result<Vec<Dataset>, Error> {
        let today = Day::of(now);
        let paths: Vec<_> = records.iter().map(|record| record.path.clone()).collect();
        let days = self.0.state.days_of(&paths, today.plus(1 - RECENT_DAYS), today).await?;
        let arrivals = self.recent_arrivals(&records, now).await?;
        let datasets = records.into_iter().zip(days).zip(arrivals).map(|((record, days), all)| {
            let arrived = Arrivals { first: record.first_landed, all: &all };
            let mut recent: Vec<RecentDay> = Vec::new();
            for of_type in days {
                match recent.last_mut() {
                    Some(last) if last.day == of_type.day => last.counts += of_type.counts,
                    _ => recent.push(RecentDay { day: of_type.day, counts: of_type.counts }),
                }
            }
            Dataset {
                late_since: record.rhythm.and_then(|rhythm| rhythm.late_since(&arrived, now)),
                due: record.rhythm.and_then(|rhythm| rhythm.due(now)),
                path: record.path,
                last_sync_id: record.last_sync_id,
                first_landed: record.first_landed,
                last_landed: record.last_landed,
                holds: record.counted,
                rhythm: record.rhythm,
                days: recent,
            }
        });
        Ok(datasets.collect())
    }

    /// Recent arrivals of each dataset with a schedule; empty for others.
    async fn recent_arrivals(&self, records: &[DatasetRecord], now: Timestamp) -> Result<Vec<Vec<Arrival>>, Error> {
        let since = Day::of(now).plus(-LATE_DAYS_MAX).start();
        let expected = records.iter().filter(|record| record.rhythm.is_some());
        let paths: Vec<_> = expected.map(|record| record.path.clone()).collect();
        let mut found = self.0.state.arrivals(&paths, since).await?.into_iter();
        let of = |record: &DatasetRecord| record.rhythm.and_then(|_| found.next()).unwrap_or_default();
        Ok(records.iter().map(of).collect())
    }

    /// Late datasets, longest late first. Checks each dataset with a schedule.
    pub(in crate::service) async fn late_datasets(
        &self,
        scope: Option<&LakePath>,
        now: Timestamp,
    ) -> Result<Vec<LateDataset>, Error> {
        let mut late = Vec::new();
        let mut page = Page::FIRST;
        loop {
            let scope = scope.cloned();
            let query = DatasetQuery { page, path: None, text: None, scope, has_schedule: true };
            let records = self.0.state.dataset_records(&query).await?;
            let is_last = (records.len() as u64) < page.size;
            let arrivals = self.recent_arrivals(&records, now).await?;
            for (record, all) in records.into_iter().zip(arrivals) {
                let arrived = Arrivals { first: record.first_landed, all: &all };
                if let Some(rhythm) = record.rhythm
                    && let Some(since) = rhythm.late_since(&arrived, now)
                {
                    late.push(LateDataset { path: record.path, rhythm, since, last_landed: record.last_landed });
                }
            }
            if is_last {
                late.sort_by(|one, other| (one.since, &one.path).cmp(&(other.since, &other.path)));
                return Ok(late);
            }
            page.from += page.size;
        }
    }

    /// Counts the files of a few changed datasets. Slow, so it runs in the background; a large dataset is not counted
    /// again before a pause that is a multiple of the time that counting took. Returns the number of counted datasets.
    pub async fn count_datasets(&self) -> Result<usize, Error> {
        let uncounted = self.0.state.uncounted_datasets(self.now(), DATASET_COUNTS_MAX).await?;
        for dataset in &uncounted {
            let begun_at = self.now();
            let totals = self.count_dataset(&dataset.path).await?;
            let at = self.now();
            let took = Duration::from_millis(u64::try_from(at.0 - begun_at.0).unwrap_or(0));
            let rest = (took * DATASET_REST_FACTOR).max(DATASET_REST_MIN);
            self.0.state.count_dataset(dataset, totals, begun_at, at.plus(rest)).await?;
        }
        Ok(uncounted.len())
    }
}
