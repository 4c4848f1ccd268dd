//! Rows of the queue. The document has only the visible rows and a few beside them; the rest is empty height, so that
//! the scroll bar is right.

use crate::browser::now_ms;
use crate::components::error_box::sentence;
use crate::components::icon::{Icon, Picture};
use crate::components::live_rows::next_generation;
use crate::format;
use crate::pages::upload::upload_status::push_speed;
use crate::uploader::item::{Item, ItemId, State};
use crate::uploader::{Phase, Uploader, View};
use crate::visible::visible;
use leptos::ev;
use leptos::html::Div;
use leptos::prelude::*;

/// Rows beyond the visible ones at each end, for quick scrolling.
const ROWS_BESIDE: usize = 8;
/// Row height in pixels until one can be measured, as in the style sheet.
const ROW_PIXELS: u32 = 56;

#[component]
pub fn Rows() -> impl IntoView {
    let uploader = Uploader::here();
    let generation = next_generation();
    let scroller = NodeRef::<Div>::new();
    let row_pixels = RwSignal::new(ROW_PIXELS);
    let look = move || {
        let Some(scroller) = scroller.get_untracked() else { return };
        let measured = scroller.query_selector(".queue-row").ok().flatten().map(|row| row.client_height() + 1);
        let pixels = measured.and_then(|pixels| u32::try_from(pixels).ok()).filter(|pixels| *pixels > 1);
        let pixels = pixels.unwrap_or(ROW_PIXELS);
        if row_pixels.get_untracked() != pixels {
            row_pixels.set(pixels);
        }
        let of_rows = |length: i32| usize::try_from(length).unwrap_or(0) / pixels as usize;
        let first = of_rows(scroller.scroll_top()).saturating_sub(ROWS_BESIDE);
        let rows = of_rows(scroller.client_height()) + 2 * ROWS_BESIDE + 1;
        uploader.look_at(View { first, rows, ..uploader.view.get_untracked() });
    };
    let filter = Memo::new(move |_| uploader.view.with(|view| view.filter));
    Effect::new(move |_| {
        filter.track();
        if let Some(scroller) = scroller.get() {
            scroller.set_scroll_top(0);
        }
    });
    // Also when the first rows appear, which set the height.
    let all = Memo::new(move |_| uploader.shown.with(|shown| shown.all));
    Effect::new(move |_| {
        all.track();
        // Cancelled with the rows, because the frame may come after their signals are gone.
        if let Ok(frame) = request_animation_frame_with_handle(look) {
            on_cleanup(move || frame.cancel());
        }
    });
    Effect::new(move |_| {
        let resized = window_event_listener(ev::resize, move |_| look());
        on_cleanup(move || resized.remove());
    });
    let pixels = move |rows: usize| format!("{}px", rows as u64 * u64::from(row_pixels.get()));
    view! {
        // The head of the table is the first row.
        <div class="queue" role="table" aria-label="Files" aria-rowcount=move || (all.get() + 1).to_string()>
            <div class="visually-hidden" role="rowgroup">
                <div role="row" aria-rowindex="1">
                    <span role="columnheader">"Status"</span>
                    <span role="columnheader">"File"</span>
                    <span role="columnheader">"Size"</span>
                    <span role="columnheader">"Actions"</span>
                </div>
            </div>
            <div class="queue-scroll" role="rowgroup" tabindex="0" aria-label="Rows" node_ref=scroller on:scroll=move |_| look()>
                <div class="queue-all" role="presentation" style:height=move || pixels(all.get())>
                    <div
                        class="queue-window"
                        role="presentation"
                        style:top=move || pixels(uploader.shown.with(|shown| shown.first))
                    >
                        <For
                            each=move || uploader.shown.with(|shown| shown.ids.clone())
                            key=move |id| (generation, *id)
                            children=move |id| uploader.row(id).map(|item| view! { <QueueRow id item/> })
                        />
                    </div>
                </div>
            </div>
        </div>
    }
    .into_any()
}

