//! Why a transaction failed, for all of its callers.

use super::connection::fault;
use lakeshore::Error;
use lakeshore::model::fault::FaultKind;

/// Reason why a transaction failed; every job of it gets the error.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Fault {
    #[error("the disk is full")]
    DiskFull,
    #[error("{0}")]
    Busy(Cause),
    /// A read, a write or a sync failed.
    #[error("{0}")]
    Disk(Cause),
    /// The commit may or may not have happened.
    #[error("{0}")]
    Unsettled(Cause),
    #[error("{0}")]
    Other(Cause),
}

/// Text of a fault for the operator, and its kind for the caller.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{text}")]
pub(super) struct Cause {
    text: String,
    kind: FaultKind,
}

impl Fault {
    pub(super) fn of(error: &Error) -> Self {
        let text = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
        let kind = if let Error::Internal(fault) = error { fault.kind() } else { FaultKind::Unknown };
        let cause = Cause { text, kind };
        match error {
            Error::DiskFull => Self::DiskFull,
            busy if busy.is_transient() => Self::Busy(cause),
            _ if kind == FaultKind::FailingDisk => Self::Disk(cause),
            _ => Self::Other(cause),
        }
    }

    pub(super) fn busy(text: &str) -> Self {
        Self::Busy(Cause { text: text.into(), kind: FaultKind::Unknown })
    }
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Self::of(&fault(error))
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::DiskFull => Self::DiskFull,
            Fault::Busy(cause) => Self::transient(cause.clone()).of_kind(cause.kind),
            Fault::Unsettled(cause) => Self::unsettled(cause),
            Fault::Disk(cause) | Fault::Other(cause) => Self::internal(cause.clone()).of_kind(cause.kind),
        }
    }
}
