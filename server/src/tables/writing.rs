//! Writes fixed entries to the bucket, in order. Idempotent.

use super::manifests::head_of;
use super::{FollowError, Shared};
use lakeshore::Error;
use lakeshore::model::object_key::ObjectKey;
use lakeshore::model::path::LakePath;
use lakeshore::model::table::EntryKind;
use lakeshore::ports::TableLog;
use lakeshore::ports::metadata::table::FixedEntry;
use lakeshore::ports::table_log::PutOutcome;
use lakeshore_delta::commit::commit_name;
use lakeshore_delta::manifest::{current, current_name, manifest_name};
use lakeshore_system::failpoints::crash_point;
use std::sync::atomic::{AtomicU64, Ordering};

impl Shared {
    pub(super) async fn write_entries(&self, dataset: &LakePath) -> Result<(), FollowError> {
        for entry in self.state.fixed_entries(dataset).await? {
            let name = match entry.kind {
                EntryKind::Commit => commit_name(entry.number),
                EntryKind::Manifest => manifest_name(entry.version),
            };
            let key = ObjectKey::of_table(dataset, &name);
            let chunks = self.state.draft(entry.draft).await?;
            if chunks.is_empty() {
                // Another server has written it, and forgotten it with its bytes.
                if self.state.fixed_entries(dataset).await?.contains(&entry) {
                    return Err(FollowError::NoBytes(key));
                }
                continue;
            }
            match self.objects.write_once(&key, chunks).await? {
                PutOutcome::Done => {}
                PutOutcome::Taken => return Err(FollowError::Taken(key)),
            }
            crash_point!("object.table_written");
            if entry.kind == EntryKind::Manifest {
                self.name_current(dataset, &entry).await?;
                crash_point!("object.table_current");
            }
            self.state.forget_entry(dataset, &entry).await?;
        }
        Ok(())
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
