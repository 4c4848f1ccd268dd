//! Server functions of the overview and of datasets. Charts are sent as rendered HTML: see `crate::charts`.

use super::AsOf;
use super::versions::{Compared, VersionList};
use crate::drawing::RenderedChart;
use crate::error::ApiError;
use crate::json::Call;
use crate::query::Filters;
use crate::routes::DatasetTab;
use lakeshore::model::dataset::browsing::LakeEntry;
use lakeshore::model::dataset::record::Dataset;
use lakeshore::model::id::SyncId;
use lakeshore::model::id::VersionNumber;
use lakeshore::model::overview::{Breakdown, Overview};
use lakeshore::model::sync::difference::ChangeKind;
use lakeshore::model::sync::job::SyncJob;
use lakeshore::model::table::DatasetTable;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use super::versions::version_list;
#[cfg(feature = "ssr")]
use super::{ReadinessCheck, as_of, request_context};
#[cfg(feature = "ssr")]
use crate::charts;
#[cfg(feature = "ssr")]
use crate::query::ROWS_PER_PAGE;
#[cfg(feature = "ssr")]
use lakeshore::Error;
#[cfg(feature = "ssr")]
use lakeshore::model::dataset::day::Day;
#[cfg(feature = "ssr")]
use lakeshore::model::dataset::record::{DatasetParameters, SetSchedule};
#[cfg(feature = "ssr")]
use lakeshore::model::dataset::schedule::{DeliverySchedule, Every, ScheduleError};
#[cfg(feature = "ssr")]
use lakeshore::model::overview::OverviewParameters;
#[cfg(feature = "ssr")]
use lakeshore::model::page::{ListParameters, Order};
#[cfg(feature = "ssr")]
use lakeshore::model::path::LakePath;

/// The overview with rendered charts, which contain the series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OverviewData {
    pub overview: Overview,
    pub bytes_chart: RenderedChart,
    pub files_chart: RenderedChart,
    /// Reasons of held and failed syncs, beyond what the syncs say themselves.
    #[serde(default)]
    pub reasons: Vec<(SyncId, String)>,
    /// Why a write would not succeed now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_ready: Option<String>,
}

#[server(prefix = "/fn", endpoint = "overview", input = Call, output = Call)]
pub async fn get_overview(by: Breakdown) -> Result<AsOf<OverviewData>, ApiError> {
    let (lake, caller) = request_context()?;
    let AsOf { now, last_event, value: mut overview } =
        as_of(&lake, lake.overview(&caller, &OverviewParameters { by })).await?;
    let reasons = lake.attention_reasons(&caller, &overview.attention).await?;
    let days = std::mem::take(&mut overview.days);
    let series = std::mem::take(&mut overview.series);
    let bytes_chart = charts::bars(charts::Measure::Bytes, &days, &series);
    let files_chart = charts::bars(charts::Measure::Files, &days, &series);
    let not_ready = match use_context::<ReadinessCheck>() {
        Some(check) => (check.0)().await,
        None => None,
    };
    Ok(AsOf { now, last_event, value: OverviewData { overview, bytes_chart, files_chart, reasons, not_ready } })
}

/// Dataset in a list, with the rendered chart of its last days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetRow {
    pub dataset: Dataset,
    pub spark: String,
}

/// A page of the list, with one row more than it shows.
#[server(prefix = "/fn", endpoint = "dataset-list", input = Call, output = Call)]
pub async fn page_of_datasets(filters: Filters) -> Result<AsOf<Vec<DatasetRow>>, ApiError> {
    let (lake, caller) = request_context()?;
    let ListParameters { from, size, path, q, .. } = filters.parameters()?;
    let AsOf { now, last_event, value: datasets } =
        as_of(&lake, lake.list_datasets(&caller, &DatasetParameters { from, size, path, q })).await?;
    let today = Day::of(now);
    let row = |mut dataset: Dataset| {
        let spark = charts::spark(&std::mem::take(&mut dataset.days), today);
        DatasetRow { dataset, spark }
    };
    Ok(AsOf { now, last_event, value: datasets.into_iter().map(row).collect() })
}

/// Content of a tab of the dataset page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tab {
    /// A page of a folder, with one row more than it shows. The folder is relative to the dataset; empty means the
    /// dataset itself.
    Files {
        folder: String,
        entries: Vec<LakeEntry>,
    },
    Syncs {
        timeline: String,
        syncs: Vec<SyncJob>,
    },
    Calendar {
        calendar: String,
    },
    Versions(Box<VersionList>),
    DeliverySchedule,
}

/// Requested tab, as in the page's address.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TabParameters {
    pub tab: DatasetTab,
    pub folder: String,
    pub compared: Option<Compared>,
    pub kind: Option<ChangeKind>,
    /// The version that a restore created, according to the address; 0 if it changed nothing.
    pub restored: Option<VersionNumber>,
    pub page: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetPage {
    pub dataset: Dataset,
    pub spark: String,
    pub tab: Tab,
    /// With the files of a dataset on object storage.
    pub table: Option<Box<DatasetTable>>,
}

/// Rows of the lists on the dataset page.
pub const FILES_PER_PAGE: u64 = 100;

