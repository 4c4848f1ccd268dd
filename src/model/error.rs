//! Errors of the lake that callers see: one variant for each cause, each with a stable code.

mod effect;

use crate::model::access::role::Role;
use crate::model::dataset::day::Day;
use crate::model::error_code::ErrorCode;
use crate::model::fault::Fault;
use crate::model::id::VersionNumber;
use crate::model::id::{SyncId, TrashId, UploadId};
use crate::model::path::{LakePath, PathError};
use crate::model::sync::comparison::{Comparison, ExpectedTotals};
use crate::model::sync::hold::Hold;
use crate::model::sync::status::Status;
use crate::model::totals::Totals;
use crate::model::upload::resumable::Token;
use crate::model::upload::row::Upload;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// JSON body of every response that is not a success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub code: u32,
    pub msg: String,
    /// Machine-readable details, for some errors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Details>,
}

/// Details of an error beyond its message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Details {
    /// For [`Error::NotAsExpected`].
    Comparison(Box<Comparison>),
    /// For [`Error::Held`] and [`Error::SchemaHeld`].
    Hold(Hold),
}

impl Refusal {
    pub fn new(code: ErrorCode, msg: String) -> Self {
        Self { code: code.number(), msg, data: None }
    }
}

impl From<&Error> for Refusal {
    fn from(error: &Error) -> Self {
        Self { code: error.code().number(), msg: error.to_string(), data: error.details() }
    }
}

