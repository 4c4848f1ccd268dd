//! A sync and its uploads, for the tests of modules that land them.

use lakeshore::Timestamp;
use lakeshore::model::access::actor::Actor;
use lakeshore::model::digest::Digest;
use lakeshore::model::id::SyncId;
use lakeshore::model::path::LakePath;
use lakeshore::model::storage_path::{Identity, PartialName};
use lakeshore::model::sync::start::NewSync;
use lakeshore::model::sync::status::SyncType;
use lakeshore::ports::metadata::State;
use lakeshore::ports::metadata::upload::CompletedUpload;

/// Starts an incremental sync to `/a`.
pub(super) async fn start(state: &dyn State) -> SyncId {
    let new = NewSync {
        name: "n".into(),
        path: LakePath::parse("/a").unwrap(),
        sync_type: SyncType::IncrementalSync,
        started_by: Actor::from("me"),
        expected: None,
        once: None,
        restores_version: None,
        at: Timestamp(10),
    };
    state.start_sync(&new).await.unwrap()
}

pub(super) fn upload(sync_id: SyncId, name: &str) -> CompletedUpload {
    CompletedUpload {
        upload_id: None,
        sync_id,
        file_name: name.into(),
        target: LakePath::parse(&format!("/a/{name}")).unwrap(),
        partial: PartialName::from_stored(name.into()),
        identity: Identity(name.into()),
        digest: Digest { size_bytes: 1, sha256: [1; 32] },
        begun_at: Timestamp(20),
        by: "me".into(),
        taken_over: false,
    }
}
