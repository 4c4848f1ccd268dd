//! Progress of a running sync: files and bytes of those expected, rate, time left, and each upload in flight.

use crate::browser::now_ms;
use crate::components::clock::Clock;
use crate::components::table_head::{column, table_head};
use crate::components::time::RelativeTime;
use crate::format;
use crate::live::ServerEvent;
use crate::routes;
use crate::uploader::rate::{RateMeter, time_left_ms};
use crate::visible::visible;
use lakeshore::model::sync::comparison::ExpectedTotals;
use lakeshore::model::sync::job::SyncJob;
use lakeshore::model::sync::status::Status;
use lakeshore::model::time::Timestamp;
use lakeshore::model::upload::in_flight::{Activity, UploadInFlight};
use leptos::prelude::*;

/// Most rows of uploads in flight; others are counted.
const SHOWN_MAX: usize = 50;

/// Applies an event of this sync to its uploads in flight.
pub fn apply_event(uploads: &mut Vec<UploadInFlight>, event: &ServerEvent) {
    if let Some(upload) = &event.upload {
        match uploads.iter_mut().find(|known| known.history_id == upload.history_id) {
            Some(known) => *known = upload.clone(),
            None => uploads.push(upload.clone()),
        }
    }
    if let Some(left) = event.history_id {
        uploads.retain(|upload| upload.history_id != left);
    }
    // Earlier than their `upload_left` events.
    if event.kind == "uploads_landed" {
        uploads.retain(|upload| !event.files.iter().any(|file| file.path == upload.path));
    }
    if event.is_end() {
        uploads.clear();
    }
}

#[component]
pub fn Running(
    sync: RwSignal<SyncJob>,
    in_flight: RwSignal<Vec<UploadInFlight>>,
    as_of: Timestamp,
    may_write: bool,
) -> impl IntoView {
    let is_open = Memo::new(move |_| sync.with(|sync| sync.sync_status == Status::Syncing));
    let clock = Clock::here();
    let meter = StoredValue::new(RateMeter::default());
    let rate = RwSignal::new(None::<f64>);
    let come_bytes = Memo::new(move |_| {
        let receiving: u64 = in_flight.with(|uploads| uploads.iter().map(|upload| upload.received_bytes).sum());
        sync.with(|sync| sync.size_bytes) + receiving
    });
    Effect::new(move |_| {
        let bytes = come_bytes.get();
        meter.update_value(|meter| meter.record(now_ms(), bytes));
    });
    Effect::new(move |_| {
        clock.now(as_of);
        rate.set(meter.with_value(|meter| meter.bytes_per_second(now_ms())));
    });
    let is_empty = Memo::new(move |_| in_flight.with(Vec::is_empty));
    let progress = Memo::new(move |_| sync.with(|sync| Progress::of(sync, come_bytes.get())));
    view! {
        <Show when=move || is_open.get()>
            <section class="section running" aria-labelledby="running-title">
                <h2 id="running-title">"Running"</h2>
                <p id="running-progress">{move || progress.with(Progress::landed)}</p>
                {move || {
                    progress
                        .with(|progress| progress.part)
                        .map(|(done, of)| {
                            view! {
                                <progress
                                    class="progress progress-expected"
                                    max=of.max(1)
                                    value=done.min(of.max(1))
                                    aria-labelledby="running-progress"
                                ></progress>
                            }
                        })
                }}
                <p class="numbers pace">{move || progress.with(|progress| progress.pace(rate.get()))}</p>
                <Show when=move || !is_empty.get()>
                    <InFlight in_flight as_of may_write/>
                </Show>
            </section>
        </Show>
    }
    .into_any()
}

/// Progress of a sync.
#[derive(Debug, Clone, PartialEq)]
struct Progress {
    files: u64,
    bytes: u64,
    in_flight: u64,
    expected: Option<ExpectedTotals>,
    /// Done and total, in bytes if known, else in files.
    part: Option<(u64, u64)>,
    /// Remaining bytes, if known.
    left_bytes: Option<u64>,
}

impl Progress {
    fn of(sync: &SyncJob, come_bytes: u64) -> Self {
        let expected_bytes = sync.expected.and_then(|expected| expected.size_bytes);
        let expected_files = sync.expected.and_then(|expected| expected.count);
        let by_bytes = expected_bytes.map(|of| (come_bytes, of));
        Self {
            files: sync.num_landed(),
            bytes: sync.size_bytes,
            in_flight: sync.num_in_flight,
            expected: sync.expected,
            part: by_bytes.or(expected_files.map(|of| (sync.num_landed(), of))),
            left_bytes: expected_bytes.map(|of| of.saturating_sub(come_bytes)),
        }
    }

    /// `312 of 400 files, 1.2 GB of 3.1 GB have landed.`
    fn landed(&self) -> String {
        let of = |text: String| format!(" of {text}");
        let expected_files = self.expected.and_then(|expected| expected.count);
        let expected_bytes = self.expected.and_then(|expected| expected.size_bytes);
        let files = match expected_files {
            Some(count) => format!("{}{}", format::count(self.files), of(format::counted(count, "file"))),
            None => format::counted(self.files, "file"),
        };
        let bytes =
            format!("{}{}", format::bytes(self.bytes), expected_bytes.map(format::bytes).map(of).unwrap_or_default());
        let verb = if self.files == 1 && expected_files.is_none() { "has" } else { "have" };
        format!("{files}, {bytes} {verb} landed.")
    }

