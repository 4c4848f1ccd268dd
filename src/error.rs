//! Every refusal of the lake: one variant for each thing that can happen, and one table of stable codes.

use crate::day::Day;
use crate::expected::{Comparison, ExpectedTotals};
use crate::fault::{Effect, Fault, FaultKind};
use crate::guard::Hold;
use crate::key::{Caller, Role};
use crate::path::{LakePath, PathError};
use crate::resumable::Token;
use crate::sync::{Status, SyncId};
use crate::trash::TrashId;
use crate::upload::{Upload, UploadId};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A refusal as it travels: the body of every answer that is not a success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub code: u32,
    pub msg: String,
    /// More than a sentence can say, of some refusals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Details>,
}

/// What a refusal is about, in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Details {
    /// Of [`Error::NotAsExpected`].
    Comparison(Box<Comparison>),
    /// Of [`Error::Held`] and [`Error::SchemaHeld`].
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

/// What a client may be told. The message says the cause and the remedy.
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
        "{field} is {value:?}, so the bytes that came are not those of the file; send the file as it is, without {field}: a compressed file is stored as it comes"
    )]
    Encoded { field: &'static str, value: String },
    #[error("the {algorithm} of the bytes that came is {arrived}, and {announced} was announced; send the file again")]
    DigestMismatch { algorithm: &'static str, announced: String, arrived: String },
    #[error(
        "no key was given; send one as api_key in the body, as \"Authorization: Bearer KEY\" or as \"X-API-Key: KEY\""
    )]
    NoKey,
    #[error("this key is not known here or was revoked; make one with \"lakeshore key create --name NAME\"")]
    BadKey,
    #[error(
        "the key {name:?} has expired on {day}; make a new one, on the page of keys or with \"lakeshore key create --name NAME\", and send that"
    )]
    ExpiredKey { name: String, day: Day },
    #[error("this sign-in link is not known here, was used before or has expired; sign in with a key instead")]
    BadSignInLink,
    #[error("too many wrong sign-ins came from this address; try again in {seconds} seconds")]
    TooManySignIns { seconds: u64 },
    #[error("this needs a key of the role {needed}; the key {name:?} has the role {role}")]
    Role { name: String, role: Role, needed: Role },
    #[error("the key {name:?} is for {prefix} and what is below it, not for {path}")]
    Prefix { name: String, prefix: LakePath, path: LakePath },
    #[error("the key {name:?} is for {prefix} and what is below it; this needs a key for the whole lake")]
    WholeLake { name: String, prefix: LakePath },
    #[error(
        "there is no sync {0}, or it lies outside what this key is for; start one to get its id, or use the key for it"
    )]
    NoSuchSync(SyncId),
    #[error(
        "there is no upload {0}, or it lies outside what this key is for; /api/ingestion/file/sync/history lists those there are"
    )]
    NoSuchUpload(UploadId),
    #[error(
        "there is no file {0} in the lake, or it lies outside what this key is for; a folder is shown by /api/lake/file/list"
    )]
    NoSuchFile(LakePath),
    #[error(
        "there is no folder {0} in the lake, or it lies outside what this key is for; list the one above it to see what there is"
    )]
    NoSuchFolder(LakePath),
    #[error(
        "there is no dataset {0}, or it lies outside what this key is for; /api/lake/datasets lists those there are"
    )]
    NoSuchDataset(LakePath),
    #[error(
        "there is no trash {0}, or it lies outside what this key is for; it may have been restored already, or removed for good"
    )]
    NoSuchTrash(TrashId),
    #[error("there is no active key of the id or name {0:?}; \"lakeshore key list\" shows them")]
    NoSuchKey(String),
    #[error("sync {sync_id} has ended ({}{}); start a new one", status.as_str(), if message.is_empty() { String::new() } else { format!(": {message}") })]
    SyncEnded { sync_id: SyncId, status: Status, message: String },
    #[error("sync {0} is ending at this moment; wait for it, then start a new one")]
    SyncEnding(SyncId),
    #[error(
        "{path} is held by sync {sync_id} ({}, {held_path}), which is open; end or abort it first", sync_type.as_str()
    )]
    PathHeld { path: LakePath, sync_id: SyncId, sync_type: crate::sync::SyncType, held_path: LakePath },
    #[error("{path} is being restored from the trash (trash {trash_id}); try again when that is done")]
    PathRestoring { path: LakePath, trash_id: TrashId, origin: LakePath },
    #[error(
        "{0} is held by a sync, or by a restore, on a path above it, which lies outside what this key is for; try again later, or ask who looks after the lake"
    )]
    PathHeldAbove(LakePath),
    #[error(
        "a dataset at {path} would replace the datasets below it: {}; sync, or restore, each of them instead",
        join(below)
    )]
    DatasetsBelow { path: LakePath, below: Vec<LakePath> },
    #[error(
        "sync {sync_id} has uploads in flight: {}; wait for them, or send \"discard_in_flight\": true to drop them",
        name_uploads(uploads)
    )]
    UploadsInFlight { sync_id: SyncId, uploads: Vec<Upload> },
    #[error(
        "full sync {0} is held: no file has landed in it, so publishing it would empty the dataset; send files, or \"allow_empty\": true if that is meant, or abort it, or start a new one in its place"
    )]
    EmptyFullSync(SyncId),
    #[error(
        "sync {sync_id} is not what was declared: {}; send what is missing, or declare it anew by POST /api/lake/file/sync/expect, then end it again",
        tell(comparison)
    )]
    NotAsExpected { sync_id: SyncId, comparison: Box<Comparison> },
    #[error(
        "full sync {sync_id} is held: it would replace {} files ({} bytes) at {path} by {} ({} bytes), less than --shrink-guard allows; see GET /api/lake/file/sync/difference?sync_id={sync_id}, then send more files, or abort it, or send \"confirm\": true to publish it as it is",
        hold.replaced.files, hold.replaced.bytes, hold.published.files, hold.published.bytes
    )]
    Held { sync_id: SyncId, path: LakePath, hold: Hold },
    #[error(
        "full sync {sync_id} is held: {} of its files have other columns than {path} ({}), and its schema policy is hold; send them anew, or abort it, or send \"confirm\": true to publish it as it is",
        hold.differing_files, named.join(". ")
    )]
    SchemaHeld { sync_id: SyncId, path: LakePath, hold: Hold, named: Vec<String> },
    #[error(
        "the columns of {files} files of full sync {sync_id} could not be read yet, and its schema policy is hold; end it again in a minute, or send \"confirm\": true to publish it as it is"
    )]
    ColumnsUnread { sync_id: SyncId, files: u64 },
    #[error("{0}")]
    InTheWay(String),
    #[error("the staged files of sync {0} are gone from the lake's folder; send them again in a new sync")]
    StagingLost(SyncId),
    #[error("the upload was discarded, because sync {0} was ended or aborted meanwhile; send it in a new sync")]
    Discarded(SyncId),
    #[error(
        "the file is larger than {limit_bytes} bytes, the limit of this server; split it, or raise --max-upload-size"
    )]
    TooLarge { limit_bytes: u64 },
    #[error(
        "there is no resumable upload {0}, or it is another's; it may have expired, or been discarded: begin a new one"
    )]
    NoSuchResumable(String),
    #[error("this upload has ended: {message}; begin a new one")]
    ResumableEnded { message: String },
    #[error("the bytes of the upload are gone from the lake's folder; send it again in a new one")]
    BytesLost,
    #[error("the upload goes on at the byte {expected}, not at {provided}; ask for its offset, and send the rest")]
    WrongOffset { expected: u64, provided: u64 },
    #[error("the upload is complete, with {length} bytes; nothing can be added to it")]
    ResumableComplete { length: u64 },
    #[error("another request has gone on with this upload; ask for its offset, and send the rest")]
    TakenOver,
    #[error("{0}")]
    InconsistentLength(String),
    #[error("the part {0} is not whole yet; send the rest of it first")]
    PartUnfinished(Token),
    #[error("the disk of the lake is full; make space, then send it again")]
    DiskFull,
    #[error(
        "the disk of the {} has {free_bytes} bytes free, of which {reserve_bytes} are kept back (--min-free-space){}; make space, by emptying the trash for example, then send it again",
        store.as_str(), if *more_bytes > 0 { format!(", and {more_bytes} are to come") } else { String::new() }
    )]
    BelowReserve { store: Store, free_bytes: u64, reserve_bytes: u64, more_bytes: u64 },
    #[error(
        "this Idempotency-Key was sent before, with another call; send a new key with a new call, or the same call again"
    )]
    IdempotencyKeyReused,
    #[error("the server is shutting down; send it again in a moment")]
    ShuttingDown,
    #[error(
        "{unfinished_max} resumable uploads of this key are unfinished, the most that there may be; finish some, or discard them, see GET /api/lake/files"
    )]
    TooManyUnfinished { unfinished_max: u64 },
    #[error("{max} event streams are open, the most that there may be; close one, or come back in a moment", max = crate::limits::SUBSCRIBERS_MAX)]
    TooManySubscribers,
    #[error(
        "nothing was found within {} seconds, for the text q is looked for in too many rows; narrow it by a path, a sync or a status, or ask for an earlier page",
        max.as_secs()
    )]
    SearchTooLong { max: Duration },
    #[error(
        "you have {share_max} {what} already, the most that one key may have, or one address without a key; end one, or come back in a moment"
    )]
    OverShare { what: &'static str, share_max: usize },
    #[error("{}", .0.message())]
    Internal(#[source] Fault),
}

/// What a disk is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Store {
    Lake,
    State,
}

