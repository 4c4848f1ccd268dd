//! Confirmation page of restoring items of the trash: what comes back, what goes, and the check by the shrink guard.

use crate::api::trash::preview_trash_restore;
use crate::api::{AsOf, Session};
use crate::components::clock::Clock;
use crate::components::error_box::ErrorBox;
use crate::components::icon::{Icon, Picture};
use crate::components::page::{Heading, page};
use crate::components::restore_parts::{ComesAndGoes, GuardCheck};
use crate::components::sign_in_form::SignInHint;
use crate::components::table_head::{column, table_head};
use crate::components::time::RelativeTime;
use crate::error::ApiError;
use crate::format;
use crate::json;
use crate::pages::trash::parts::item_label;
use crate::query::{local, use_query};
use crate::refusal;
use crate::routes;
use crate::visible::visible;
use lakeshore::ErrorCode;
use lakeshore::model::access::role::Role;
use lakeshore::model::error::Refusal;
use lakeshore::model::id::SyncId;
use lakeshore::model::id::TrashId;
use lakeshore::model::time::Timestamp;
use lakeshore::model::trash::TrashReason;
use lakeshore::model::trash::{ItemPreview, RestorePreview, RestoreTrash};
use leptos::prelude::*;

/// Items that the address names.
fn wanted_of(query: &leptos_router::params::ParamsMap) -> RestoreTrash {
    let number = |name: &str| query.get(name).and_then(|text| text.parse().ok());
    match (number("trash_id"), number("sync_id")) {
        (Some(id), _) => RestoreTrash::item(TrashId(id)),
        (None, Some(id)) => RestoreTrash { sync_id: Some(SyncId(id)), ..RestoreTrash::default() },
        (None, None) => {
            let ids = query.get_all("trash_ids").unwrap_or_default();
            let trash_ids = ids.iter().filter_map(|id| id.parse().ok()).map(TrashId).collect();
            RestoreTrash { trash_ids, ..RestoreTrash::default() }
        }
    }
}

#[component]
pub fn RestoreTrashPage() -> impl IntoView {
    refusal::provide();
    let query = use_query();
    let wanted = Memo::new(move |_| query.with(wanted_of));
    let fault = Memo::new(move |_| query.with(refusal::of_address));
    let back = Memo::new(move |_| match query.with(|query| query.get("back")) {
        Some(back) if local(&back).starts_with(routes::TRASH) => back,
        _ => routes::TRASH.to_owned(),
    });
    let data = json::ask(
        move || wanted.get(),
        |wanted| async move {
            if wanted == RestoreTrash::default() {
                return Ok((wanted, None));
            }
            let preview = preview_trash_restore(wanted.clone()).await?;
            Ok((wanted, Some(preview)))
        },
    );
    page(
        || "Restore from trash?".to_owned(),
        data,
        move |session, (wanted, preview)| match preview {
            Some(preview) => {
                view! { <Confirmation session wanted preview back=back.get() fault=fault.get()/> }.into_any()
            }
            None => view! { <NothingSelected back=back.get()/> }.into_any(),
        },
    )
}

