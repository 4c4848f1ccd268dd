//! List of datasets by path, with their files, recent days and lateness.

use crate::api::AsOf;
use crate::api::datasets::{DatasetRow, page_of_datasets};
use crate::components::clock::Clock;
use crate::components::empty::{Empty, NoRows, NothingFound};
use crate::components::filters::{FilterBar, Offered, list_of, mistyped};
use crate::components::icon::{Icon, Picture};
use crate::components::live_refresh::LiveRefresh;
use crate::components::live_rows::next_generation;
use crate::components::page::{Heading, page};
use crate::components::pager::{IN_ORDER, Pager};
use crate::components::table_head::{column, table_head};
use crate::components::time::RelativeTime;
use crate::format;
use crate::json;
use crate::live::ServerEvent;
use crate::query::{Filters, ROWS_PER_PAGE, use_filters};
use crate::routes;
use crate::visible::visible;
use lakeshore::model::dataset::record::{Counted, Dataset};
use lakeshore::model::event::EventId;
use lakeshore::model::time::Timestamp;
use leptos::prelude::*;

/// Minimum interval between fetches: files may land quickly, and a background job counts the datasets.
const ASKING_APART_MS: i64 = 2000;

#[component]
pub fn Datasets() -> impl IntoView {
    let filters = use_filters();
    let datasets = json::ask(
        move || filters.get(),
        |filters| async move {
            let listed = list_of(filters.parameters(), async |_| page_of_datasets(filters.clone()).await).await?;
            Ok((filters, listed))
        },
    );
    page(
        || "Datasets".to_owned(),
        datasets,
        |_, (filters, listed)| match listed {
            Ok(listed) => view! { <DatasetList filters listed/> }.into_any(),
            Err(error) => mistyped("Datasets", view! { <DatasetFilters filters/> }, error),
        },
    )
}

#[component]
fn DatasetFilters(filters: Filters) -> impl IntoView {
    let offered = Offered { path: true, ..Offered::default() };
    view! { <FilterBar base=routes::DATASETS filters offered text_label="Path contains"/> }
}

#[component]
fn DatasetList(filters: Filters, listed: AsOf<Vec<DatasetRow>>) -> impl IntoView {
    let AsOf { now: as_of, last_event, value: rows } = listed;
    Clock::here().observe(as_of);
    let rows = RwSignal::new(rows);
    let asked = StoredValue::new(filters.clone());
    let is_any_counting = |rows: &Vec<DatasetRow>| rows.iter().any(|row| is_counting(&row.dataset));
    keep_counted(last_event, rows, is_any_counting, move || async move {
        let filters = asked.try_get_value()?;
        page_of_datasets(filters).await.ok()
    });
    let is_empty = Memo::new(move |_| rows.with(Vec::is_empty));
    let is_filtered = !filters.is_empty();
    let first = filters.first_page(routes::DATASETS);
    view! {
        <Heading title="Datasets"/>
        <DatasetFilters filters/>
        {move || match (is_empty.get(), first.clone(), is_filtered) {
            (true, Some(first), _) => view! { <NoRows first/> }.into_any(),
            (false, ..) => view! { <DatasetTable rows as_of/> }.into_any(),
            (true, None, true) => view! { <NothingFound base=routes::DATASETS/> }.into_any(),
            (true, None, false) => {
                view! {
                    <Empty title="No datasets yet">
                        <p>
                            "A dataset is the set of files at one path of the lake. It appears here with the first file of an incremental sync, or when a full sync is published."
                        </p>
                        <p>
                            <a class="button button-primary" href=routes::UPLOAD>
                                "Upload files"
                            </a>
                        </p>
                    </Empty>
                }
                    .into_any()
            }
        }}
        {move || view! { <Pager base=routes::DATASETS.to_owned() filters=asked.get_value() rows=rows.with(Vec::len) words=IN_ORDER/> }}
    }
    .into_any()
}

/// Whether the files of a dataset are not counted yet, or changed after they were counted.
pub(in crate::pages) fn is_counting(dataset: &Dataset) -> bool {
    !dataset.holds.as_ref().is_some_and(|holds| holds.is_current)
}

