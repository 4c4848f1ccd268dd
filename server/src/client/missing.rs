//! Asking which files have to be sent: not those that the dataset has, nor those that the sync was sent before.

use super::call::Client;
use super::error::ClientError;
use super::plan::PlannedFile;
use lakeshore::sync::SyncId;
use serde::{Deserialize, Serialize};

#[derive(Serialize)]
struct Offer<'a> {
    sync_id: SyncId,
    files: Vec<OfferedFile<'a>>,
    take_over: bool,
}

#[derive(Serialize)]
struct OfferedFile<'a> {
    path: &'a str,
    size_bytes: u64,
    sha256: &'a str,
}

#[derive(Deserialize)]
struct Answer<T> {
    data: T,
}

#[derive(Debug, Deserialize)]
pub struct Missing {
    pub missing: Vec<String>,
    pub taken_over: u64,
}

/// With `take_over`, what is unchanged becomes part of the full sync without being sent.
pub async fn missing(
    client: &Client,
    sync_id: SyncId,
    files: &[PlannedFile],
    take_over: bool,
) -> Result<Missing, ClientError> {
    let files =
        files.iter().map(|file| OfferedFile { path: &file.path, size_bytes: file.size_bytes(), sha256: &file.sha256 });
    let offer = Offer { sync_id, files: files.collect(), take_over };
    let answer: Answer<Missing> = client.post("/api/lake/file/missing", &offer).await?;
    Ok(answer.data)
}
