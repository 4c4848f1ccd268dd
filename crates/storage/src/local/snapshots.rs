//! Snapshots: folders of copies that share their bytes with the files of the lake, or of other names of the same files.
//!
//! A snapshot grows under a name that nobody was told, and takes its own by one rename. Each file is compared with what it is to
//! be after it was put there: what moves in the lake meanwhile is told from it by its identity.

use super::fault::fault;
use super::inspect::parent;
use super::stat::{find_in, found_file};
use super::tree::{ENGINE_MODE, FOLDER_MODE, PASSAGE_MODE, Tree, names, open_folder, sync_folder};
use lakeshore::Error;
use lakeshore::model::snapshot::SnapshotToken;
use lakeshore::model::storage_path::{ENGINE_SUBFOLDERS, SNAPSHOTS_FOLDER, StoragePath};
use lakeshore::ports::storage::{FoundFile, RemovedSnapshot, Snapped, SnapshotFile, Touched};
use lakeshore_system::beneath::make_folder;
use lakeshore_system::failpoints::crash_point;
use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, Timespec, Timestamps, fchmod, fstat, futimens, ioctl_ficlone,
    linkat, openat, renameat_with, unlinkat,
};
use rustix::io::Errno;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

pub(super) fn begin(tree: &Tree, token: &SnapshotToken, leaf: &str) -> Result<(), Error> {
    let snapshots = open_to_readers(tree)?;
    let unfinished = StoragePath::UnfinishedSnapshot(token.clone());
    let (_, name) = tree.make_parent(&unfinished)?;
    let made = make_folder(&snapshots, name.as_str(), FOLDER_MODE);
    let folder = made.map_err(|unmade| fault("making a snapshot")(unmade.into()))?;
    make_folder(&folder, leaf, FOLDER_MODE).map_err(|unmade| fault("making a snapshot")(unmade.into()))?;
    crash_point!("snapshot.begun");
    Ok(())
}

/// Readers, who may be others, get to a snapshot by its name; they list neither those there are nor anything else of the engine's.
fn open_to_readers(tree: &Tree) -> Result<OwnedFd, Error> {
    const DOING: &str = "opening the folder of the snapshots to readers";
    let engine = tree.engine();
    for name in ENGINE_SUBFOLDERS.into_iter().filter(|name| *name != SNAPSHOTS_FOLDER) {
        let folder = open_folder(engine, name).map_err(fault(DOING))?;
        set_mode(&folder, ENGINE_MODE).map_err(fault(DOING))?;
    }
    let made = make_folder(engine, SNAPSHOTS_FOLDER, ENGINE_MODE);
    let snapshots = made.map_err(|unmade| fault(DOING)(unmade.into()))?;
    set_mode(&snapshots, PASSAGE_MODE).map_err(fault(DOING))?;
    set_mode(engine, PASSAGE_MODE).map_err(fault(DOING))?;
    Ok(snapshots)
}

fn set_mode(folder: &OwnedFd, mode: Mode) -> Result<(), Errno> {
    let now = Mode::from_raw_mode(fstat(folder)?.st_mode);
    if now == mode { Ok(()) } else { fchmod(folder, mode) }
}

/// Folders that were opened last, of the files and of their places in the snapshot: neighbours share them.
#[derive(Default)]
struct OpenFolderCache {
    from: Option<(Vec<String>, OwnedFd)>,
    to: Option<(Vec<String>, OwnedFd)>,
    /// The file system has refused to share bytes.
    cannot_share: bool,
}

pub(super) fn snap(tree: &Tree, token: &SnapshotToken, files: &[SnapshotFile]) -> Vec<Result<Snapped, Error>> {
    let mut known = OpenFolderCache::default();
    let snapped = files.iter().map(|file| snap_one(tree, token, file, &mut known)).collect();
    crash_point!("snapshot.filled");
    snapped
}

fn snap_one(
    tree: &Tree,
    token: &SnapshotToken,
    file: &SnapshotFile,
    known: &mut OpenFolderCache,
) -> Result<Snapped, Error> {
    let mut from = file.from.components();
    let from_leaf = from.pop().unwrap_or_default();
    if known.from.as_ref().is_none_or(|(components, _)| *components != from) {
        let Some((folder, _)) = parent(tree, &file.from)? else { return Ok(Snapped::Elsewhere) };
        known.from = Some((from, folder));
    }
    let place = StoragePath::InUnfinishedSnapshot { token: token.clone(), relative: file.relative.clone() };
    let mut to = place.components();
    let to_leaf = to.pop().unwrap_or_default();
    if known.to.as_ref().is_none_or(|(components, _)| *components != to) {
        let folder = unsynced_folder(tree, &to)?;
        known.to = Some((to, folder));
    }
    let (Some((_, from)), Some((_, to))) = (&known.from, &known.to) else { return Ok(Snapped::Elsewhere) };
    if !known.cannot_share {
        match share(file, from, &from_leaf, to, &to_leaf)? {
            Some(snapped) => return Ok(snapped),
            None => known.cannot_share = true,
        }
    }
    link(file, from, &from_leaf, to, &to_leaf)
}