    /// `24 MB/s, about 2 min 10 s left, 3 in flight`
    fn pace(&self, bytes_per_second: Option<f64>) -> String {
        let rate = bytes_per_second.map(|rate| format!("{}/s", format::bytes(rate as u64)));
        let left = self.left_bytes.filter(|left| *left > 0).and_then(|left| time_left_ms(left, bytes_per_second));
        let left = left.map(|left| format!("about {} left", format::duration(left / 1000 * 1000)));
        let in_flight = format!("{} in flight", format::count(self.in_flight));
        let known: Vec<_> = rate.into_iter().chain(left).chain([in_flight]).collect();
        known.join(", ")
    }
}

#[component]
fn InFlight(in_flight: RwSignal<Vec<UploadInFlight>>, as_of: Timestamp, may_write: bool) -> impl IntoView {
    let more = Memo::new(move |_| in_flight.with(Vec::len).saturating_sub(SHOWN_MAX));
    view! {
        <table class="table table-in-flight">
            <caption class="visually-hidden">"Uploads in flight"</caption>
            {table_head([column("File"), column("Progress"), column("Sender"), column("Last byte")])}
            <tbody>
                <For
                    each=move || {
                        in_flight.with(|uploads| uploads.iter().take(SHOWN_MAX).cloned().collect::<Vec<_>>())
                    }
                    key=|upload| upload.history_id.0
                    children=move |first: UploadInFlight| {
                        let id = first.history_id;
                        let upload = Memo::new(move |_| {
                            let found = in_flight
                                .with(|uploads| uploads.iter().find(|upload| upload.history_id == id).cloned());
                            found.unwrap_or_else(|| first.clone())
                        });
                        view! { <InFlightRow upload as_of may_write/> }
                    }
                />
            </tbody>
        </table>
        {move || {
            let more = more.get();
            (more > 0).then(|| view! { <p class="quiet">{format::and_more(more as u64)}</p> })
        }}
    }
    .into_any()
}

#[component]
fn InFlightRow(upload: Memo<UploadInFlight>, as_of: Timestamp, may_write: bool) -> impl IntoView {
    let fixed = upload.get_untracked();
    let name = fixed.file_name.clone();
    let activity = Memo::new(move |_| upload.with(|upload| upload.activity));
    let last = Memo::new(move |_| upload.with(|upload| upload.last_byte_time));
    let sender = Memo::new(move |_| upload.with(|upload| upload.sender.clone()));
    let place = move || {
        let sender = sender.get();
        let parts: Vec<_> = sender.address.into_iter().chain(sender.program).collect();
        parts.join(", ")
    };
    view! {
        <tr>
            <td class="cell-main">
                <span class="row-name">{visible(name.clone())}</span>
                <span class="path">{visible(fixed.path.to_string())}</span>
            </td>
            <td data-label="Progress" class="cell-progress">
                {move || {
                    let (done, of) = upload.with(|upload| (upload.received_bytes, upload.expected_bytes));
                    view! { <UploadProgress done of name=visible(name.clone())/> }
                }}
            </td>
            <td data-label="Sender">
                <span>{move || {
                    let by = sender.with(|sender| sender.by.clone());
                    if by.is_empty() { "Anonymous".to_owned() } else { visible(by) }
                }}</span>
                <span class="path">{move || visible(place())}</span>
            </td>
            <td data-label="Last byte">
                {move || view! { <RelativeTime at=last.get() as_of/> }}
                {move || match activity.get() {
                    Activity::Receiving => ().into_any(),
                    Activity::Stalled => view! { <Mark word="Stalled" title="The client is connected but sends no data"/> }.into_any(),
                    Activity::Abandoned => view! {
                        <Mark word="Abandoned" title="The client has disconnected. The upload can be resumed until it expires."/>
                        {may_write.then(|| view! {
                            <a class="resume" href=routes::upload_to_sync(fixed.sync_id)>"Resume…"</a>
                        })}
                    }
                        .into_any(),
                }}
            </td>
        </tr>
    }
    .into_any()
}

#[component]
fn Mark(word: &'static str, title: &'static str) -> impl IntoView {
    view! { <span class="pill pill-held pill-plain" title=title>{word}</span> }
}

#[component]
fn UploadProgress(done: u64, of: Option<u64>, name: String) -> impl IntoView {
    let text = match of {
        Some(of) => format!("{} of {}", format::bytes(done), format::bytes(of)),
        None => format::bytes(done),
    };
    view! {
        <span class="numbers">{text}</span>
        {of.map(|of| view! {
            <progress class="progress queue-progress" max=of.max(1) value=done.min(of.max(1)) aria-label=name></progress>
        })}
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(expected: Option<(Option<u64>, Option<u64>)>) -> Progress {
        let expected = expected.map(|(count, size_bytes)| ExpectedTotals { count, size_bytes, is_named: false });
        let left_bytes = expected.and_then(|expected| expected.size_bytes).map(|of| of - 1_500_000);
        Progress { files: 3, bytes: 1_200_000, in_flight: 2, expected, part: None, left_bytes }
    }

    #[test]
    fn progress_is_of_what_is_expected_where_that_is_known() {
        assert_eq!(progress(None).landed(), "3 files, 1.2 MB have landed.");
        let both = progress(Some((Some(400), Some(3_000_000))));
        assert_eq!(both.landed(), "3 of 400 files, 1.2 MB of 3.0 MB have landed.");
    }

    #[test]
    fn the_time_left_is_told_once_the_rate_is_known() {
        let expected = progress(Some((None, Some(3_000_000))));
        assert_eq!(expected.pace(None), "2 in flight");
        assert_eq!(expected.pace(Some(100_000.0)), "100 kB/s, about 15 s left, 2 in flight");
        assert_eq!(progress(None).pace(Some(0.0)), "0 B/s, 2 in flight");
    }
}