impl Store {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lake => "lake",
            Self::State => "database",
        }
    }
}

/// How a batch differs from what was declared, with the first names.
fn tell(comparison: &Comparison) -> String {
    const NAMED_MAX: usize = 3;
    let ExpectedTotals { count, size_bytes, is_named } = comparison.expected;
    if !is_named {
        let landed = comparison.landed;
        let count = count.map(|count| format!("of {count} expected files, {} landed", landed.files));
        let bytes = size_bytes.map(|bytes| format!("of {bytes} expected bytes, {} landed", landed.bytes));
        return count.into_iter().chain(bytes).collect::<Vec<_>>().join("; ");
    }
    let kind = |number: u64, what: &str, names: &mut dyn Iterator<Item = &String>| {
        let named: Vec<_> = names.take(NAMED_MAX).map(String::as_str).collect();
        let more = if number > named.len() as u64 { ", …" } else { "" };
        (number > 0).then(|| format!("{number} {what} ({}{more})", named.join(", ")))
    };
    let kinds = [
        kind(comparison.num_missing, "missing", &mut comparison.missing.iter().map(|file| &file.path)),
        kind(comparison.num_extra, "extra", &mut comparison.extra.iter().map(|file| &file.path)),
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
    pub fn internal(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Internal(Fault { source: Box::new(source), effect: Effect::Lasting, kind: FaultKind::Unknown })
    }

    /// The same error, where it is a fault, by its kind.
    #[must_use]
    pub fn of_kind(self, kind: FaultKind) -> Self {
        match self {
            Self::Internal(fault) => Self::Internal(Fault { kind, ..fault }),
            other => other,
        }
    }

    /// A fault that has changed nothing, and whose reason may be gone in a moment: the same step may be tried again.
    pub fn passing(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Internal(Fault { source: Box::new(source), effect: Effect::None, kind: FaultKind::Unknown })
    }

    /// A fault after which it is not known whether the step was done.
    pub fn unsettled(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Internal(Fault { source: Box::new(source), effect: Effect::Unknown, kind: FaultKind::FailingDisk })
    }

    /// The same error, where the step must not be tried again: it has changed something, or what it has done is not known.
    #[must_use]
    pub fn lasting(self) -> Self {
        match self {
            Self::Internal(fault) => Self::Internal(Fault { effect: Effect::Lasting, ..fault }),
            other => other,
        }
    }

    /// Whether the step that failed has changed nothing and may succeed in a moment.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Internal(Fault { effect: Effect::None, .. }))
    }

    /// Whether it is not known if the step was done.
    pub fn is_unsettled(&self) -> bool {
        matches!(self, Self::Internal(Fault { effect: Effect::Unknown, .. }))
    }

    /// The same fault, for another who suffers it.
    pub fn repeated(&self) -> Self {
        match self {
            Self::DiskFull | Self::BelowReserve { .. } => Self::DiskFull,
            Self::ShuttingDown => Self::ShuttingDown,
            Self::Internal(Fault { source, effect, kind }) => {
                Self::Internal(Fault { source: source.to_string().into(), effect: *effect, kind: *kind })
            }
            other => Self::Internal(Fault {
                source: other.to_string().into(),
                effect: Effect::Lasting,
                kind: FaultKind::Unknown,
            }),
        }
    }

    /// The same refusal without what `caller` may not know: the sync, or the piece of trash, in the way of a path may lie
    /// above all that the key is for.
    #[must_use]
    pub fn for_caller(self, caller: &Caller) -> Self {
        match self {
            Self::PathHeld { path, held_path, .. } if !caller.sees(&held_path) => Self::PathHeldAbove(path),
            Self::PathRestoring { path, origin, .. } if !caller.sees(&origin) => Self::PathHeldAbove(path),
            other => other,
        }
    }

    /// What travels beside the message.
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
            Self::NoSuchKey(_) => ErrorCode::NoSuchKey,
            Self::SyncEnded { .. } | Self::SyncEnding(_) | Self::StagingLost(_) => ErrorCode::SyncEnded,
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
            Self::TakenOver => ErrorCode::TakenOver,
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

macro_rules! error_codes {
    ($($variant:ident = $number:literal, $meaning:literal;)+) => {
        /// A stable number for each kind of refusal: the HTTP status, then two digits. Never 0, which is success.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum ErrorCode { $(#[doc = $meaning] $variant = $number,)+ }

        impl ErrorCode {
            /// Every code, in the order of the numbers: the table of `docs/reference/errors.md`.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)+ }
            }
        }
    };
}

