//! The queue as the person sees it: how it stands as a whole, and each file.

use crate::browser::now_ms;
use crate::components::error_box::{MaybeError, sentence};
use crate::components::icon::{Icon, Picture};
use crate::components::live_rows::next_generation;
use crate::format;
use crate::uploader::queue::{Item, ItemId, State, Totals};
use crate::uploader::{LeftOut, Phase, Uploader};
use lakeshore::ErrorCode;
use leptos::prelude::*;

/// How the upload stands, once it has started, and what the person may do about it.
#[component]
pub fn Standing() -> impl IntoView {
    let uploader = Uploader::here();
    let phase = Memo::new(move |_| uploader.phase.get());
    let headline = move || uploader.totals.with(|totals| headline(phase.get(), totals));
    view! {
        <section class="section card standing" aria-label="Upload">
            <p class="standing-title" role="status">
                {headline}
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
                                <span class="path">{target.path.clone()}</span>
                                ", "
                                <a href=format!("/syncs/{}", target.sync_id)>{format!("sync {}", target.sync_id)}</a>
                            }
                        })
                }}
            </p>
            <MaybeError error=uploader.error/>
            <div class="standing-buttons">
                {move || view! { <PhaseButtons phase=phase.get()/> }}
            </div>
        </section>
    }
    .into_any()
}

/// The state of the whole, in a sentence that changes only when there is something to say.
fn headline(phase: Phase, totals: &Totals) -> String {
    let arrived = format::counted(totals.arrived as u64, "file");
    match phase {
        Phase::Preparing | Phase::Starting => "Starting…".to_owned(),
        Phase::Sending => format!("Sending {}…", format::counted(totals.files() as u64, "file")),
        Phase::Ending => "Ending the sync…".to_owned(),
        Phase::Ended => format!("Done: {arrived} arrived, and the sync has ended."),
        Phase::Aborted => "The sync was aborted.".to_owned(),
        Phase::Settled if totals.failed > 0 => format!(
            "{} failed, {arrived} arrived. The sync is still open: retry what failed, or decide how to end.",
            format::counted(totals.failed as u64, "file")
        ),
        Phase::Settled if totals.cancelled > 0 => {
            format!("Stopped: {arrived} arrived, {} cancelled. The sync is still open.", totals.cancelled)
        }
        Phase::Settled => format!("{arrived} arrived. The sync is still open."),
    }
}

#[component]
fn PhaseButtons(phase: Phase) -> impl IntoView {
    let uploader = Uploader::here();
    let has_failed = Memo::new(move |_| uploader.totals.with(|totals| totals.failed > 0));
    let retry = move || {
        has_failed.get().then(|| {
            view! {
                <button type="button" class="button button-primary" on:click=move |_| uploader.retry_failed()>
                    <Picture icon=Icon::Retry/>
                    "Retry failed"
                </button>
            }
        })
    };
    match phase {
        Phase::Sending => view! {
            {retry}
            <button type="button" class="button" on:click=move |_| uploader.cancel_all()>
                "Cancel all"
            </button>
        }
        .into_any(),
        Phase::Settled => view! {
            {retry}
            <Show when=move || uploader.error.with(|error| error.as_ref().is_some_and(|error| error.is(ErrorCode::Held)))>
                <a
                    class="button button-primary"
                    href=move || uploader.target.with(|target| target.as_ref().map(|target| format!("/syncs/{}", target.sync_id)))
                >
                    "See what it would change"
                </a>
            </Show>
            <button type="button" class="button" on:click=move |_| uploader.end()>
                {move || if has_failed.get() { "End anyway" } else { "End the sync" }}
            </button>
            <button type="button" class="button button-danger-quiet" on:click=move |_| uploader.abort()>
                "Abort the sync"
            </button>
            <button type="button" class="button button-quiet" on:click=move |_| uploader.reset()>
                "Leave it open"
            </button>
        }
        .into_any(),
        Phase::Ended | Phase::Aborted => view! {
            <a
                class="button button-primary"
                href=move || uploader.target.with(|target| target.as_ref().map(|target| format!("/syncs/{}", target.sync_id)))
            >
                "Show the sync"
            </a>
            <a class="button" href="/upload" on:click=move |_| uploader.reset()>
                "New upload"
            </a>
        }
        .into_any(),
        Phase::Preparing | Phase::Starting | Phase::Ending => ().into_any(),
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
                format::count(totals.arrived as u64),
                format::counted(totals.files() as u64, "file"),
                format::bytes(totals.bytes_sent),
                format::bytes(totals.bytes)
            );
            push_speed(&mut text, totals.bytes_per_second, totals.time_left_ms);
            text
        })
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
    }
}

fn push_speed(text: &mut String, bytes_per_second: Option<f64>, time_left_ms: Option<i64>) {
    if let Some(rate) = bytes_per_second {
        text.push_str(&format!(" · {}/s", format::bytes(rate as u64)));
    }
    if let Some(left) = time_left_ms {
        // Tenths of a second would only flicker.
        text.push_str(&format!(
            " · {} left",
            format::duration((left.max(1000) + 999) / 1000 * 1000).replace(".0 s", " s")
        ));
    }
}

