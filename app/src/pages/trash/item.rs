//! Item of the trash, browsed before it is restored: folders, files, and previews.

use crate::api::trash::look_into_trash;
use crate::api::{AsOf, Session};
use crate::components::clock::Clock;
use crate::components::copy::CopyButton;
use crate::components::fact::fact;
use crate::components::icon::{Icon, Picture};
use crate::components::page::{Heading, page};
use crate::components::pager::PageLinks;
use crate::components::table_head::{column, table_head};
use crate::components::time::RelativeTime;
use crate::format;
use crate::json;
use crate::pages::lake::file::content;
use crate::pages::trash::page::Told;
use crate::pages::trash::parts::{EmptyForm, ExpiryCell, PurgeScope, item_label, reason};
use crate::query::{percent_encoded, use_query};
use crate::refusal;
use crate::routes;
use crate::visible::visible;
use lakeshore::model::access::role::Role;
use lakeshore::model::id::TrashId;
use lakeshore::model::time::Timestamp;
use lakeshore::model::trash::{InTrash, LookIntoTrash, TrashContent};
use lakeshore::model::trash::{TrashEntry, TrashedFile};
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;

/// Rows on a page of a folder.
const FILES_PER_PAGE: u64 = 100;

#[component]
pub fn TrashItem() -> impl IntoView {
    refusal::provide();
    let params = use_params_map();
    let map = use_query();
    let id = Memo::new(move |_| params.with(|params| params.get("id")).and_then(|id| id.parse().ok()).unwrap_or(0));
    let at = Memo::new(move |_| {
        map.with(|map| {
            let page = map.get("page").and_then(|page| page.parse::<u64>().ok()).unwrap_or(0);
            (map.get("at").filter(|at| !at.is_empty()), page)
        })
    });
    let data = json::ask(
        move || (TrashId(id.get()), at.get()),
        |(trash_id, (relative, page))| async move {
            let (from, size) = (Some(page.saturating_mul(FILES_PER_PAGE)), Some(FILES_PER_PAGE + 1));
            Ok((page, look_into_trash(LookIntoTrash { trash_id, relative, from, size }).await?))
        },
    );
    page(move || format!("Trash {}", id.get()), data, |session, (page, found)| view! { <Item session page found/> })
}

/// Address of a path within an item.
fn address(id: TrashId, relative: &str, page: u64) -> String {
    let mut pairs = Vec::new();
    if !relative.is_empty() {
        pairs.push(format!("at={}", percent_encoded(relative)));
    }
    if page > 0 {
        pairs.push(format!("page={page}"));
    }
    let query = if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) };
    routes::trash_item(id) + &query
}

#[component]
fn Item(session: Session, page: u64, found: AsOf<InTrash>) -> impl IntoView {
    let AsOf { now: as_of, value: InTrash { entry, relative, content: inside }, .. } = found;
    Clock::here().observe(as_of);
    let id = entry.trash_id;
    let may_restore = session.has_role(Role::Write);
    let may_empty = session.has_role(Role::Admin);
    let heading = relative.rsplit('/').next().filter(|leaf| !leaf.is_empty()).unwrap_or(entry.origin.leaf()).to_owned();
    let what = format!("Deletes all of this item, from {}.", entry.origin);
    let question =
        routes::confirm_trash_restore("trash_id", id.0, &routes::trash_of_sync(entry.sync_id.map_or(0, |id| id.0)));
    view! {
        <Crumbs entry=entry.clone() relative=relative.clone()/>
        <Heading title=heading>
            {may_restore
                .then(|| {
                    view! {
                        <a class="button button-primary" href=question>
                            <Picture icon=Icon::Restore/>
                            "Restore item…"
                        </a>
                    }
                })}
        </Heading>
        <Told may_restore/>
        <Facts entry as_of/>
        {match inside {
            TrashContent::Files(files) => view! { <Files id relative files page/> }.into_any(),
            // Files in the trash have no download, so images are not shown.
            TrashContent::Preview(preview) => content(*preview, None),
        }}
        {may_empty.then(|| view! { <EmptyForm selector=PurgeScope::Item(id) what/> })}
    }
    .into_any()
}

