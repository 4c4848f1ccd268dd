//! What the kernel says, in the lake's words.

use lakeshore::Error;
use rustix::io::Errno;
use std::io;

/// A failed call of the disk: a full disk is the client's business, everything else the operator's.
pub(super) fn fault(doing: &'static str) -> impl Fn(Errno) -> Error {
    move |errno| match errno {
        Errno::NOSPC | Errno::DQUOT => Error::DiskFull,
        errno => Error::internal(DiskFault { doing, source: errno.into() }),
    }
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