/// Errors that a client may see. Each message says the cause and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Invalid(String),
    #[error(transparent)]
    Path(#[from] PathError),
    #[error("{0}")]
    IncompleteUpload(String),
    #[error("{0}")]
    PartOfFile(String),
    #[error(
        "{field} is {value:?}, so the received bytes are not those of the file; send the file without {field}: compressed files are stored as they are"
    )]
    Encoded { field: &'static str, value: String },
    #[error("checksum mismatch ({algorithm}): expected {announced}, got {arrived}; send the file again")]
    DigestMismatch { algorithm: &'static str, announced: String, arrived: String },
    #[error(
        "a key is required; send one as api_key in the body, as \"Authorization: Bearer KEY\" or as \"X-API-Key: KEY\""
    )]
    NoKey,
    #[error("this key is unknown or revoked; create one with \"lakeshore key create --name NAME\"")]
    BadKey,
    #[error(
        "the key {name:?} expired on {day}; create a new one, on the Keys page or with \"lakeshore key create --name NAME\""
    )]
    ExpiredKey { name: String, day: Day },
    #[error("this sign-in link is unknown, already used or expired; sign in with a key instead")]
    BadSignInLink,
    #[error("too many failed sign-ins from this address; try again in {seconds} seconds")]
    TooManySignIns { seconds: u64 },
    #[error("the key {name:?} has the role {role}, and this requires {needed}; use a key of the role {needed}")]
    Role { name: String, role: Role, needed: Role },
    #[error("the key {name:?} is limited to {prefix} and does not cover {path}; use a key for that path")]
    Prefix { name: String, prefix: LakePath, path: LakePath },
    #[error("the key {name:?} is limited to {prefix}; use a key for the whole lake")]
    WholeLake { name: String, prefix: LakePath },
    #[error("sync {0} not found, or not covered by this key; start a sync to get its id, or use another key")]
    NoSuchSync(SyncId),
    #[error("upload {0} not found, or not covered by this key; /api/ingestion/file/sync/history lists the uploads")]
    NoSuchUpload(UploadId),
    #[error("file {0} not found, or not covered by this key; /api/lake/file/list lists a folder")]
    NoSuchFile(LakePath),
    #[error("folder {0} not found, or not covered by this key; list its parent folder")]
    NoSuchFolder(LakePath),
    #[error("dataset {0} not found, or not covered by this key; /api/lake/datasets lists the datasets")]
    NoSuchDataset(LakePath),
    #[error("trash item {0} not found, or not covered by this key; it may have been restored or deleted")]
    NoSuchTrash(TrashId),
    #[error(
        "restoring {path} is held: it would replace {} files ({} bytes) with {} ({} bytes), less than --shrink-guard allows; confirm it if this is intended",
        replaced.files, replaced.bytes, restored.files, restored.bytes
    )]
    TrashRestoreHeld { path: LakePath, replaced: Totals, restored: Totals },
    #[error(
        "version {0} of {1} not found, or not covered by this key; /api/lake/dataset/versions?path={1} lists the versions"
    )]
    NoSuchVersion(String, LakePath),
    #[error(
        "version {version} of {dataset} has no file {path}; /api/lake/dataset/version?path={dataset}&version={version} lists its files"
    )]
    NotInVersion { dataset: LakePath, version: VersionNumber, path: LakePath },
    #[error("{path} of version {version} of {dataset} is gone: {why}; ask for another version")]
    VersionGone { dataset: LakePath, version: VersionNumber, path: LakePath, why: &'static str },
    #[error("{0} is being moved by a publish, a landing or a restore, which takes long; try again in a moment")]
    Moving(LakePath),
    #[error(
        "{files} files of version {version} of {dataset} cannot be restored ({}{}); restore another version",
        named.join("; "), if *files > named.len() as u64 { "; …" } else { "" }
    )]
    VersionFilesGone { dataset: LakePath, version: VersionNumber, files: u64, named: Vec<String> },
    #[error(
        "sync {sync_id} is a restore of version {version} of {path}, to which only the server adds files; wait until it ends, or abort it with the key that began it or with one of the role admin"
    )]
    RestoringSync { sync_id: SyncId, path: LakePath, version: VersionNumber },
    #[error("the restore of version {version} of {path} was stopped (sync {sync_id}: {message}); restore it again")]
    RestoreStopped { sync_id: SyncId, path: LakePath, version: VersionNumber, message: String },
    #[error(
        "the files that sync {sync_id} has copied are not those of version {version} of {path}, so it was not published; restore it again"
    )]
    RestoreDiffers { sync_id: SyncId, path: LakePath, version: VersionNumber },
    #[error(
        "trash {trash_id} (of {origin}) holds files of a pinned version of {}", match dataset {
            Some(dataset) => format!("{dataset}; unpin the version first, see /api/lake/dataset/versions?path={dataset}"),
            None => "a dataset that this key does not cover; use a key for it to unpin the version first".to_owned(),
        }
    )]
    Pinned {
        trash_id: TrashId,
        origin: LakePath,
        /// Dataset of the pinned version, for callers who may see it.
        dataset: Option<LakePath>,
    },
    #[error("snapshot {0} not found, or not covered by this key; it may have expired: take a new one")]
    NoSuchSnapshot(String),
    #[error("{snapshots_max} snapshots are kept, the maximum; drop one, or wait until one expires")]
    TooManySnapshots { snapshots_max: u64 },
    #[error(
        "restoring version {version} of {path} is held: it would replace {} files ({} bytes) with {} ({} bytes), less than --shrink-guard allows; send \"confirm\": true if this is intended",
        replaced.files, replaced.bytes, restored.files, restored.bytes
    )]
    RestoreHeld { path: LakePath, version: VersionNumber, replaced: Totals, restored: Totals },
    #[error("no active key has the id or name {0:?}; \"lakeshore key list\" lists the keys")]
    NoSuchKey(String),
    #[error("sync {sync_id} has ended ({}{}); start a new one", status.as_str(), if message.is_empty() { String::new() } else { format!(": {message}") })]
    SyncEnded { sync_id: SyncId, status: Status, message: String },
    #[error("sync {0} is being ended; wait for that, then start a new one")]
    SyncEnding(SyncId),
    #[error("another server is ending sync {0}, or comparing its files, which takes long; try again in a moment")]
    SyncBusy(SyncId),
    #[error(
        "{path} is held by sync {sync_id} ({}, {held_path}), which is open; end or abort it first", sync_type.as_str()
    )]
    PathHeld { path: LakePath, sync_id: SyncId, sync_type: crate::model::sync::status::SyncType, held_path: LakePath },
    #[error("{path} is being restored from the trash (trash {trash_id}); try again when that is done")]
    PathRestoring { path: LakePath, trash_id: TrashId, origin: LakePath },
    #[error(
        "{0} is held by a sync or a restore on a parent path, which this key does not cover; try again later, or ask the operator"
    )]
    PathHeldAbove(LakePath),
    #[error(
        "a dataset at {path} would replace the datasets below it: {}; sync or restore each of them instead",
        join(below)
    )]
    DatasetsBelow { path: LakePath, below: Vec<LakePath> },
    #[error(
        "sync {sync_id} has uploads in flight: {}; wait for them, or send \"discard_in_flight\": true to discard them",
        name_uploads(uploads)
    )]
    UploadsInFlight { sync_id: SyncId, uploads: Vec<Upload> },
    #[error(
        "full sync {0} is held: no files have landed, so publishing it would empty the dataset; upload files, or abort it, or start a new sync, or send \"allow_empty\": true to empty the dataset"
    )]
    EmptyFullSync(SyncId),
    #[error(
        "sync {sync_id} differs from its expected files: {}; upload the missing files, or correct the list with POST /api/lake/file/sync/expect, then end it again",
        tell(comparison)
    )]
    NotAsExpected { sync_id: SyncId, comparison: Box<Comparison> },
    #[error(
        "full sync {sync_id} is held: publishing it would replace {} files ({} bytes) at {path} with {} ({} bytes), less than the shrink guard allows; see GET /api/lake/file/sync/difference?sync_id={sync_id}, then upload more files, or abort it, or send \"confirm\": true to publish it anyway",
        hold.replaced.files, hold.replaced.bytes, hold.published.files, hold.published.bytes
    )]
    Held { sync_id: SyncId, path: LakePath, hold: Hold },
    #[error(
        "full sync {sync_id} is held: {} of its files do not match the schema of {path} ({}), and its schema policy is hold; upload them again, or abort it, or send \"confirm\": true to publish it anyway",
        hold.differing_files, named.join(". ")
    )]
    SchemaHeld { sync_id: SyncId, path: LakePath, hold: Hold, named: Vec<String> },
    #[error(
        "the schemas of {files} files of full sync {sync_id} have not been read yet, and its schema policy is hold; end it again in a minute, or send \"confirm\": true to publish it anyway"
    )]
    ColumnsUnread { sync_id: SyncId, files: u64 },
    #[error("{0}")]
    InTheWay(String),
    #[error("the staged files of sync {0} are missing from the lake; upload them again in a new sync")]
    StagingLost(SyncId),
    #[error("the upload was discarded because sync {0} was ended or aborted; send it in a new sync")]
    Discarded(SyncId),
    #[error(
        "the file is larger than {limit_bytes} bytes, the upload limit of this server; split it, or ask the operator to raise the limit"
    )]
    TooLarge { limit_bytes: u64 },
    #[error(
        "resumable upload {0} not found, or not covered by this key; it may have expired or been discarded: start a new one"
    )]
    NoSuchResumable(String),
    #[error("this upload has ended: {message}; start a new one")]
    ResumableEnded { message: String },
    #[error("the data of this upload is missing from the lake; send the file in a new upload")]
    BytesLost,
    #[error("wrong offset: expected {expected}, got {provided}; ask for the offset of the upload, then send the rest")]
    WrongOffset { expected: u64, provided: u64 },
    #[error("the upload is complete, with {length} bytes; send further data in a new upload")]
    ResumableComplete { length: u64 },
    #[error("another request has resumed this upload; ask for its offset, then send the rest")]
    Preempted,
    #[error("{0}")]
    InconsistentLength(String),
    #[error("part {0} is incomplete; send the rest of it first")]
    PartUnfinished(Token),
    #[error("the disk of the lake is full; free up space, then send it again")]
    DiskFull,
    #[error(
        "the disk of the {} has {free_bytes} bytes free, of which {reserve_bytes} are reserved{}; free up space, for example by emptying the trash, then send it again",
        store.as_str(), if *more_bytes > 0 { format!(", and uploads need {more_bytes} more") } else { String::new() }
    )]
    BelowReserve { store: DiskRole, free_bytes: u64, reserve_bytes: u64, more_bytes: u64 },
    #[error("this Idempotency-Key was already used for another request; send a new key, or repeat that request")]
    IdempotencyKeyReused,
    #[error("the server is shutting down; send it again in a moment")]
    ShuttingDown,
    #[error(
        "this key has {unfinished_max} unfinished resumable uploads, the maximum; finish or discard some, see GET /api/lake/files"
    )]
    TooManyUnfinished { unfinished_max: u64 },
    #[error("{max} event streams are open, the maximum; close one, or try again in a moment", max = crate::model::limits::SUBSCRIBERS_MAX)]
    TooManySubscribers,
    #[error(
        "the search took longer than {} seconds, because too many rows match its other filters; narrow it by path, sync or status, or ask for an earlier page",
        max.as_secs()
    )]
    SearchTooLong { max: Duration },
    #[error(
        "you have {share_max} {what}, the maximum for one key, or for callers without one; end one, or try again in a moment"
    )]
    OverShare { what: &'static str, share_max: usize },
    #[error("{}", .0.message())]
    Internal(#[source] Fault),
}

/// Disk, named by its use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DiskRole {
    Lake,
    State,
}

