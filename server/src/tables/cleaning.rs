//! Removes entries of a log that no reader needs: the older ones, where a newer checkpoint has what they say.
//!
//! Versions stay readable by the log for as long as the trash keeps what they have replaced; see decision 0043. A stop in between
//! leaves entries that are removed after the next checkpoint.

use super::{FollowError, Shared};
use lakeshore::model::id::VersionNumber;
use lakeshore::model::object_key::ObjectKey;
use lakeshore::model::path::LakePath;
use lakeshore::model::time::Timestamp;
use lakeshore::model::version::WhichVersion;
use lakeshore::ports::TableLog;
use lakeshore::ports::metadata::table::{StoredTable, UnneededLog};
use lakeshore_delta::checkpoint::checkpoint_name;
use lakeshore_delta::commit::commit_name;
use lakeshore_delta::manifest::manifest_name;
use std::ops::Range;

/// Versions between two cleanings of a dataset that gets no checkpoints, because it has no table.
const VERSIONS_BETWEEN: u64 = 100;
/// Entries that are removed together. A request deletes at most 1,000 objects, and each commit may have a checkpoint.
const TOGETHER_MAX: u64 = 500;
/// Groups that one cleaning removes at most, since the next version of the dataset waits for it. A long old log takes several
/// cleanings.
const GROUPS_MAX: usize = 10;

/// Whether the log of a dataset is cleaned after a version, also without a checkpoint.
pub(super) fn is_cleaning_due(version: u64) -> bool {
    version > 0 && version.is_multiple_of(VERSIONS_BETWEEN)
}

impl Shared {
    /// Removes what no version needs that was current since `kept_from`, where there may be much of it.
    pub(super) async fn clean_log(
        &self,
        dataset: &LakePath,
        table: &StoredTable,
        has_new_checkpoint: bool,
        kept_from: Timestamp,
    ) {
        if !has_new_checkpoint && !is_cleaning_due(table.version) {
            return;
        }
        if let Err(error) = self.try_clean_log(dataset, table, kept_from).await {
            tracing::warn!(%dataset, fault = ?error, "cannot remove old entries of the log of a table; retrying with the next cleaning");
        }
    }

    async fn try_clean_log(
        &self,
        dataset: &LakePath,
        table: &StoredTable,
        kept_from: Timestamp,
    ) -> Result<(), FollowError> {
        let Some(oldest) = self.state.find_version(dataset, WhichVersion::AsOf(kept_from)).await? else {
            return Ok(());
        };
        let Some(unneeded) = self.state.unneeded_log(dataset, oldest.version).await? else { return Ok(()) };
        let UnneededLog { mut commits, mut manifests } = unneeded;
        for _ in 0..GROUPS_MAX {
            if commits.is_empty() && manifests.is_empty() {
                break;
            }
            let gone = UnneededLog { commits: first(&commits), manifests: first(&manifests) };
            // Of a dataset that has had no manifest there is none to remove.
            let keys = keys(dataset, &gone, table.manifest.is_some());
            self.objects.delete(&keys).await?;
            self.state.forget_log(dataset, &gone).await?;
            (commits.start, manifests.start) = (gone.commits.end, gone.manifests.end);
        }
        Ok(())
    }
}

fn first(entries: &Range<u64>) -> Range<u64> {
    entries.start..entries.end.min(entries.start + TOGETHER_MAX)
}

fn keys(dataset: &LakePath, gone: &UnneededLog, has_manifests: bool) -> Vec<ObjectKey> {
    let commits = gone.commits.clone().flat_map(|commit| [commit_name(commit), checkpoint_name(commit)]);
    let manifests = gone.manifests.clone().filter(|_| has_manifests).map(VersionNumber).map(manifest_name);
    commits.chain(manifests).map(|name| ObjectKey::of_table(dataset, &name)).collect()
}
