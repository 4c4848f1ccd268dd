//! Handle of the lake root, and names resolved beneath it.
//!
//! A path is walked component by component (see [`lakeshore_system::beneath`]), never passed to the kernel as a string.

use super::fault::{fault, unsure_fault};
use super::stat::{FoundEntry, look_in};
use lakeshore::Error;
use lakeshore::model::path::LakePath;
use lakeshore::model::storage_path::{ENGINE_FOLDER, ENGINE_SUBFOLDERS, PartialName, StoragePath, UPLOADS_FOLDER};
use lakeshore::ports::Space;
pub(super) use lakeshore_system::beneath::open_folder;
use lakeshore_system::beneath::{MakeFolderError, make_folder, make_or_find_folder};
use lakeshore_system::space::space_of;
use parking_lot::{Mutex, MutexGuard};
use rustix::fs::{
    AtFlags, CWD, Dir, FlockOperation, Mode, OFlags, RenameFlags, fchmod, fstat, fstatfs, fstatvfs, fsync, openat,
    renameat_with, unlinkat,
};
use rustix::io::Errno;
use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicUsize;

/// Reason why a folder cannot be the lake root.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot create or open the lake root: {0}")]
    Root(#[source] io::Error),
    #[error("cannot write to the lake root: {0}")]
    Unwritable(#[source] io::Error),
    #[error("another server is serving this lake root; stop it first, or choose another --lake-root")]
    InUse,
    #[error(
        "the file system of the lake root cannot exchange two folders at once (renameat2 with RENAME_EXCHANGE: {0}), which publishing needs; use ext4, xfs, btrfs or tmpfs"
    )]
    NoExchange(#[source] io::Error),
}

pub(super) struct Tree {
    path: PathBuf,
    root: OwnedFd,
    /// The engine's folder. Its open handle holds the lock on the lake.
    engine: OwnedFd,
    /// Folder of the partial files.
    uploads: OwnedFd,
    syncs_wait: bool,
    uploads_under_way: AtomicUsize,
    /// Folders, by device and inode, whose names this process knows to be durable. Another folder may come from a
    /// process that was killed, or met a disk fault, before it synced the folder above.
    lasting: Mutex<HashSet<(u64, u64)>>,
}

/// Folders remembered as durable. Beyond this number the set is cleared, and folders are synced again when they are
/// used.
const LASTING_FOLDERS_MAX: usize = 10_000;

/// Magic number of tmpfs, see statfs(2).
const TMPFS_MAGIC: i64 = 0x0102_1994;
/// The usual mode: the umask decides who may read the lake.
pub(super) const FOLDER_MODE: Mode = Mode::RWXU.union(Mode::RWXG).union(Mode::RWXO);
/// Files that have not landed are private.
pub(super) const ENGINE_MODE: Mode = Mode::RWXU;
/// A folder that others may pass through to names that they know.
pub(super) const PASSAGE_MODE: Mode = Mode::RWXU.union(Mode::XGRP).union(Mode::XOTH);

