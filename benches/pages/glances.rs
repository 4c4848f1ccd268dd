//! Pages that need more than one list: the overview, the list of datasets and a dataset's page, as the service returns
//! them.

use crate::{print_row, summary};
use lakeshore::model::access::network::Network;
use lakeshore::model::dataset::record::DatasetParameters;
use lakeshore::model::overview::{Breakdown, OverviewParameters};
use lakeshore::model::settings::Limits;
use lakeshore::ports::memory::MemoryFiles;
use lakeshore::ports::metadata::State;
use lakeshore::service::Parts;
use lakeshore::{Caller, Lake};
use lakeshore_formats::{FileFormats, TIME_MAX};
use lakeshore_storage::local::reopen;
use lakeshore_system::clock::{SystemClock, SystemRandomness};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Calls of each page.
const ASKS: usize = 300;

pub async fn measure<S: State + Clone + 'static>(state: &S) {
    let lake = Lake::new(Parts {
        state: Arc::new(state.clone()),
        files: Arc::new(MemoryFiles::default()),
        formats: Arc::new(FileFormats::start(reopen, TIME_MAX).unwrap()),
        clock: Arc::new(SystemClock),
        randomness: Arc::new(SystemRandomness),
        limits: Limits::default(),
    });
    let caller = Caller::Guest(Network::Unknown);
    let size = Some(26);
    let list = DatasetParameters { size, ..DatasetParameters::default() };
    let datasets = lake.list_datasets(&caller, &list).await.unwrap();
    assert!(!datasets.is_empty());
    for by in [Breakdown::Type, Breakdown::Dataset] {
        let name = if by == Breakdown::Type { "overview, by type" } else { "overview, by dataset" };
        print(name, &times(async || drop(lake.overview(&caller, &OverviewParameters { by }).await.unwrap())).await);
    }
    print("datasets, a page", &times(async || drop(lake.list_datasets(&caller, &list).await.unwrap())).await);
    let path = datasets[0].path.to_string();
    print("a dataset", &times(async || drop(lake.dataset(&caller, &path).await.unwrap())).await);
}

async fn times(ask: impl AsyncFn()) -> Vec<Duration> {
    let mut times = Vec::with_capacity(ASKS);
    for _ in 0..ASKS {
        let start = Instant::now();
        ask().await;
        times.push(start.elapsed());
    }
    times
}

fn print(name: &str, times: &[Duration]) {
    let (median, p99) = summary(times.to_vec());
    print_row(&[name, "", "", &format!("{median} ({p99})"), "", "", ""].map(str::to_owned));
}
