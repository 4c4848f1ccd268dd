//! Server functions of the trash. Changes are plain forms, which work without scripts.

use super::AsOf;
use crate::error::ApiError;
use crate::json::Call;
use crate::query::Filters;
use lakeshore::model::id::SyncId;
use lakeshore::model::id::TrashId;
use lakeshore::model::trash::{TrashEntry, TrashGroup, TrashSummary};
use lakeshore::service;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use super::{as_of, request_context};
#[cfg(feature = "ssr")]
use crate::refusal::FormRefusal;
#[cfg(feature = "ssr")]
use crate::trash_outcome::FlashMessage;
#[cfg(feature = "ssr")]
use lakeshore::Error;
#[cfg(feature = "ssr")]
use lakeshore::model::page::{ListParameters, Order};
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
}

#[server(prefix = "/fn", endpoint = "trash", input = Call, output = Call)]
pub async fn get_trash(filters: Filters) -> Result<AsOf<TrashPage>, ApiError> {
    let (lake, caller) = request_context()?;
    let parameters = filters.parameters()?;
    let read = async {
        let groups = lake.trash_groups(&caller, &parameters).await?;
        Ok(TrashPage { summary: lake.trash_summary(&caller).await?, groups })
    };
    as_of(&lake, read).await
}

/// What one sync has put into the trash: a page of its pieces, one more than are shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrashOfSync {
    /// Absent if none of its items is left.
    pub group: Option<TrashGroup>,
    pub pieces: Vec<TrashEntry>,
}

#[server(prefix = "/fn", endpoint = "trash-of-sync", input = Call, output = Call)]
pub async fn get_trash_of_sync(sync_id: SyncId, filters: Filters) -> Result<AsOf<TrashOfSync>, ApiError> {
    let (lake, caller) = request_context()?;
    // In order of arrival, so that restoring one item does not move the others.
    let pieces = ListParameters { sync_id: Some(sync_id), order: Order::Asc, ..filters.parameters()? };
    let read = async {
        let of_sync = ListParameters { sync_id: Some(sync_id), size: Some(1), ..ListParameters::default() };
        let group = lake.trash_groups(&caller, &of_sync).await?.into_iter().next();
        Ok(TrashOfSync { group, pieces: lake.trash(&caller, &pieces).await? })
    };
    as_of(&lake, read).await
}

#[server(prefix = "/fn", endpoint = "trash-piece", input = Call, output = Call)]
pub async fn look_into_trash(wanted: service::LookIntoTrash) -> Result<AsOf<service::InTrash>, ApiError> {
    let (lake, caller) = request_context()?;
    as_of(&lake, lake.look_into_trash(&caller, &wanted)).await
}

/// The fields of the forms: a piece of a button of its own, all that a sync has replaced, or the pieces that are ticked.
#[server(prefix = "/fn", endpoint = "restore-trash")]
pub async fn restore_trash(
    #[server(default)] trash_id: Option<TrashId>,
    #[server(default)] trash_ids: Vec<TrashId>,
    #[server(default)] sync_id: Option<SyncId>,
) -> Result<(), ApiError> {
    let (lake, caller) = request_context()?;
    let wanted = match (trash_id, sync_id) {
        (Some(_), _) => service::RestoreTrash { trash_id, ..service::RestoreTrash::default() },
        (None, Some(_)) => service::RestoreTrash { sync_id, ..service::RestoreTrash::default() },
        (None, None) if trash_ids.is_empty() => {
            return Err(ApiError::of_form(&Error::Invalid(
                "no items are selected; select the items to restore".into(),
            )));
        }
        (None, None) => service::RestoreTrash { trash_ids, ..service::RestoreTrash::default() },
    };
    let restored = lake.restore_trash(&caller, &wanted).await.map_err(|error| ApiError::of_form(&error))?;
    let why = restored.failed.first().map_or(0, |failed| failed.refusal.code);
    if let Some(failed) = restored.failed.into_iter().next() {
        bring(&FormRefusal { code: failed.refusal.code, msg: failed.refusal.msg });
    }
    leptos_axum::redirect(
        &FlashMessage::Restored { pieces: restored.restored, failed: restored.num_failed, why }.address(),
    );
    Ok(())
}

/// Attaches the refusal to the response, for the page that the form returns to.
#[cfg(feature = "ssr")]
fn bring(refusal: &FormRefusal) {
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
        lake.empty_trash(&caller, &service::EmptyTrash { trash_id, sync_id, all, older_than_days }).await
    };
    let emptied = empty.await.map_err(|error| ApiError::of_form(&error))?;
    leptos_axum::redirect(&FlashMessage::Emptied { pieces: emptied.pieces, bytes: emptied.bytes }.address());
    Ok(())
}
