//! Confirmation page of restoring a version: what comes back, what goes, and the check by the shrink guard.

use super::detail::use_version;
use super::summary::Origin;
use crate::api::versions::{VersionRestorePreview, preview_version_restore};
use crate::api::{AsOf, Session};
use crate::components::clock::Clock;
use crate::components::error_box::ErrorBox;
use crate::components::icon::{Icon, Picture};
use crate::components::page::{Heading, page};
use crate::components::restore_parts::{ComesAndGoes, GuardCheck};
use crate::components::sign_in_form::SignInHint;
use crate::components::time::RelativeTime;
use crate::error::ApiError;
use crate::format;
use crate::json;
use crate::query::use_query;
use crate::refusal;
use crate::routes;
use crate::visible::visible;
use lakeshore::model::access::role::Role;
use lakeshore::model::totals::Totals;
use lakeshore::model::version::Version;
use leptos::prelude::*;

#[component]
pub fn RestoreVersionPage() -> impl IntoView {
    refusal::provide();
    let query = use_query();
    let wanted = use_version();
    let fault = Memo::new(move |_| query.with(refusal::of_address));
    let has_moved = Memo::new(move |_| query.with(|query| query.get("moved")).is_some());
    let data = json::ask(move || wanted.get(), |(path, version)| preview_version_restore(path, version));
    let title = move || wanted.with(|(path, number)| format!("Restore version {number} of {path}?"));
    page(title, data, move |session, question| {
        view! { <Confirmation session question has_moved=has_moved.get() fault=fault.get()/> }
    })
}

fn totals(version: &Version) -> Totals {
    Totals { files: version.files, bytes: version.size_bytes }
}

#[component]
fn Confirmation(
    session: Session,
    question: AsOf<VersionRestorePreview>,
    has_moved: bool,
    fault: Option<ApiError>,
) -> impl IntoView {
    let AsOf { now: as_of, value: VersionRestorePreview { version, current, answer }, .. } = question;
    Clock::here().observe(as_of);
    let may_write = session.has_role(Role::Write);
    let is_signed_in = session.signed_in.is_some();
    let path = version.path.to_string();
    let (number, replaces) = (version.version, current.version);
    let back = routes::versions(&path);
    let (replaced, restored) = (totals(&current), totals(&version));
    let is_current = number == replaces;
    let gone = answer.num_gone;
    let can_restore = may_write && gone == 0 && !is_current;
    let form = can_restore.then(|| {
        let path = path.clone();
        let cancel = back.clone();
        view! {
            <form method="post" action="/fn/restore-version" class="section">
                <input type="hidden" name="path" value=path/>
                <input type="hidden" name="version" value=number.to_string()/>
                <input type="hidden" name="replaces" value=replaces.to_string()/>
                <GuardCheck holds=answer.is_shrinking replaced restored/>
                <p class="form-buttons">
                    <button type="submit" class="button button-primary">
                        <Picture icon=Icon::Restore/>
                        {format!("Restore version {number}")}
                    </button>
                    <a class="button" href=cancel>
                        "Cancel"
                    </a>
                </p>
                <p class="quiet">
                    "The current files move to the trash. The restore creates a new version and can be undone."
                </p>
            </form>
        }
    });
    view! {
        <nav class="crumbs" aria-label="Parents">
            <a href=routes::dataset(&path)>{visible(path.clone())}</a>
            <a href=back>"Versions"</a>
            <a href=routes::version(&path, number)>{format!("Version {number}")}</a>
        </nav>
        <Heading title=format!("Restore version {number} of {path}?")/>
        {fault.map(|error| view! { <ErrorBox error/> })}
        {has_moved
            .then(|| {
                view! {
                    <div class="notice notice-held" role="status">
                        <Picture icon=Icon::Warning/>
                        <p>"The dataset changed in the meantime, so nothing was restored. Check the updated figures."</p>
                    </div>
                }
            })}
        {(gone > 0)
            .then(|| {
                view! {
                    <div class="notice notice-error" role="alert">
                        <Picture icon=Icon::Warning/>
                        <p>
                            {format!(
                                "{} of this version {} permanently deleted, so it cannot be restored. Choose a newer version.",
                                format::counted(gone, "file"), if gone == 1 { "was" } else { "were" },
                            )}
                        </p>
                    </div>
                }
            })}
        {is_current.then(|| view! { <p class="hint">"This is the current version."</p> })}
        <dl class="facts">
            <div>
                <dt>{format!("Version {number}")}</dt>
                <dd>
                    <RelativeTime at=version.at as_of/>
                </dd>
            </div>
            <div class="fact-wide">
                <dt>"Created by"</dt>
                <dd>
                    <Origin version/>
                </dd>
            </div>
            <div>
                <dt>{format!("Replaces version {replaces}, created")}</dt>
                <dd>
                    <RelativeTime at=current.at as_of/>
                </dd>
            </div>
        </dl>
        <ComesAndGoes difference=answer.difference/>
        {form}
        {(!may_write).then(|| view! { <SignInHint is_signed_in purpose="to restore it"/> })}
    }
    .into_any()
}
