//! REST API, documented and extended: each handler is a few lines over one call of the lake.

mod activity;
mod batches;
mod body;
mod checksum;
mod datasets;
mod events;
mod files;
mod form_parts;
mod missing;
mod multipart_upload;
mod path_text;
mod reading;
mod request_body;
mod resumable;
mod schemas;
mod search;
mod snapshots;
mod summed_body;
mod syncs;
mod timeouts;
mod trash;
mod tus;
mod upload_head;
mod uploads;
pub mod versions;

use super::AppState;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, patch, post};
use std::sync::Arc;

/// Purge of the trash, which is allowed before recovery is complete.
pub(super) const EMPTY_TRASH: &str = "/api/lake/trash/empty";

pub fn router() -> Router<Arc<AppState>> {
    Router::new()
        .route("/api/ingestion/file/sync/start", post(syncs::start))
        .route("/api/ingestion/file/sync/end", post(syncs::end))
        .route("/api/ingestion/file/sync/abort", post(syncs::abort))
        .route("/api/ingestion/file/sync/list", get(syncs::list))
        .route("/api/ingestion/file/sync/history", get(syncs::history))
        .route("/api/ingestion/file/sync/in-flight", get(events::in_flight))
        .route("/api/ingestion/file/sync/upload/{id}", get(syncs::upload))
        .route("/api/ingestion/file/sync/{id}", get(syncs::one))
        .route("/api/events", get(events::events))
        .route("/api/lake/file/sync/expect", get(batches::compare).post(batches::expect))
        .route("/api/lake/file/sync/difference", get(batches::difference))
        .route("/api/lake/file/list", get(reading::list))
        .route("/api/lake/file/preview", get(reading::preview))
        .route("/api/lake/file/missing", post(missing::missing))
        .route("/api/overview", get(datasets::overview))
        .route("/api/lake/datasets", get(datasets::list))
        .route("/api/lake/dataset", get(datasets::one))
        .route("/api/lake/dataset/difference", get(datasets::difference))
        .route("/api/lake/dataset/versions", get(versions::list))
        .route("/api/lake/dataset/version", get(versions::one))
        .route("/api/lake/dataset/version/difference", get(versions::difference))
        .route("/api/lake/dataset/restore", post(versions::restore))
        .route("/api/lake/dataset/pin", post(versions::pin))
        .route("/api/lake/dataset/unpin", post(versions::unpin))
        .route("/api/lake/dataset/snapshot", post(snapshots::take))
        .route("/api/lake/dataset/snapshot/{token}", patch(snapshots::renew).delete(snapshots::drop))
        .route("/api/lake/dataset/snapshots", get(snapshots::list))
        .route("/api/lake/dataset/rhythm", post(datasets::set_schedule))
        .route("/api/lake/dataset/schema", get(schemas::schema))
        .route("/api/lake/dataset/table", get(datasets::table))
        .route("/api/lake/dataset/schema-policy", post(schemas::set_policy))
        .route("/api/lake/search", get(search::search))
        .route("/api/lake/activity", get(activity::list))
        .route("/api/lake/trash", get(trash::list))
        .route("/api/lake/trash/groups", get(trash::groups))
        .route("/api/lake/trash/summary", get(trash::summary))
        .route("/api/lake/trash/look", get(trash::look))
        .route("/api/lake/trash/restore", post(trash::restore))
        .route(EMPTY_TRASH, post(trash::empty))
}

/// Routes for the bytes of files.
pub fn uploads_and_downloads() -> Router<Arc<AppState>> {
    // The lake's own limits bound each file.
    Router::new()
        .route("/api/lake/file/upload", post(uploads::upload))
        .merge(files::router())
        .merge(resumable::router())
        .layer(DefaultBodyLimit::disable())
        .route("/api/lake/file/download", get(reading::download))
}
