//! What went wrong inside: the cause, for the operator and the log, and the kind, by which a caller is told a remedy.

use crate::model::error_code::ErrorCode;
use std::fmt;

/// What went wrong inside. The operator is told, clients are told its kind.
#[derive(Debug)]
pub struct Fault {
    pub(crate) source: Box<dyn std::error::Error + Send + Sync>,
    pub(crate) effect: Effect,
    pub(crate) kind: FaultKind,
}

/// What a step has done that ended with a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing, and its reason may be gone in a moment: the same step may be tried again.
    None,
    /// Nothing that lasts, or something that was no use. It must not be tried again.
    Lasting,
    /// It is not known whether it was done. Looking again tells, as soon as the disk lets that be known.
    Unknown,
}

const UNSETTLED: &str = "a disk of the server failed amid this, and it is not known yet whether it was done; the server finds out and finishes it when the disk lets it. Look in a minute, and send it again if it is not there; /readyz says whether the disk is well";

/// Faults of the machine that have a remedy of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FaultKind {
    #[default]
    Unknown,
    /// SQLite has found that the database is damaged.
    DamagedDatabase,
    ReadOnlyDisk,
    NoRights,
    NoDescriptors,
    /// A disk has answered a read, a write or a sync by an error.
    FailingDisk,
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
        }
    }

    /// The cause, and the remedy.
    pub const fn message(self) -> &'static str {
        match self {
            Self::Unknown => {
                "something went wrong inside the server, which has logged it; try again, and tell its operator if it stays"
            }
            Self::DamagedDatabase => {
                "the database is damaged; its operator has to restore a backup: stop the server, put a copy made by \"lakeshore backup\" in its place, then run \"lakeshore check --repair\""
            }
            Self::ReadOnlyDisk => {
                "a disk of the server is mounted read-only, or became so after a failure; its operator has to look at the disk, mount it writable and restart the server"
            }
            Self::NoRights => {
                "the server may not use a folder or file of the lake or its database; its operator has to give it back to the account that runs the server"
            }
            Self::NoDescriptors => {
                "the server has no free file descriptor at this moment; try again, and tell its operator to raise the limit of open files (ulimit -n) if it stays"
            }
            Self::FailingDisk => {
                "a disk of the server has answered with an error, which is logged; try again, and tell its operator to look at the disk if it stays"
            }
        }
    }
}

impl Fault {
    /// The cause, where it is of this type.
    pub fn downcast_ref<T: std::error::Error + 'static>(&self) -> Option<&T> {
        self.source.downcast_ref()
    }

    pub fn kind(&self) -> FaultKind {
        self.kind
    }

    pub fn code(&self) -> ErrorCode {
        if self.effect == Effect::Unknown { ErrorCode::Unsettled } else { self.kind.code() }
    }

    /// What a caller is told.
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
