//! Page of one dataset: facts, and tabs with an address each.

use crate::api::datasets::{DatasetPage, Tab, TabParameters, get_dataset};
use crate::api::versions::Compared;
use crate::api::{AsOf, Session};
use crate::components::clock::Clock;
use crate::components::page::{Heading, page};
use crate::components::sync_table::SyncTable;
use crate::components::time::RelativeTime;
use crate::error::ApiError;
use crate::format;
use crate::json;
use crate::pages::dataset::files::Files;
use crate::pages::dataset::list::{Freshness, Holds, is_counting, keep_counted};
use crate::pages::dataset::schedule::ScheduleForm;
use crate::pages::dataset::table::ReadTable;
use crate::pages::versions::list::VersionsTab;
use crate::query::use_query;
use crate::refusal;
use crate::routes::{self, DatasetTab};
use lakeshore::model::access::role::Role;
use lakeshore::model::dataset::record::Dataset;
use lakeshore::model::dataset::schedule::DeliverySchedule;
use lakeshore::model::id::VersionNumber;
use lakeshore::model::sync::difference::ChangeKind;
use lakeshore::model::sync::job::SyncJob;
use lakeshore::model::time::Timestamp;
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;
use leptos_router::params::ParamsMap;

fn parameters(map: &ParamsMap) -> TabParameters {
    let text = |name| map.get(name).unwrap_or_default();
    let kind = text("kind");
    // Links to the former Diff tab lead to the latest comparison.
    let was_diff = text("tab") == "diff";
    let number = |name| text(name).parse().ok().map(VersionNumber);
    let compared = match (number("old"), number("new"), text("since").parse().ok()) {
        (Some(old), Some(new), _) => Some(Compared::Two { old, new }),
        (_, _, Some(hours)) => Some(Compared::Since { hours }),
        _ => was_diff.then_some(Compared::Latest),
    };
    TabParameters {
        tab: if was_diff { DatasetTab::Versions } else { DatasetTab::of(&text("tab")) },
        folder: text("folder"),
        compared,
        kind: ChangeKind::ALL.into_iter().find(|known| known.as_str() == kind),
        restored: text("restored").parse().ok().map(VersionNumber),
        page: text("page").parse().unwrap_or(0),
    }
}

#[component]
pub fn DatasetDetail() -> impl IntoView {
    refusal::provide();
    let params = use_params_map();
    let map = use_query();
    let path = Memo::new(move |_| format!("/{}", params.with(|params| params.get("path")).unwrap_or_default()));
    let wanted = Memo::new(move |_| map.with(parameters));
    let fault = Memo::new(move |_| map.with(refusal::of_address));
    let data = json::ask(
        move || (path.get(), wanted.get()),
        |(path, wanted)| async move {
            let page = get_dataset(path, wanted.clone()).await?;
            Ok((wanted, page))
        },
    );
    page(
        move || path.get(),
        data,
        move |session, (wanted, page)| view! { <DatasetView session wanted page fault=fault.get()/> },
    )
}

#[component]
fn DatasetView(
    session: Session,
    wanted: TabParameters,
    page: AsOf<DatasetPage>,
    fault: Option<ApiError>,
) -> impl IntoView {
    let AsOf { now: as_of, last_event, value } = page;
    Clock::here().observe(as_of);
    let shown = RwSignal::new(value);
    // Fields being edited must not be rendered again.
    if wanted.tab != DatasetTab::Schedule {
        let asked = StoredValue::new((shown.with_untracked(|page| page.dataset.path.to_string()), wanted.clone()));
        keep_counted(
            last_event,
            shown,
            |page: &DatasetPage| is_counting(&page.dataset),
            move || async move {
                let (path, wanted) = asked.try_get_value()?;
                get_dataset(path, wanted).await.ok()
            },
        );
    }
    move || view! { <DatasetNow session=session.clone() wanted=wanted.clone() page=shown.get() fault=fault.clone() as_of/> }
}

