//! The meaning of PostgreSQL's errors.

use lakeshore::Error;
use lakeshore::model::fault::FaultKind;
use std::time::Duration;

/// Time limit of a text search.
pub(super) const SEARCH_TIME_MAX: Duration = Duration::from_secs(5);

/// Raised by the function `begin_write`: another server has taken over.
const TAKEN_OVER: &str = "LS001";
const QUERY_CANCELED: &str = "57014";
const UNIQUE_VIOLATION: &str = "23505";

/// Another server has taken the lake over; this one may not write any more.
#[derive(Debug, thiserror::Error)]
#[error("another server has taken over this lake, so this one may not write any more; stop one of them")]
pub(super) struct TakenOver;

/// Meaning of an error for the transaction that it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// Nothing was done, and the same may succeed in a moment: a conflict, or no connection.
    Transient,
    DiskFull,
    TakenOver,
    Closed,
    Permanent(FaultKind),
}

/// SQLSTATE of an error, if PostgreSQL reported it.
fn code(error: &sqlx::Error) -> Option<String> {
    error.as_database_error()?.code().map(|code| code.into_owned())
}

fn meaning(error: &sqlx::Error) -> Meaning {
    let Some(code) = code(error) else {
        return match error {
            sqlx::Error::PoolClosed => Meaning::Closed,
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => {
                Meaning::Transient
            }
            _ => Meaning::Permanent(FaultKind::Unknown),
        };
    };
    match code.as_str() {
        TAKEN_OVER => Meaning::TakenOver,
        // serialization_failure, deadlock_detected, lock_not_available, query_canceled; the server is read-only, as after a
        // failover; two transactions added the same row.
        "40001" | "40P01" | "55P03" | QUERY_CANCELED | "25006" | UNIQUE_VIOLATION => Meaning::Transient,
        "53100" => Meaning::DiskFull,
        "58030" => Meaning::Permanent(FaultKind::FailingDisk),
        "XX001" | "XX002" => Meaning::Permanent(FaultKind::DamagedDatabase),
        // Connection exceptions, insufficient resources, operator intervention.
        _ if code.starts_with("08") || code.starts_with("53") || code.starts_with("57") => Meaning::Transient,
        // idle_in_transaction_session_timeout
        "25P03" => Meaning::Transient,
        _ => Meaning::Permanent(FaultKind::Unknown),
    }
}

/// Error of a failed statement. The transaction around it was not committed.
pub(super) fn fault(error: sqlx::Error) -> Error {
    match meaning(&error) {
        Meaning::Transient => Error::transient(error).of_kind(FaultKind::NoDatabase),
        Meaning::DiskFull => Error::DiskFull,
        Meaning::TakenOver => Error::internal(TakenOver),
        Meaning::Closed => Error::ShuttingDown,
        Meaning::Permanent(kind) => Error::internal(error).of_kind(kind),
    }
}

/// Whether a failed COMMIT may have taken place: PostgreSQL has not said that it has not.
pub(super) fn is_unknown(error: &sqlx::Error) -> bool {
    // A server that shuts down ends a connection by 57P01, wherever it is.
    code(error).is_none_or(|code| code.starts_with("57P") || code.starts_with("08"))
}

/// Error of a search, which ends when it takes too long.
pub(super) fn search_fault(error: Error) -> Error {
    let source = match &error {
        Error::Internal(fault) => fault.downcast_ref::<sqlx::Error>(),
        _ => None,
    };
    if source.and_then(code).as_deref() == Some(QUERY_CANCELED) {
        return Error::SearchTooLong { max: SEARCH_TIME_MAX };
    }
    error
}

/// Whether the error says that the database itself is missing, or its tables.
pub(super) fn is_missing(error: &sqlx::Error) -> bool {
    // invalid_catalog_name, undefined_table
    matches!(code(error).as_deref(), Some("3D000" | "42P01"))
}