/// Every file, or the first few hundred of them.
#[component]
pub fn QueueView(bytes_max: u64) -> impl IntoView {
    let uploader = Uploader::here();
    let generation = next_generation();
    let is_empty = Memo::new(move |_| uploader.shown.with(Vec::is_empty));
    let hidden_rows = Memo::new(move |_| {
        let all = uploader.totals.with(|totals| totals.files() + totals.cancelled);
        all.saturating_sub(uploader.shown.with(Vec::len))
    });
    view! {
        <LeftOutNotice bytes_max/>
        <Show when=move || !is_empty.get()>
            <section class="section" aria-labelledby="queue-title">
                <h2 id="queue-title">"Queue"</h2>
                <p class="quiet">
                    {move || {
                        uploader
                            .totals
                            .with(|totals| {
                                format!(
                                    "{}, {}",
                                    format::counted(totals.files() as u64, "file"),
                                    format::bytes(totals.bytes),
                                )
                            })
                    }}
                </p>
                <ul class="queue">
                    <For
                        each=move || uploader.shown.get()
                        key=move |id| (generation, *id)
                        children=move |id| uploader.row(id).map(|item| view! { <QueueRow id item/> })
                    />
                </ul>
                <Show when=move || { hidden_rows.get() > 0 }>
                    <p class="quiet">
                        {move || format!("and {} more", format::count(hidden_rows.get() as u64))}
                    </p>
                </Show>
            </section>
        </Show>
    }
    .into_any()
}

#[component]
fn LeftOutNotice(bytes_max: u64) -> impl IntoView {
    let uploader = Uploader::here();
    move || {
        let left_out = uploader.left_out.get();
        (left_out != LeftOut::default()).then(|| {
            view! {
                <div class="notice" role="status">
                    <Picture icon=Icon::Warning/>
                    <div>
                        {(left_out.hidden > 0)
                            .then(|| {
                                let files = format::counted(left_out.hidden as u64, "file");
                                view! {
                                    <p>
                                        {format!(
                                            "Left out {files} with names that begin with a dot: readers of the lake skip those.",
                                        )}
                                    </p>
                                }
                            })}
                        {(left_out.too_large_count > 0).then(|| view! { <p>{too_large(&left_out, bytes_max)}</p> })}
                    </div>
                </div>
            }
        })
    }
}

fn too_large(left_out: &LeftOut, bytes_max: u64) -> String {
    let files = format::counted(left_out.too_large_count as u64, "file");
    let names = left_out.too_large.join(", ");
    let more = if left_out.too_large_count > left_out.too_large.len() { ", …" } else { "" };
    format!(
        "Left out {files} larger than {}, which is the most that this server takes: {names}{more}. Split them, or raise --max-upload-size.",
        format::bytes(bytes_max)
    )
}

#[component]
fn QueueRow(id: ItemId, item: ArcRwSignal<Item>) -> impl IntoView {
    let uploader = Uploader::here();
    let item = RwSignal::from(item);
    let path = item.with_untracked(Item::relative_path);
    let size_bytes = item.with_untracked(|item| item.size_bytes);
    let progress_label = format!("Progress of {path}");
    let cancel_label = format!("Cancel {path}");
    let retry_label = format!("Retry {path}");
    let may_cancel = Memo::new(move |_| item.with(Item::may_cancel));
    let is_open = move || !matches!(uploader.phase.get(), Phase::Ending | Phase::Ended | Phase::Aborted);
    let may_retry = Memo::new(move |_| is_open() && item.with(Item::may_retry));
    let is_sending = Memo::new(move |_| item.with(|item| matches!(item.state, State::Sending { .. })));
    let message = Memo::new(move |_| {
        item.with(|item| match &item.state {
            State::Failed { message } => Some(sentence(message)),
            _ => None,
        })
    });
    view! {
        <li class="queue-row">
            <span class="queue-state">{move || item.with(|item| state_picture(&item.state))}</span>
            <span class="queue-name">{path}</span>
            <span class="queue-numbers numbers">{move || item.with(numbers)}</span>
            <span class="queue-buttons">
                <Show when=move || may_retry.get()>
                    <button
                        type="button"
                        class="button button-small"
                        aria-label=retry_label.clone()
                        on:click=move |_| uploader.retry(id)
                    >
                        "Retry"
                    </button>
                </Show>
                <Show when=move || may_cancel.get()>
                    <button
                        type="button"
                        class="button button-small button-quiet"
                        aria-label=cancel_label.clone()
                        on:click=move |_| uploader.cancel(id)
                    >
                        <Picture icon=Icon::Cross/>
                    </button>
                </Show>
            </span>
            <Show when=move || is_sending.get()>
                <progress
                    class="progress queue-progress"
                    aria-label=progress_label.clone()
                    max=size_bytes.max(1).to_string()
                    prop:value=move || item.with(|item| item.bytes_sent() as f64)
                ></progress>
            </Show>
            {move || message.get().map(|message| view! { <span class="queue-message message">{message}</span> })}
        </li>
    }
    .into_any()
}

fn state_picture(state: &State) -> impl IntoView + use<> {
    let (class, icon, word) = match state {
        State::Waiting => ("state", Icon::History, "Waiting"),
        State::Sending { .. } => ("state state-sending", Icon::Running, "Sending"),
        State::Arrived => ("state state-arrived", Icon::Check, "Arrived"),
        State::Failed { .. } => ("state state-failed", Icon::Warning, "Failed"),
        State::Cancelled => ("state", Icon::Cross, "Cancelled"),
    };
    view! {
        <span class=class>
            <Picture icon/>
            {word}
        </span>
    }
}

fn numbers(item: &Item) -> String {
    match &item.state {
        State::Sending { .. } => {
            let mut text = format!("{} of {}", format::bytes(item.bytes_sent()), format::bytes(item.size_bytes));
            let now = now_ms();
            push_speed(&mut text, item.bytes_per_second(now), item.time_left_ms(now));
            text
        }
        _ => format::bytes(item.size_bytes),
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
        let text = headline(Phase::Settled, &totals);
        assert!(text.starts_with("1 file failed, 2 files arrived. The sync is still open"));
    }
}
