//! Status of the whole upload, and its actions: pause, retry, end, abort.

use crate::components::error_box::{MaybeError, sentence};
use crate::components::icon::{Icon, Picture};
use crate::format;
use crate::pages::upload::confirm::{PendingAction, UploadAction, UploadDialog};
use crate::routes;
use crate::uploader::totals::Totals;
use crate::uploader::{Phase, Uploader};
use crate::visible::visible;
use lakeshore::ErrorCode;
use leptos::prelude::*;

/// Status of a started upload.
#[component]
pub fn UploadStatus() -> impl IntoView {
    let uploader = Uploader::here();
    let phase = Memo::new(move |_| uploader.phase.get());
    let is_broken = Memo::new(move |_| uploader.broken.with(Option::is_some));
    let headline = Memo::new(move |_| {
        let link = if uploader.is_paused.get() {
            LinkState::Paused
        } else if is_broken.get() {
            LinkState::Broken
        } else {
            LinkState::Open
        };
        let missing = uploader.missing_files();
        uploader.totals.with(|totals| headline(phase.get(), link, totals, missing))
    });
    let pending = PendingAction::new();
    view! {
        <section class="section card standing" aria-label="Upload">
            <p class="standing-title" role="status">
                {move || headline.get()}
            </p>
            <TotalProgress/>
            <p class="quiet">
                {move || {
                    uploader
                        .target
                        .get()
                        .map(|target| {
                            view! {
                                "To "
                                <span class="path">{visible(target.path.clone())}</span>
                                ", "
                                <a href=routes::sync(target.sync_id)>{format!("sync {}", target.sync_id)}</a>
                            }
                        })
                }}
            </p>
            <MaybeError error=uploader.error/>
            <ConnectionNotice/>
            <div class="standing-buttons">
                {move || view! { <PhaseButtons phase=phase.get() pending/> }}
            </div>
        </section>
        <UploadDialog pending/>
        <Failures/>
    }
    .into_any()
}

/// State of the transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LinkState {
    Open,
    Broken,
    Paused,
}

/// Status in a sentence, which changes only when there is news.
fn headline(phase: Phase, link: LinkState, totals: &Totals, missing: usize) -> String {
    let files = |number: usize| format::counted(number as u64, "file");
    let there = match (totals.arrived, totals.unchanged) {
        (arrived, 0) => format!("{} arrived", files(arrived)),
        (0, unchanged) => format!("{} unchanged", files(unchanged)),
        (arrived, unchanged) => format!("{} arrived, {} unchanged", files(arrived), format::count(unchanged as u64)),
    };
    match phase {
        Phase::Preparing | Phase::Starting => "Starting…".to_owned(),
        Phase::Sending if link == LinkState::Paused => format!("Paused: {there}."),
        Phase::Sending if link == LinkState::Broken => {
            "Cannot reach the server. The upload resumes automatically.".to_owned()
        }
        Phase::Sending if totals.sending == 0 && totals.checking > 0 => format!("Checking {}…", files(totals.files())),
        Phase::Sending => format!("Sending {}…", files(totals.files())),
        Phase::Ending => "Ending the sync…".to_owned(),
        Phase::Ended => format!("Done: {there}, and the sync has ended."),
        Phase::Aborted => "The sync was aborted.".to_owned(),
        Phase::Settled if totals.failed > 0 => format!(
            "{} failed, {there}. The sync is still open: retry the failed files, or end or abort the sync.",
            files(totals.failed)
        ),
        Phase::Settled if totals.cancelled > 0 => {
            format!("Stopped: {there}, {} cancelled. The sync is still open.", totals.cancelled)
        }
        Phase::Settled if missing > 0 => format!(
            "{there}. {} selected before the reload: select them again, or end or abort the sync.",
            if missing == 1 { "1 more was".to_owned() } else { format!("{} more were", format::count(missing as u64)) }
        ),
        Phase::Settled => format!("{there}. The sync is still open."),
    }
}