#[server(prefix = "/fn", endpoint = "dataset", input = Call, output = Call)]
pub async fn get_dataset(path: String, wanted: TabParameters) -> Result<AsOf<DatasetPage>, ApiError> {
    let (lake, caller) = request_context()?;
    let AsOf { now, last_event, value: detail } = as_of(&lake, lake.dataset(&caller, &path)).await?;
    let mut dataset = detail.dataset;
    let path = dataset.path.clone();
    let from = Some(wanted.page.saturating_mul(FILES_PER_PAGE));
    let tab = match wanted.tab {
        DatasetTab::Syncs => {
            let newest = Order::Desc;
            let from = Some(wanted.page.saturating_mul(ROWS_PER_PAGE));
            let parameters =
                ListParameters { from, size: Some(200), order: newest, path: Some(path), ..ListParameters::default() };
            let mut syncs = lake.syncs(&caller, &parameters).await?;
            let timeline = charts::timeline(&syncs, now);
            syncs.truncate(usize::try_from(ROWS_PER_PAGE).unwrap_or(usize::MAX) + 1);
            Tab::Syncs { timeline, syncs }
        }
        DatasetTab::Calendar => Tab::Calendar { calendar: charts::calendar(&detail.calendar) },
        DatasetTab::Versions => {
            let TabParameters { compared, kind, page, restored, .. } = wanted;
            Tab::Versions(Box::new(version_list(&lake, &caller, &path, compared, kind, page, restored).await?))
        }
        DatasetTab::Schedule => Tab::DeliverySchedule,
        DatasetTab::Files => {
            let folder = path.join(&wanted.folder).map_err(Error::from)?;
            let entries = match lake.list_folder(&caller, Some(folder.as_str()), from, Some(FILES_PER_PAGE + 1)).await {
                // A person removed the folder by hand; the dataset still has its history.
                Err(Error::NoSuchFolder(_)) if wanted.folder.is_empty() => Vec::new(),
                entries => entries?,
            };
            Tab::Files { folder: wanted.folder, entries }
        }
    };
    let table = match &tab {
        Tab::Files { .. } => lake.dataset_table(&caller, dataset.path.as_str()).await?.map(Box::new),
        _ => None,
    };
    let spark = charts::spark(&std::mem::take(&mut dataset.days), Day::of(now));
    Ok(AsOf { now, last_event, value: DatasetPage { dataset, spark, tab, table } })
}

/// Fields of the form, which is a plain post without scripts. Without a choice, the schedule is removed.
#[server(prefix = "/fn", endpoint = "rhythm")]
pub async fn save_rhythm(
    path: String,
    every: String,
    #[server(default)] by: String,
    #[server(default)] files_min: String,
    #[server(default)] megabytes_min: String,
) -> Result<(), ApiError> {
    let (lake, caller) = request_context()?;
    let set = async {
        let rhythm = rhythm_of(every, &by, &files_min, &megabytes_min)?;
        lake.set_schedule(&caller, &SetSchedule { path: LakePath::parse(&path)?, rhythm }).await
    };
    set.await.map_err(|error| ApiError::of_form(&error))
}

#[cfg(feature = "ssr")]
fn rhythm_of(every: String, by: &str, files_min: &str, megabytes_min: &str) -> Result<Option<DeliverySchedule>, Error> {
    if every.is_empty() {
        return Ok(None);
    }
    let invalid = |error: ScheduleError| Error::Invalid(error.to_string());
    let every = Every::parse(&every).ok_or_else(|| invalid(ScheduleError::Every(every)))?;
    let files_min = whole(files_min, "files", 1)?;
    let bytes_min = bytes_of(megabytes_min)?;
    DeliverySchedule::new(every, Some(by), files_min, bytes_min).map(Some).map_err(invalid)
}

/// Bytes of a decimal number of megabytes, which has at most six decimals. Empty means 0.
#[cfg(feature = "ssr")]
fn bytes_of(megabytes: &str) -> Result<u64, Error> {
    let text = megabytes.trim();
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let number = |digits: &str| match digits {
        "" => Some(0),
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse::<u64>().ok(),
        _ => None,
    };
    let bytes = (decimals.len() <= 6)
        .then(|| Some(number(whole)?.saturating_mul(1_000_000).saturating_add(number(&format!("{decimals:0<6}"))?)))
        .flatten();
    bytes.ok_or_else(|| {
        Error::Invalid(format!(
            "the minimum of megabytes is not a number with at most six decimals: {text:?}; enter one such as 1.5"
        ))
    })
}

#[cfg(feature = "ssr")]
fn whole(text: &str, what: &str, absent: u64) -> Result<u64, Error> {
    match text.trim() {
        "" => Ok(absent),
        text => text.parse().map_err(|_| {
            Error::Invalid(format!("the minimum of {what} is not a whole number: {text:?}; enter one such as 10"))
        }),
    }
}

#[cfg(all(test, feature = "ssr"))]
mod tests {
    use super::*;

    #[test]
    fn megabytes_are_read_to_the_byte() {
        for (text, bytes) in
            [("", 0), ("0", 0), ("10", 10_000_000), ("0.5", 500_000), ("1.234567", 1_234_567), (".5", 500_000)]
        {
            assert_eq!(bytes_of(text).unwrap(), bytes, "{text}");
        }
        for text in ["-1", "1.2345678", "1,5", "x", "1.-5", "1e3"] {
            assert!(bytes_of(text).is_err(), "{text}");
        }
    }
}