impl Tree {
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        std::fs::create_dir_all(path).map_err(OpenError::Root)?;
        make_name_durable(path).map_err(|errno| OpenError::Root(errno.into()))?;
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
        let root = openat(CWD, path, flags, Mode::empty()).map_err(|errno| OpenError::Root(errno.into()))?;
        let unwritable = |errno: Errno| OpenError::Unwritable(errno.into());
        let engine = make_folder(&root, ENGINE_FOLDER, ENGINE_MODE).map_err(|unmade| unwritable(unmade.into()))?;
        close_to_others(&engine, path);
        for name in ENGINE_SUBFOLDERS {
            make_folder(&engine, name, ENGINE_MODE).map_err(|unmade| unwritable(unmade.into()))?;
        }
        match rustix::fs::flock(&engine, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(OpenError::InUse),
            Err(errno) => return Err(unwritable(errno)),
        }
        probe_exchange(&engine)?;
        let uploads = open_folder(&engine, UPLOADS_FOLDER).map_err(unwritable)?;
        let syncs_wait = fstatfs(&root).map_err(unwritable)?.f_type != TMPFS_MAGIC;
        let uploads_under_way = AtomicUsize::new(0);
        let lasting = Mutex::default();
        Ok(Self { path: path.to_owned(), root, engine, uploads, syncs_wait, uploads_under_way, lasting })
    }

    /// Whether a sync waits for a disk. In a file system in memory it does not.
    pub(super) fn syncs_wait(&self) -> bool {
        self.syncs_wait
    }

    /// Uploads that are being written to partial files; small ones do not count.
    pub(super) fn uploads_under_way(&self) -> &AtomicUsize {
        &self.uploads_under_way
    }

    /// Path of the lake root, as it was given.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Handle of the lake root.
    pub(super) fn root_handle(&self) -> &OwnedFd {
        &self.root
    }

    /// Handle of the engine's folder.
    pub(super) fn engine(&self) -> &OwnedFd {
        &self.engine
    }

    /// Handle of the folder of partial files.
    pub(super) fn uploads(&self) -> &OwnedFd {
        &self.uploads
    }

    /// Parent folder of `place`, and the last component. `None` where the folder is missing.
    pub(super) fn parent(&self, place: &StoragePath) -> Result<Option<(OwnedFd, String)>, Error> {
        let mut components = place.components();
        let leaf = components.pop().unwrap_or_default();
        let mut folder = self.root()?;
        for component in &components {
            folder = match open_folder(&folder, component) {
                Ok(next) => next,
                Err(Errno::NOENT) => return Ok(None),
                Err(errno) => return Err(obstructed(errno, component)),
            };
        }
        Ok(Some((folder, leaf)))
    }

    /// Like [`Self::parent`], and makes every missing folder, durably.
    pub(super) fn make_parent(&self, place: &StoragePath) -> Result<(OwnedFd, String), Error> {
        let mut components = place.components();
        let leaf = components.pop().unwrap_or_default();
        let mut folder = self.root()?;
        for component in &components {
            folder = self.lasting_folder(&folder, component)?;
        }
        Ok((folder, leaf))
    }

    /// Opens the folder of this name, or makes it. Syncs its name first: files that land in it would be lost with it.
    fn lasting_folder(&self, parent: &OwnedFd, name: &str) -> Result<OwnedFd, Error> {
        let (folder, is_durable) = match open_folder(parent, name) {
            Ok(folder) => (folder, false),
            Err(Errno::NOENT) => {
                let made = make_or_find_folder(parent, name, FOLDER_MODE);
                made.map_err(|unmade| not_made(unmade, name))?
            }
            Err(errno) => return Err(obstructed(errno, name)),
        };
        let found = fstat(&folder).map_err(fault("looking at a folder"))?;
        let identity = (found.st_dev, found.st_ino);
        if is_durable || !self.lasting().contains(&identity) {
            if !is_durable {
                sync_folder(parent)?;
            }
            let mut lasting = self.lasting();
            if lasting.len() >= LASTING_FOLDERS_MAX {
                lasting.clear();
            }
            lasting.insert(identity);
        }
        Ok(folder)
    }

    fn lasting(&self) -> MutexGuard<'_, HashSet<(u64, u64)>> {
        self.lasting.lock()
    }

    /// Makes the folder at `place` durably, where it is missing.
    pub(super) fn make_folder_at(&self, place: &StoragePath) -> Result<OwnedFd, Error> {
        let (parent, leaf) = self.make_parent(place)?;
        self.lasting_folder(&parent, &leaf)
    }

    /// Opens a folder of the lake, or the lake root. `None` where it is missing.
    pub(super) fn folder(&self, path: Option<&LakePath>) -> Result<Option<OwnedFd>, Error> {
        let mut folder = self.root()?;
        for component in path.iter().flat_map(|path| path.components()) {
            folder = match open_folder(&folder, component) {
                Ok(next) => next,
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
                Err(errno) => return Err(fault("opening a folder")(errno)),
            };
        }
        Ok(Some(folder))
    }

    pub(super) fn look(&self, place: &StoragePath) -> Result<Option<FoundEntry>, Error> {
        match self.parent(place)? {
            Some((folder, leaf)) => look_in(&folder, &leaf),
            None => Ok(None),
        }
    }

    /// Removes a partial file; a missing one is no error. Needs no file descriptor, so that uploads that failed for
    /// lack of descriptors are removed too.
    pub(super) fn remove_partial(&self, name: &PartialName) -> Result<(), Error> {
        match unlinkat(&self.uploads, name.as_str(), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(fault("removing a file")(errno)),
        }
    }

    /// Removes an empty folder. A missing folder, or one with contents, is no error.
    pub(super) fn remove_empty_folder(&self, place: &StoragePath) -> Result<(), Error> {
        let Some((folder, leaf)) = self.parent(place)? else { return Ok(()) };
        match unlinkat(&folder, &leaf, AtFlags::REMOVEDIR) {
            Ok(()) => sync_folder(&folder),
            Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST) => Ok(()),
            Err(errno) => Err(fault("removing an empty folder")(errno)),
        }
    }

    pub(super) fn space(&self) -> Result<Space, Error> {
        let found = fstatvfs(&self.root).map_err(fault("asking how much space is left"))?;
        Ok(space_of(&found))
    }

    fn root(&self) -> Result<OwnedFd, Error> {
        self.root.try_clone().map_err(super::fault::io_fault("opening the lake root"))
    }
}