/// The folders are synced when the snapshot is whole.
fn unsynced_folder(tree: &Tree, components: &[String]) -> Result<OwnedFd, Error> {
    let root = tree.root_handle();
    let mut folder: Option<OwnedFd> = None;
    for component in components {
        let parent = folder.as_ref().unwrap_or(root);
        match rustix::fs::mkdirat(parent, component, FOLDER_MODE) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(fault("making a folder of a snapshot")(errno)),
        }
        folder = Some(open_folder(parent, component).map_err(fault("opening a folder of a snapshot"))?);
    }
    folder.ok_or_else(|| Error::InTheWay("the snapshot has no path".to_owned()))
}

/// Whether a found file is the one for the snapshot, with its bytes: a change of them would have moved its change time.
fn is_it(file: &SnapshotFile, found: &FoundFile) -> bool {
    found.size_bytes == file.size_bytes
        && found.changed_at <= file.changed_at_max
        && file.identity.as_ref().is_none_or(|identity| *identity == found.identity)
}

/// `None` where the file system cannot share bytes.
fn share(
    file: &SnapshotFile,
    from: &OwnedFd,
    from_leaf: &str,
    to: &OwnedFd,
    to_leaf: &str,
) -> Result<Option<Snapped>, Error> {
    const DOING: &str = "sharing a file with a snapshot";
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let original = match openat(from, from_leaf, flags, Mode::empty()) {
        Ok(original) => File::from(original),
        Err(Errno::NOENT | Errno::LOOP | Errno::NXIO | Errno::NOTDIR) => return Ok(Some(Snapped::Elsewhere)),
        Err(errno) => return Err(fault(DOING)(errno)),
    };
    let found = found_file(original.as_fd()).map_err(fault(DOING))?;
    if !found.is_some_and(|found| is_it(file, &found)) {
        return Ok(Some(Snapped::Elsewhere));
    }
    let status = fstat(&original).map_err(fault(DOING))?;
    let mode = Mode::from_raw_mode(status.st_mode);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let copy = openat(to, to_leaf, flags, mode).map_err(fault(DOING))?;
    match ioctl_ficlone(&copy, &original) {
        Ok(()) => {
            let at = |tv_sec, tv_nsec: u64| Timespec { tv_sec, tv_nsec: i64::try_from(tv_nsec).unwrap_or(0) };
            let times = Timestamps {
                last_access: at(status.st_atime, status.st_atime_nsec),
                last_modification: at(status.st_mtime, status.st_mtime_nsec),
            };
            futimens(&copy, &times).map_err(fault(DOING))?;
            Ok(Some(Snapped::Copied))
        }
        Err(Errno::NOSPC | Errno::DQUOT) => Err(Error::DiskFull),
        Err(_) => {
            unlinkat(to, to_leaf, AtFlags::empty()).map_err(fault(DOING))?;
            Ok(None)
        }
    }
}

fn link(file: &SnapshotFile, from: &OwnedFd, from_leaf: &str, to: &OwnedFd, to_leaf: &str) -> Result<Snapped, Error> {
    const DOING: &str = "giving a file of a snapshot its name";
    let before = find_in(from, from_leaf).map_err(fault(DOING))?;
    let Some(before) = before.filter(|found| is_it(file, found)) else { return Ok(Snapped::Elsewhere) };
    match linkat(from, from_leaf, to, to_leaf, AtFlags::empty()) {
        Ok(()) => {}
        Err(Errno::NOENT) => return Ok(Snapped::Elsewhere),
        Err(Errno::MLINK) => {
            let path = file.from.components().join("/");
            return Err(Error::InTheWay(format!(
                "/{path} has as many names as the file system allows; drop snapshots that hold it"
            )));
        }
        Err(errno) => return Err(fault(DOING)(errno)),
    }
    match find_in(to, to_leaf).map_err(fault(DOING))? {
        // The link itself has moved the change time.
        Some(found) if found.identity == before.identity && found.size_bytes == before.size_bytes => {
            let touched = Touched { identity: found.identity, before: before.changed_at, after: found.changed_at };
            Ok(Snapped::Linked(touched))
        }
        // Another has taken the name in between.
        _ => {
            unlinkat(to, to_leaf, AtFlags::empty()).map_err(fault(DOING))?;
            Ok(Snapped::Elsewhere)
        }
    }
}

