//! Internal faults: the cause for the operator and the log, and the kind, which decides the remedy that a caller is
//! told.

use crate::model::error_code::ErrorCode;
use std::fmt;

/// An internal fault. The cause is logged for the operator; clients see only the kind.
#[derive(Debug)]
pub struct Fault {
    pub(crate) source: Box<dyn std::error::Error + Send + Sync>,
    pub(crate) effect: Effect,
    pub(crate) kind: FaultKind,
}

/// Effect of a step that ended with a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// The step changed nothing, and the cause may be temporary: it may be tried again.
    None,
    /// The step must not be tried again. Its changes, if any, do not last or are useless.
    Permanent,
    /// It is unknown whether the step was done. Looking again answers that once the disk or the database responds.
    Unknown,
}

const UNSETTLED: &str = "a disk or the database of the server failed during this request, and its outcome is not known yet; the server finds out and completes it when that responds again. Check the result in a minute, and send the request again if it is missing";

/// Faults of the machine with a remedy of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FaultKind {
    #[default]
    Unknown,
    /// SQLite found damage in the database.
    DamagedDatabase,
    ReadOnlyDisk,
    NoRights,
    NoDescriptors,
    /// A disk returned an error for a read, a write or a sync.
    FailingDisk,
    /// The object storage of the lake gave no answer, or one such as 503.
    NoObjectStorage,
    /// PostgreSQL gave no answer, ended the connection, or refused to do more at once.
    NoDatabase,
    /// The object storage of the lake refuses access, or its bucket is missing.
    ObjectStorageRefuses,
}

impl FaultKind {
    pub fn code(self) -> ErrorCode {
        match self {
            Self::Unknown => ErrorCode::Internal,
            Self::DamagedDatabase => ErrorCode::DamagedDatabase,
            Self::ReadOnlyDisk => ErrorCode::ReadOnlyDisk,
            Self::NoRights => ErrorCode::NoRights,
            Self::NoDescriptors => ErrorCode::NoDescriptors,
            Self::FailingDisk => ErrorCode::FailingDisk,
            Self::NoObjectStorage => ErrorCode::NoObjectStorage,
            Self::NoDatabase => ErrorCode::NoDatabase,
            Self::ObjectStorageRefuses => ErrorCode::ObjectStorageRefuses,
        }
    }

    /// Cause and remedy, as text.
    pub const fn message(self) -> &'static str {
        match self {
            Self::Unknown => {
                "internal error, which the server has logged; try again, and contact the operator if it persists"
            }
            Self::DamagedDatabase => {
                "the database is damaged; the operator must restore a backup: stop the server, replace the database with a copy made by \"lakeshore backup\", then run \"lakeshore check --repair\""
            }
            Self::ReadOnlyDisk => {
                "a disk of the server is read-only, possibly after a failure; the operator must check the disk, mount it writable and restart the server"
            }
            Self::NoRights => {
                "permission denied on a folder or file of the lake or the database; the operator must give the account that runs the server access to it"
            }
            Self::NoDescriptors => {
                "the server has too many open files; try again, and ask the operator to raise the limit of open files (ulimit -n) if it persists"
            }
            Self::FailingDisk => {
                "a disk of the server reported an error, which is logged; try again, and ask the operator to check the disk if it persists"
            }
            Self::NoObjectStorage => {
                "the object storage of the lake does not answer, or is overloaded; try again in a minute, and ask the operator to check it, and the log, if it persists"
            }
            Self::NoDatabase => {
                "the database of the lake does not answer, or is overloaded; try again in a minute, and ask the operator to check PostgreSQL, and the log, if it persists"
            }
            Self::ObjectStorageRefuses => {
                "the object storage of the lake refuses access, which the server has logged; the operator must check the bucket, the credentials and their permissions"
            }
        }
    }
}

impl Fault {
    /// The cause, if it has this type.
    pub fn downcast_ref<T: std::error::Error + 'static>(&self) -> Option<&T> {
        self.source.downcast_ref()
    }

    pub fn kind(&self) -> FaultKind {
        self.kind
    }

    pub fn code(&self) -> ErrorCode {
        if self.effect == Effect::Unknown { ErrorCode::Unsettled } else { self.kind.code() }
    }

    /// Message for callers.
    pub fn message(&self) -> &'static str {
        if self.effect == Effect::Unknown { UNSETTLED } else { self.kind.message() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl std::error::Error for Fault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.source()
    }
}
