//! What syncs and uploads have replaced or dropped, and the way back; or, for an admin, out of the lake.

use super::trash_empty::{Doomed, EmptyDialog, outcome};
use crate::api::{AsOf, Session, list_trash, restore_trash};
use crate::components::clock::Clock;
use crate::components::dialog::Confirm;
use crate::components::empty::{Empty, NothingFound};
use crate::components::filters::{FilterBar, Offered};
use crate::components::fresh::{ASKING_MS_MIN, Fresh};
use crate::components::icon::{Icon, Picture};
use crate::components::live_rows::LiveRows;
use crate::components::page::{Heading, page};
use crate::components::pager::Pager;
use crate::components::sign_in_form::SignInHint;
use crate::components::time::RelativeTime;
use crate::format;
use crate::live::Heard;
use crate::query::{Filters, use_filters};
use lakeshore::key::Role;
use lakeshore::time::Timestamp;
use lakeshore::trash::{TrashEntry, TrashKind, TrashReason};
use leptos::prelude::*;
use leptos::task::spawn_local;

#[component]
pub fn Trash() -> impl IntoView {
    let filters = use_filters();
    let trash = Resource::new(
        move || filters.get(),
        |filters| async move {
            let listed = list_trash(filters.parameters()?).await?;
            Ok((filters, listed))
        },
    );
    page(|| "Trash".to_owned(), trash, |session, (filters, listed)| view! { <TrashList session filters listed/> })
}

#[component]
fn TrashList(session: Session, filters: Filters, listed: AsOf<Vec<TrashEntry>>) -> impl IntoView {
    Clock::here().observe(listed.now);
    let as_of = listed.now;
    let rows = RwSignal::new(listed.value);
    let asked = StoredValue::new(filters.clone());
    let concerns = |heard: &Heard| match heard.kind.as_str() {
        "uploads_landed" => heard.num_replaced > 0,
        "trash_changed" | "trash_restored" | "sync_published" | "sync_failed" => true,
        _ => false,
    };
    let fresh = Fresh::keep(listed.last_event, ASKING_MS_MIN, concerns, move || async move {
        let Some(Ok(parameters)) = asked.try_with_value(Filters::parameters) else { return None };
        let listed = list_trash(parameters).await.ok()?;
        rows.try_set(listed.value);
        Some(listed.last_event)
    });
    let may_restore = session.has_role(Role::Write);
    let may_empty = session.has_role(Role::Admin);
    let doomed = RwSignal::new(None::<Doomed>);
    let chosen = RwSignal::new(None::<TrashEntry>);
    let notice = RwSignal::new(String::new());
    let is_empty = Memo::new(move |_| rows.with(Vec::is_empty));
    let is_filtered = !filters.is_empty();
    let offered = Offered { path: true, ..Offered::default() };
    let on_restored = Callback::new(move |entry: TrashEntry| {
        notice.set(format!("{} is back in the lake.", entry.origin));
        fresh.now();
    });
    let on_emptied = Callback::new(move |emptied| {
        notice.set(outcome(emptied));
        fresh.now();
    });
    view! {
        <Heading title="Trash">
            {may_empty
                .then(|| {
                    view! {
                        <button
                            type="button"
                            class="button button-danger-quiet"
                            on:click=move |_| doomed.set(Some(Doomed::All))
                        >
                            "Empty trash…"
                        </button>
                    }
                })}
        </Heading>
        {(!may_restore)
            .then(|| view! { <SignInHint is_signed_in=session.signed_in.is_some() purpose="to restore something"/> })}
        <FilterBar base="/trash" filters offered text_label="Name or path"/>
        <div role="status">
            {move || (!notice.with(String::is_empty)).then(|| view! { <p class="notice notice-good">{notice.get()}</p> })}
        </div>
        {move || match (is_empty.get(), is_filtered) {
            (false, _) => view! { <TrashTable rows as_of chosen doomed may_restore may_empty/> }.into_any(),
            (true, true) => view! { <NothingFound base="/trash"/> }.into_any(),
            (true, false) => {
                view! {
                    <Empty title="The trash is empty">
                        <p>
                            "What a full sync replaces, what an upload overwrites, and what an aborted sync had staged comes here, whole. One act puts it back."
                        </p>
                    </Empty>
                }
                    .into_any()
            }
        }}
        {move || {
            view! { <Pager base="/trash".to_owned() filters=asked.get_value() rows=rows.with(Vec::len)/> }
        }}
        {may_restore.then(|| view! { <RestoreDialog chosen on_restored/> })}
        {may_empty.then(|| view! { <EmptyDialog wanted=doomed on_emptied/> })}
    }
}

