//! Fixes what a version adds to the bucket: its commit, its manifest, or both.

use super::planning::Planned;
use super::{FollowError, Shared};
use bytes::Bytes;
use lakeshore::model::path::LakePath;
use lakeshore::model::table::{DraftId, EntryKind};
use lakeshore::model::version::Version;
use lakeshore::ports::Clock;
use lakeshore::ports::metadata::table::{FixedVersion, NewEntry, StoredTable};
use lakeshore_delta::plan::TableState;
use lakeshore_system::clock::SystemClock;
use lakeshore_system::failpoints::crash_point;

impl Shared {
    pub(super) async fn fix(
        &self,
        dataset: &LakePath,
        table: &StoredTable,
        version: &Version,
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
        if self.wants_manifest(dataset, &after, version).await? {
            entries.push(self.manifest(dataset, version, &outside, gone.as_deref()).await?);
            after.manifest = Some(version.version.0);
        }
        crash_point!("object.table_drafted");
        let fixed =
            FixedVersion { dataset: dataset.clone(), before: table.version, table: after, entries, outside, gone };
        if !self.state.fix_version(&fixed).await? {
            return Err(FollowError::Overtaken);
        }
        crash_point!("object.table_fixed");
        Ok(())
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
        for (index, chunk) in (0..).zip([Ok(first), second].into_iter().chain(chunks)) {
            self.state.write_draft(draft, index, chunk?, SystemClock.now()).await?;
        }
        Ok(NewEntry { kind, number, draft, bytes: None })
    }
}
