//! Columns of a dataset as of its last sync, and its schema policy.

use crate::api::SetSchemaPolicy;
use crate::components::icon::{Icon, Picture};
use crate::format;
use crate::routes;
use crate::visible::visible;
use lakeshore::model::dataset::schema::{Column, SchemaPolicy};
use lakeshore::model::dataset::schema_policy::DatasetSchema;
use leptos::form::ActionForm;
use leptos::prelude::*;

/// Empty for a folder that is not a dataset, or without known columns.
#[component]
pub(in crate::pages) fn SchemaPanel(schema: DatasetSchema, may_write: bool) -> impl IntoView {
    let DatasetSchema { path, policy, schema, sync_id, num_differences } = schema;
    schema.zip(sync_id).map(|(schema, sync_id)| {
        let count = format::counted(schema.columns.len() as u64 + schema.num_omitted, "column");
        let omitted = (schema.num_omitted > 0)
            .then(|| view! { <li>{format!("{}, not recorded", format::and_more(schema.num_omitted))}</li> });
        let mark = (num_differences > 0).then(|| {
            view! {
                <p class="notice notice-held">
                    <Picture icon=Icon::Warning/>
                    <span>
                        {format!("{} of ", format::counted(num_differences, "file"))}
                        <a href=routes::sync(sync_id)>{format!("Sync {sync_id}")}</a>
                        {if num_differences == 1 { " does" } else { " do" }}
                        " not match the previous schema of the dataset."
                    </span>
                </p>
            }
        });
        let form = may_write.then(|| view! { <PolicyForm path=path.to_string() policy/> });
        view! {
            {mark}
            <details class="card dataset-schema">
                <summary>
                    {format!("{count}, {}. On schema mismatch: {}.", schema.format.words(), meaning(policy))}
                </summary>
                <p>"Schema from " <a href=routes::sync(sync_id)>{format!("Sync {sync_id}")}</a> "."</p>
                <ul class="column-list">
                    {schema
                        .columns
                        .into_iter()
                        .map(|Column { name, kind, .. }| {
                            view! {
                                <li>
                                    {visible(name)}
                                    " "
                                    <code class="quiet">{visible(kind)}</code>
                                </li>
                            }
                        })
                        .collect_view()}
                    {omitted}
                </ul>
                {form}
            </details>
        }
        .into_any()
    })
}

fn meaning(policy: SchemaPolicy) -> &'static str {
    match policy {
        SchemaPolicy::Ignore => "ignore",
        SchemaPolicy::Warn => "warn",
        SchemaPolicy::Hold => "warn, and hold full syncs",
    }
}

/// Plain form, which works without scripts.
#[component]
fn PolicyForm(path: String, policy: SchemaPolicy) -> impl IntoView {
    let set = ServerAction::<SetSchemaPolicy>::new();
    view! {
        <ActionForm action=set attr:class="start">
            <input type="hidden" name="path" value=path/>
            <label for="schema-policy">"On schema mismatch"</label>
            <select class="input policy" id="schema-policy" name="policy">
                {SchemaPolicy::ALL
                    .into_iter()
                    .map(|one| {
                        view! {
                            <option value=one.as_str() selected=one == policy>
                                {meaning(one)}
                            </option>
                        }
                    })
                    .collect_view()}
            </select>
            <button type="submit" class="button">
                "Save"
            </button>
            <span role="status">
                {move || match set.value().get() {
                    Some(Ok(())) => "Saved. Applies from the next file on.".to_owned(),
                    Some(Err(refused)) => refused.to_string(),
                    None => String::new(),
                }}
            </span>
        </ActionForm>
    }
    .into_any()
}
