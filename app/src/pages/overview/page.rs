//! Overview: today compared with earlier days, daily charts, running syncs, needs attention.

use crate::api::datasets::{OverviewData, get_overview};
use crate::api::{AsOf, Session};
use crate::components::clock::Clock;
use crate::components::icon::{Icon, Picture};
use crate::components::live_refresh::LiveRefresh;
use crate::components::page::{Heading, page};
use crate::components::sync_table::SyncTable;
use crate::components::tour::Tour;
use crate::drawing::RenderedChart;
use crate::format;
use crate::json;
use crate::live::ServerEvent;
use crate::pages::overview::attention::{AttentionList, storage_label};
use crate::query::use_query;
use crate::routes;
use lakeshore::model::overview::{Breakdown, Disk, Mean};
use lakeshore::model::sync::job::SyncJob;
use leptos::prelude::*;

/// Minimum interval between fetches, because each renders the charts.
const ASKING_APART_MS: i64 = 2000;

#[component]
pub fn OverviewPage() -> impl IntoView {
    let map = use_query();
    let by = Memo::new(move |_| match map.with(|map| map.get("by")).as_deref() {
        Some("dataset") => Breakdown::Dataset,
        _ => Breakdown::Type,
    });
    let overview = json::ask(move || by.get(), get_overview);
    page(|| "Overview".to_owned(), overview, |session, overview| view! { <Overview session overview/> })
}

#[component]
fn Overview(session: Session, overview: AsOf<OverviewData>) -> impl IntoView {
    let AsOf { now: as_of, last_event, value: overview } = overview;
    Clock::here().observe(as_of);
    let by = overview.overview.by;
    let running = RwSignal::new(overview.overview.running.clone());
    let overview = RwSignal::new(overview);
    // Events update the rows of running syncs; figures and charts are fetched.
    let apply_event = move |event: &ServerEvent| {
        let Some(sync) = &event.sync else { return event.kind != "upload_progress" && event.kind != "upload_left" };
        let at = running.with_untracked(|rows| rows.iter().position(|row| row.sync_id == sync.sync_id));
        if let Some(at) = at {
            running.update(|rows| rows[at] = sync.clone());
        }
        true
    };
    LiveRefresh::keep(last_event, ASKING_APART_MS, apply_event, move || async move {
        let fresh = get_overview(by).await.ok()?;
        running.try_set(fresh.value.overview.running.clone());
        overview.try_set(fresh.value);
        Some(fresh.last_event)
    });
    let origin = StoredValue::new(session.site.origin);
    let is_empty = Memo::new(move |_| overview.with(|data| data.overview.is_empty));
    let attention = Memo::new(move |_| overview.with(|data| data.overview.attention.clone()));
    let reasons = Memo::new(move |_| overview.with(|data| data.reasons.clone()));
    let not_ready = Memo::new(move |_| overview.with(|data| data.not_ready.clone()));
    let bytes = Memo::new(move |_| overview.with(|data| data.bytes_chart.clone()));
    let files = Memo::new(move |_| overview.with(|data| data.files_chart.clone()));
    view! {
        <Heading title="Overview">
            <a class="button button-primary" href=routes::UPLOAD>
                <Picture icon=Icon::Plus/>
                "New upload"
            </a>
        </Heading>
        {move || {
            if is_empty.get() {
                view! { <Tour origin=origin.get_value()/> }.into_any()
            } else {
                view! {
                    <Figures overview/>
                    {move || {
                        view! { <AttentionList attention=attention.get() reasons=reasons.get() not_ready=not_ready.get() as_of/> }
                    }}
                    <section class="section" aria-label="Last 30 days">
                        <nav class="tabs" aria-label="Group by">
                            <span class="quiet">"Group by"</span>
                            <a href=routes::OVERVIEW aria-current=(by == Breakdown::Type).then_some("true")>
                                "sync type"
                            </a>
                            <a href="/?by=dataset" aria-current=(by == Breakdown::Dataset).then_some("true")>
                                "dataset"
                            </a>
                        </nav>
                        <div class="charts">
                            <Chart id="bytes-title" title="Bytes per day" chart=bytes/>
                            <Chart id="files-title" title="Files per day" chart=files/>
                        </div>
                    </section>
                    <Running running as_of/>
                }
                    .into_any()
            }
        }}
    }
    .into_any()
}

