//! Name and value of a fact.

use leptos::prelude::*;

/// Item of a list of facts (`dl`).
pub fn fact(name: &'static str, value: impl IntoView + 'static) -> impl IntoView {
    view! {
        <div>
            <dt>{name}</dt>
            <dd>{value}</dd>
        </div>
    }
}
