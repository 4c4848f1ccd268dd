//! Syncs: one job from start to end, and the rules for which of them may be open together.

use crate::model::access::actor::Actor;
use crate::model::error::Error;
use crate::model::id::{SyncId, VersionNumber};
use crate::model::limits::{DUPLICATES_NAMED_MAX, NAME_BYTES_MAX};
use crate::model::path::LakePath;
use crate::model::storage_path::Identity;
use crate::model::sync::comparison::ExpectedTotals;
use crate::model::sync::hold::Hold;
use crate::model::sync::status::{Status, SyncType};
use crate::model::time::Timestamp;
use crate::model::trash::TrashReason;
use crate::model::upload::row::Upload;
use serde::{Deserialize, Serialize};

/// A sync as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncJob {
    pub org_id: u64,
    pub sync_id: SyncId,
    pub name: String,
    pub path: LakePath,
    pub sync_type: SyncType,
    pub sync_status: Status,
    pub start_time: Timestamp,
    pub end_time: Timestamp,
    /// All uploads of the sync, including failed ones and those in flight.
    pub total_files: u64,
    pub num_failed: u64,
    /// Uploads that have begun and neither landed nor failed.
    pub num_in_flight: u64,
    /// Failed uploads that are only counted, without a row in the history, because there were too many.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub num_unlisted: u64,
    /// Bytes of the landed uploads.
    pub size_bytes: u64,
    /// Reason for the failure; empty otherwise.
    pub message: String,
    /// Name of the key that started it.
    pub started_by: String,
    /// Totals of the declaration, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<ExpectedTotals>,
    /// Set while the end is refused until somebody confirms it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Hold>,
    /// Files whose columns differ from those of the dataset before, as far as they were read.
    #[serde(default)]
    pub num_schema_differences: u64,
    /// Uploads that replaced different content of this sync under the same name; absent if none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub num_duplicates: u64,
    /// The first of those names, relative to the sync's path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub duplicate_names: Vec<String>,
}

/// Adds a duplicate name to those that a sync on `path` reports.
pub fn note_duplicate(names: &mut Vec<String>, path: &LakePath, target: &LakePath) {
    let name = target.as_str().strip_prefix(path.as_str()).unwrap_or(target.as_str()).trim_start_matches('/');
    let name: String = name.chars().take(NAME_BYTES_MAX).collect();
    if names.len() < DUPLICATES_NAMED_MAX && !names.contains(&name) {
        names.push(name);
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl SyncJob {
    /// Uploads with a row in the history.
    pub fn num_listed(&self) -> u64 {
        self.total_files.saturating_sub(self.num_unlisted)
    }

    pub fn num_landed(&self) -> u64 {
        self.total_files.saturating_sub(self.num_failed).saturating_sub(self.num_in_flight)
    }
}

/// Progress of the end of a sync. `Publishing` and `Aborting` are written before the first file moves, so that a
/// restart can finish them; clients still see such a sync as `Syncing`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr, strum::EnumString)]
pub enum Phase {
    Open,
    Publishing,
    Aborting,
    Ended,
}

impl Phase {
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// A stored sync.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncRecord {
    pub sync: SyncJob,
    pub phase: Phase,
    /// Requested closing, while the phase is `Publishing` or `Aborting`.
    pub closing: Option<Closing>,
    /// Version of its dataset that the lake restores by this sync.
    pub restores_version: Option<VersionNumber>,
}

/// Requested kind of end of a sync.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closing {
    /// For an incremental sync: its files are already in place.
    Finish { by: Actor },
    /// For a full sync: the staged folder of this identity becomes the dataset.
    Publish { staging: Identity, allow_empty: bool, by: Actor },
    /// For both: staged files go to the trash.
    Abort { reason: TrashReason, message: String, by: Actor },
}

impl Closing {
    /// Actor that requested it.
    pub fn by(&self) -> &Actor {
        match self {
            Self::Finish { by } | Self::Publish { by, .. } | Self::Abort { by, .. } => by,
        }
    }

    /// Message for an upload in flight of `sync_id` that this closing drops.
    pub fn discard_message(&self, sync_id: SyncId) -> String {
        match self {
            Self::Abort { reason: TrashReason::Superseded, message, .. } => {
                format!("the upload was discarded because sync {sync_id} was {message}; send it in a new sync")
            }
            _ => Error::Discarded(sync_id).to_string(),
        }
    }
}

/// A full sync that blocks a new start on its own path, and the latest last activity with which it is superseded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Supersede {
    pub sync_id: SyncId,
    pub silent_since: Timestamp,
    /// Uploads in flight that do not block: resumable ones without a byte since then.
    pub num_idle_uploads: u64,
}

/// Whether this sync is superseded by a new start on `path`. That holds for a full sync on its own path, while no end
/// was requested, once it is held or idle for long enough, unless one of its uploads is in flight or it restores a
/// version. `last_activity` is that of the metadata.
pub fn is_superseded(record: &SyncRecord, last_activity: Timestamp, path: &LakePath, supersede: &Supersede) -> bool {
    let sync = &record.sync;
    sync.sync_id == supersede.sync_id
        && record.phase == Phase::Open
        && sync.sync_type == SyncType::FullSync
        && record.restores_version.is_none()
        && sync.path == *path
        && sync.num_in_flight <= supersede.num_idle_uploads
        && (sync.held.is_some() || last_activity <= supersede.silent_since)
}

