//! Checkpoints: the state of a table after its last commit. Nothing waits for them, and they are made from rows, so one that a
//! stop has cut off is made by the next round.

use super::change::{VersionFilePages, place_of};
use super::{FollowError, Shared};
use bytes::Bytes;
use lakeshore::Error;
use lakeshore::model::id::VersionNumber;
use lakeshore::model::object_key::ObjectKey;
use lakeshore::model::path::LakePath;
use lakeshore::ports::TableLog;
use lakeshore::ports::metadata::table::StoredTable;
use lakeshore_delta::checkpoint::{
    CheckpointChunks, CheckpointError, CheckpointSummary, FileAction, checkpoint_name, last_checkpoint_name,
};
use lakeshore_delta::checkpoint_interval::is_checkpoint_due;
use lakeshore_delta::commit::AddFile;
use lakeshore_delta::plan::TableState;
use tokio::sync::mpsc;

/// Pages of files that wait to be encoded.
const PAGES_AHEAD: usize = 2;

impl Shared {
    /// Writes the checkpoint of the last commit, where one is due, and tells whether it was. All entries are in the bucket.
    pub(super) async fn write_checkpoint(&self, dataset: &LakePath, table: &StoredTable) -> Result<bool, FollowError> {
        let Some(state) = &table.state else { return Ok(false) };
        let state: TableState = serde_json::from_str(state)?;
        let commit = state.commit;
        if !is_checkpoint_due(commit, table.checkpoint, table.actions) {
            return Ok(false);
        }
        let (pages, waiting) = mpsc::channel(PAGES_AHEAD);
        let encoding = tokio::task::spawn_blocking(move || encode(&state, waiting));
        let sent = self.send_files(dataset, VersionNumber(table.version), &pages).await;
        drop(pages);
        let (chunks, summary) = encoding.await??;
        sent?;
        if !self.state.confirm_version(dataset, VersionNumber(table.version)).await? {
            return Err(FollowError::Overtaken);
        }
        let key = |name: &str| ObjectKey::of_table(dataset, name);
        self.objects.write_over(&key(&checkpoint_name(commit)), chunks).await?;
        self.objects.write_over(&key(&last_checkpoint_name()), vec![summary.last_checkpoint()?]).await?;
        self.state.set_checkpoint(dataset, commit, VersionNumber(table.version)).await?;
        Ok(true)
    }

    /// Refuses to go on with a log that has a checkpoint which the database does not know: the database is an older copy. Its
    /// commits up to there may be gone from the bucket, so that none is in the way of another one. Looked at once for each dataset.
    pub(super) async fn refuse_newer_log(&self, dataset: &LakePath, table: &StoredTable) -> Result<(), FollowError> {
        if self.compared.lock().contains(dataset) {
            return Ok(());
        }
        let key = ObjectKey::of_table(dataset, &last_checkpoint_name());
        let there = self.objects.read(&key).await?;
        let there: Option<serde_json::Value> = there.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let commit = there.and_then(|there| there["version"].as_u64());
        if commit.is_some_and(|commit| table.commit.is_none_or(|known| known < commit)) {
            return Err(FollowError::Taken(key));
        }
        self.compared.lock().insert(dataset.clone());
        Ok(())
    }

    async fn send_files(
        &self,
        dataset: &LakePath,
        version: VersionNumber,
        to: &mpsc::Sender<Vec<FileAction>>,
    ) -> Result<(), Error> {
        let mut pages = VersionFilePages::new(dataset, version);
        while let Some(page) = pages.next(self).await? {
            let ids: Vec<_> = page.iter().map(|file| file.upload_id).collect();
            let mut known = self.known_already(dataset, &ids).await?;
            let actions = page.iter().filter_map(|file| {
                let known = known.remove(&file.upload_id)?;
                if known.schema.is_none() || known.is_outside {
                    return None;
                }
                let (path, partition) = place_of(dataset, &file.path, &known).ok()?;
                let size_bytes = known.size_bytes;
                let add = AddFile { path, partition, size_bytes, modified: file.landed_at, stats: known.stats };
                Some(FileAction::Add(add))
            });
            if to.send(actions.collect()).await.is_err() {
                // The encoder has failed, and says why.
                return Ok(());
            }
        }
        Ok(())
    }
}

fn encode(
    state: &TableState,
    mut pages: mpsc::Receiver<Vec<FileAction>>,
) -> Result<(Vec<Bytes>, CheckpointSummary), CheckpointError> {
    let files = std::iter::from_fn(move || pages.blocking_recv()).flatten();
    let mut encoder = CheckpointChunks::new(state, files)?;
    let chunks = encoder.by_ref().collect::<Result<Vec<_>, _>>()?;
    Ok((chunks, encoder.summary()))
}