#[component]
fn Confirmation(
    session: Session,
    wanted: RestoreTrash,
    preview: AsOf<RestorePreview>,
    back: String,
    fault: Option<ApiError>,
) -> impl IntoView {
    let AsOf { now: as_of, value: preview, .. } = preview;
    Clock::here().observe(as_of);
    let may_write = session.has_role(Role::Write);
    let is_signed_in = session.signed_in.is_some();
    let RestorePreview { num_items, replaced, restored, is_shrinking, items, difference } = preview;
    let heading = match items.as_slice() {
        [only] => format!("Restore {}?", only.item.origin),
        _ => format!("Restore {} from trash?", format::counted(num_items, "item")),
    };
    // Files that were never published need a warning.
    let unpublished = items.iter().filter(|listed| is_unpublished(listed.item.reason)).count() as u64;
    let warning = (unpublished > 0).then(|| {
        let what = match (num_items, items.first()) {
            (1, Some(only)) => item_label(&only.item),
            _ => format!("{} from a sync that was never published", format::counted(unpublished, "item")),
        };
        view! {
            <div class="notice notice-held">
                <Picture icon=Icon::Warning/>
                <p>
                    <strong>{visible(format!("{what}. "))}</strong>
                    "Readers have never seen these files: restoring them publishes them."
                </p>
            </div>
        }
    });
    let hidden =
        [wanted.trash_id.map(|TrashId(id)| ("trash_id", id)), wanted.sync_id.map(|SyncId(id)| ("sync_id", id))];
    let hidden = hidden.into_iter().flatten().chain(wanted.trash_ids.iter().map(|TrashId(id)| ("trash_ids[]", *id)));
    let hidden =
        hidden.map(|(name, id)| view! { <input type="hidden" name=name value=id.to_string()/> }).collect_view();
    let list =
        (difference.is_none() && !items.is_empty()).then(|| view! { <Items num_items items=items.clone() as_of/> });
    let form = (may_write && num_items > 0).then(|| {
        let cancel = back.clone();
        view! {
            <form method="post" action="/fn/restore-trash" class="section">
                {hidden} <input type="hidden" name="back" value=back/>
                <input type="hidden" name="guarded" value="true"/>
                <GuardCheck holds=is_shrinking replaced restored/>
                <p class="form-buttons">
                    <button type="submit" class="button button-primary">
                        <Picture icon=Icon::Restore/>
                        "Restore"
                    </button>
                    <a class="button" href=cancel>
                        "Cancel"
                    </a>
                </p>
                <p class="quiet">"The current files move to the trash."</p>
            </form>
        }
    });
    view! {
        <nav class="crumbs" aria-label="Parents">
            <a href=routes::TRASH>"Trash"</a>
        </nav>
        <Heading title=heading/>
        {fault.map(|error| view! { <ErrorBox error/> })}
        {warning}
        {(num_items == 0).then(|| view! { <p class="hint">"These items are no longer in the trash."</p> })}
        {difference.map(|difference| view! { <ComesAndGoes difference/> })}
        {list}
        {form}
        {(!may_write).then(|| view! { <SignInHint is_signed_in purpose="to restore items"/> })}
    }
    .into_any()
}

#[component]
fn NothingSelected(back: String) -> impl IntoView {
    let msg = "no items are selected; select the items to restore".to_owned();
    view! {
        <Heading title="Restore from trash?"/>
        <ErrorBox error=ApiError(Refusal { code: ErrorCode::Invalid.number(), msg, data: None })/>
        <p>
            <a class="button" href=back>
                "Back to the trash"
            </a>
        </p>
    }
    .into_any()
}

fn is_unpublished(reason: TrashReason) -> bool {
    matches!(reason, TrashReason::Aborted | TrashReason::Expired | TrashReason::Superseded)
}

#[component]
fn Items(num_items: u64, items: Vec<ItemPreview>, as_of: Timestamp) -> impl IntoView {
    let more = num_items.saturating_sub(items.len() as u64);
    let rows = items.into_iter().map(|ItemPreview { item, replaced, restored, is_shrinking }| {
        let what = item_label(&item);
        view! {
            <tr>
                <td class="cell-main">
                    <span class="path path-main">{visible(item.origin.to_string())}</span>
                    <span class="row-detail">{visible(what)}</span>
                    {is_shrinking
                        .then(|| view! { <span class="message">"Held by the shrink guard"</span> })}
                </td>
                <td data-label="Restored" class="number">
                    {format::totals(restored)}
                </td>
                <td data-label="Moved to trash" class="number">
                    {if replaced.files == 0 { "Nothing".to_owned() } else { format::totals(replaced) }}
                </td>
                <td data-label="In trash since">
                    <RelativeTime at=item.trashed_at as_of/>
                </td>
            </tr>
        }
    });
    view! {
        <table class="table table-items">
            {table_head([
                column("Item"), column("Restored").number(), column("Moved to trash").number(), column("In trash since"),
            ])}
            <tbody>{rows.collect_view()}</tbody>
        </table>
        {(more > 0).then(|| view! { <p class="quiet">{format!("And {}.", format::counted(more, "more item"))}</p> })}
    }
    .into_any()
}
