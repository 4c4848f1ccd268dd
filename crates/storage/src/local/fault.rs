//! Maps errors of the kernel to errors of the lake.

use lakeshore::Error;
use lakeshore::model::fault::FaultKind;
use rustix::io::Errno;
use std::io;

/// Error of a failed call that has changed nothing. A full disk is reported to the client, other faults to the
/// operator.
pub(super) fn fault(doing: &'static str) -> impl Fn(Errno) -> Error {
    move |errno| match errno {
        Errno::NOSPC | Errno::DQUOT => Error::DiskFull,
        errno if is_transient(errno) => {
            Error::transient(DiskFault { doing, source: errno.into() }).of_kind(kind(errno))
        }
        errno => Error::internal(DiskFault { doing, source: errno.into() }).of_kind(kind(errno)),
    }
}

fn kind(errno: Errno) -> FaultKind {
    match errno {
        Errno::ROFS => FaultKind::ReadOnlyDisk,
        Errno::ACCESS | Errno::PERM => FaultKind::NoRights,
        Errno::MFILE | Errno::NFILE => FaultKind::NoDescriptors,
        Errno::IO => FaultKind::FailingDisk,
        _ => FaultKind::Unknown,
    }
}

/// Error of a failed call with unknown effect: a write or a sync, which the kernel reports once before it drops the
/// data, or a step that was to undo another one. The step must not be retried.
pub(super) fn unsure_fault<E: Into<io::Error>>(doing: &'static str) -> impl Fn(E) -> Error {
    move |error| io_fault(doing)(error.into()).permanent()
}

/// Error of a failed call within a move, a full disk included: recovery has to look where the files are.
pub(super) fn unsettled_fault(doing: &'static str) -> impl Fn(Errno) -> Error {
    move |errno| Error::unsettled(DiskFault { doing, source: errno.into() })
}

/// Marks an error of a later step, such as the sync of a folder, as unsettled.
pub(super) fn unsettled(error: Error) -> Error {
    Error::unsettled(InterruptedMove(error))
}

#[derive(Debug, thiserror::Error)]
#[error("interrupted move: {0:?}")]
struct InterruptedMove(Error);

/// Whether a retry may succeed soon: descriptors or memory are short, or a disk is busy or unreliable.
fn is_transient(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::MFILE
            | Errno::NFILE
            | Errno::NOMEM
            | Errno::AGAIN
            | Errno::INTR
            | Errno::BUSY
            | Errno::TIMEDOUT
            | Errno::IO
    )
}

pub(super) fn io_fault(doing: &'static str) -> impl Fn(io::Error) -> Error {
    move |error| match Errno::from_io_error(&error) {
        Some(errno) => fault(doing)(errno),
        None => Error::internal(DiskFault { doing, source: error }),
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{doing}: {source}")]
struct DiskFault {
    doing: &'static str,
    source: io::Error,
}
