//! The trash by sync, latest first: restored by writers, purged by admins.

use crate::api::trash::{TrashPage, get_trash};
use crate::api::{AsOf, Session};
use crate::components::clock::Clock;
use crate::components::empty::{Empty, NoRows, NothingFound};
use crate::components::error_box::ErrorBox;
use crate::components::filters::{FilterBar, Offered, list_of, mistyped};
use crate::components::icon::{Icon, Picture};
use crate::components::live_refresh::{ASKING_MS_MIN, LiveRefresh};
use crate::components::live_rows::LiveRows;
use crate::components::page::{Heading, page};
use crate::components::pager::Pager;
use crate::components::sign_in_form::{SignInHint, current_address};
use crate::components::table_head::{column, table_head};
use crate::components::time::RelativeTime;
use crate::format;
use crate::json;
use crate::live::ServerEvent;
use crate::pages::trash::flash_message::FlashNotice;
use crate::pages::trash::parts::{EmptyForm, ExpiryCell, PurgeScope, group_label, size, title};
use crate::query::{Filters, use_filters};
use crate::refusal;
use crate::routes;
use crate::trash_outcome::FlashMessage;
use crate::visible::visible;
use lakeshore::model::access::role::Role;
use lakeshore::model::dataset::day::DAY_MS;
use lakeshore::model::id::SyncId;
use lakeshore::model::id::VersionNumber;
use lakeshore::model::time::Timestamp;
use lakeshore::model::trash::{TrashGroup, TrashSummary};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

#[component]
pub fn Trash() -> impl IntoView {
    refusal::provide();
    let filters = use_filters();
    let trash = json::ask(
        move || filters.get(),
        |filters| async move {
            let listed = list_of(filters.parameters(), async |_| get_trash(filters.clone()).await).await?;
            Ok((filters, listed))
        },
    );
    page(
        || "Trash".to_owned(),
        trash,
        |session, (filters, listed)| match listed {
            Ok(listed) => view! { <TrashView session filters listed/> }.into_any(),
            Err(error) => mistyped("Trash", view! { <TrashFilters filters/> }, error),
        },
    )
}

#[component]
fn TrashFilters(filters: Filters) -> impl IntoView {
    let offered = Offered { path: true, ..Offered::default() };
    view! { <FilterBar base=routes::TRASH filters offered text_label="Name or path"/> }
}

/// Whether an event may change a page of the trash.
pub(in crate::pages) fn concerns(event: &ServerEvent) -> bool {
    match event.kind.as_str() {
        "uploads_landed" => event.num_replaced > 0,
        "trash_changed" | "trash_restored" | "sync_published" | "sync_failed" => true,
        _ => false,
    }
}

#[component]
fn TrashView(session: Session, filters: Filters, listed: AsOf<TrashPage>) -> impl IntoView {
    Clock::here().observe(listed.now);
    let as_of = listed.now;
    let summary = RwSignal::new(listed.value.summary);
    let rows = RwSignal::new(listed.value.groups);
    let replaced = RwSignal::new(listed.value.replaced_versions);
    let back = filters.address(routes::TRASH, filters.page);
    let asked = StoredValue::new(filters.clone());
    LiveRefresh::keep(listed.last_event, ASKING_MS_MIN, concerns, move || async move {
        let listed = get_trash(asked.try_get_value()?).await.ok()?;
        summary.try_set(listed.value.summary);
        replaced.try_set(listed.value.replaced_versions);
        rows.try_set(listed.value.groups);
        Some(listed.last_event)
    });
    let may_restore = session.has_role(Role::Write);
    let may_empty = session.may_administer;
    let is_empty = Memo::new(move |_| rows.with(Vec::is_empty));
    let is_filtered = !filters.is_empty();
    let first = filters.first_page(routes::TRASH);
    view! {
        <Heading title="Trash"/>
        <Told may_restore/>
        {(!may_restore)
            .then(|| view! { <SignInHint is_signed_in=session.signed_in.is_some() purpose="to restore items"/> })}
        <p class="lead quiet">{move || summary.with(in_words)}</p>
        <TrashFilters filters/>
        {move || match (is_empty.get(), first.clone(), is_filtered) {
            (true, Some(first), _) => view! { <NoRows first/> }.into_any(),
            (false, ..) => view! { <GroupTable rows replaced back=back.clone() as_of may_restore/> }.into_any(),
            (true, None, true) => view! { <NothingFound base=routes::TRASH/> }.into_any(),
            (true, None, false) => {
                view! {
                    <Empty title="The trash is empty">
                        <p>
                            "Files that a sync replaces or overwrites, and files of aborted full syncs, move here and can be restored."
                        </p>
                    </Empty>
                }
                    .into_any()
            }
        }}
        {move || {
            view! { <Pager base=routes::TRASH.to_owned() filters=asked.get_value() rows=rows.with(Vec::len)/> }
        }}
        {move || {
            (may_empty && summary.with(|summary| summary.items > 0))
                .then(|| {
                    let what = "Deletes items from the trash of the whole lake, regardless of the filter.".to_owned();
                    view! { <EmptyForm selector=PurgeScope::All what/> }
                })
        }}
    }
    .into_any()
}