pub(super) fn finish(tree: &Tree, token: &SnapshotToken) -> Result<(), Error> {
    let Some((snapshots, unfinished)) = tree.parent(&StoragePath::UnfinishedSnapshot(token.clone()))? else {
        return Err(Error::NoSuchSnapshot(token.to_string()));
    };
    let folder = open_folder(&snapshots, &unfinished).map_err(fault("opening a snapshot"))?;
    sync_below(&folder)?;
    crash_point!("snapshot.synced");
    renameat_with(&snapshots, &unfinished, &snapshots, token.as_str(), RenameFlags::NOREPLACE)
        .map_err(fault("giving a snapshot its name"))?;
    sync_folder(&snapshots)?;
    crash_point!("snapshot.named");
    Ok(())
}

/// Depth is bounded by the longest lake path.
fn sync_below(folder: &OwnedFd) -> Result<(), Error> {
    let listing = Dir::read_from(folder).map_err(fault("listing a snapshot"))?;
    for entry in listing {
        let entry = entry.map_err(fault("listing a snapshot"))?;
        let name = entry.file_name();
        if name == c"." || name == c".." || entry.file_type() == FileType::RegularFile {
            continue;
        }
        match open_folder(folder, name) {
            Ok(below) => sync_below(&below)?,
            Err(Errno::NOTDIR) => {}
            Err(errno) => return Err(fault("opening a folder of a snapshot")(errno)),
        }
    }
    sync_folder(folder)
}

/// How far one step of a removal goes, and what it has come across.
struct Step {
    left: u64,
    removed: RemovedSnapshot,
}

pub(super) fn remove(tree: &Tree, token: &SnapshotToken, removals_max: u64) -> Result<RemovedSnapshot, Error> {
    let mut step = Step { left: removals_max, removed: RemovedSnapshot::default() };
    for place in [StoragePath::UnfinishedSnapshot(token.clone()), StoragePath::Snapshot(token.clone())] {
        let Some((snapshots, name)) = tree.parent(&place)? else { continue };
        let folder = match open_folder(&snapshots, &name) {
            Ok(folder) => folder,
            Err(Errno::NOENT) => continue,
            Err(errno) => return Err(fault("opening a snapshot")(errno)),
        };
        let removed = step.empty(&folder, "").and_then(|is_empty| {
            if is_empty {
                unlinkat(&snapshots, &name, AtFlags::REMOVEDIR).map_err(fault("removing a snapshot"))?;
                crash_point!("snapshot.removed");
                sync_folder(&snapshots)?;
            }
            Ok(is_empty)
        });
        match removed {
            Ok(true) => {}
            Ok(false) => {
                step.removed.has_more = true;
                break;
            }
            // With what was removed before it, whose change times must not be lost.
            Err(fault) => {
                step.removed.fault = Some(fault);
                break;
            }
        }
    }
    crash_point!("snapshot.unlinked");
    Ok(step.removed)
}

impl Step {
    /// False when there is more than the step may take.
    fn empty(&mut self, folder: &OwnedFd, path: &str) -> Result<bool, Error> {
        const DOING: &str = "removing a snapshot";
        for name in names(folder)? {
            if self.left == 0 {
                return Ok(false);
            }
            let below_path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
            match open_folder(folder, &name) {
                Ok(below) => {
                    if !self.empty(&below, &below_path)? {
                        return Ok(false);
                    }
                    unlinkat(folder, &name, AtFlags::REMOVEDIR).map_err(fault(DOING))?;
                }
                Err(Errno::NOTDIR | Errno::LOOP) => self.remove_file(folder, &name, below_path)?,
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(fault(DOING)(errno)),
            }
            self.left = self.left.saturating_sub(1);
        }
        Ok(true)
    }

    /// A file that has another name was changed by this, as its file system tells.
    fn remove_file(&mut self, folder: &OwnedFd, name: &str, path: String) -> Result<(), Error> {
        const DOING: &str = "removing a file of a snapshot";
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(folder, name, flags, Mode::empty()).map_err(fault(DOING))?;
        let before = found_file(file.as_fd()).map_err(fault(DOING))?;
        unlinkat(folder, name, AtFlags::empty()).map_err(fault(DOING))?;
        let names_left = fstat(&file).map_err(fault(DOING))?.st_nlink;
        if let (Some(before), true) = (before, names_left > 0)
            && let Some(after) = found_file(file.as_fd()).map_err(fault(DOING))?
        {
            let touched = Touched { identity: before.identity, before: before.changed_at, after: after.changed_at };
            self.removed.touched.push((path, touched));
        }
        Ok(())
    }
}