#[component]
fn DatasetNow(
    session: Session,
    wanted: TabParameters,
    page: DatasetPage,
    fault: Option<ApiError>,
    as_of: Timestamp,
) -> impl IntoView {
    let DatasetPage { dataset, spark, tab, table } = page;
    let base = routes::dataset(dataset.path.as_str());
    let links = DatasetTab::ALL.map(|tab| {
        let href = routes::dataset_tab(dataset.path.as_str(), tab);
        let current = (tab == wanted.tab).then_some("page");
        view! {
            <a href=href aria-current=current>
                {tab.label()}
            </a>
        }
    });
    let shown = match tab {
        Tab::Files { folder, entries } => {
            view! { <Files base=base.clone() folder entries page=wanted.page as_of/> }.into_any()
        }
        Tab::Syncs { timeline, syncs } => {
            view! { <SyncsTab timeline syncs as_of path=dataset.path.to_string()/> }.into_any()
        }
        Tab::Calendar { calendar } => {
            let path = dataset.path.to_string();
            view! { <CalendarTab calendar rhythm=dataset.rhythm path/> }.into_any()
        }
        Tab::Versions(list) => {
            let path = dataset.path.to_string();
            let is_unchanged = wanted.restored == Some(VersionNumber(0));
            let may_write = session.has_role(Role::Write);
            let (list, kind, page) = (*list, wanted.kind, wanted.page);
            view! { <VersionsTab path list kind page is_unchanged fault=fault.clone() may_write as_of/> }.into_any()
        }
        Tab::DeliverySchedule => {
            let may_write = session.has_role(Role::Write);
            let is_signed_in = session.signed_in.is_some();
            view! { <ScheduleForm dataset=dataset.clone() fault may_write is_signed_in/> }.into_any()
        }
    };
    let path = dataset.path.to_string();
    let since = routes::since(&path, 24);
    view! {
        <p class="crumb">
            <a href=routes::DATASETS>"Datasets"</a>
        </p>
        <Heading title=path.clone() copied=Some(("Copy lake path", path.clone()))>
            <a class="button" href=since>
                "Changes since yesterday"
            </a>
        </Heading>
        <Facts dataset spark as_of/>
        <nav class="tabs tabs-page" aria-label="Dataset">
            {links.collect_view()}
        </nav>
        {shown}
        {table.map(|table| view! { <ReadTable table=*table/> })}
    }
    .into_any()
}

#[component]
fn Facts(dataset: Dataset, spark: String, as_of: Timestamp) -> impl IntoView {
    let last_sync = routes::sync(dataset.last_sync_id);
    let (holds, last, first) = (dataset.holds, dataset.last_landed, dataset.first_landed);
    view! {
        <dl class="facts">
            <div>
                <dt>"Files"</dt>
                <dd>
                    <Holds holds number=|counted| counted.totals.files write=format::count/>
                </dd>
            </div>
            <div>
                <dt>"Size"</dt>
                <dd>
                    <Holds holds number=|counted| counted.totals.bytes write=format::bytes/>
                </dd>
            </div>
            <div>
                <dt>"Freshness"</dt>
                <dd>
                    <Freshness dataset=dataset.clone() as_of/>
                </dd>
            </div>
            <div>
                <dt>"Last updated"</dt>
                <dd>
                    <RelativeTime at=last as_of/>
                    ", "
                    <a href=last_sync>{format!("sync {}", dataset.last_sync_id)}</a>
                </dd>
            </div>
            <div>
                <dt>"First updated"</dt>
                <dd>
                    <RelativeTime at=first as_of/>
                </dd>
            </div>
            <div class="fact-spark">
                <dt>"Last 30 days"</dt>
                <dd inner_html=spark></dd>
            </div>
        </dl>
    }
    .into_any()
}

#[component]
fn CalendarTab(calendar: String, rhythm: Option<DeliverySchedule>, path: String) -> impl IntoView {
    let expected = rhythm.map_or_else(
        || "No schedule is set. Days with new files are marked.".to_owned(),
        |rhythm| format!("Expected: {rhythm}. Days are in UTC."),
    );
    let href = routes::dataset_tab(&path, DatasetTab::Schedule);
    view! {
        <p class="hint">
            {expected} " "
            <a href=href>{if rhythm.is_some() { "Change schedule" } else { "Set schedule" }}</a>
        </p>
        <div class="card" inner_html=calendar></div>
    }
    .into_any()
}

#[component]
fn SyncsTab(timeline: String, syncs: Vec<SyncJob>, as_of: lakeshore::Timestamp, path: String) -> impl IntoView {
    let all = routes::syncs_of(&path);
    let rows = RwSignal::new(syncs);
    view! {
        <div class="card" inner_html=timeline></div>
        <div class="section">
            <SyncTable rows as_of/>
        </div>
        <p class="quiet">
            "Latest syncs at or below this path. " <a href=all>"Show all"</a>
        </p>
    }
    .into_any()
}