/// Syncs the name of the lake root, which an earlier start may have made without a sync. A parent that this user may
/// not open belongs to another user, who then made the root.
fn make_name_durable(root: &Path) -> Result<(), Errno> {
    let parent = match root.parent() {
        Some(parent) if parent != Path::new("") => parent,
        Some(_) => Path::new("."),
        None => return Ok(()),
    };
    match openat(CWD, parent, OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY, Mode::empty()) {
        Ok(parent) => fsync(parent),
        Err(Errno::ACCESS) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// Keeps other users out of the engine's folder: uploads that have not landed, and the trash, are not for readers.
fn close_to_others(engine: &OwnedFd, root: &Path) {
    let others = Mode::RWXG | Mode::RWXO;
    let closed = fstat(engine).map(|found| Mode::from_raw_mode(found.st_mode)).and_then(|mode| {
        // Holders of the name of a snapshot may pass through to it.
        let is_closed = !mode.intersects(others) || mode & (others | Mode::RWXU) == PASSAGE_MODE;
        if is_closed { Ok(false) } else { fchmod(engine, mode - others).map(|()| true) }
    });
    let root = root.display();
    match closed {
        Ok(false) => {}
        Ok(true) => tracing::info!(%root, "other users could read the trash of the lake; restricted it to its owner"),
        Err(errno) => {
            tracing::warn!(%root, %errno, "other users can read the trash of the lake, and its permissions cannot be changed")
        }
    }
}

/// Tries the call that publishing needs, so that an unfit file system is refused at the start.
fn probe_exchange(engine: &OwnedFd) -> Result<(), OpenError> {
    const NAMES: [&str; 2] = ["probe-a", "probe-b"];
    let probe = || {
        for name in NAMES {
            make_folder(engine, name, ENGINE_MODE)?;
        }
        renameat_with(engine, NAMES[0], engine, NAMES[1], RenameFlags::EXCHANGE)
    };
    let result = probe();
    for name in NAMES {
        // A leftover is found and reused by the next start.
        let _ = unlinkat(engine, name, AtFlags::REMOVEDIR);
    }
    match result {
        // A server has to start on a full disk, so that people can purge the trash.
        Err(Errno::NOSPC | Errno::DQUOT) => return Ok(()),
        result => result,
    }
    .map_err(|errno| match errno {
        Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP => OpenError::NoExchange(errno.into()),
        errno => OpenError::Unwritable(errno.into()),
    })
}

pub(super) fn sync_folder(folder: impl AsFd) -> Result<(), Error> {
    fsync(folder).map_err(unsure_fault("syncing a folder"))
}

/// Names in a folder, without `.` and `..`.
pub(super) fn names(folder: &OwnedFd) -> Result<Vec<String>, Error> {
    let listing = Dir::read_from(folder).map_err(fault("listing a folder"))?;
    let mut names = Vec::new();
    for entry in listing {
        let entry = entry.map_err(fault("listing a folder"))?;
        // The lake writes UTF-8 names only, so any other name comes from another program.
        if let Ok(name) = entry.file_name().to_str()
            && name != "."
            && name != ".."
        {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

fn not_made(unmade: MakeFolderError, component: &str) -> Error {
    match unmade {
        MakeFolderError::Unsynced(errno) => unsure_fault("syncing a folder")(errno),
        MakeFolderError::Failed(errno) => obstructed(errno, component),
    }
}

fn obstructed(errno: Errno, component: &str) -> Error {
    match errno {
        Errno::NOTDIR | Errno::LOOP => Error::InTheWay(format!(
            "{component:?} is a file or a link in the lake, not a folder; remove it, or use another path"
        )),
        errno => fault("opening a folder")(errno),
    }
}
