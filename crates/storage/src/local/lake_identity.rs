//! Identity of a lake, and a probe for writes. By the identity, a database recognises its lake, and refuses another
//! lake or a disk that is not mounted.
//!
//! The identity is the name of an empty folder in the engine's folder, `identity-1-…`: one call makes it, it is never
//! half written, and every program that copies folders copies it. The number is the version of the format; a higher one
//! belongs to a newer program.

use super::tree::Tree;
use crate::LakeState;
use lakeshore::model::storage_path::{ENGINE_FOLDER, ENGINE_SUBFOLDERS, IDENTITY_PREFIX, UPLOADS_FOLDER};
use lakeshore_system::beneath::open_folder;
use rustix::fs::{
    Access, AtFlags, CWD, Dir, FlockOperation, Mode, OFlags, StatxFlags, accessat, flock, fsync, mkdirat, openat,
    statx, unlinkat,
};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

const FORM: u32 = 1;
/// Hexadecimal digits of an identity.
const DIGITS: usize = 32;
/// File that the probe writes in the folder of partial files. The next start removes a leftover.
const PROBE: &str = "probe";

#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("cannot read the identity of the lake, in {ENGINE_FOLDER}: {0}")]
    Unreadable(#[source] io::Error),
    #[error(
        "the identity of the lake, a folder {ENGINE_FOLDER}/{IDENTITY_PREFIX}…, is damaged or not unique; restore it, or assign the lake to this database with \"lakeshore adopt\""
    )]
    Damaged,
    #[error("the lake was created by a newer version of Lakeshore; use that version or a newer one")]
    Newer,
    #[error("cannot write the identity of the lake, in {ENGINE_FOLDER}: {0}")]
    Unwritable(#[source] io::Error),
}

/// Reads the state of a possible lake root. A missing folder counts as empty.
pub fn inspect_lake(root: &Path) -> Result<LakeState, IdentityError> {
    let unreadable = |errno: Errno| IdentityError::Unreadable(errno.into());
    let root = match openat(CWD, root, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
        Ok(root) => root,
        // A file in the way is reported when the lake is opened.
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(LakeState::default()),
        Err(errno) => return Err(unreadable(errno)),
    };
    let mut holds_something = holds(&root, true).map_err(unreadable)?;
    let engine = match open_folder(&root, ENGINE_FOLDER) {
        Ok(engine) => engine,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {
            return Ok(LakeState { holds_something, ..LakeState::default() });
        }
        Err(errno) => return Err(unreadable(errno)),
    };
    for name in ENGINE_SUBFOLDERS {
        if let Ok(folder) = open_folder(&engine, name) {
            holds_something |= holds(&folder, false).map_err(unreadable)?;
        }
    }
    // Released at once: opening the lake takes the lock that counts.
    let is_served = flock(&engine, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK);
    Ok(LakeState { has_engine_folder: true, is_served, holds_something, identity: read(&engine)? })
}

/// Whether a folder holds anything; for the lake root, anything that readers see. `lost+found` of a disk does not
/// count.
fn holds(folder: &OwnedFd, is_root: bool) -> Result<bool, Errno> {
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." || is_root && (name.starts_with(b".") || name == b"lost+found") {
            continue;
        }
        return Ok(true);
    }
    Ok(false)
}

/// Names in the engine's folder that are identities, or look like one.
fn names(engine: &OwnedFd) -> Result<Vec<String>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(engine)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.starts_with(IDENTITY_PREFIX) {
            names.push(name);
        }
    }
    Ok(names)
}

fn read(engine: &OwnedFd) -> Result<Option<String>, IdentityError> {
    let names = names(engine).map_err(|errno| IdentityError::Unreadable(errno.into()))?;
    let name = match names.as_slice() {
        [] => return Ok(None),
        [name] => name,
        _ => return Err(IdentityError::Damaged),
    };
    let parts = name.strip_prefix(IDENTITY_PREFIX).and_then(|rest| rest.split_once('-'));
    match parts.and_then(|(form, identity)| Some((form.parse::<u32>().ok()?, identity))) {
        Some((form, _)) if form > FORM => Err(IdentityError::Newer),
        Some((FORM, identity)) if is_identity(identity) && open_folder(engine, &**name).is_ok() => {
            Ok(Some(identity.to_owned()))
        }
        _ => Err(IdentityError::Damaged),
    }
}

fn is_identity(text: &str) -> bool {
    text.len() == DIGITS && text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

pub(super) fn identity(tree: &Tree) -> Result<Option<String>, IdentityError> {
    read(tree.engine())
}

/// Sets the identity of the lake durably, and removes any earlier one.
pub(super) fn set_identity(tree: &Tree, identity: &str) -> Result<(), IdentityError> {
    let engine = tree.engine();
    let write = || -> Result<(), Errno> {
        for former in names(engine)? {
            match unlinkat(engine, &*former, AtFlags::REMOVEDIR) {
                Err(Errno::NOTDIR) => unlinkat(engine, &*former, AtFlags::empty())?,
                removed => removed?,
            }
        }
        mkdirat(engine, format!("{IDENTITY_PREFIX}{FORM}-{identity}"), Mode::RWXU)?;
        fsync(engine)
    };
    write().map_err(|errno| IdentityError::Unwritable(errno.into()))
}

/// Reason why a write to the lake would fail.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    #[error("the lake root is missing; mount its disk, or move it back, then restart the server")]
    Moved,
    #[error(
        "cannot write to the lake: {0} ({1}); check the permissions of the folder, and whether its disk is read-only"
    )]
    Unwritable(&'static str, io::Error),
}

/// Writes, syncs and removes a file, and checks the permissions of the folders that every change needs.
pub(super) fn probe(tree: &Tree) -> Result<(), ProbeError> {
    let place = |file: &dyn AsFd| -> Result<_, Errno> {
        let found = statx(file.as_fd(), "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)?;
        Ok((found.stx_dev_major, found.stx_dev_minor, found.stx_ino))
    };
    let is_there = || -> Result<bool, Errno> {
        let there = openat(CWD, tree.path(), OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(place(&there)? == place(tree.root_handle())?)
    };
    if !is_there().unwrap_or(false) {
        return Err(ProbeError::Moved);
    }
    let fault = |what| move |errno: Errno| ProbeError::Unwritable(what, errno.into());
    let may_change = |folder: &OwnedFd| accessat(folder, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::empty());
    may_change(tree.root_handle()).map_err(fault("the lake root"))?;
    for name in ENGINE_SUBFOLDERS {
        let folder = open_folder(tree.engine(), name).map_err(fault(name))?;
        may_change(&folder).map_err(fault(name))?;
        if name == UPLOADS_FOLDER {
            write_probe(&folder).map_err(fault(name))?;
        }
    }
    Ok(())
}

fn write_probe(uploads: &OwnedFd) -> Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat(uploads, PROBE, flags, Mode::RUSR | Mode::WUSR)?;
    let written = rustix::io::write(&file, b"probe").and_then(|_| fsync(&file));
    let removed = unlinkat(uploads, PROBE, AtFlags::empty());
    written.and(removed)
}