#[component]
fn QueueRow(id: ItemId, item: ArcRwSignal<Item>) -> impl IntoView {
    let uploader = Uploader::here();
    let item = RwSignal::from(item);
    let path = item.with_untracked(Item::relative_path);
    let size_bytes = item.with_untracked(|item| item.size_bytes);
    let index = Memo::new(move |_| {
        let place =
            uploader.shown.with(|shown| shown.ids.iter().position(|shown| *shown == id).map(|at| shown.first + at));
        // Counted from 1, with the head as a row.
        place.map(|place| (place + 2).to_string())
    });
    let progress_label = visible(format!("Progress of {path}"));
    let is_moving = Memo::new(move |_| {
        item.with(|item| match item.state {
            State::Sending { .. } => true,
            State::Ready { bytes_sent } | State::Paused { bytes_sent } => bytes_sent > 0,
            State::Hashing { bytes_read } => bytes_read > 0,
            _ => false,
        })
    });
    let message = Memo::new(move |_| {
        item.with(|item| match &item.state {
            State::Failed(failure) => Some(sentence(&failure.message)),
            _ => None,
        })
    });
    let state = Memo::new(move |_| item.with(|item| state_of(&item.state)));
    view! {
        <div class="queue-row" role="row" aria-rowindex=move || index.get()>
            <span class="queue-state" role="cell">
                {move || {
                    let (class, icon, word) = state.get();
                    view! {
                        <span class=class>
                            <Picture icon/>
                            {word}
                        </span>
                    }
                }}
            </span>
            <span class="queue-file" role="cell">
                <span class="queue-name" title=visible(path.clone())>
                    {visible(path.clone())}
                </span>
                <Show when=move || is_moving.get()>
                    <progress
                        class="progress queue-progress"
                        aria-label=progress_label.clone()
                        max=size_bytes.max(1).to_string()
                        prop:value=move || item.with(bytes_moved)
                    ></progress>
                </Show>
                {move || {
                    message.get().map(|message| view! { <span class="queue-message message" title=visible(message.clone())>{visible(message.clone())}</span> })
                }}
            </span>
            <span class="queue-numbers numbers" role="cell">
                {move || item.with(numbers)}
            </span>
            <span class="queue-buttons" role="cell">
                <RowButtons id item path/>
            </span>
        </div>
    }
    .into_any()
}

#[component]
fn RowButtons(id: ItemId, item: RwSignal<Item>, path: String) -> impl IntoView {
    let uploader = Uploader::here();
    let is_open = move || !matches!(uploader.phase.get(), Phase::Ending | Phase::Ended | Phase::Aborted);
    let is_running = move || uploader.phase.get() == Phase::Sending && !uploader.is_paused.get();
    let may_retry = Memo::new(move |_| is_open() && item.with(Item::may_retry));
    let may_pause = Memo::new(move |_| is_running() && item.with(|item| item.is_sending()));
    let may_resume = Memo::new(move |_| is_running() && item.with(Item::is_paused));
    let may_cancel = Memo::new(move |_| item.with(Item::may_cancel));
    let path = StoredValue::new(path);
    let label = move |verb: &str| path.with_value(|path| visible(format!("{verb} {path}")));
    view! {
        <Show when=move || may_retry.get()>
            <button type="button" class="button button-small" aria-label=label("Retry") on:click=move |_| uploader.retry(id)>
                "Retry"
            </button>
        </Show>
        <Show when=move || may_pause.get()>
            <button type="button" class="button button-small button-quiet" aria-label=label("Pause") title="Pause" on:click=move |_| uploader.pause(id)>
                <Picture icon=Icon::Pause/>
            </button>
        </Show>
        <Show when=move || may_resume.get()>
            <button type="button" class="button button-small button-quiet" aria-label=label("Resume") title="Resume" on:click=move |_| uploader.go_on(id)>
                <Picture icon=Icon::Play/>
            </button>
        </Show>
        <Show when=move || may_cancel.get()>
            <button type="button" class="button button-small button-quiet" aria-label=label("Cancel") title="Cancel" on:click=move |_| uploader.cancel(id)>
                <Picture icon=Icon::Cross/>
            </button>
        </Show>
    }
    .into_any()
}

fn state_of(state: &State) -> (&'static str, Icon, &'static str) {
    match state {
        State::Waiting | State::Ready { .. } => ("state", Icon::History, "Waiting"),
        State::Hashing { .. } | State::Asking => ("state", Icon::Search, "Checking"),
        State::Sending { .. } => ("state state-sending", Icon::Running, "Sending"),
        State::Paused { .. } => ("state", Icon::Pause, "Paused"),
        State::Arrived => ("state state-arrived", Icon::Check, "Arrived"),
        State::Unchanged => ("state state-unchanged", Icon::Check, "Unchanged"),
        State::Failed(_) => ("state state-failed", Icon::Warning, "Failed"),
        State::Cancelled => ("state", Icon::Cross, "Cancelled"),
    }
}

/// Bytes sent or read, for the progress bar.
fn bytes_moved(item: &Item) -> f64 {
    match item.state {
        State::Hashing { bytes_read } => bytes_read as f64,
        _ => item.bytes_done() as f64,
    }
}

fn numbers(item: &Item) -> String {
    let of_all = |bytes: u64| format!("{} of {}", format::bytes(bytes), format::bytes(item.size_bytes));
    match &item.state {
        State::Sending { .. } => {
            let mut text = of_all(item.bytes_done());
            let now = now_ms();
            push_speed(&mut text, item.bytes_per_second(now), item.time_left_ms(now));
            text
        }
        State::Ready { bytes_sent } | State::Paused { bytes_sent } if *bytes_sent > 0 => of_all(*bytes_sent),
        _ => format::bytes(item.size_bytes),
    }
}
