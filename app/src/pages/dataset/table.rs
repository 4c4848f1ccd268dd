//! The table of a dataset on object storage: code to read it, how far it has come, and the files outside it.

use crate::components::table_lines::TableLines;
use crate::format;
use crate::visible::visible;
use lakeshore::model::table::{DatasetTable, FILES_OUTSIDE_SHOWN_MAX, FileOutsideTable};
use leptos::prelude::*;

#[component]
pub(in crate::pages) fn ReadTable(table: DatasetTable) -> impl IntoView {
    let DatasetTable { location, commit, versions_behind, manifest, problem, outside, .. } = table;
    let code =
        location.clone().filter(|_| commit.is_some()).map(|location| view! { <TableLines location commit=None/> });
    let behind = (versions_behind > 0).then(|| {
        let versions = format::counted(versions_behind, "version");
        view! { <p class="hint">{format!("The table is {versions} behind and will catch up automatically.")}</p> }
    });
    let problem = problem.map(|problem| {
        view! { <p class="hint" role="status">{format!("The table is not updated: {problem}")}</p> }
    });
    let of_manifest = manifest.zip(location).map(|(_, location)| {
        view! {
            <p class="quiet">
                "Manifests list its files. The newest: " <code>{format!("{location}/_versions/current.json")}</code>
            </p>
        }
    });
    view! {
        <section class="section" aria-labelledby="table-title">
            <h2 id="table-title">"Read from the bucket"</h2>
            {problem}
            {behind}
            {code}
            {of_manifest}
            {(!outside.is_empty()).then(|| view! { <Outside outside/> })}
        </section>
    }
    .into_any()
}

#[component]
fn Outside(outside: Vec<FileOutsideTable>) -> impl IntoView {
    let is_cut = outside.len() as u64 >= FILES_OUTSIDE_SHOWN_MAX;
    let files = outside.into_iter().map(|file| {
        let reasons = file.reasons.into_iter().map(|reason| reason.message).collect::<Vec<_>>().join("; ");
        view! {
            <li>
                <span class="path-main">{visible(file.path.to_string())}</span> ": " {visible(reasons)}
            </li>
        }
    });
    view! {
        <h3>"Files that are not in the table"</h3>
        <ul>{files.collect_view()}</ul>
        {is_cut.then(|| view! { <p class="quiet">{format!("Only the first {FILES_OUTSIDE_SHOWN_MAX} are shown.")}</p> })}
    }
    .into_any()
}