#[component]
fn TrashTable(
    rows: RwSignal<Vec<TrashEntry>>,
    as_of: Timestamp,
    chosen: RwSignal<Option<TrashEntry>>,
    doomed: RwSignal<Option<Doomed>>,
    may_restore: bool,
    may_empty: bool,
) -> impl IntoView {
    view! {
        <table class="table table-trash">
            <thead>
                <tr>
                    <th scope="col">"What"</th>
                    <th scope="col">"Why"</th>
                    <th scope="col">"Sync"</th>
                    <th scope="col" class="number">
                        "Files"
                    </th>
                    <th scope="col" class="number">
                        "Size"
                    </th>
                    <th scope="col">"When"</th>
                    <th scope="col" class="secondary">
                        "By"
                    </th>
                    {may_restore
                        .then(|| {
                            view! {
                                <th scope="col">
                                    <span class="visually-hidden">"Actions"</span>
                                </th>
                            }
                        })}
                </tr>
            </thead>
            <tbody>
                <LiveRows
                    rows
                    id=|entry: &TrashEntry| entry.trash_id.0
                    row=move |entry| view! { <TrashRow entry as_of chosen doomed may_restore may_empty/> }
                />
            </tbody>
        </table>
    }
}

#[component]
fn TrashRow(
    entry: Signal<TrashEntry>,
    as_of: Timestamp,
    chosen: RwSignal<Option<TrashEntry>>,
    doomed: RwSignal<Option<Doomed>>,
    may_restore: bool,
    may_empty: bool,
) -> impl IntoView {
    let fixed = entry.get_untracked();
    let icon = if fixed.kind == TrashKind::Dataset { Icon::Folder } else { Icon::File };
    let totals = Memo::new(move |_| entry.with(|entry| entry.totals));
    let by = if fixed.trashed_by.is_empty() { "—".to_owned() } else { fixed.trashed_by };
    let label = format!("Restore {}", fixed.origin);
    let delete_label = format!("Delete {} for good", fixed.origin);
    view! {
        <tr>
            <td class="cell-main">
                <span class="with-icon">
                    <Picture icon/>
                    <span class="path path-main">{fixed.origin.to_string()}</span>
                </span>
            </td>
            <td data-label="Why">{reason(fixed.reason)}</td>
            <td data-label="Sync">
                {match fixed.sync_id {
                    Some(id) => view! { <a href=format!("/syncs/{id}")>{format!("Sync {id}")}</a> }.into_any(),
                    None => view! { <span class="quiet">"—"</span> }.into_any(),
                }}
            </td>
            <td data-label="Files" class="number">
                {move || totals.get().map_or("counting…".to_owned(), |totals| format::count(totals.files))}
            </td>
            <td data-label="Size" class="number">
                {move || totals.get().map_or("counting…".to_owned(), |totals| format::bytes(totals.bytes))}
            </td>
            <td data-label="When">
                <RelativeTime at=fixed.trashed_at as_of/>
            </td>
            <td data-label="By" class="secondary">
                {by}
            </td>
            {may_restore
                .then(|| {
                    view! {
                        <td class="cell-actions">
                            <button
                                type="button"
                                class="button button-small"
                                aria-label=label
                                on:click=move |_| chosen.set(Some(entry.get_untracked()))
                            >
                                <Picture icon=Icon::Restore/>
                                "Restore"
                            </button>
                            {may_empty
                                .then(|| {
                                    view! {
                                        <button
                                            type="button"
                                            class="button button-small button-danger-quiet"
                                            aria-label=delete_label
                                            on:click=move |_| doomed.set(Some(Doomed::Piece(entry.get_untracked())))
                                        >
                                            "Delete for good"
                                        </button>
                                    }
                                })}
                        </td>
                    }
                })}
        </tr>
    }
    .into_any()
}

