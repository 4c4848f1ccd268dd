//! Metadata of files and folders below an open folder: kind, identity, size and times. No link is followed.

use super::fault::fault;
use lakeshore::model::storage_path::Identity;
use lakeshore::ports::storage::FoundFile;
use lakeshore::{Error, Timestamp};
use rustix::fs::{AtFlags, FileType, StatxFlags, StatxTimestamp, statx};
use rustix::io::Errno;
use rustix::path::Arg;
use std::os::fd::{BorrowedFd, OwnedFd};

/// Kind and identity of a file or folder.
pub(super) struct FoundEntry {
    pub(super) identity: Identity,
    pub(super) is_folder: bool,
}

pub(super) struct Stat {
    identity: Identity,
    pub(super) is_folder: bool,
    pub(super) is_file: bool,
    pub(super) bytes: u64,
}

/// Reads metadata, with inode and time of birth: a file system may reuse an inode, but not at the same nanosecond.
pub(super) fn stat(folder: &OwnedFd, name: impl Arg) -> Result<Stat, Errno> {
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
    let found = statx(folder, name, AtFlags::SYMLINK_NOFOLLOW, wanted)?;
    let kind = FileType::from_raw_mode(found.stx_mode.into());
    Ok(Stat {
        identity: identity(&found),
        is_folder: kind == FileType::Directory,
        is_file: kind == FileType::RegularFile,
        bytes: found.stx_size,
    })
}

pub(super) fn identity(found: &rustix::fs::Statx) -> Identity {
    Identity(format!("{}:{}.{}", found.stx_ino, found.stx_btime.tv_sec, found.stx_btime.tv_nsec))
}

pub(super) fn identity_of(file: BorrowedFd<'_>) -> Result<Identity, Error> {
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
    let found = statx(file, "", AtFlags::EMPTY_PATH, wanted).map_err(fault("identifying a file"))?;
    Ok(identity(&found))
}

/// The open file's identity and times; `None` where it is not a regular file.
pub(super) fn found_file(file: BorrowedFd<'_>) -> Result<Option<FoundFile>, Errno> {
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
    Ok(as_file(&statx(file, "", AtFlags::EMPTY_PATH, wanted)?))
}

/// The file of this name; `None` where it is missing or not a regular file.
pub(super) fn find_in(folder: &OwnedFd, name: &str) -> Result<Option<FoundFile>, Errno> {
    Ok(found_in(folder, name)?.and_then(|(_, file)| file))
}

/// The file or folder of this name: its modification time, and the details of a file.
pub(super) fn found_in(folder: &OwnedFd, name: &str) -> Result<Option<(Timestamp, Option<FoundFile>)>, Errno> {
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
    match statx(folder, name, AtFlags::SYMLINK_NOFOLLOW, wanted) {
        Ok(found) => Ok(Some((time(&found.stx_mtime), as_file(&found)))),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

fn time(at: &StatxTimestamp) -> Timestamp {
    Timestamp(at.tv_sec.saturating_mul(1000).saturating_add(i64::from(at.tv_nsec / 1_000_000)))
}

fn as_file(found: &rustix::fs::Statx) -> Option<FoundFile> {
    (FileType::from_raw_mode(found.stx_mode.into()) == FileType::RegularFile).then(|| FoundFile {
        identity: identity(found),
        size_bytes: found.stx_size,
        modified_at: time(&found.stx_mtime),
        changed_at: time(&found.stx_ctime),
    })
}

pub(super) fn look_in(folder: &OwnedFd, name: &str) -> Result<Option<FoundEntry>, Error> {
    match stat(folder, name) {
        Ok(found) => Ok(Some(FoundEntry { identity: found.identity, is_folder: found.is_folder })),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(fault("looking at a place")(errno)),
    }
}
