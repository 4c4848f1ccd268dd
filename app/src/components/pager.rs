//! Links to the previous and next page of a list, so that each page has its address.

use super::icon::{Icon, Picture};
use crate::query::{Filters, ROWS_PER_PAGE};
use leptos::prelude::*;

/// Labels for lists that are not in order of time.
pub const IN_ORDER: [&str; 2] = ["Previous", "Next"];

/// `rows` is the number of rows from the lake: one more than shown if another page exists.
#[component]
pub fn Pager(
    base: String,
    filters: Filters,
    rows: usize,
    /// For a list that is not in order of time: [`IN_ORDER`].
    #[prop(default = ["Newer", "Older"])]
    words: [&'static str; 2],
    /// Part of the page that the links lead to, such as `#files-title`.
    #[prop(default = "")]
    fragment: &'static str,
) -> impl IntoView {
    let page = filters.page;
    let has_next = rows as u64 > ROWS_PER_PAGE;
    let shown = (rows as u64).min(ROWS_PER_PAGE);
    let first = page.saturating_mul(ROWS_PER_PAGE);
    let address = |page| filters.address(&base, page) + fragment;
    let previous = (page > 0).then(|| address(page - 1));
    let next = has_next.then(|| address(page + 1));
    // A page without rows says so itself.
    let shows = if shown == 0 { String::new() } else { format!("{} to {}", first + 1, first + shown) };
    view! { <PageLinks previous next words shows/> }
}

/// Links to the previous and next page, with these labels, and between them the range that is shown. Empty for a single
/// page.
#[component]
pub fn PageLinks(
    previous: Option<String>,
    next: Option<String>,
    words: [&'static str; 2],
    #[prop(optional, into)] shows: Option<String>,
) -> impl IntoView {
    let [before, after] = words;
    (previous.is_some() || next.is_some()).then(|| {
        view! {
            <nav class="pager" aria-label="Pages">
                {previous
                    .map(|href| {
                        view! {
                            <a class="button button-small" href=href rel="prev">
                                <Picture icon=Icon::Left/>
                                {before}
                            </a>
                        }
                    })}
                {shows.map(|shows| view! { <span class="quiet">{shows}</span> })}
                {next
                    .map(|href| {
                        view! {
                            <a class="button button-small" href=href rel="next">
                                {after}
                                <Picture icon=Icon::Right/>
                            </a>
                        }
                    })}
            </nav>
        }
        .into_any()
    })
}