/// The table stays open while its figures change.
#[component]
fn Chart(id: &'static str, title: &'static str, chart: Memo<RenderedChart>) -> impl IntoView {
    view! {
        <figure class="card chart" aria-labelledby=id>
            <h2 id=id>{title}</h2>
            <div inner_html=move || chart.with(|chart| chart.bars.clone())></div>
            <details class="chart-table">
                <summary>"View as table"</summary>
                <div class="table-scroll" inner_html=move || chart.with(|chart| chart.table.clone())></div>
            </details>
        </figure>
    }
    .into_any()
}

/// Running syncs, in the form of the list of syncs.
#[component]
pub fn Running(running: RwSignal<Vec<SyncJob>>, as_of: lakeshore::Timestamp) -> impl IntoView {
    let is_empty = Memo::new(move |_| running.with(Vec::is_empty));
    view! {
        <section class="section" aria-labelledby="running-title">
            <h2 id="running-title">"Running now"</h2>
            {move || {
                if is_empty.get() {
                    view! {
                        <p class="quiet">
                            "No sync is running. " <a href=routes::SYNCS>"All syncs"</a>
                        </p>
                    }
                        .into_any()
                } else {
                    view! { <SyncTable rows=running as_of/> }.into_any()
                }
            }}
        </section>
    }
    .into_any()
}

/// Figures of today, beside the mean of earlier days.
#[component]
fn Figures(overview: RwSignal<OverviewData>) -> impl IntoView {
    move || {
        let overview = overview.with(|data| data.overview.clone());
        let (today, before) = (overview.today, overview.before);
        let failures = today.failed + today.failed_syncs;
        let of_bytes = format::bytes(before.bytes.round() as u64);
        let (of_files, of_syncs) = (mean_count(before.files), mean_count(before.syncs));
        let of_failures = mean_count(before.failed + before.failed_syncs);
        let figures = [
            ("Bytes today", today.bytes, format::bytes(today.bytes), of_bytes, false),
            ("Files today", today.files, format::count(today.files), of_files, false),
            ("Syncs started", today.syncs, format::count(today.syncs), of_syncs, false),
            ("Failures today", failures, format::count(failures), of_failures, failures > 0),
        ];
        view! {
            <dl class="figures">
                {figures
                    .into_iter()
                    .map(|(name, exact, shown, mean, is_bad)| {
                        view! {
                            <div class="figure">
                                <dt>{name}</dt>
                                <dd>
                                    <data value=exact.to_string() class="figure-number" class:bad=is_bad>
                                        {shown}
                                    </data>
                                    <span class="figure-usual">{usual(before, mean)}</span>
                                </dd>
                            </div>
                        }
                    })
                    .collect_view()}
                {room(&overview.disks)}
            </dl>
            <p class="hint">
                "Days are in UTC. Files count when they arrive, even before a full sync is published. Failures include uploads and syncs."
            </p>
        }
    }
}

/// `7-day average: 1,204`
fn usual(before: Mean, mean: String) -> String {
    match before.days {
        0 => "first day".to_owned(),
        1 => format!("yesterday: {mean}"),
        days => format!("{days}-day average: {mean}"),
    }
}

/// Small means have one decimal place, so that less than one a day is not 0. Means are finite, and not negative.
fn mean_count(mean: f64) -> String {
    let tenths = (mean * 10.0).round() as u64;
    if tenths < 100 && mean.fract() != 0.0 { format::tenths(tenths) } else { format::count(mean.round() as u64) }
}

/// The disk with the least free space.
fn room(disks: &[Disk]) -> Option<impl IntoView + use<>> {
    let disk = disks.iter().min_by_key(|disk| disk.free_bytes)?;
    let (free, of) = (format::bytes(disk.free_bytes), format!("free of {}", format::bytes(disk.total_bytes)));
    let used = disk.total_bytes.saturating_sub(disk.free_bytes);
    let exact = disk.free_bytes.to_string();
    let max = disk.total_bytes.max(1);
    Some(view! {
        <div class="figure">
            <dt id="disk-title">{storage_label(disk)}</dt>
            <dd>
                <data value=exact class="figure-number">
                    {free}
                </data>
                <span class="figure-usual">{of}</span>
                <progress class="progress" max=max value=used aria-labelledby="disk-title"></progress>
            </dd>
        </div>
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_is_written_by_how_many_days_it_has() {
        let usual = |days, mean| usual(Mean { days, ..Mean::default() }, mean_count(mean));
        assert_eq!(usual(0, 0.0), "first day");
        assert_eq!(usual(1, 4.0), "yesterday: 4");
        assert_eq!(usual(7, 0.2), "7-day average: 0.2");
        assert_eq!(usual(7, 12_345.6), "7-day average: 12,346");
    }
}
