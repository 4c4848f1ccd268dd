//! Maps errors of the object storage to errors of the lake.

use lakeshore::Error;
use lakeshore::model::fault::FaultKind;
use object_store::Error as StoreError;

#[derive(Debug, thiserror::Error)]
#[error("{doing}: {source}")]
struct StoreFault {
    doing: &'static str,
    source: StoreError,
}

#[derive(Debug, thiserror::Error)]
#[error("{doing}: the object storage gave no answer within {seconds} s")]
struct NoAnswer {
    doing: &'static str,
    seconds: u64,
}

/// Refusals of the object storage last until its operator changes something; all else may pass. A request that
/// failed has changed nothing in the lake, whatever it did in the bucket: its object has a row that says so.
pub(super) fn fault(doing: &'static str, source: StoreError) -> Error {
    if is_transient(&source) {
        return Error::transient(StoreFault { doing, source }).of_kind(FaultKind::NoObjectStorage);
    }
    let kind = match source {
        StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } | StoreError::NotFound { .. } => {
            FaultKind::ObjectStorageRefuses
        }
        _ => FaultKind::Unknown,
    };
    Error::internal(StoreFault { doing, source }).of_kind(kind)
}

pub(super) fn no_answer(doing: &'static str, seconds: u64) -> Error {
    Error::transient(NoAnswer { doing, seconds }).of_kind(FaultKind::NoObjectStorage)
}

/// Whether another attempt may succeed.
pub(super) fn is_transient(error: &StoreError) -> bool {
    !matches!(
        error,
        StoreError::PermissionDenied { .. }
            | StoreError::Unauthenticated { .. }
            | StoreError::NotFound { .. }
            | StoreError::AlreadyExists { .. }
            | StoreError::Precondition { .. }
            | StoreError::NotModified { .. }
            | StoreError::NotSupported { .. }
            | StoreError::NotImplemented { .. }
            | StoreError::InvalidPath { .. }
            | StoreError::UnknownConfigurationKey { .. }
    )
}
