//! Items that one sync put into the trash, to restore all or some of them.

use crate::api::trash::{TrashOfSync, get_trash_of_sync};
use crate::api::{AsOf, Session};
use crate::components::clock::Clock;
use crate::components::empty::{Empty, NoRows};
use crate::components::icon::{Icon, Picture};
use crate::components::live_refresh::{ASKING_MS_MIN, LiveRefresh};
use crate::components::live_rows::LiveRows;
use crate::components::page::{Heading, page};
use crate::components::pager::{IN_ORDER, Pager};
use crate::components::table_head::{column, table_head};
use crate::components::time::RelativeTime;
use crate::format;
use crate::json;
use crate::pages::trash::page::{Told, concerns};
use crate::pages::trash::parts::{EmptyForm, ExpiryCell, PurgeScope, item_label, reason, size, title};
use crate::query::{Filters, use_filters};
use crate::refusal;
use crate::routes;
use crate::visible::visible;
use lakeshore::model::access::role::Role;
use lakeshore::model::id::SyncId;
use lakeshore::model::time::Timestamp;
use lakeshore::model::trash::{TrashEntry, TrashGroup, TrashKind};
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;

#[component]
pub fn TrashSync() -> impl IntoView {
    refusal::provide();
    let params = use_params_map();
    let filters = use_filters();
    let id = Memo::new(move |_| params.with(|params| params.get("id")).and_then(|id| id.parse().ok()).unwrap_or(0));
    let data = json::ask(
        move || (SyncId(id.get()), filters.get()),
        |(id, filters)| async move {
            let listed = get_trash_of_sync(id, filters.clone()).await?;
            Ok((id, filters, listed))
        },
    );
    let of_page = move || match id.get() {
        0 => "Trash: replaced by restores".to_owned(),
        id => format!("Trash of sync {id}"),
    };
    page(of_page, data, |session, (id, filters, listed)| view! { <OfSync session id filters listed/> })
}

#[component]
fn OfSync(session: Session, id: SyncId, filters: Filters, listed: AsOf<TrashOfSync>) -> impl IntoView {
    Clock::here().observe(listed.now);
    let as_of = listed.now;
    let TrashOfSync { group, items } = listed.value;
    let heading = group.as_ref().map_or_else(|| format!("Sync {id}"), title);
    let group = RwSignal::new(group);
    let rows = RwSignal::new(items);
    let asked = StoredValue::new(filters);
    LiveRefresh::keep(listed.last_event, ASKING_MS_MIN, concerns, move || async move {
        let listed = get_trash_of_sync(id, asked.try_get_value()?).await.ok()?;
        group.try_set(listed.value.group);
        rows.try_set(listed.value.items);
        Some(listed.last_event)
    });
    let may_restore = session.has_role(Role::Write);
    // Items without a sync may be of any path.
    let may_empty = if id == SyncId(0) { session.may_administer } else { session.has_role(Role::Admin) };
    let is_empty = Memo::new(move |_| rows.with(Vec::is_empty));
    let base = routes::trash_of_sync(id);
    let back = asked.with_value(|filters| filters.address(&base, filters.page));
    let first = asked.with_value(|filters| filters.first_page(&base));
    view! {
        <nav class="crumbs" aria-label="Parents">
            <a href=routes::TRASH>"Trash"</a>
        </nav>
        <Heading title=heading/>
        <Told may_restore/>
        {move || group.get().map(|group| view! { <Facts group as_of/> })}
        {move || {
            if !is_empty.get() {
                view! { <Items rows id back=back.clone() as_of may_restore/> }.into_any()
            } else if let Some(first) = first.clone() {
                view! { <NoRows first/> }.into_any()
            } else {
                view! {
                    <Empty title="Nothing in the trash">
                        <p>
                            "This sync replaced nothing, or its items were restored or deleted. See " <a href=routes::activity_of_action("trash_restored")>"Activity"</a>
                            " for details."
                        </p>
                    </Empty>
                }
                    .into_any()
            }
        }}
        {move || view! { <Pager base=base.clone() filters=asked.get_value() rows=rows.with(Vec::len) words=IN_ORDER/> }}
        {move || {
            group
                .get()
                .filter(|_| may_empty)
                .map(|group| {
                    let what = format!("Deletes {} of {}.", format::counted(group.items, "item"), title(&group));
                    view! { <EmptyForm selector=PurgeScope::OfSync(id) what/> }
                })
        }}
    }
    .into_any()
}

