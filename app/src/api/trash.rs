//! Server functions of the trash. Changes are plain forms, which work without scripts.

use super::AsOf;
use crate::error::ApiError;
use crate::json::Call;
use crate::query::Filters;
use lakeshore::model::id::SyncId;
use lakeshore::model::id::TrashId;
use lakeshore::model::id::VersionNumber;
use lakeshore::model::trash::{self, InTrash, RestorePreview, TrashEntry, TrashGroup, TrashSummary};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use super::{as_of, request_context};
#[cfg(feature = "ssr")]
use crate::refusal::FormRefusal;
#[cfg(feature = "ssr")]
use crate::trash_outcome::FlashMessage;
#[cfg(feature = "ssr")]
use lakeshore::model::limits::DISPLACED_NAMED_MAX;
#[cfg(feature = "ssr")]
use lakeshore::model::page::{ListParameters, Order};
#[cfg(feature = "ssr")]
use lakeshore::model::trash::{RestoredTrash, TrashReason};
#[cfg(feature = "ssr")]
use lakeshore::model::version_requests::VersionParameters;
#[cfg(feature = "ssr")]
use lakeshore::{Caller, Error, Lake};
#[cfg(feature = "ssr")]
use std::sync::Arc;

/// Formats the cookie that carries a refusal to the page that a form returns to; `None` for a message that is too long.
#[cfg(feature = "ssr")]
type CookieOf = dyn Fn(&FormRefusal) -> Option<String> + Send + Sync;

#[cfg(feature = "ssr")]
#[derive(Clone)]
pub struct WriteRefusal(pub Arc<CookieOf>);

/// Summary of the trash, and a page of the syncs that put items there, with one row more than it shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrashPage {
    pub summary: TrashSummary,
    pub groups: Vec<TrashGroup>,
    /// The versions that syncs of the groups replaced.
    pub replaced_versions: Vec<(SyncId, VersionNumber)>,
}

#[server(prefix = "/fn", endpoint = "trash", input = Call, output = Call)]
pub async fn get_trash(filters: Filters) -> Result<AsOf<TrashPage>, ApiError> {
    let (lake, caller) = request_context()?;
    let parameters = filters.parameters()?;
    let read = async {
        let groups = lake.trash_groups(&caller, &parameters).await?;
        let mut replaced_versions = Vec::new();
        for group in &groups {
            replaced_versions
                .extend(replaced_version(&lake, &caller, group).await?.map(|version| (group.sync_id, version)));
        }
        Ok(TrashPage { summary: lake.trash_summary(&caller).await?, groups, replaced_versions })
    };
    as_of(&lake, read).await
}

/// The version that a full sync replaced, which is the one before the version that it published.
#[cfg(feature = "ssr")]
async fn replaced_version(lake: &Lake, caller: &Caller, group: &TrashGroup) -> Result<Option<VersionNumber>, Error> {
    let Some(path) = group.path.as_ref().filter(|_| group.reason == TrashReason::Replaced) else { return Ok(None) };
    let as_of = Some(group.first_at);
    let made = VersionParameters { path: path.to_string(), version: None, as_of, after: None, size: Some(0) };
    let made = match lake.version(caller, &made).await {
        Ok(made) => made.version,
        Err(Error::NoSuchVersion(..) | Error::NoSuchDataset(_)) => return Ok(None),
        Err(refused) => return Err(refused),
    };
    let is_its = made.sync_id == Some(group.sync_id) && made.path == *path;
    Ok(made.version.0.checked_sub(1).filter(|number| is_its && *number > 0).map(VersionNumber))
}

/// Trash items of one sync: a page, with one row more than it shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrashOfSync {
    /// Absent if none of its items is left.
    pub group: Option<TrashGroup>,
    #[serde(rename = "pieces")]
    pub items: Vec<TrashEntry>,
}

#[server(prefix = "/fn", endpoint = "trash-of-sync", input = Call, output = Call)]
pub async fn get_trash_of_sync(sync_id: SyncId, filters: Filters) -> Result<AsOf<TrashOfSync>, ApiError> {
    let (lake, caller) = request_context()?;
    // In order of arrival, so that restoring one item does not move the others.
    let in_order = ListParameters { sync_id: Some(sync_id), order: Order::Asc, ..filters.parameters()? };
    let read = async {
        let of_sync = ListParameters { sync_id: Some(sync_id), size: Some(1), ..ListParameters::default() };
        let group = lake.trash_groups(&caller, &of_sync).await?.into_iter().next();
        Ok(TrashOfSync { group, items: lake.trash(&caller, &in_order).await? })
    };
    as_of(&lake, read).await
}

#[server(prefix = "/fn", endpoint = "trash-item", input = Call, output = Call)]
pub async fn look_into_trash(wanted: trash::LookIntoTrash) -> Result<AsOf<InTrash>, ApiError> {
    let (lake, caller) = request_context()?;
    as_of(&lake, lake.look_into_trash(&caller, &wanted)).await
}

/// Effect of restoring the items.
#[server(prefix = "/fn", endpoint = "restore-trash-preview", input = Call, output = Call)]
pub async fn preview_trash_restore(wanted: trash::RestoreTrash) -> Result<AsOf<RestorePreview>, ApiError> {
    let (lake, caller) = request_context()?;
    as_of(&lake, lake.restore_preview(&caller, &wanted)).await
}