impl DiskRole {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lake => "lake",
            Self::State => "database",
        }
    }
}

/// Difference between a batch and its declaration, as text, with the first names.
fn tell(comparison: &Comparison) -> String {
    const NAMED_MAX: usize = 3;
    let ExpectedTotals { count, size_bytes, is_named } = comparison.expected;
    if !is_named {
        let landed = comparison.landed;
        let count = count.map(|count| format!("{} of {count} expected files landed", landed.files));
        let bytes = size_bytes.map(|bytes| format!("{} of {bytes} expected bytes landed", landed.bytes));
        return count.into_iter().chain(bytes).collect::<Vec<_>>().join(", ");
    }
    let kind = |number: u64, what: &str, names: &mut dyn Iterator<Item = &String>| {
        let named: Vec<_> = names.take(NAMED_MAX).map(String::as_str).collect();
        let more = if number > named.len() as u64 { ", …" } else { "" };
        (number > 0).then(|| format!("{number} {what} ({}{more})", named.join(", ")))
    };
    let kinds = [
        kind(comparison.num_missing, "missing", &mut comparison.missing.iter().map(|file| &file.path)),
        kind(comparison.num_extra, "unexpected", &mut comparison.extra.iter().map(|file| &file.path)),
        kind(comparison.num_different, "different", &mut comparison.different.iter().map(|file| &file.path)),
    ];
    kinds.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn join(paths: &[LakePath]) -> String {
    paths.iter().map(LakePath::as_str).collect::<Vec<_>>().join(", ")
}

fn name_uploads(uploads: &[Upload]) -> String {
    let names: Vec<_> =
        uploads.iter().map(|upload| format!("{} (history_id {})", upload.file_name, upload.history_id)).collect();
    names.join(", ")
}

impl Error {
    /// Details sent beside the message.
    pub fn details(&self) -> Option<Details> {
        match self {
            Self::NotAsExpected { comparison, .. } => Some(Details::Comparison(comparison.clone())),
            Self::Held { hold, .. } | Self::SchemaHeld { hold, .. } => Some(Details::Hold(*hold)),
            _ => None,
        }
    }

    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Invalid(_) => ErrorCode::Invalid,
            Self::Path(_) => ErrorCode::InvalidPath,
            Self::IncompleteUpload(_) => ErrorCode::IncompleteUpload,
            Self::DigestMismatch { .. } => ErrorCode::DigestMismatch,
            Self::PartOfFile(_) => ErrorCode::PartOfFile,
            Self::Encoded { .. } => ErrorCode::Encoded,
            Self::NoKey => ErrorCode::NoKey,
            Self::BadKey | Self::BadSignInLink => ErrorCode::BadKey,
            Self::ExpiredKey { .. } => ErrorCode::ExpiredKey,
            Self::TooManySignIns { .. } => ErrorCode::TooManySignIns,
            Self::Role { .. } => ErrorCode::Role,
            Self::Prefix { .. } | Self::WholeLake { .. } => ErrorCode::Prefix,
            Self::NoSuchSync(_) => ErrorCode::NoSuchSync,
            Self::NoSuchUpload(_) => ErrorCode::NoSuchUpload,
            Self::NoSuchFile(_) | Self::NoSuchFolder(_) => ErrorCode::NoSuchFile,
            Self::NoSuchDataset(_) => ErrorCode::NoSuchDataset,
            Self::NoSuchTrash(_) => ErrorCode::NoSuchTrash,
            Self::TrashRestoreHeld { .. } => ErrorCode::Held,
            Self::NoSuchVersion(..) => ErrorCode::NoSuchVersion,
            Self::NotInVersion { .. } => ErrorCode::NoSuchFile,
            Self::VersionGone { .. } | Self::VersionFilesGone { .. } => ErrorCode::VersionGone,
            Self::RestoringSync { .. } => ErrorCode::RestoringSync,
            Self::RestoreStopped { .. } => ErrorCode::SyncEnded,
            Self::RestoreDiffers { .. } => ErrorCode::NotAsExpected,
            Self::Moving(_) => ErrorCode::Moving,
            Self::Pinned { .. } => ErrorCode::Pinned,
            Self::NoSuchSnapshot(_) => ErrorCode::NoSuchSnapshot,
            Self::TooManySnapshots { .. } => ErrorCode::TooManySnapshots,
            Self::RestoreHeld { .. } => ErrorCode::Held,
            Self::NoSuchKey(_) => ErrorCode::NoSuchKey,
            Self::SyncEnded { .. } | Self::SyncEnding(_) | Self::StagingLost(_) => ErrorCode::SyncEnded,
            Self::SyncBusy(_) => ErrorCode::SyncBusy,
            Self::PathHeld { .. } | Self::PathRestoring { .. } | Self::PathHeldAbove(_) => ErrorCode::PathHeld,
            Self::DatasetsBelow { .. } => ErrorCode::DatasetsBelow,
            Self::UploadsInFlight { .. } => ErrorCode::UploadsInFlight,
            Self::EmptyFullSync(_) => ErrorCode::EmptyFullSync,
            Self::NotAsExpected { .. } => ErrorCode::NotAsExpected,
            Self::Held { .. } => ErrorCode::Held,
            Self::SchemaHeld { .. } => ErrorCode::SchemaHeld,
            Self::ColumnsUnread { .. } => ErrorCode::ColumnsUnread,
            Self::InTheWay(_) => ErrorCode::InTheWay,
            Self::NoSuchResumable(_) => ErrorCode::NoSuchResumable,
            Self::ResumableEnded { .. } | Self::BytesLost => ErrorCode::ResumableEnded,
            Self::WrongOffset { .. } => ErrorCode::WrongOffset,
            Self::ResumableComplete { .. } => ErrorCode::ResumableComplete,
            Self::Preempted => ErrorCode::TakenOver,
            Self::InconsistentLength(_) => ErrorCode::InconsistentLength,
            Self::PartUnfinished(_) => ErrorCode::PartUnfinished,
            Self::Discarded(_) => ErrorCode::Discarded,
            Self::TooLarge { .. } => ErrorCode::TooLarge,
            Self::DiskFull | Self::BelowReserve { .. } => ErrorCode::DiskFull,
            Self::IdempotencyKeyReused => ErrorCode::IdempotencyKeyReused,
            Self::ShuttingDown => ErrorCode::ShuttingDown,
            Self::TooManyUnfinished { .. } => ErrorCode::TooManyUnfinished,
            Self::TooManySubscribers => ErrorCode::TooManySubscribers,
            Self::SearchTooLong { .. } => ErrorCode::SearchTooLong,
            Self::OverShare { .. } => ErrorCode::OverShare,
            Self::Internal(fault) => fault.code(),
        }
    }
}
