//! Fixes what versions add to the bucket: their commits, and the manifest of one of them.
//!
//! Groups of landings that follow each other are fixed together, each with its own commit.

use super::change::Change;
use super::cleaning::is_cleaning_due;
use super::manifests::gets_manifest_each;
use super::planning::{Planned, Schemas};
use super::{FollowError, Shared};
use bytes::Bytes;
use lakeshore::model::id::{UploadId, VersionNumber};
use lakeshore::model::path::LakePath;
use lakeshore::model::table::{DraftId, EntryKind};
use lakeshore::model::version::VersionKind;
use lakeshore::ports::Clock;
use lakeshore::ports::metadata::table::{FileOutside, FixedVersions, NewEntry, StoredTable, VersionHead};
use lakeshore_delta::checkpoint_interval::is_checkpoint_due;
use lakeshore_delta::plan::TableState;
use lakeshore_system::clock::SystemClock;
use lakeshore_system::failpoints::crash_point;
use std::collections::BTreeMap;

/// Bytes of entries that are held in memory until they are fixed together, about.
const ENTRIES_BYTES_MAX: usize = 1024 * 1024;

/// Versions that are planned, one after the other, and not fixed yet.
struct PlannedVersions {
    /// The version that was fixed last.
    before: u64,
    /// After the last of them.
    table: StoredTable,
    state: Option<TableState>,
    schemas: Schemas,
    entries: Vec<NewEntry>,
    entries_bytes: usize,
    outside: BTreeMap<UploadId, FileOutside>,
    gone: Option<Vec<UploadId>>,
    /// Whether files were outside the table before these versions, once that was asked.
    had_outside: Option<bool>,
}

impl PlannedVersions {
    fn is_empty(&self) -> bool {
        self.table.version == self.before
    }

    /// A checkpoint or a cleaning is due after these, or their entries take much memory.
    fn is_complete(&self) -> bool {
        let StoredTable { version, commit, checkpoint, actions, .. } = self.table;
        let is_checkpoint_due = commit.is_some_and(|commit| is_checkpoint_due(commit, checkpoint, actions));
        !self.is_empty() && (is_checkpoint_due || is_cleaning_due(version) || self.entries_bytes > ENTRIES_BYTES_MAX)
    }

    fn add(&mut self, entry: NewEntry) {
        self.entries_bytes += entry.bytes.as_ref().map_or(0, Bytes::len);
        self.entries.push(entry);
    }
}

impl Shared {
    /// Fixes the first of these versions, which are the next ones of the table, and those after it that can be fixed with it.
    /// Returns the table after them, and their entries.
    pub(super) async fn fix(
        &self,
        dataset: &LakePath,
        table: StoredTable,
        versions: &[VersionHead],
    ) -> Result<(StoredTable, Vec<NewEntry>), FollowError> {
        let before = table.version;
        let mut planned = PlannedVersions {
            before,
            state: table.state.as_deref().map(serde_json::from_str).transpose()?,
            table,
            schemas: Schemas::default(),
            entries: Vec::new(),
            entries_bytes: 0,
            outside: BTreeMap::new(),
            gone: Some(Vec::new()),
            had_outside: None,
        };
        if let Err(error) = self.plan_versions(dataset, versions, &mut planned).await {
            self.forget_drafts(&planned.entries).await;
            return Err(error);
        }
        crash_point!("object.table_drafted");
        let PlannedVersions { table, entries, outside, gone, .. } = planned;
        let outside = outside.into_values().collect();
        let fixed = FixedVersions { dataset: dataset.clone(), before, table, entries, outside, gone };
        self.fix_entries(&fixed).await?;
        crash_point!("object.table_fixed");
        Ok((fixed.table, fixed.entries))
    }

