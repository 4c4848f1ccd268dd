//! What the kernel says, in the lake's words.

use lakeshore::Error;
use lakeshore::model::fault::FaultKind;
use rustix::io::Errno;
use std::io;

/// A failed call of the disk that has changed nothing: a full disk is the client's business, everything else the operator's.
pub(super) fn fault(doing: &'static str) -> impl Fn(Errno) -> Error {
    move |errno| match errno {
        Errno::NOSPC | Errno::DQUOT => Error::DiskFull,
        errno if may_pass(errno) => Error::passing(DiskFault { doing, source: errno.into() }).of_kind(kind(errno)),
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

/// A failed call after which it is not known how things are: a write, or a sync, of which the kernel tells once and then drops
/// what it could not write; or a step that was to undo another. It must not be tried again.
pub(super) fn unsure_fault<E: Into<io::Error>>(doing: &'static str) -> impl Fn(E) -> Error {
    move |error| io_fault(doing)(error.into()).lasting()
}

/// A failed call amid a move: where things are now is found out by looking again. A full disk is no exception.
pub(super) fn unsettled_fault(doing: &'static str) -> impl Fn(Errno) -> Error {
    move |errno| Error::unsettled(DiskFault { doing, source: errno.into() })
}

/// An unsettled fault of a step of several, such as the sync of a folder.
pub(super) fn unsettled(error: Error) -> Error {
    Error::unsettled(Amid(error))
}

#[derive(Debug, thiserror::Error)]
#[error("amid a move: {0:?}")]
struct Amid(Error);

/// Whether the reason may be gone in a moment: descriptors or memory that others have, a disk that is busy or answers badly.
fn may_pass(errno: Errno) -> bool {
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