/// Outcome of the form that led here, or its refusal.
#[component]
pub(in crate::pages) fn Told(may_restore: bool) -> impl IntoView {
    let map = use_query_map();
    let here = current_address();
    move || {
        let back = untrack(|| here.get());
        map.with(|map| {
            view! {
                {FlashMessage::from_map(map).map(|message| view! { <FlashNotice message back may_restore/> })}
                {refusal::of_address(map).map(|error| view! { <ErrorBox error/> })}
            }
        })
    }
}

/// `3 items, 12 files, 3.1 GB. Items are permanently deleted after 30 days.`
fn in_words(summary: &TrashSummary) -> String {
    let held = match summary.items {
        0 => String::new(),
        items => {
            let counting = if summary.num_uncounted > 0 { " counted so far" } else { "" };
            format!("{}, {}{counting}. ", format::counted(items, "item"), format::totals(summary.totals))
        }
    };
    let kept = match summary.kept_ms {
        Some(kept_ms) if kept_ms > 0 && kept_ms % DAY_MS == 0 => {
            let days = format::counted((kept_ms / DAY_MS).unsigned_abs(), "day");
            format!("Items are permanently deleted after {days}")
        }
        Some(kept_ms) => format!("Items are permanently deleted after {}", format::duration(kept_ms)),
        None => "Items stay until someone deletes them".to_owned(),
    };
    let beyond = match summary.bytes_max {
        Some(bytes_max) => format!("; above {}, the oldest are deleted first", format::bytes(bytes_max)),
        None => String::new(),
    };
    format!("{held}{kept}{beyond}.")
}

#[component]
fn GroupTable(
    rows: RwSignal<Vec<TrashGroup>>,
    replaced: RwSignal<Vec<(SyncId, VersionNumber)>>,
    /// Address of this page of the list.
    back: String,
    as_of: Timestamp,
    may_restore: bool,
) -> impl IntoView {
    let back = StoredValue::new(back);
    view! {
        <table class="table table-trash">
            {table_head([
                column("Contents"), column("Items").number(), column("Files").number(), column("Size").number(),
                column("In trash since"), column("Expires"), column("Actions").unseen().when(may_restore),
            ])}
            <tbody>
                <LiveRows
                    rows
                    id=|group: &TrashGroup| group.sync_id.0
                    row=move |group| view! { <GroupRow group replaced back=back.get_value() as_of may_restore/> }
                />
            </tbody>
        </table>
    }
}

#[component]
fn GroupRow(
    group: Signal<TrashGroup>,
    replaced: RwSignal<Vec<(SyncId, VersionNumber)>>,
    back: String,
    as_of: Timestamp,
    may_restore: bool,
) -> impl IntoView {
    let fixed = group.get_untracked();
    let id = fixed.sync_id;
    let version =
        move || replaced.with(|known| known.iter().find(|(sync, _)| *sync == id).map(|(_, version)| *version));
    let name = group_label(&fixed, untrack(version));
    let by = (id != SyncId(0)).then(|| format!("By {}", title(&fixed)));
    let question = routes::confirm_trash_restore("sync_id", id.0, &back);
    let path = fixed.path.as_ref().map(ToString::to_string);
    let of_what = path.clone().unwrap_or_else(|| name.clone());
    let counted = Memo::new(move |_| group.with(|group| (group.totals, group.num_uncounted)));
    view! {
        <tr>
            <td class="cell-main">
                <a class="row-name" href=routes::trash_of_sync(id)>
                    {visible(name)}
                </a>
                {path.map(|path| view! { <span class="path">{visible(path)}</span> })}
                {by.map(|by| view! { <span class="row-detail">{visible(by)}</span> })}
            </td>
            <td data-label="Items" class="number">
                {move || format::count(group.with(|group| group.items))}
            </td>
            <td data-label="Files" class="number">
                {move || {
                    let (totals, uncounted) = counted.get();
                    if uncounted > 0 && totals.files == 0 { "counting…".to_owned() } else { format::count(totals.files) }
                }}
            </td>
            <td data-label="Size" class="number">
                {move || {
                    let (totals, uncounted) = counted.get();
                    size(totals, uncounted)
                }}
            </td>
            <td data-label="In trash since">
                {move || view! { <RelativeTime at=group.with(|group| group.last_at) as_of/> }}
            </td>
            <td data-label="Expires">
                {move || view! { <ExpiryCell at=group.with(|group| group.expires_at) as_of/> }}
            </td>
            {may_restore
                .then(|| {
                    view! {
                        <td class="cell-actions">
                            <a
                                class="button button-small"
                                href=question
                                aria-label=visible(format!("Restore {of_what}…"))
                                title="Shows what comes back and what goes, and asks for confirmation."
                            >
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

#[cfg(test)]
mod tests {
    use super::*;
    use lakeshore::model::totals::Totals;

    #[test]
    fn the_trash_is_told_in_a_sentence() {
        let totals = Totals { files: 12, bytes: 3_100_000_000 };
        let summary = TrashSummary {
            items: 3,
            totals,
            num_uncounted: 0,
            kept_ms: Some(30 * DAY_MS),
            bytes_max: Some(5_000_000_000),
        };
        let words = "3 items, 12 files, 3.1 GB. Items are permanently deleted after 30 days; above 5.0 GB, the oldest are deleted first.";
        assert_eq!(in_words(&summary), words);
        let none =
            TrashSummary { items: 0, totals: Totals::default(), num_uncounted: 0, kept_ms: None, bytes_max: None };
        assert_eq!(in_words(&none), "Items stay until someone deletes them.");
    }
}
