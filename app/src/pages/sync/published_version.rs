//! Changes by a finished full sync: the version that it created, compared with the version before.

use crate::api::versions::MadeVersion;
use crate::components::row_changes::{RowChanges, columns_of};
use crate::format;
use crate::routes;
use lakeshore::model::id::VersionNumber;
use lakeshore::model::sync::difference::{ChangeKind, Difference};
use lakeshore::model::version::Version;
use leptos::prelude::*;

#[component]
pub(super) fn PublishedVersion(made: RwSignal<Option<MadeVersion>>) -> impl IntoView {
    move || {
        made.get().map(|MadeVersion { version, difference }| {
            let (path, number) = (version.path.to_string(), version.version);
            view! {
                <section class="section" aria-labelledby="made-title">
                    <h2 id="made-title">"Changes"</h2>
                    <p>
                        "Created " <a href=routes::version(&path, number)>{format!("version {number}")}</a> "."
                    </p>
                    {match difference {
                        Some(difference) => view! { <Counts version difference/> }.into_any(),
                        None => view! { <p class="quiet">"This is the first version of the dataset."</p> }.into_any(),
                    }}
                </section>
            }
            .into_any()
        })
    }
}

#[component]
fn Counts(version: Version, difference: Difference) -> impl IntoView {
    let old = VersionNumber(version.version.0.saturating_sub(1));
    let of = routes::compare(version.path.as_str(), old, version.version);
    let counts = ChangeKind::ALL.map(|kind| {
        let totals = difference.totals(kind);
        let is_lost = kind == ChangeKind::Removed && totals.files > 0;
        view! {
            <a class="figure figure-link" href=format!("{of}&kind={}", kind.as_str())>
                <span class="change-kind">{kind.as_str()}</span>
                <data class="figure-number" class:bad=is_lost value=totals.files.to_string()>
                    {format::count(totals.files)}
                </data>
                <span class="figure-usual">{format::bytes(totals.bytes)}</span>
            </a>
        }
    });
    view! {
        <div class="figures">{counts.into_iter().collect_view()}</div>
        <RowChanges rows=difference.rows columns=columns_of(&difference)/>
        <p>
            <a href=of.clone()>"View files"</a>
        </p>
    }
    .into_any()
}