/// Time of the next retry, and a button to retry now.
#[component]
fn ConnectionNotice() -> impl IntoView {
    let uploader = Uploader::here();
    let is_shown = Memo::new(move |_| uploader.phase.get() == Phase::Sending && uploader.broken.with(Option::is_some));
    view! {
        <Show when=move || is_shown.get()>
            <div class="notice notice-waiting">
                <Picture icon=Icon::Warning/>
                <p>
                    {move || match uploader.broken.get() {
                        Some(0) | None => "Reconnecting…".to_owned(),
                        Some(seconds) => format!("Retrying in {}.", format::duration(seconds * 1000).replace(".0 s", " s")),
                    }}
                    " Data sent so far is kept."
                </p>
                <button type="button" class="button button-small" on:click=move |_| uploader.try_now()>
                    <Picture icon=Icon::Retry/>
                    "Try now"
                </button>
            </div>
        </Show>
    }
}

#[component]
fn PhaseButtons(phase: Phase, pending: PendingAction) -> impl IntoView {
    let uploader = Uploader::here();
    let has_failed = Memo::new(move |_| uploader.totals.with(|totals| totals.failed > 0));
    let is_held_up = Memo::new(move |_| {
        uploader.error.with(|error| error.as_ref().is_some_and(|error| error.is(ErrorCode::UploadsInFlight)))
    });
    let retry = move || {
        has_failed.get().then(|| {
            view! {
                <button type="button" class="button button-primary" on:click=move |_| uploader.retry_failed(None)>
                    <Picture icon=Icon::Retry/>
                    "Retry failed"
                </button>
            }
        })
    };
    // Asks first, unless every file is in the lake.
    let end = move |_| match (is_held_up.get_untracked(), untrack(|| uploader.is_whole())) {
        (true, _) => pending.ask(UploadAction::DiscardAndEnd),
        (false, false) => pending.ask(UploadAction::End),
        (false, true) => uploader.end(false),
    };
    match phase {
        Phase::Sending => view! {
            <PauseButton/>
            {retry}
            <button type="button" class="button button-quiet" on:click=move |_| pending.ask(UploadAction::CancelAll)>
                "Cancel all"
            </button>
        }
        .into_any(),
        Phase::Settled => view! {
            {retry}
            <Show when=move || uploader.error.with(|error| error.as_ref().is_some_and(|error| error.is(ErrorCode::Held) || error.is(ErrorCode::SchemaHeld)))>
                <a
                    class="button button-primary"
                    href=move || uploader.target.with(|target| target.as_ref().map(|target| routes::sync(target.sync_id)))
                >
                    "Review changes"
                </a>
            </Show>
            <button type="button" class="button" on:click=end>
                {move || match (is_held_up.get(), has_failed.get()) {
                    (true, _) => "Discard unfinished and end",
                    (false, true) => "End anyway",
                    (false, false) => "End sync",
                }}
            </button>
            <button type="button" class="button button-danger-quiet" on:click=move |_| pending.ask(UploadAction::Abort)>
                "Abort sync"
            </button>
            <button type="button" class="button button-quiet" on:click=move |_| uploader.reset()>
                "Leave open"
            </button>
        }
        .into_any(),
        Phase::Ended | Phase::Aborted => view! {
            <a
                class="button button-primary"
                href=move || uploader.target.with(|target| target.as_ref().map(|target| routes::sync(target.sync_id)))
            >
                "View sync"
            </a>
            <a class="button" href=routes::UPLOAD on:click=move |_| uploader.reset()>
                "New upload"
            </a>
        }
        .into_any(),
        Phase::Preparing | Phase::Starting | Phase::Ending => ().into_any(),
    }
}

/// A single button, so that the focus stays on it.
#[component]
fn PauseButton() -> impl IntoView {
    let uploader = Uploader::here();
    let is_paused = Memo::new(move |_| uploader.is_paused.get());
    let toggle = move |_| {
        if is_paused.get_untracked() {
            uploader.go_on_all();
        } else {
            uploader.pause_all();
        }
    };
    view! {
        <button type="button" class="button" on:click=toggle>
            {move || {
                let icon = if is_paused.get() { Icon::Play } else { Icon::Pause };
                view! { <Picture icon/> }
            }}
            {move || if is_paused.get() { "Resume" } else { "Pause" }}
        </button>
    }
}