    async fn plan_versions(
        &self,
        dataset: &LakePath,
        versions: &[VersionHead],
        planned: &mut PlannedVersions,
    ) -> Result<(), FollowError> {
        if planned.before > 0 {
            // Where each version gets a manifest, each is fixed by itself.
            let together = if gets_manifest_each(&planned.table, versions) { 1 } else { versions.len() };
            let landed = versions.iter().take(together).take_while(|version| version.kind == VersionKind::Landing);
            let landed: Vec<_> = landed.copied().collect();
            let landings = self.landings(dataset, &landed).await?;
            for version in &landed {
                if planned.is_complete() {
                    break;
                }
                let is_outside = |upload_id| planned.outside.contains_key(&upload_id);
                let Some(change) = landings.change(dataset, &planned.table, version, is_outside) else { break };
                // Where all files of the table are replaced, those outside it may fit it now.
                let planning = async {
                    let is_alone = change.kept == 0 && self.has_outside(dataset, planned).await?;
                    if is_alone { Ok(false) } else { self.plan_version(dataset, version, change, planned).await }
                };
                match planning.await {
                    Ok(true) => {}
                    Ok(false) => break,
                    // It fails again once it is the next one.
                    Err(_) if !planned.is_empty() => break,
                    Err(error) => return Err(error),
                }
            }
            if !planned.is_empty() {
                return Ok(());
            }
        }
        let Some(version) = versions.first() else { return Ok(()) };
        let change = self.change(dataset, &planned.table, version).await?;
        self.plan_version(dataset, version, change, planned).await?;
        Ok(())
    }

    async fn has_outside(&self, dataset: &LakePath, planned: &mut PlannedVersions) -> Result<bool, FollowError> {
        let had_outside = match planned.had_outside {
            Some(had_outside) => had_outside,
            None => !self.state.files_outside(dataset, 1).await?.is_empty(),
        };
        planned.had_outside = Some(had_outside);
        Ok(had_outside || !planned.outside.is_empty())
    }

    /// Adds the next version to those that are planned. False where it has to be fixed after them.
    async fn plan_version(
        &self,
        dataset: &LakePath,
        version: &VersionHead,
        mut change: Change,
        planned: &mut PlannedVersions,
    ) -> Result<bool, FollowError> {
        let (kept, gone) = (change.kept, change.gone.take());
        let plan = self.plan(dataset, planned.state.as_ref(), version.into(), change, &mut planned.schemas).await?;
        let Planned { commit, adds, removes, outside } = plan;
        let mut table = StoredTable {
            version: version.version.0,
            dataset_files: version.files,
            table_files: kept + adds.len() as u64,
            actions: planned.table.actions + (adds.len() + removes.len()) as u64,
            ..planned.table.clone()
        };
        if let Some(commit) = &commit {
            table.state = Some(serde_json::to_string(&commit.state)?);
            table.commit = Some(commit.number());
        }
        let wants_manifest = self.wants_manifest(dataset, &table, version);
        // A manifest lists files by what the database says of them at the version before.
        if wants_manifest && !planned.is_empty() {
            return Ok(false);
        }
        if let Some(commit) = commit {
            let chunks = commit.chunks(adds, removes).map(|chunk| chunk.map_err(FollowError::from));
            planned.add(self.draft(version.version, EntryKind::Commit, commit.number(), chunks).await?);
            planned.state = Some(commit.state);
        }
        if wants_manifest {
            planned.add(self.manifest(dataset, version, &outside, gone.as_deref()).await?);
            table.manifest = Some(version.version.0);
        }
        planned.table = table;
        match gone {
            Some(gone) => {
                planned.outside.retain(|upload_id, _| !gone.contains(upload_id));
                planned.gone.iter_mut().for_each(|all| all.extend(&gone));
            }
            None => planned.gone = None,
        }
        planned.outside.extend(outside.into_iter().map(|file| (file.upload_id, file)));
        Ok(true)
    }

    /// Fixes versions, or forgets the drafts of their entries.
    pub(super) async fn fix_entries(&self, fixed: &FixedVersions) -> Result<(), FollowError> {
        let failed = match self.state.fix_versions(fixed).await {
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
        version: VersionNumber,
        kind: EntryKind,
        number: u64,
        mut chunks: impl Iterator<Item = Result<Bytes, FollowError>> + Send,
    ) -> Result<NewEntry, FollowError> {
        let draft = DraftId(self.random()?);
        let first = chunks.next().transpose()?.unwrap_or_default();
        let Some(second) = chunks.next() else {
            return Ok(NewEntry { version, kind, number, draft, bytes: Some(first) });
        };
        let chunks = [Ok(first), second].into_iter().chain(chunks);
        if let Err(error) = self.write_draft(draft, chunks).await {
            self.forget_draft(draft).await;
            return Err(error);
        }
        Ok(NewEntry { version, kind, number, draft, bytes: None })
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
