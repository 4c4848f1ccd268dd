//! Fixes what a version adds to the bucket: its commit, its manifest, or both.

use super::planning::Planned;
use super::{FollowError, Shared};
use bytes::Bytes;
use lakeshore::model::path::LakePath;
use lakeshore::model::table::{DraftId, EntryKind};
use lakeshore::ports::Clock;
use lakeshore::ports::metadata::table::{FixedVersion, NewEntry, StoredTable, VersionHead};
use lakeshore_delta::plan::TableState;
use lakeshore_system::clock::SystemClock;
use lakeshore_system::failpoints::crash_point;

impl Shared {
    pub(super) async fn fix(
        &self,
        dataset: &LakePath,
        table: &StoredTable,
        version: &VersionHead,
    ) -> Result<(), FollowError> {
        let state: Option<TableState> = table.state.as_deref().map(serde_json::from_str).transpose()?;
        let mut change = self.change(dataset, table, version).await?;
        let (kept, gone) = (change.kept, change.gone.take());
        let planned = self.plan(dataset, state.as_ref(), version.into(), change).await?;
        let Planned { commit, adds, removes, outside } = planned;
        let mut after = StoredTable {
            version: version.version.0,
            dataset_files: version.files,
            table_files: kept + adds.len() as u64,
            state: table.state.clone(),
            commit: table.commit,
            manifest: table.manifest,
            actions: table.actions + (adds.len() + removes.len()) as u64,
            ..StoredTable::default()
        };
        let mut entries = Vec::new();
        if let Some(commit) = &commit {
            after.state = Some(serde_json::to_string(&commit.state)?);
            let number = commit.number();
            after.commit = Some(number);
            let chunks = commit.chunks(adds, removes).map(|chunk| chunk.map_err(FollowError::from));
            entries.push(self.draft(EntryKind::Commit, number, chunks).await?);
        }
        if self.wants_manifest(dataset, &after, version) {
            match self.manifest(dataset, version, &outside, gone.as_deref()).await {
                Ok(manifest) => entries.push(manifest),
                Err(error) => {
                    self.forget_drafts(&entries).await;
                    return Err(error);
                }
            }
            after.manifest = Some(version.version.0);
        }
        crash_point!("object.table_drafted");
        let fixed =
            FixedVersion { dataset: dataset.clone(), before: table.version, table: after, entries, outside, gone };
        self.fix_entries(&fixed).await?;
        crash_point!("object.table_fixed");
        Ok(())
    }

    /// Fixes a version, or forgets the drafts of its entries.
    pub(super) async fn fix_entries(&self, fixed: &FixedVersion) -> Result<(), FollowError> {
        let failed = match self.state.fix_version(fixed).await {
            Ok(true) => return Ok(()),
            Ok(false) => FollowError::Overtaken,
            // It may still be fixed.
            Err(error) if error.is_unsettled() => return Err(error.into()),
            Err(error) => error.into(),
        };
        self.forget_drafts(&fixed.entries).await;
        Err(failed)
    }

    async fn forget_drafts(&self, entries: &[NewEntry]) {
        for entry in entries.iter().filter(|entry| entry.bytes.is_none()) {
            self.forget_draft(entry.draft).await;
        }
    }

    /// Each attempt at a version has drafts of its own, so that those of one that failed are in nobody's way but take space.
    async fn forget_draft(&self, draft: DraftId) {
        if let Err(error) = self.state.forget_draft(draft).await {
            tracing::debug!(%error, "cannot delete an unfinished table draft; it is deleted within a day");
        }
    }

    /// Bytes of one chunk are fixed with the version, those of several are written before.
    pub(super) async fn draft(
        &self,
        kind: EntryKind,
        number: u64,
        mut chunks: impl Iterator<Item = Result<Bytes, FollowError>> + Send,
    ) -> Result<NewEntry, FollowError> {
        let draft = DraftId(self.random()?);
        let first = chunks.next().transpose()?.unwrap_or_default();
        let Some(second) = chunks.next() else {
            return Ok(NewEntry { kind, number, draft, bytes: Some(first) });
        };
        let chunks = [Ok(first), second].into_iter().chain(chunks);
        if let Err(error) = self.write_draft(draft, chunks).await {
            self.forget_draft(draft).await;
            return Err(error);
        }
        Ok(NewEntry { kind, number, draft, bytes: None })
    }

    async fn write_draft(
        &self,
        draft: DraftId,
        chunks: impl Iterator<Item = Result<Bytes, FollowError>> + Send,
    ) -> Result<(), FollowError> {
        for (index, chunk) in (0..).zip(chunks) {
            self.state.write_draft(draft, index, chunk?, SystemClock.now()).await?;
        }
        Ok(())
    }
}
