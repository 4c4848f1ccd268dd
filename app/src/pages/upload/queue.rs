//! Queue of an upload: skipped files, filters, and rows.

use crate::components::icon::{Icon, Picture};
use crate::format;
use crate::pages::upload::rows::Rows;
use crate::uploader::totals::Filter;
use crate::uploader::{LeftOut, Uploader, View};
use crate::visible::visible;
use leptos::prelude::*;

#[component]
pub fn QueueView(bytes_max: u64) -> impl IntoView {
    let uploader = Uploader::here();
    let is_empty = Memo::new(move |_| uploader.totals.with(|totals| totals.of(Filter::All) == 0));
    let has_rows = Memo::new(move |_| uploader.shown.with(|shown| shown.all > 0));
    let filter = Memo::new(move |_| uploader.view.with(|view| view.filter));
    view! {
        <LeftOutNotice bytes_max/>
        <Show when=move || !is_empty.get()>
            <section class="section" aria-labelledby="queue-title">
                <div class="queue-heading">
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
                    <Filters/>
                </div>
                <Show
                    when=move || has_rows.get()
                    fallback=move || view! { <p class="queue-none quiet">{none_of(filter.get())}</p> }
                >
                    <Rows/>
                </Show>
            </section>
        </Show>
    }
    .into_any()
}

#[component]
fn Filters() -> impl IntoView {
    let uploader = Uploader::here();
    let button = move |filter: Filter| {
        let files = Memo::new(move |_| uploader.totals.with(|totals| totals.of(filter)));
        let is_chosen = Memo::new(move |_| uploader.view.with(|view| view.filter == filter));
        view! {
            <button
                type="button"
                class="button button-small"
                class:button-chosen=move || is_chosen.get()
                aria-pressed=move || is_chosen.get().to_string()
                on:click=move |_| uploader.look_at(View { filter, first: 0, ..uploader.view.get_untracked() })
            >
                {name_of(filter)}
                " "
                <span class="numbers">{move || format::count(files.get() as u64)}</span>
            </button>
        }
    };
    view! {
        <div class="queue-filters" role="group" aria-label="Show">
            {Filter::EACH.map(button).collect_view()}
        </div>
    }
}

fn name_of(filter: Filter) -> &'static str {
    match filter {
        Filter::All => "All",
        Filter::Sending => "Sending",
        Filter::Failed => "Failed",
        Filter::Unchanged => "Unchanged",
    }
}

fn none_of(filter: Filter) -> &'static str {
    match filter {
        Filter::All => "The queue is empty.",
        Filter::Sending => "No files are being sent.",
        Filter::Failed => "No failed files.",
        Filter::Unchanged => "No unchanged files.",
    }
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
                                            "Skipped {files} with names that begin with a dot: lake readers ignore them.",
                                        )}
                                    </p>
                                }
                            })}
                        {(left_out.too_large_count > 0).then(|| view! { <p>{visible(too_large(&left_out, bytes_max))}</p> })}
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
        "Skipped {files} larger than the server's limit of {}: {names}{more}. Split them, or ask the operator to raise the limit.",
        format::bytes(bytes_max)
    )
}