/// Closing of a superseded sync.
pub fn superseded_by(successor: SyncId, by: Actor) -> Closing {
    Closing::Abort { reason: TrashReason::Superseded, message: superseded_message(successor), by }
}

const SUPERSEDED_BY: &str = "superseded by sync ";

/// Message of a sync that this successor supersedes. [`successor_of`] reads it.
pub fn superseded_message(successor: SyncId) -> String {
    format!("{SUPERSEDED_BY}{successor}")
}

/// Successor that a sync's message names, if the sync was superseded.
pub fn successor_of(message: &str) -> Option<SyncId> {
    message.strip_prefix(SUPERSEDED_BY)?.parse().ok()
}

/// Checks whether an upload may begin in this sync.
pub fn may_accept_uploads(record: &SyncRecord) -> Result<(), Error> {
    let sync = &record.sync;
    match record.phase {
        Phase::Open => Ok(()),
        Phase::Publishing | Phase::Aborting => match &record.closing {
            // The message names the sync to continue with.
            Some(Closing::Abort { reason: TrashReason::Superseded, message, .. }) => {
                Err(Error::SyncEnded { sync_id: sync.sync_id, status: Status::Failed, message: message.clone() })
            }
            _ => Err(Error::SyncEnding(sync.sync_id)),
        },
        Phase::Ended => {
            Err(Error::SyncEnded { sync_id: sync.sync_id, status: sync.sync_status, message: sync.message.clone() })
        }
    }
}

/// Refuses a call from outside to an active sync by which the lake restores a version: its files must be those of the
/// version.
pub fn refuse_restoring(record: &SyncRecord) -> Result<(), Error> {
    let (sync_id, path) = (record.sync.sync_id, record.sync.path.clone());
    match record.restores_version {
        Some(version) if record.phase != Phase::Ended => Err(Error::RestoringSync { sync_id, path, version }),
        _ => Ok(()),
    }
}

/// Checks whether this sync may be closed this way, with `in_flight` as its uploads in flight.
pub fn may_close(
    record: &SyncRecord,
    in_flight: Vec<Upload>,
    closing: &Closing,
    discard_in_flight: bool,
) -> Result<(), Error> {
    may_accept_uploads(record)?;
    let sync_id = record.sync.sync_id;
    if !in_flight.is_empty() && !discard_in_flight {
        return Err(Error::UploadsInFlight { sync_id, uploads: in_flight });
    }
    match closing {
        Closing::Publish { allow_empty: false, .. } if record.sync.num_landed() == 0 => {
            Err(Error::EmptyFullSync(sync_id))
        }
        _ => Ok(()),
    }
}

/// A sync that has not ended, as the rule of [`obstacle`] needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenSync {
    pub sync_id: SyncId,
    pub path: LakePath,
    pub sync_type: SyncType,
}

/// Types of the open syncs that block a sync of this type on an overlapping path: a full sync needs its path
/// exclusively, including paths above and below; incremental syncs may share.
pub fn blocking_types(sync_type: SyncType) -> &'static [SyncType] {
    match sync_type {
        SyncType::FullSync => &[SyncType::FullSync, SyncType::IncrementalSync],
        SyncType::IncrementalSync => &[SyncType::FullSync],
    }
}

/// Open sync that blocks a new one.
pub fn obstacle<'a>(path: &LakePath, sync_type: SyncType, open: &'a [OpenSync]) -> Option<&'a OpenSync> {
    let types = blocking_types(sync_type);
    open.iter().find(|other| types.contains(&other.sync_type) && other.path.overlaps(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &str, sync_type: SyncType) -> Vec<OpenSync> {
        vec![OpenSync { sync_id: SyncId(1), path: LakePath::parse(path).unwrap(), sync_type }]
    }

    #[test]
    fn the_message_of_a_superseded_sync_names_its_successor() {
        for id in [1, 42, u64::MAX] {
            assert_eq!(successor_of(&superseded_message(SyncId(id))), Some(SyncId(id)));
        }
        // Clients read the message.
        assert_eq!(superseded_message(SyncId(7)), "superseded by sync 7");
        assert_eq!(successor_of("aborted by ada"), None);
        assert_eq!(successor_of("superseded by sync "), None);
    }

    #[test]
    fn a_full_sync_wants_its_path_for_itself_and_incremental_syncs_share() {
        use SyncType::{FullSync, IncrementalSync};
        let path = LakePath::parse("/data/db").unwrap();
        for other in ["/data", "/data/db", "/data/db/t"] {
            assert!(obstacle(&path, FullSync, &open(other, FullSync)).is_some());
            assert!(obstacle(&path, FullSync, &open(other, IncrementalSync)).is_some());
            assert!(obstacle(&path, IncrementalSync, &open(other, FullSync)).is_some());
            assert!(obstacle(&path, IncrementalSync, &open(other, IncrementalSync)).is_none());
        }
        assert!(obstacle(&path, FullSync, &open("/data/db2", FullSync)).is_none());
    }
}
