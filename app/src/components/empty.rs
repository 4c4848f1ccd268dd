//! Empty states of lists.

use leptos::prelude::*;

#[component]
pub fn Empty(title: &'static str, children: Children) -> impl IntoView {
    view! {
        <section class="empty">
            <h2>{title}</h2>
            {children()}
        </section>
    }
}

/// Shown if no row passes the filters.
#[component]
pub fn NothingFound(base: &'static str) -> impl IntoView {
    view! {
        <section class="empty">
            <h2>"No results match these filters"</h2>
            <p>
                <a class="button" href=base>
                    "Clear filters"
                </a>
            </p>
        </section>
    }
}

/// Shown on a page behind the last row. `first` is the address of the first page.
#[component]
pub fn NoRows(first: String) -> impl IntoView {
    view! {
        <section class="empty">
            <h2>"No rows on this page"</h2>
            <p>
                <a class="button" href=first>
                    "First page"
                </a>
            </p>
        </section>
    }
}
