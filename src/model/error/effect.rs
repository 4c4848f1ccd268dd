//! Faults as errors: how far a failed step came, and so whether it is tried again, settled later, or reported.

use super::Error;
use crate::model::fault::{Effect, Fault, FaultKind};

impl Error {
    pub fn internal(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Internal(Fault { source: Box::new(source), effect: Effect::Permanent, kind: FaultKind::Unknown })
    }

    /// Sets the kind of an internal fault; other errors are returned unchanged.
    #[must_use]
    pub fn of_kind(self, kind: FaultKind) -> Self {
        match self {
            Self::Internal(fault) => Self::Internal(Fault { kind, ..fault }),
            other => other,
        }
    }

    /// A fault that changed nothing and may be temporary: the same step may be tried again.
    pub fn transient(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Internal(Fault { source: Box::new(source), effect: Effect::None, kind: FaultKind::Unknown })
    }

    /// A fault that leaves it unknown whether the step was done.
    pub fn unsettled(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Internal(Fault { source: Box::new(source), effect: Effect::Unknown, kind: FaultKind::FailingDisk })
    }

    /// Marks a fault of a step that changes nothing, so that it may be tried again.
    #[must_use]
    pub fn retriable(self) -> Self {
        match self {
            Self::Internal(fault) => Self::Internal(Fault { effect: Effect::None, ..fault }),
            other => other,
        }
    }

    /// Marks a fault as not to be retried: it changed something, or its effect is unknown.
    #[must_use]
    pub fn permanent(self) -> Self {
        match self {
            Self::Internal(fault) => Self::Internal(Fault { effect: Effect::Permanent, ..fault }),
            other => other,
        }
    }

    /// Marks a fault, even a full disk, that follows a step which is done and is not undone. The rest is completed
    /// later, so the caller must not be told that the request was refused.
    #[must_use]
    pub fn as_unsettled(self) -> Self {
        match self {
            Self::Internal(fault) => Self::Internal(Fault { effect: Effect::Unknown, ..fault }),
            Self::DiskFull => Self::Internal(Fault {
                source: Self::DiskFull.to_string().into(),
                effect: Effect::Unknown,
                kind: FaultKind::FailingDisk,
            }),
            refusal => refusal,
        }
    }

    /// Whether the failed step changed nothing and may succeed soon.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Internal(Fault { effect: Effect::None, .. }))
    }

    /// Whether a restore from the trash, which usually takes a moment, is in the way.
    pub fn is_of_restore(&self) -> bool {
        matches!(self, Self::PathRestoring { .. })
    }

    /// Whether it is unknown if the step was done.
    pub fn is_unsettled(&self) -> bool {
        matches!(self, Self::Internal(Fault { effect: Effect::Unknown, .. }))
    }

    /// Copy of the error for another request that fails for the same reason.
    pub fn repeated(&self) -> Self {
        match self {
            Self::DiskFull | Self::BelowReserve { .. } => Self::DiskFull,
            Self::ShuttingDown => Self::ShuttingDown,
            Self::Internal(Fault { source, effect, kind }) => {
                Self::Internal(Fault { source: source.to_string().into(), effect: *effect, kind: *kind })
            }
            other => Self::Internal(Fault {
                source: other.to_string().into(),
                effect: Effect::Permanent,
                kind: FaultKind::Unknown,
            }),
        }
    }
}