/// Those of the items that a restore moved to the trash, so that restoring them undoes it. The ids come from an address,
/// which must not offer to restore anything else.
#[server(prefix = "/fn", endpoint = "displaced", input = Call, output = Call)]
pub async fn displaced_items(trash_ids: Vec<TrashId>) -> Result<Vec<TrashId>, ApiError> {
    let (lake, caller) = request_context()?;
    let mut displaced = Vec::new();
    for trash_id in trash_ids.into_iter().take(DISPLACED_NAMED_MAX) {
        if is_displaced(&lake, &caller, trash_id).await? {
            displaced.push(trash_id);
        }
    }
    Ok(displaced)
}

/// Fields of the form: items that a restore moved to the trash. Others are refused, because this form needs no
/// confirmation.
#[server(prefix = "/fn", endpoint = "undo-restore")]
pub async fn undo_restore(
    #[server(default)] trash_ids: Vec<TrashId>,
    #[server(default)] back: String,
) -> Result<(), ApiError> {
    let (lake, caller) = request_context()?;
    let undo = async {
        for trash_id in &trash_ids {
            if !is_displaced(&lake, &caller, *trash_id).await? {
                return Err(Error::NoSuchTrash(*trash_id));
            }
        }
        lake.restore_trash(&caller, &trash::RestoreTrash { trash_ids, ..trash::RestoreTrash::default() }).await
    };
    redirect_back(undo.await.map_err(|error| ApiError::of_form(&error))?, &back);
    Ok(())
}

#[cfg(feature = "ssr")]
async fn is_displaced(lake: &Lake, caller: &Caller, trash_id: TrashId) -> Result<bool, Error> {
    match lake.restore_preview(caller, &trash::RestoreTrash::item(trash_id)).await {
        Ok(preview) => Ok(preview.items.iter().all(|listed| listed.item.reason == TrashReason::Restored)),
        Err(Error::NoSuchTrash(_)) => Ok(false),
        Err(refused) => Err(refused),
    }
}

/// Redirects to the list where the restore began, which shows the result.
#[cfg(feature = "ssr")]
fn redirect_back(restored: RestoredTrash, back: &str) {
    let why = restored.failed.first().map_or(0, |failed| failed.refusal.code);
    if let Some(failed) = restored.failed.into_iter().next() {
        attach_refusal(&FormRefusal { code: failed.refusal.code, msg: failed.refusal.msg });
    }
    let undo = restored.displaced.iter().map(|id| id.0).collect();
    let message = FlashMessage::Restored { items: restored.restored, failed: restored.num_failed, why, undo };
    leptos_axum::redirect(&message.address(back));
}

/// Fields of the forms: one item, all items of a sync, or several items. With `guarded`, the shrink guard may refuse it
/// unless `confirm` is set. `back` is the list where the restore began.
#[server(prefix = "/fn", endpoint = "restore-trash")]
pub async fn restore_trash(
    #[server(default)] trash_id: Option<TrashId>,
    #[server(default)] trash_ids: Vec<TrashId>,
    #[server(default)] sync_id: Option<SyncId>,
    #[server(default)] back: String,
    #[server(default)] guarded: String,
    #[server(default)] confirm: String,
) -> Result<(), ApiError> {
    let (lake, caller) = request_context()?;
    let wanted = match (trash_id, sync_id) {
        (Some(_), _) => trash::RestoreTrash { trash_id, ..trash::RestoreTrash::default() },
        (None, Some(_)) => trash::RestoreTrash { sync_id, ..trash::RestoreTrash::default() },
        (None, None) if trash_ids.is_empty() => {
            return Err(ApiError::of_form(&Error::Invalid(
                "no items are selected; select the items to restore".into(),
            )));
        }
        (None, None) => trash::RestoreTrash { trash_ids, ..trash::RestoreTrash::default() },
    };
    let is_confirmed = guarded.is_empty() || !confirm.is_empty();
    let restored = lake.restore_trash_guarded(&caller, &wanted, is_confirmed).await;
    redirect_back(restored.map_err(|error| ApiError::of_form(&error))?, &back);
    Ok(())
}

/// Attaches the refusal to the response, for the page that the form returns to.
#[cfg(feature = "ssr")]
fn attach_refusal(refusal: &FormRefusal) {
    if let Some(WriteRefusal(write)) = use_context()
        && let Some(response) = use_context::<leptos_axum::ResponseOptions>()
        && let Some(cookie) = write(refusal).and_then(|cookie| http::HeaderValue::from_str(&cookie).ok())
    {
        response.append_header(http::header::SET_COOKIE, cookie);
    }
}

/// Fields of the forms. `word` is the typed confirmation.
#[server(prefix = "/fn", endpoint = "empty-trash")]
pub async fn empty_trash(
    #[server(default)] word: String,
    #[server(default)] trash_id: Option<TrashId>,
    #[server(default)] sync_id: Option<SyncId>,
    #[server(default)] older_than_days: Option<u32>,
) -> Result<(), ApiError> {
    let (lake, caller) = request_context()?;
    let empty = async {
        let all = trash_id.is_none() && sync_id.is_none();
        let due = if all { "empty" } else { "delete" };
        if word.trim() != due {
            return Err(Error::Invalid(format!("the deletion is not confirmed; type {due:?} to confirm it")));
        }
        let older_than_days = older_than_days.filter(|days| all && *days > 0);
        lake.empty_trash(&caller, &trash::EmptyTrash { trash_id, sync_id, all, older_than_days }).await
    };
    let emptied = empty.await.map_err(|error| ApiError::of_form(&error))?;
    leptos_axum::redirect(&FlashMessage::Emptied { items: emptied.items, bytes: emptied.bytes }.address(""));
    Ok(())
}