fn reason(reason: TrashReason) -> &'static str {
    match reason {
        TrashReason::Replaced => "Replaced by a full sync",
        TrashReason::Overwritten => "Overwritten by an upload of the same name",
        TrashReason::Aborted => "Sent to a full sync that was aborted",
        TrashReason::Expired => "Sent to a full sync that was left alone",
        TrashReason::Restored => "Displaced by a restore",
    }
}

#[component]
fn RestoreDialog(chosen: RwSignal<Option<TrashEntry>>, on_restored: Callback<TrashEntry>) -> impl IntoView {
    let open = RwSignal::new(false);
    let is_pending = RwSignal::new(false);
    let error = RwSignal::new(None);
    Effect::new(move |_| {
        if chosen.with(Option::is_some) {
            error.set(None);
            open.set(true);
        }
    });
    // Closed by Escape or Cancel: the same piece may be chosen again.
    Effect::new(move |was_open: Option<bool>| {
        let is_open = open.get();
        if was_open == Some(true) && !is_open {
            chosen.set(None);
        }
        is_open
    });
    let text = move || chosen.with(|chosen| chosen.as_ref().map(consequence).unwrap_or_default());
    let on_confirm = move |()| {
        let Some(entry) = chosen.get_untracked() else { return };
        is_pending.set(true);
        spawn_local(async move {
            let result = restore_trash(entry.trash_id).await;
            is_pending.try_set(false);
            match result {
                Ok(()) => {
                    open.try_set(false);
                    on_restored.try_run(entry);
                }
                Err(refused) => drop(error.try_set(Some(refused))),
            }
        });
    };
    view! {
        <Confirm
            id="restore-title"
            open
            title="Restore this?"
            confirm="Restore"
            is_ready=true
            is_pending
            error
            on_confirm
        >
            <p>{text}</p>
        </Confirm>
    }
}

/// What restoring will do, in words.
fn consequence(entry: &TrashEntry) -> String {
    format!("Puts {} back to {}. What is there now goes to the trash.", named(entry), entry.origin)
}

/// The piece, as a question about it names it.
pub(super) fn named(entry: &TrashEntry) -> String {
    match (entry.kind, entry.totals) {
        (TrashKind::File, Some(totals)) => format!("this file, {},", format::bytes(totals.bytes)),
        (TrashKind::File, None) => "this file".to_owned(),
        (TrashKind::Dataset, Some(totals)) => format!("{},", format::totals(totals)),
        (TrashKind::Dataset, None) => "this dataset".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lakeshore::path::LakePath;
    use lakeshore::trash::{Totals, TrashId};

    #[test]
    fn the_question_says_what_comes_back() {
        let entry = TrashEntry {
            trash_id: TrashId(1),
            origin: LakePath::parse("/data/x").unwrap(),
            kind: TrashKind::Dataset,
            reason: TrashReason::Replaced,
            sync_id: None,
            trashed_by: String::new(),
            trashed_at: Timestamp(1),
            totals: Some(Totals { files: 12, bytes: 3_100_000_000 }),
            expires_at: None,
        };
        let text = "Puts 12 files, 3.1 GB, back to /data/x. What is there now goes to the trash.";
        assert_eq!(consequence(&entry), text);
    }
}