#[component]
fn TotalProgress() -> impl IntoView {
    let uploader = Uploader::here();
    let totals = uploader.totals;
    let text = move || {
        totals.with(|totals| {
            let mut text = format!(
                "{} of {} · {} of {}",
                format::count(totals.done() as u64),
                format::counted(totals.files() as u64, "file"),
                format::bytes(totals.bytes_done),
                format::bytes(totals.bytes)
            );
            push_speed(&mut text, totals.bytes_per_second, totals.time_left_ms);
            text
        })
    };
    // Announced at each tenth, not each second.
    let tenth = Memo::new(move |_| totals.with(|totals| totals.percent() / 10 * 10));
    let status_text = move || match (uploader.phase.get(), tenth.get()) {
        (Phase::Sending, percent @ 10..100) => {
            let left = totals.with_untracked(|totals| totals.time_left_ms);
            let left = left.map(|left| format!(", {} left", format::duration(left.max(1000) / 1000 * 1000)));
            format!("{percent} percent{}", left.unwrap_or_default())
        }
        _ => String::new(),
    };
    view! {
        <progress
            class="progress"
            aria-label="All files"
            max="100"
            prop:value=move || totals.with(|totals| totals.percent() as f64)
        ></progress>
        <p class="numbers" id="upload-totals">
            {text}
        </p>
        <p class="visually-hidden" role="status">
            {status_text}
        </p>
    }
}

pub fn push_speed(text: &mut String, bytes_per_second: Option<f64>, time_left_ms: Option<i64>) {
    if let Some(rate) = bytes_per_second {
        text.push_str(&format!(" · {}/s", format::bytes(rate as u64)));
    }
    if let Some(left) = time_left_ms {
        // Tenths of a second would flicker.
        text.push_str(&format!(
            " · {} left",
            format::duration((left.max(1000) + 999) / 1000 * 1000).replace(".0 s", " s")
        ));
    }
}

/// Failures by reason, each with a button that retries all of its files.
#[component]
fn Failures() -> impl IntoView {
    let uploader = Uploader::here();
    let is_open = Memo::new(move |_| matches!(uploader.phase.get(), Phase::Sending | Phase::Settled));
    move || {
        let groups = uploader.failures.get();
        (!groups.is_empty()).then(|| {
            let rows = groups.into_iter().map(|group| {
                let files = format::count(group.files as u64);
                let why = sentence(&group.failure.message);
                let like = StoredValue::new(group.failure);
                let retry = move |_| like.with_value(|like| uploader.retry_failed(Some(like)));
                view! {
                    <li class="failure">
                        <span class="failure-files">{format::counted(group.files as u64, "file")}</span>
                        <span class="message">{why}</span>
                        {move || {
                            is_open
                                .get()
                                .then(|| {
                                    view! {
                                        <button type="button" class="button button-small" on:click=retry>
                                            <Picture icon=Icon::Retry/>
                                            {format!("Retry {files}")}
                                        </button>
                                    }
                                })
                        }}
                    </li>
                }
            });
            view! {
                <section class="section" aria-labelledby="failures-title">
                    <h2 id="failures-title">"Failed uploads"</h2>
                    <ul class="failures">{rows.collect_view()}</ul>
                </section>
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left_is_told_in_whole_seconds() {
        let mut text = String::new();
        push_speed(&mut text, Some(5_000_000.0), Some(2_300));
        assert_eq!(text, " · 5.0 MB/s · 3 s left");
    }

    #[test]
    fn a_failure_is_said_and_left_to_the_person() {
        let totals = Totals { failed: 1, arrived: 2, ..Totals::default() };
        let text = headline(Phase::Settled, LinkState::Open, &totals, 0);
        assert!(text.starts_with("1 file failed, 2 files arrived. The sync is still open"));
    }

    #[test]
    fn unchanged_files_are_counted_apart_from_arrived_ones() {
        let done = |arrived, unchanged| {
            headline(Phase::Ended, LinkState::Open, &Totals { arrived, unchanged, ..Totals::default() }, 0)
        };
        assert!(done(1, 0).starts_with("Done: 1 file arrived, and"));
        assert!(done(0, 2).starts_with("Done: 2 files unchanged, and"));
        assert!(done(1, 1000).starts_with("Done: 1 file arrived, 1,000 unchanged, and"));
    }

    #[test]
    fn files_that_were_not_chosen_again_keep_the_sync_open_and_are_said() {
        let totals = Totals { arrived: 2, ..Totals::default() };
        let text = headline(Phase::Settled, LinkState::Open, &totals, 1);
        assert!(text.starts_with("2 files arrived. 1 more was selected before the reload"), "{text}");
    }
}
