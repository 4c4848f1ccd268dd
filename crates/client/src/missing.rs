//! Asks which files have to be sent: those that neither the dataset nor the sync has.

use super::call::Client;
use super::error::ClientError;
use super::plan::PlannedFile;
use lakeshore::model::id::SyncId;
use lakeshore::model::upload::offer::{Missing, Offer, OfferedFile};
use serde::Deserialize;

#[derive(Deserialize)]
struct Answer {
    data: Missing,
}

/// Asks for missing files. With `take_over`, unchanged files become part of the full sync without being sent.
pub async fn missing(
    client: &Client,
    sync_id: SyncId,
    files: &[PlannedFile],
    take_over: bool,
) -> Result<Missing, ClientError> {
    let files = files.iter().map(|file| OfferedFile {
        path: file.path.clone(),
        size_bytes: file.size_bytes(),
        sha256: file.sha256.clone(),
    });
    let offer = Offer { sync_id, path: None, files: files.collect(), take_over };
    let answer: Answer = client.post("/api/lake/file/missing", &offer).await?;
    Ok(answer.data)
}

/// Whether the file has landed in the sync.
pub async fn has_landed(client: &Client, sync_id: SyncId, file: &PlannedFile) -> Result<bool, ClientError> {
    Ok(missing(client, sync_id, std::slice::from_ref(file), false).await?.missing.is_empty())
}