#[component]
fn Crumbs(entry: TrashEntry, relative: String) -> impl IntoView {
    let sync = entry.sync_id.map_or(0, |id| id.0);
    let group = if sync == 0 { "Replaced by restores".to_owned() } else { format!("Sync {sync}") };
    let mut at = String::new();
    let above: Vec<_> = relative
        .split('/')
        .filter(|name| !name.is_empty())
        .map(|name| {
            at = if at.is_empty() { name.to_owned() } else { format!("{at}/{name}") };
            (name.to_owned(), address(entry.trash_id, &at, 0))
        })
        .collect();
    let is_top = above.is_empty();
    let shown = above.len().saturating_sub(1);
    let top = entry.origin.leaf().to_owned();
    view! {
        <nav class="crumbs" aria-label="Parents">
            <a href=routes::TRASH>"Trash"</a>
            <a href=routes::trash_of_sync(sync)>{group}</a>
            {(!is_top).then(|| view! { <a href=address(entry.trash_id, "", 0)>{top}</a> })}
            {above
                .into_iter()
                .take(shown)
                .map(|(name, href)| view! { <a href=href>{visible(name)}</a> })
                .collect_view()}
        </nav>
    }
}

#[component]
fn Facts(entry: TrashEntry, as_of: Timestamp) -> impl IntoView {
    let (origin, kind) = (entry.origin.to_string(), item_label(&entry));
    let by = if entry.trashed_by.is_empty() { "—".to_owned() } else { entry.trashed_by };
    view! {
        <dl class="facts">
            <div>
                <dt>"Original path"</dt>
                <dd class="copied">
                    <span class="path">{visible(origin.clone())}</span>
                    <CopyButton text=origin label="Copy lake path"/>
                </dd>
            </div>
            {fact("Item", kind)} {fact("Reason", reason(entry.reason).to_owned())} {fact("Removed by", by)}
            {entry.totals.map(|totals| fact("Contents", format::totals(totals)))} <div>
                <dt>"In trash since"</dt>
                <dd>
                    <RelativeTime at=entry.trashed_at as_of/>
                </dd>
            </div> <div>
                <dt>"Expires"</dt>
                <dd>
                    <ExpiryCell at=entry.expires_at as_of/>
                </dd>
            </div>
        </dl>
    }
    .into_any()
}

#[component]
fn Files(id: TrashId, relative: String, files: Vec<TrashedFile>, page: u64) -> impl IntoView {
    let shown = usize::try_from(FILES_PER_PAGE).unwrap_or(usize::MAX);
    let next = (files.len() > shown).then(|| address(id, &relative, page + 1));
    let previous = page.checked_sub(1).map(|page| address(id, &relative, page));
    let is_empty = files.is_empty();
    let rows = files.into_iter().take(shown).map(|file| {
        let icon = if file.is_folder { Icon::Folder } else { Icon::File };
        let size = if file.is_folder { String::new() } else { format::bytes(file.size_bytes) };
        view! {
            <tr>
                <td class="cell-main">
                    <span class="with-icon">
                        <Picture icon/>
                        <a class="row-name" href=address(id, &file.relative, 0)>
                            {visible(file.name)}
                        </a>
                    </span>
                </td>
                <td data-label="Size" class="number">
                    {size}
                </td>
            </tr>
        }
    });
    view! {
        <table class="table table-lake" hidden=is_empty>
            {table_head([column("Name"), column("Size").number()])}
            <tbody>{rows.collect_view()}</tbody>
        </table>
        {is_empty.then(|| view! { <p class="quiet">"This folder is empty."</p> })}
        <PageLinks previous next words=["Previous", "Next"]/>
    }
    .into_any()
}
