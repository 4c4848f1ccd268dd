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
