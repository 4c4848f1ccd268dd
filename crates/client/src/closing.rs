//! End of a push: declares the files of its sync, then ends or aborts it.

use super::call::Client;
use super::error::ClientError;
use super::plan::{Plan, PlannedFile};
use lakeshore::ErrorCode;
use lakeshore::model::id::SyncId;
use lakeshore::model::limits::EXPECTED_FILES_MAX;
use lakeshore::model::sync::comparison::ManifestEntry;
use lakeshore::model::sync::end::EndSync;
use lakeshore::model::sync::manifest::ExpectFiles;
use lakeshore::model::sync::manifest::Expected;
use serde_json::Value;

/// Declares each file of the sync, or for very many files their number and size.
pub async fn declare(client: &Client, sync_id: SyncId, plan: &Plan) -> Result<(), ClientError> {
    let is_nameable = plan.files <= EXPECTED_FILES_MAX as u64;
    let files = if is_nameable { Some(plan.read()?.take(EXPECTED_FILES_MAX)?) } else { None };
    let files = files.map(|files| {
        let file = |file: PlannedFile| ManifestEntry {
            size_bytes: file.size_bytes(),
            path: file.path,
            sha256: Some(file.sha256),
        };
        files.into_iter().map(file).collect::<Vec<_>>()
    });
    let totals = |number| if is_nameable { None } else { Some(number) };
    let expected = Expected { files, count: totals(plan.files), size_bytes: totals(plan.bytes) };
    client.post::<Value>("/api/lake/file/sync/expect", &ExpectFiles { sync_id, expected }).await?;
    Ok(())
}

pub async fn abort(client: &Client, sync_id: SyncId) -> Result<(), ClientError> {
    client.post::<Value>("/api/ingestion/file/sync/abort", &EndSync::new(sync_id)).await?;
    Ok(())
}

/// Options for the end of the sync.
#[derive(Debug, Clone, Copy)]
pub struct Ending {
    pub confirm: bool,
    /// No other sender uses the sync.
    pub is_own: bool,
    pub is_empty: bool,
}

impl Ending {
    pub async fn end(self, client: &Client, sync_id: SyncId) -> Result<(), ClientError> {
        match self.try_end(client, sync_id, false).await {
            // All files of this push have landed, so uploads in flight are leftovers of a broken connection.
            Err(error) if error.is_refusal(ErrorCode::UploadsInFlight) && self.is_own => {
                self.try_end(client, sync_id, true).await
            }
            result => result,
        }
    }

    async fn try_end(self, client: &Client, sync_id: SyncId, discard_in_flight: bool) -> Result<(), ClientError> {
        let Self { confirm, is_empty, .. } = self;
        let body = EndSync { sync_id, discard_in_flight, allow_empty: confirm && is_empty, confirm };
        client.post::<Value>("/api/ingestion/file/sync/end", &body).await?;
        Ok(())
    }
}

/// Whether the shrink guard holds the sync, so that a person has to confirm it.
pub fn is_held(error: &ClientError) -> bool {
    error.is_refusal(ErrorCode::Held) || error.is_refusal(ErrorCode::SchemaHeld)
}
