//! One of the facts of a page: what it is, and its value.

use leptos::prelude::*;

/// Within a list of facts (`dl`).
pub fn fact(name: &'static str, value: impl IntoView + 'static) -> impl IntoView {
    view! {
        <div>
            <dt>{name}</dt>
            <dd>{value}</dd>
        </div>
    }
}
