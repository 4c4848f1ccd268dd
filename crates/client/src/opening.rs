//! Finds or starts the sync of a push. A new sync is recorded locally before the server is called.

use super::call::Client;
use super::closing::abort;
use super::error::ClientError;
use super::progress::Progress;
use super::push::Push;
use super::push_state::{OpenPush, PushState};
use lakeshore::ErrorCode;
use lakeshore::model::id::SyncId;
use lakeshore::model::page::ListParameters;
use lakeshore::model::sync::job::SyncJob;
use lakeshore::model::sync::start::StartSync;
use lakeshore::model::sync::status::Status;

use lakeshore::ports::random_bytes;
use lakeshore_system::clock::SystemRandomness;
use reqwest::Method;
use serde::Deserialize;

/// A sync to continue.
#[derive(Debug, Clone, Copy)]
pub struct OpenSync {
    pub sync_id: SyncId,
    pub is_resumed: bool,
}

/// Finds the sync to continue. The call also checks, before anything is hashed, that the server is reachable and knows
/// the key.
pub async fn find_open(
    client: &Client,
    push: &Push,
    remembered: &PushState,
    progress: &Progress,
) -> Result<Option<OpenSync>, ClientError> {
    let fits = |sync: &SyncJob| sync.path == push.dataset && sync.sync_type == push.sync_type;
    if let Some(sync_id) = push.resume {
        let sync = client.sync(sync_id).await?;
        let (kind, path) = (sync.sync_type.as_str(), &sync.path);
        return if sync.sync_status != Status::Syncing {
            Err(ClientError::Usage(format!("sync {sync_id} has ended; omit --resume to start a new one")))
        } else if !fits(&sync) {
            Err(ClientError::Usage(format!(
                "sync {sync_id} is a {kind} to {path}; --resume needs a sync of the same type and path"
            )))
        } else {
            Ok(Some(OpenSync { sync_id, is_resumed: true }))
        };
    }
    let left = remembered.open_push().and_then(|left| left.sync_id);
    if let Some(sync_id) = left.filter(|_| push.start_over) {
        match abort(client, sync_id).await {
            Ok(()) => progress.tell(&format!("aborted sync {sync_id}, which was left open")),
            Err(error) if error.is_refusal(ErrorCode::SyncEnded) || error.is_refusal(ErrorCode::NoSuchSync) => {}
            Err(error) => return Err(error),
        }
        remembered.remove()?;
        return Ok(None);
    }
    let Some(sync_id) = left else {
        let looked = ListParameters { size: Some(1), path: Some(push.dataset.clone()), ..Default::default() };
        client.syncs(&looked).await?;
        return Ok(None);
    };
    match client.sync(sync_id).await {
        Ok(sync) if sync.sync_status == Status::Syncing && fits(&sync) => {
            progress.tell(&format!("resuming sync {sync_id}, which was left open (--start-over aborts it)"));
            Ok(Some(OpenSync { sync_id, is_resumed: true }))
        }
        Ok(sync) => {
            let why = if sync.message.is_empty() { sync.sync_status.as_str() } else { &sync.message };
            progress.tell(&format!("sync {sync_id}, which was left open, has ended ({why}); starting a new one"));
            remembered.remove()?;
            Ok(None)
        }
        Err(error) if error.is_refusal(ErrorCode::NoSuchSync) => {
            remembered.remove()?;
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[derive(Deserialize)]
struct Started {
    sync_id: SyncId,
}

pub async fn start(client: &Client, remembered: &PushState, wanted: &Push) -> Result<OpenSync, ClientError> {
    // A start without an answer is repeated in the same words, since only its answer may be lost.
    let mut push = match remembered.open_push() {
        Some(push) => push,
        None => {
            let random: [u8; 16] =
                random_bytes(&SystemRandomness).map_err(|error| ClientError::Local(error.to_string()))?;
            OpenPush {
                server: client.server().to_owned(),
                source: wanted.source.path(),
                path: wanted.dataset.clone(),
                sync_type: wanted.sync_type,
                name: wanted.name.clone(),
                idempotency_key: hex::encode(random),
                sync_id: None,
            }
        }
    };
    remembered.remember(&push)?;
    let (name, path, sync_type) = (push.name.clone(), push.path.to_string(), push.sync_type);
    let body = StartSync { name, path, sync_type, expected: None };
    let started = client.persistently(async || {
        let request = client.request(Method::POST, "/api/ingestion/file/sync/start").json(&body);
        // A string of RFC 8941, in quotes.
        client.call::<Started>(request.header("Idempotency-Key", format!("\"{}\"", push.idempotency_key))).await
    });
    let sync_id = match started.await {
        Ok(started) => started.sync_id,
        Err(error) => {
            if matches!(error, ClientError::Refused { .. }) {
                remembered.remove()?;
            }
            return Err(error);
        }
    };
    push.sync_id = Some(sync_id);
    remembered.remember(&push)?;
    Ok(OpenSync { sync_id, is_resumed: false })
}