error_codes! {
    Invalid = 40000, "malformed or invalid request";
    InvalidPath = 40001, "a path or file name that the lake does not take";
    IncompleteUpload = 40002, "the upload broke off, stalled, or its body was malformed";
    DigestMismatch = 40003, "the bytes that came are not those of the digest that was announced";
    InconsistentLength = 40004, "a length that contradicts the one announced, or what was sent";
    PartOfFile = 40005, "a part or chunk of a file, sent to where whole files are taken";
    RequestHead = 40010, "a head of a request that is ambiguous, or names no host or several";
    NoKey = 40100, "no key";
    BadKey = 40101, "unknown or revoked key, or a used sign-in link";
    ExpiredKey = 40102, "expired key";
    Role = 40300, "the key's role does not allow this";
    Prefix = 40301, "the key is not for this path";
    CrossSite = 40302, "a change asked for by a page of another site";
    JoinedUpload = 40303, "an upload that is joined of parts takes no bytes of its own";
    Embedded = 40304, "a browser asked for data as a part of a page, such as a script or a frame";
    NoSuchRoute = 40400, "no such address";
    NoSuchSync = 40401, "no such sync";
    NoSuchTrash = 40402, "no such trash";
    NoSuchKey = 40403, "no such key";
    NoSuchResumable = 40404, "no such resumable upload";
    NoSuchFile = 40405, "no such file or folder in the lake";
    NoSuchDataset = 40406, "no such dataset";
    NoSuchUpload = 40408, "no such upload";
    MethodNotAllowed = 40500, "this address takes another method";
    SyncEnded = 40900, "the sync has ended";
    PathHeld = 40901, "the path is held by another sync or a restore";
    UploadsInFlight = 40902, "uploads of the sync are in flight";
    EmptyFullSync = 40903, "an empty full sync, not confirmed";
    DatasetsBelow = 40904, "a full sync, or the restore of a dataset, above other datasets";
    InTheWay = 40905, "a file, folder or link of the lake is in the way";
    Discarded = 40906, "the upload was discarded by the end of its sync";
    WrongOffset = 40907, "the resumable upload goes on at another byte";
    ResumableComplete = 40908, "the resumable upload is complete";
    PartUnfinished = 40909, "a part of the upload is not whole yet";
    NotAsExpected = 40910, "the sync is not what was declared";
    Held = 40911, "a full sync that would shrink its dataset much, not confirmed";
    SchemaHeld = 40912, "a full sync whose files have other columns than its dataset, not confirmed";
    ResumableEnded = 41000, "the resumable upload has failed";
    WrongVersion = 41200, "a version of tus that is not spoken here";
    PreconditionFailed = 41201, "the file is not the version that the request is for";
    TooLarge = 41300, "the file, or the body, is too large";
    NotMultipart = 41500, "an upload that is not multipart/form-data";
    WrongMediaType = 41501, "not the media type of a piece of a resumable upload";
    Encoded = 41502, "a body, or a part of a form, that is encoded or wrapped";
    RangeNotSatisfiable = 41600, "the file ends before the range that was asked for";
    UnknownHost = 42100, "the host that the request names is not this server";
    IdempotencyKeyReused = 42200, "the Idempotency-Key was sent before, with another call";
    SearchTooLong = 42201, "a search by text that would take too long";
    TakenOver = 42300, "another request has gone on with the resumable upload";
    OverShare = 42900, "the key, or the address, has its share of what is bounded";
    TooManyUnfinished = 42901, "too many resumable uploads of one key are unfinished";
    TooManySignIns = 42902, "too many wrong sign-ins from this address";
    WrongChecksum = 46000, "a piece has another checksum than the one sent with it";
    Internal = 50000, "a fault inside the server, logged there";
    DamagedDatabase = 50001, "the database is damaged: its operator restores a backup";
    ReadOnlyDisk = 50002, "a disk of the server is mounted read-only";
    NoRights = 50003, "the server may not use a folder or file of the lake";
    NoDescriptors = 50004, "the server has no free file descriptor";
    FailingDisk = 50005, "a disk of the server has answered with an error";
    Unsettled = 50006, "a disk failed amid the call, and it is not known yet whether it was done";
    ShuttingDown = 50300, "the server is shutting down";
    TooManySubscribers = 50301, "too many event streams are open";
    TooManyConnections = 50302, "the client's address has its share of the connections";
    OpenedAhead = 50303, "a sign-in link that was fetched ahead of its use";
    ColumnsUnread = 50305, "columns of files of the sync could not be read yet";
    NotReady = 50306, "a write would not succeed now, and why";
    DiskFull = 50700, "the disk is full, or so full that the rest is kept back";
}

impl ErrorCode {
    pub fn number(self) -> u32 {
        self as u32
    }

    /// The HTTP status (RFC 9110) that goes with it.
    pub fn http_status(self) -> u16 {
        (self.number() / 100) as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_never_zero_and_listed_in_the_reference() {
        let reference = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference/errors.md"));
        let mut numbers: Vec<_> = ErrorCode::ALL.iter().map(|code| code.number()).collect();
        for code in ErrorCode::ALL {
            let row = format!("| {} | {} | {} |", code.http_status(), code.number(), code.meaning());
            assert!(reference.contains(&row), "docs/reference/errors.md lacks the row {row}");
        }
        numbers.dedup();
        assert_eq!(numbers.len(), ErrorCode::ALL.len());
        assert!(numbers.is_sorted() && numbers[0] > 0);
    }
}
