//! Counts the files below a storage path, and detects without counting that they are unchanged.

use super::fault::fault;
use super::stat::identity;
use super::tree::{Tree, names, open_folder};
use lakeshore::Error;
use lakeshore::model::storage_path::Identity;
use lakeshore::model::storage_path::StoragePath;
use lakeshore::model::totals::Totals;
use lakeshore::ports::storage::{FolderState, Measured};
use rustix::fs::{AtFlags, FileType, Statx, StatxFlags, statx};
use rustix::io::Errno;
use rustix::path::Arg;
use std::os::fd::OwnedFd;
use std::time::{Duration, SystemTime};

/// A folder that changed this recently may change again under the same time: the kernel's clock for files ticks every 1
/// to 10 ms.
const TICK_MAX: Duration = Duration::from_millis(50);

pub(super) fn measure(tree: &Tree, place: &StoragePath) -> Result<Totals, Error> {
    Ok(measure_folders(tree, place, 0)?.totals)
}

pub(super) fn measure_folders(tree: &Tree, place: &StoragePath, folders_max: usize) -> Result<Measured, Error> {
    let mut measured = Measured { totals: Totals::default(), folders: None };
    let Some((parent, leaf)) = tree.parent(place)? else { return Ok(measured) };
    let mut open = match look(&parent, &leaf) {
        Err(Errno::NOENT) => return Ok(measured),
        Err(errno) => return Err(fault("looking at a place")(errno)),
        Ok(found) => match kind(&found) {
            FileType::RegularFile => {
                measured.totals = Totals { files: 1, bytes: found.stx_size };
                return Ok(measured);
            }
            FileType::Directory => {
                vec![(open_folder(&parent, &leaf).map_err(fault("opening a folder"))?, String::new())]
            }
            _ => return Ok(measured),
        },
    };
    let mut folders = (folders_max > 0).then(Vec::new);
    while let Some((folder, path)) = open.pop() {
        if let Some(known) = &mut folders {
            // Read before the names, so that a change during the count is noticed by its time.
            match steady_state(&folder)? {
                Some(state) if known.len() < folders_max => known.push(FolderState { path: path.clone(), state }),
                _ => folders = None,
            }
        }
        for name in names(&folder)? {
            let found = match look(&folder, &name) {
                Ok(found) => found,
                Err(Errno::NOENT) => continue,
                Err(errno) => return Err(fault("looking at a file")(errno)),
            };
            match kind(&found) {
                FileType::RegularFile => {
                    measured.totals.files += 1;
                    measured.totals.bytes += found.stx_size;
                }
                FileType::Directory => match open_folder(&folder, &name) {
                    Ok(below) => {
                        let below_path = if path.is_empty() { name } else { format!("{path}/{name}") };
                        open.push((below, below_path));
                    }
                    Err(Errno::NOENT) => {}
                    Err(errno) => return Err(fault("opening a folder")(errno)),
                },
                // Links and pipes hold no bytes of the lake.
                _ => {}
            }
        }
    }
    measured.folders = folders;
    Ok(measured)
}

/// Opens no folder, so that a link in the place of a folder counts as a change.
pub(super) fn are_unchanged(tree: &Tree, place: &StoragePath, folders: &[FolderState]) -> Result<bool, Error> {
    let Some((parent, leaf)) = tree.parent(place)? else { return Ok(false) };
    for folder in folders {
        let path = if folder.path.is_empty() { leaf.clone() } else { format!("{leaf}/{}", folder.path) };
        match look(&parent, &path) {
            Ok(found) if state(&found) == folder.state => {}
            Ok(_) | Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(false),
            Err(errno) => return Err(fault("looking at a folder")(errno)),
        }
    }
    Ok(true)
}

fn look(folder: &OwnedFd, name: impl Arg) -> Result<Statx, Errno> {
    statx(folder, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS | StatxFlags::BTIME)
}

fn kind(found: &Statx) -> FileType {
    FileType::from_raw_mode(found.stx_mode.into())
}

/// Identity that changes whenever a name in the folder changes.
fn state(found: &Statx) -> Identity {
    let (mode, changed) = (found.stx_mode, found.stx_ctime);
    Identity(format!("{} {mode:o} {}.{}", identity(found).0, changed.tv_sec, changed.tv_nsec))
}

/// State of an open folder; `None` where it changed a moment ago.
fn steady_state(folder: &OwnedFd) -> Result<Option<Identity>, Error> {
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
    let found = statx(folder, "", AtFlags::EMPTY_PATH, wanted).map_err(fault("looking at a folder"))?;
    let (seconds, nanoseconds) = (found.stx_ctime.tv_sec, found.stx_ctime.tv_nsec);
    let changed = Duration::new(u64::try_from(seconds).unwrap_or(0), nanoseconds);
    #[expect(
        clippy::disallowed_methods,
        reason = "it is compared with the kernel's times of files, not with the lake's"
    )]
    let now = SystemTime::now();
    let age = now.duration_since(SystemTime::UNIX_EPOCH + changed);
    Ok(age.is_ok_and(|age| age > TICK_MAX).then(|| state(&found)))
}
