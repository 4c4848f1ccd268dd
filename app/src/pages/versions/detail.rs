//! Page of one version of a dataset: facts, files, code to read it, pinning and restoring.

use super::summary::{Badges, Origin, before, rows};
use super::usage::Reading;
use crate::api::datasets::FILES_PER_PAGE;
use crate::api::versions::{VersionPage, get_version};
use crate::api::{AsOf, Session};
use crate::components::clock::Clock;
use crate::components::copy::Digest;
use crate::components::error_box::ErrorBox;
use crate::components::icon::{Icon, Picture};
use crate::components::page::{Heading, page};
use crate::components::pager::PageLinks;
use crate::components::sign_in_form::SignInHint;
use crate::components::table_head::{column, table_head};
use crate::components::time::RelativeTime;
use crate::error::ApiError;
use crate::format;
use crate::json;
use crate::query::{percent_encoded, use_query};
use crate::refusal;
use crate::routes;
use crate::visible::visible;
use lakeshore::model::access::role::Role;
use lakeshore::model::id::VersionNumber;
use lakeshore::model::path::LakePath;
use lakeshore::model::time::Timestamp;
use lakeshore::model::version::{Pin, Version};
use lakeshore::model::version_requests::ListedVersionFile;
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;

/// The dataset and the number that the address names.
pub(super) fn use_version() -> Memo<(String, VersionNumber)> {
    let (params, query) = (use_params_map(), use_query());
    Memo::new(move |_| {
        let path = params.with(|params| params.get("path")).unwrap_or_default();
        // No version has the number 0.
        let number = query.with(|query| query.get("version")).and_then(|number| number.parse().ok()).unwrap_or(0);
        (format!("/{}", path.trim_matches('/')), VersionNumber(number))
    })
}

#[component]
pub fn VersionDetailPage() -> impl IntoView {
    refusal::provide();
    let query = use_query();
    let wanted = use_version();
    let after = Memo::new(move |_| query.with(|query| query.get("after")).filter(|after| !after.is_empty()));
    let fault = Memo::new(move |_| query.with(refusal::of_address));
    let data = json::ask(
        move || (wanted.get(), after.get()),
        |((path, version), after)| async move {
            let is_first = after.is_none();
            Ok((is_first, get_version(path, version, after).await?))
        },
    );
    let title = move || wanted.with(|(path, number)| format!("Version {number} of {path}"));
    page(title, data, move |session, (is_first, found)| {
        view! { <Detail session found is_first fault=fault.get()/> }
    })
}

#[component]
fn Detail(session: Session, found: AsOf<VersionPage>, is_first: bool, fault: Option<ApiError>) -> impl IntoView {
    let AsOf { now: as_of, value: VersionPage { version, current, files, next, disk_path, table }, .. } = found;
    Clock::here().observe(as_of);
    let may_write = session.has_role(Role::Write);
    let is_signed_in = session.signed_in.is_some();
    let (path, number) = (version.path.clone(), version.version);
    let dataset = path.to_string();
    let pin = version.pin.clone();
    let compare = (!version.is_current).then(|| routes::compare(&dataset, number, current));
    let changes = before(number).map(|before| routes::compare(&dataset, before, number));
    let restore = (may_write && !version.is_current).then(|| routes::confirm_restore(&dataset, number, false));
    let page_of = routes::version(&dataset, number);
    let next = next.map(|after| format!("{page_of}&after={}#files-title", percent_encoded(after.as_str())));
    let start = (!is_first).then(|| format!("{page_of}#files-title"));
    let is_incomplete = !version.is_complete;
    let reading = {
        let (path, is_current) = (path.clone(), version.is_current);
        view! { <Reading path number is_current site=session.site disk_path table=table.map(|table| *table)/> }
    };
    view! {
        <nav class="crumbs" aria-label="Parents">
            <a href=routes::dataset(&dataset)>{visible(dataset.clone())}</a>
            <a href=routes::versions(&dataset)>"Versions"</a>
        </nav>
        <Heading title=format!("Version {number}")>
            {changes.map(|href| view! { <a class="button" href=href>"Changes"</a> })}
            {compare.map(|href| view! { <a class="button" href=href>"Compare with current"</a> })}
            {restore
                .map(|href| {
                    view! {
                        <a class="button button-primary" href=href>
                            <Picture icon=Icon::Restore/>
                            "Restore…"
                        </a>
                    }
                })}
        </Heading>
        {fault.map(|error| view! { <ErrorBox error/> })}
        {is_incomplete
            .then(|| {
                view! {
                    <p class="hint">
                        "This version also had files that were added by hand. They are not tracked, and not listed here."
                    </p>
                }
            })}
        <Facts version as_of/>
        <PinForm path=dataset number pin may_write as_of/>
        {(!may_write).then(|| view! { <SignInHint is_signed_in purpose="to restore or pin this version"/> })}
        <section class="section" aria-labelledby="files-title">
            <h2 id="files-title">"Files"</h2>
            <Files dataset=path number files/>
            <PageLinks previous=start next words=["First", "Next"]/>
        </section>
        {reading}
    }
    .into_any()
}

