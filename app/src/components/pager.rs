//! From one page of a list to the next: plain links, so that each page has its address.

use super::icon::{Icon, Picture};
use crate::query::{Filters, ROWS_PER_PAGE};
use leptos::prelude::*;

/// `rows`: how many the lake gave, one more than are shown where there is a next page.
#[component]
pub fn Pager(base: String, filters: Filters, rows: usize) -> impl IntoView {
    let page = filters.page;
    let has_next = rows as u64 > ROWS_PER_PAGE;
    let shown = (rows as u64).min(ROWS_PER_PAGE);
    let first = page.saturating_mul(ROWS_PER_PAGE);
    let previous = (page > 0).then(|| filters.address(&base, page - 1));
    let next = has_next.then(|| filters.address(&base, page + 1));
    let shows =
        if shown == 0 { "No rows on this page".to_owned() } else { format!("{} to {}", first + 1, first + shown) };
    view! { <PageLinks previous next words=["Newer", "Older"] shows/> }
}

/// The links to the page before and to the one after, by these words, and between them what this one shows. Nothing where
/// there is no other page.
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
