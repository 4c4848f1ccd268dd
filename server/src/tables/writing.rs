//! Writes fixed entries to the bucket, in order. Idempotent.

use super::manifests::head_of;
use super::{FollowError, Shared};
use bytes::Bytes;
use lakeshore::Error;
use lakeshore::model::object_key::ObjectKey;
use lakeshore::model::path::LakePath;
use lakeshore::model::table::{DraftId, EntryKind};
use lakeshore::ports::TableLog;
use lakeshore::ports::metadata::table::{FixedEntry, NewEntry};
use lakeshore::ports::table_log::PutOutcome;
use lakeshore_delta::commit::commit_name;
use lakeshore_delta::manifest::{current, current_name, manifest_name};
use lakeshore_system::failpoints::crash_point;
use std::sync::atomic::{AtomicU64, Ordering};

impl Shared {
    /// Writes what was fixed before, by this server or by another. False where there was nothing.
    pub(super) async fn write_fixed(&self, dataset: &LakePath) -> Result<bool, FollowError> {
        let entries = self.state.fixed_entries(dataset).await?;
        let were_any = !entries.is_empty();
        self.write_all(dataset, entries.into_iter().map(|entry| (entry, None)).collect()).await?;
        Ok(were_any)
    }

    /// Writes what was fixed a moment ago.
    pub(super) async fn write_new(&self, dataset: &LakePath, entries: Vec<NewEntry>) -> Result<(), FollowError> {
        let fixed =
            |NewEntry { version, kind, number, draft, bytes }| (FixedEntry { version, kind, number, draft }, bytes);
        self.write_all(dataset, entries.into_iter().map(fixed).collect()).await
    }

    /// Each with its bytes, if they are at hand.
    async fn write_all(
        &self,
        dataset: &LakePath,
        entries: Vec<(FixedEntry, Option<Bytes>)>,
    ) -> Result<(), FollowError> {
        let (mut written, mut outcome) = (Vec::new(), Ok(()));
        for (entry, bytes) in entries {
            let write = match bytes {
                Some(bytes) => self.write_entry(dataset, entry, vec![bytes]).await.map(Some),
                None => self.write_stored(dataset, entry).await,
            };
            match write {
                Ok(draft) => written.extend(draft),
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
        if !written.is_empty() {
            self.state.forget_entries(dataset, &written).await?;
        }
        outcome
    }

    /// `None` where another server has written the entry.
    async fn write_stored(&self, dataset: &LakePath, entry: FixedEntry) -> Result<Option<DraftId>, FollowError> {
        let chunks = self.state.draft(entry.draft).await?;
        if !chunks.is_empty() {
            return Ok(Some(self.write_entry(dataset, entry, chunks).await?));
        }
        // Another server has written it, and forgotten it with its bytes.
        if self.state.fixed_entries(dataset).await?.contains(&entry) {
            return Err(FollowError::NoBytes(key_of(dataset, &entry)));
        }
        Ok(None)
    }

    async fn write_entry(
        &self,
        dataset: &LakePath,
        entry: FixedEntry,
        chunks: Vec<Bytes>,
    ) -> Result<DraftId, FollowError> {
        let key = key_of(dataset, &entry);
        match self.objects.write_once(&key, chunks).await? {
            PutOutcome::Done => {}
            PutOutcome::Taken => return Err(FollowError::Taken(key)),
        }
        crash_point!("object.table_written");
        if entry.kind == EntryKind::Manifest {
            self.name_current(dataset, &entry).await?;
            crash_point!("object.table_current");
        }
        Ok(entry.draft)
    }

    /// Names the manifest as the newest, unless a newer one is.
    async fn name_current(&self, dataset: &LakePath, entry: &FixedEntry) -> Result<(), FollowError> {
        let found = self.state.version_head(dataset, entry.version).await?;
        let version = found.ok_or_else(|| Error::NoSuchVersion(entry.version.to_string(), dataset.clone()))?;
        let bytes = current(&head_of(dataset, &version))?;
        let number = entry.version.0;
        let newer = AtomicU64::new(0);
        let is_newer = |there: &[u8]| {
            let there: Option<serde_json::Value> = serde_json::from_slice(there).ok();
            let there = there.and_then(|there| there["version"].as_u64()).unwrap_or(0);
            newer.store(there, Ordering::Relaxed);
            there > number
        };
        let key = ObjectKey::of_table(dataset, &current_name());
        self.objects.replace_older(&key, bytes, &is_newer).await?;
        let newer = newer.into_inner();
        if newer > number {
            let newest = self.state.current_version(dataset).await?;
            if newest.is_none_or(|newest| newest.0 < newer) {
                return Err(FollowError::Taken(key));
            }
        }
        Ok(())
    }
}

fn key_of(dataset: &LakePath, entry: &FixedEntry) -> ObjectKey {
    let name = match entry.kind {
        EntryKind::Commit => commit_name(entry.number),
        EntryKind::Manifest => manifest_name(entry.version),
    };
    ObjectKey::of_table(dataset, &name)
}