#[component]
fn Facts(version: Version, as_of: Timestamp) -> impl IntoView {
    let pin = version.pin.as_ref().map(|pin| pin.note.clone());
    let (digest, known_rows) = (version.list_digest.clone(), rows(&version));
    let is_marked = version.is_current || pin.is_some();
    view! {
        <dl class="facts">
            {is_marked
                .then(|| {
                    view! {
                        <div>
                            <dt>"Status"</dt>
                            <dd>
                                <Badges is_current=version.is_current pin/>
                            </dd>
                        </div>
                    }
                })}
            <div>
                <dt>"Created"</dt>
                <dd>
                    <RelativeTime at=version.at as_of/>
                </dd>
            </div>
            <div class="fact-wide">
                <dt>"Created by"</dt>
                <dd>
                    <Origin version=version.clone()/>
                </dd>
            </div>
            <div>
                <dt>"Files"</dt>
                <dd>{format::count(version.files)}</dd>
            </div>
            <div>
                <dt>"Rows"</dt>
                <dd>{known_rows}</dd>
            </div>
            <div>
                <dt>"Size"</dt>
                <dd>{format::bytes(version.size_bytes)}</dd>
            </div>
            <div>
                <dt title="Equal for versions with the same paths, sizes and SHA-256 digests">"List digest"</dt>
                <dd>
                    <Digest sha256=digest/>
                </dd>
            </div>
        </dl>
    }
    .into_any()
}

#[component]
fn PinForm(path: String, number: VersionNumber, pin: Option<Pin>, may_write: bool, as_of: Timestamp) -> impl IntoView {
    let pinned = pin.as_ref().map(|pin| {
        let by = if pin.pinned_by.is_empty() { String::new() } else { format!(" by {}", pin.pinned_by) };
        let note = if pin.note.is_empty() { String::new() } else { format!(": {}", pin.note) };
        view! {
            <p class="with-icon">
                <Picture icon=Icon::Pin/>
                <span>
                    {visible(format!("Pinned{by}, "))} <RelativeTime at=pin.pinned_at as_of/> {visible(note)}
                    ". Retention and the size limit of the trash do not apply to it."
                </span>
            </p>
        }
    });
    let is_pinned = pin.is_some();
    let form = may_write.then(|| {
        let hidden = view! {
            <input type="hidden" name="path" value=path/>
            <input type="hidden" name="version" value=number.to_string()/>
        };
        if is_pinned {
            return view! {
                <form method="post" action="/fn/pin-version">
                    {hidden} <button type="submit" class="button">
                        "Unpin"
                    </button>
                </form>
            }
            .into_any();
        }
        view! {
            <details class="section">
                <summary>"Pin this version…"</summary>
                <form method="post" action="/fn/pin-version" class="card">
                    {hidden} <input type="hidden" name="keep" value="true"/>
                    <p class="quiet">
                        "Retention and the size limit of the trash do not apply to a pinned version until it is unpinned. Its files still count toward the size of the trash."
                    </p>
                    <div class="form-row">
                        <label class="field">
                            <span>"Note"</span>
                            <input class="input" name="note" maxlength="250" autocomplete="off" placeholder="Quarterly report 2026 Q3"/>
                        </label>
                        <button type="submit" class="button button-primary">
                            "Pin"
                        </button>
                    </div>
                </form>
            </details>
        }
        .into_any()
    });
    view! {
        {pinned}
        {form}
    }
    .into_any()
}

#[component]
fn Files(dataset: LakePath, number: VersionNumber, files: Vec<ListedVersionFile>) -> impl IntoView {
    if files.is_empty() {
        return view! { <p class="quiet">"This version has no files."</p> }.into_any();
    }
    let rows = files
        .into_iter()
        .take(FILES_PER_PAGE as usize)
        .map(|file| {
            let name = visible(dataset.relative(&file.path).unwrap_or(file.path.as_str()).to_owned());
            let linked = if file.is_gone {
                view! {
                    <span class="path-main path">{name}</span>
                    <span class="message">"Permanently deleted from the trash"</span>
                }
                .into_any()
            } else {
                let href = routes::download_of_version(&dataset, number, &file.path);
                // A file is not a page: the browser asks for it itself.
                view! {
                    <a class="path-main path" href=href rel="external">
                        {name}
                    </a>
                }
                .into_any()
            };
            view! {
                <tr>
                    <td class="cell-main">{linked}</td>
                    <td data-label="Size" class="number">
                        {format::bytes(file.size_bytes)}
                    </td>
                    <td data-label="Rows" class="number secondary">
                        {file.rows.map_or_else(|| "—".to_owned(), format::count)}
                    </td>
                    <td data-label="Sync">
                        <a href=routes::sync(file.sync_id)>{format!("Sync {}", file.sync_id)}</a>
                    </td>
                    <td data-label="SHA-256" class="secondary">
                        <Digest sha256=file.sha256/>
                    </td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <table class="table table-files">
            {table_head([
                column("File"), column("Size").number(), column("Rows").class("number secondary"), column("Sync"),
                column("SHA-256").secondary(),
            ])}
            <tbody>{rows}</tbody>
        </table>
    }
    .into_any()
}
