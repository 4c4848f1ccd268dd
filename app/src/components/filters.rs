//! Filters of a list: a plain form that sets the page's address; with scripts, a selection applies at once.

use super::error_box::ErrorBox;
use super::page::Heading;
use crate::error::ApiError;
use crate::query::Filters;
use lakeshore::model::sync::status::{Status, SyncType};
use leptos::prelude::*;
use leptos_router::components::Form;

/// Filters that a list offers besides the text.
#[derive(Debug, Clone, Copy, Default)]
pub struct Offered {
    pub status: bool,
    pub sync_type: bool,
    pub sync_id: bool,
    pub path: bool,
}

#[component]
pub fn FilterBar(base: &'static str, filters: Filters, offered: Offered, text_label: &'static str) -> impl IntoView {
    let is_empty = filters.is_empty();
    let statuses = [Status::Syncing, Status::Finished, Status::Failed].map(|status| (status.as_str(), status.as_str()));
    let types = [SyncType::FullSync, SyncType::IncrementalSync].map(|kind| (kind.as_str(), super::status::short(kind)));
    view! {
        <search class="filters">
            <Form method="get" action=base>
                <Field name="q" label=text_label kind="search" value=filters.text.clone()/>
                {offered.path.then(|| view! { <Field name="path" label="Path" kind="text" value=filters.path.clone()/> })}
                {offered
                    .sync_id
                    .then(|| view! { <Field name="sync_id" label="Sync ID" kind="text" value=filters.sync_id.clone()/> })}
                {offered
                    .status
                    .then(|| {
                        let chosen = filters.status.map(Status::as_str);
                        view! { <Choice name="status" label="Status" all="Any status" choices=statuses.to_vec() chosen/> }
                    })}
                {offered
                    .sync_type
                    .then(|| {
                        let chosen = filters.sync_type.map(SyncType::as_str);
                        view! { <Choice name="type" label="Type" all="Any type" choices=types.to_vec() chosen/> }
                    })}
                <button type="submit" class="button">
                    "Filter"
                </button>
                {(!is_empty)
                    .then(|| {
                        view! {
                            <a class="button button-quiet" href=base>
                                "Clear"
                            </a>
                        }
                    })}
            </Form>
        </search>
    }
    .into_any()
}

/// Page of a list with a filter that cannot be read: the filters stay, with the reason.
pub fn mistyped(title: &'static str, bar: impl IntoView + 'static, error: ApiError) -> AnyView {
    view! {
        <Heading title/>
        {bar.into_any()}
        <ErrorBox error/>
    }
    .into_any()
}

/// A list, or why its filters cannot be read: [`mistyped`] shows that.
pub async fn list_of<P, T>(
    parameters: Result<P, ApiError>,
    list: impl AsyncFnOnce(P) -> Result<T, ApiError>,
) -> Result<Result<T, ApiError>, ApiError> {
    match parameters {
        Ok(parameters) => list(parameters).await.map(Ok),
        Err(refused) => Ok(Err(refused)),
    }
}

#[component]
pub fn Field(name: &'static str, label: &'static str, kind: &'static str, value: Option<String>) -> impl IntoView {
    let value = value.unwrap_or_default();
    view! {
        <input
            class=format!("input filter-{name}")
            type=kind
            name=name
            aria-label=label
            placeholder=label
            value=value.clone()
            prop:value=value
        />
    }
}

#[component]
pub fn Choice(
    name: &'static str,
    label: &'static str,
    all: &'static str,
    choices: Vec<(&'static str, &'static str)>,
    chosen: Option<&'static str>,
) -> impl IntoView {
    let apply = move |event: leptos::ev::Event| {
        if let Some(form) = event_target::<leptos::web_sys::HtmlSelectElement>(&event).form() {
            // The browser reports an invalid form itself.
            drop(form.request_submit());
        }
    };
    view! {
        <select class="input" name=name aria-label=label on:change=apply prop:value=chosen.unwrap_or_default()>
            <option value="">{all}</option>
            {choices
                .into_iter()
                .map(|(value, text)| {
                    view! {
                        <option value=value selected=chosen == Some(value)>
                            {text}
                        </option>
                    }
                })
                .collect_view()}
        </select>
    }
}
