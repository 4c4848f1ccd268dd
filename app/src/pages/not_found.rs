//! Page for an unknown address.

use crate::components::page::Heading;
use crate::routes;
use leptos::prelude::*;
use leptos_meta::Title;

#[component]
pub fn NotFound() -> impl IntoView {
    #[cfg(feature = "ssr")]
    if let Some(response) = use_context::<leptos_axum::ResponseOptions>() {
        response.set_status(http::StatusCode::NOT_FOUND);
    }
    view! {
        <Title text="Page not found"/>
        <Heading title="Page not found"/>
        <p>"The address may be mistyped, or belong to an older version of Lakeshore."</p>
        <p>
            <a class="button" href=routes::OVERVIEW>
                "Go to overview"
            </a>
        </p>
    }
}
