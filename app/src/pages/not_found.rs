//! An address that leads nowhere.

use crate::components::page::Heading;
use leptos::prelude::*;
use leptos_meta::Title;

#[component]
pub fn NotFound() -> impl IntoView {
    #[cfg(feature = "ssr")]
    if let Some(response) = use_context::<leptos_axum::ResponseOptions>() {
        response.set_status(http::StatusCode::NOT_FOUND);
    }
    view! {
        <Title text="Not found"/>
        <Heading title="There is nothing at this address"/>
        <p>"It may have been mistyped, or come from an older version of Lakeshore."</p>
        <p>
            <a class="button" href="/">
                "To the overview"
            </a>
        </p>
    }
}