#[component]
fn Facts(group: TrashGroup, as_of: Timestamp) -> impl IntoView {
    let why = if group.sync_id == SyncId(0) { "Replaced by a restore" } else { reason(group.reason) };
    view! {
        <dl class="facts">
            {group
                .path
                .map(|path| {
                    view! {
                        <div>
                            <dt>"Dataset"</dt>
                            <dd class="path">{visible(path.to_string())}</dd>
                        </div>
                    }
                })}
            <div>
                <dt>"Reason"</dt>
                <dd>{why}</dd>
            </div>
            {(group.sync_id != SyncId(0))
                .then(|| {
                    let id = group.sync_id;
                    view! {
                        <div>
                            <dt>"Removed by"</dt>
                            <dd>
                                <a href=routes::sync(id)>{format!("Sync {id}")}</a>
                            </dd>
                        </div>
                    }
                })}
            <div>
                <dt>"Files"</dt>
                <dd>{format::count(group.totals.files)}</dd>
            </div>
            <div>
                <dt>"Size"</dt>
                <dd>{size(group.totals, group.num_uncounted)}</dd>
            </div>
            <div>
                <dt>"First expires"</dt>
                <dd>
                    <ExpiryCell at=group.expires_at as_of/>
                </dd>
            </div>
        </dl>
    }
    .into_any()
}

#[component]
fn Items(
    rows: RwSignal<Vec<TrashEntry>>,
    id: SyncId,
    /// Address of this page of the list.
    back: String,
    as_of: Timestamp,
    may_restore: bool,
) -> impl IntoView {
    let all = routes::confirm_trash_restore("sync_id", id.0, &back);
    let kept = StoredValue::new(back.clone());
    view! {
        <form method="get" action=routes::RESTORE_TRASH>
            <input type="hidden" name="back" value=back/>
            <table class="table table-items">
                {table_head([
                    column("Select").unseen().when(may_restore), column("Path"), column("Files").number(),
                    column("Size").number(), column("In trash since"), column("Expires"),
                    column("Actions").unseen().when(may_restore),
                ])}
                <tbody>
                    <LiveRows
                        rows
                        id=|entry: &TrashEntry| entry.trash_id.0
                        row=move |entry| view! { <ItemRow entry back=kept.get_value() as_of may_restore/> }
                    />
                </tbody>
            </table>
            {may_restore
                .then(|| {
                    view! {
                        <p class="form-buttons">
                            <button type="submit" class="button">
                                <Picture icon=Icon::Restore/>
                                "Restore selected…"
                            </button>
                            <a class="button button-primary" href=all>
                                "Restore all…"
                            </a>
                        </p>
                    }
                })}
        </form>
    }
}

#[component]
fn ItemRow(entry: Signal<TrashEntry>, back: String, as_of: Timestamp, may_restore: bool) -> impl IntoView {
    let fixed = entry.get_untracked();
    let id = fixed.trash_id;
    let what = item_label(&fixed);
    let question = routes::confirm_trash_restore("trash_id", id.0, &back);
    let icon = if fixed.kind == TrashKind::Dataset { Icon::Folder } else { Icon::File };
    let totals = Memo::new(move |_| entry.with(|entry| entry.totals));
    let origin = fixed.origin.to_string();
    let (choose, restore) = (visible(format!("Select {origin}")), visible(format!("Restore {origin}…")));
    view! {
        <tr>
            {may_restore
                .then(|| {
                    view! {
                        <td class="cell-choose">
                            <input type="checkbox" name="trash_ids" value=id.to_string() aria-label=choose/>
                        </td>
                    }
                })}
            <td class="cell-main">
                <span class="with-icon">
                    <Picture icon/>
                    <a class="path path-main" href=routes::trash_item(id) title="Open">
                        {visible(origin)}
                    </a>
                </span>
                <span class="row-detail">{what}</span>
            </td>
            <td data-label="Files" class="number">
                {move || totals.get().map_or("counting…".to_owned(), |totals| format::count(totals.files))}
            </td>
            <td data-label="Size" class="number">
                {move || totals.get().map_or("counting…".to_owned(), |totals| format::bytes(totals.bytes))}
            </td>
            <td data-label="In trash since">
                <RelativeTime at=fixed.trashed_at as_of/>
            </td>
            <td data-label="Expires">
                <ExpiryCell at=fixed.expires_at as_of/>
            </td>
            {may_restore
                .then(|| {
                    view! {
                        <td class="cell-actions">
                            <a class="button button-small" href=question aria-label=restore>
                                <Picture icon=Icon::Restore/>
                                "Restore…"
                            </a>
                        </td>
                    }
                })}
        </tr>
    }
    .into_any()
}