/// Keeps shown datasets current: fetches again when files land, and while files are being counted, which sends no
/// event. `read_at` is the last event that `shown` includes.
pub(in crate::pages) fn keep_counted<T, F>(
    read_at: EventId,
    shown: RwSignal<T>,
    is_counting: impl Fn(&T) -> bool + Copy + Send + Sync + 'static,
    ask: impl Fn() -> F + Send + Sync + 'static,
) where
    T: PartialEq + Send + Sync + 'static,
    F: Future<Output = Option<AsOf<T>>> + 'static,
{
    let concerns = |event: &ServerEvent| match event.kind.as_str() {
        "uploads_landed" | "upload_failed" | "trash_restored" | "dataset_late" => true,
        _ => event.is_end(),
    };
    let again = StoredValue::new(None::<LiveRefresh>);
    let fresh = LiveRefresh::keep(read_at, ASKING_APART_MS, concerns, move || {
        let answer = ask();
        async move {
            let AsOf { last_event, value, .. } = answer.await?;
            if is_counting(&value)
                && let Some(Some(fresh)) = again.try_get_value()
            {
                fresh.want();
            }
            if shown.try_with_untracked(|shown| *shown != value) == Some(true) {
                shown.try_set(value);
            }
            Some(last_event)
        }
    });
    again.set_value(Some(fresh));
    Effect::new(move |_| {
        if shown.with_untracked(|shown| is_counting(shown)) {
            fresh.want();
        }
    });
}

#[component]
fn DatasetTable(rows: RwSignal<Vec<DatasetRow>>, as_of: Timestamp) -> impl IntoView {
    // Only changed rows are rendered again.
    let generation = next_generation();
    view! {
        <table class="table table-datasets">
            {table_head([
                column("Dataset"), column("Freshness"), column("Files").number(), column("Size").number(),
                column("Last updated").number(), column("30 days").class("spark-head"),
            ])}
            <tbody>
                <For
                    each=move || {
                        let shown = rows.get().into_iter().take(ROWS_PER_PAGE as usize);
                        shown.map(|row| row.dataset.path).collect::<Vec<_>>()
                    }
                    key=move |path| (generation, path.clone())
                    children=move |path| {
                        let row = Memo::new(move |_| {
                            rows.with(|rows| rows.iter().find(|row| row.dataset.path == path).cloned())
                        });
                        move || row.get().map(|row| view! { <DatasetLine row as_of/> })
                    }
                />
            </tbody>
        </table>
        <p class="hint">
            "Files and size include subfolders and update shortly after a change."
        </p>
    }
    .into_any()
}

#[component]
fn DatasetLine(row: DatasetRow, as_of: Timestamp) -> impl IntoView {
    let DatasetRow { dataset, spark } = row;
    let href = routes::dataset(dataset.path.as_str());
    let path = dataset.path.to_string();
    let last = dataset.last_landed;
    view! {
        <tr class="row-link">
            <td class="cell-main">
                <a class="row-name path-main" href=href>
                    {visible(path)}
                </a>
            </td>
            <td data-label="Freshness">
                <Freshness dataset=dataset.clone() as_of/>
            </td>
            <td data-label="Files" class="number">
                <Holds holds=dataset.holds number=|counted| counted.totals.files write=format::count/>
            </td>
            <td data-label="Size" class="number">
                <Holds holds=dataset.holds number=|counted| counted.totals.bytes write=format::bytes/>
            </td>
            <td data-label="Last updated" class="number">
                <RelativeTime at=last as_of/>
            </td>
            <td data-label="30 days" class="cell-spark" inner_html=spark></td>
        </tr>
    }
    .into_any()
}

/// Late, on time, or not scheduled.
#[component]
pub fn Freshness(dataset: Dataset, as_of: Timestamp) -> impl IntoView {
    match (dataset.late_since, dataset.rhythm) {
        (Some(since), _) => view! {
            <span class="pill pill-held">
                <Picture icon=Icon::Warning/>
                "Late"
            </span>
            <span class="quiet freshness">
                "due "
                <RelativeTime at=since as_of/>
            </span>
        }
        .into_any(),
        (None, Some(_)) => view! {
            <span class="pill pill-finished">
                <Picture icon=Icon::Check/>
                "On time"
            </span>
            {dataset
                .due
                .map(|due| {
                    view! {
                        <span class="quiet freshness">
                            "next "
                            <RelativeTime at=due as_of/>
                        </span>
                    }
                })}
        }
        .into_any(),
        (None, None) => view! { <span class="quiet">"—"</span> }.into_any(),
    }
}

/// Figure of a dataset's contents, exact in `<data>`. Marked as outdated after a change.
#[component]
pub fn Holds(holds: Option<Counted>, number: fn(Counted) -> u64, write: fn(u64) -> String) -> impl IntoView {
    match holds {
        None => view! { <span class="quiet">"counting…"</span> }.into_any(),
        Some(counted) => {
            let exact = number(counted);
            let title = format!(
                "Counted {}{}",
                format::utc(counted.at),
                if counted.is_current { "" } else { "; changed since" }
            );
            view! {
                <data value=exact.to_string() title=title class:quiet=!counted.is_current>
                    {write(exact)}
                </data>
            }
            .into_any()
        }
    }
}
