//! Finds, lists and reads files beneath the root.

use super::fault::{fault, io_fault};
use super::inspect::parent;
use super::listing::{self, Name};
use super::stat::{find_in, found_file, found_in};
use super::tree::Tree;
use async_trait::async_trait;
use lakeshore::Error;
use lakeshore::model::path::LakePath;
use lakeshore::model::storage_path::StoragePath;
use lakeshore::ports::storage::{FolderEntry, FoundFile, OpenFile};
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use std::any::Any;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Adjacent entries of the list with the same folder resolve it once.
pub(super) fn find(tree: &Tree, places: &[StoragePath]) -> Result<Vec<Option<FoundFile>>, Error> {
    let mut known: Option<(Vec<String>, Option<OwnedFd>)> = None;
    let mut find_one = |place: &StoragePath| {
        let mut components = place.components();
        let leaf = components.pop().unwrap_or_default();
        let folder = match &known {
            Some((same, folder)) if *same == components => folder,
            _ => &known.insert((components, parent(tree, place)?.map(|(folder, _)| folder))).1,
        };
        match folder {
            Some(folder) => find_in(folder, &leaf).map_err(fault("looking at a file")),
            None => Ok(None),
        }
    };
    places.iter().map(&mut find_one).collect()
}

/// Opens a regular file. A pipe does not block it, and a link is not followed.
pub(super) fn open_file(tree: &Tree, place: &StoragePath) -> Result<Option<(File, FoundFile)>, Error> {
    let Some((folder, leaf)) = parent(tree, place)? else { return Ok(None) };
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = match openat(&folder, &leaf, flags, Mode::empty()) {
        Ok(file) => file,
        // A link or a socket, or no file at all.
        Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => return Ok(None),
        Err(errno) => return Err(fault("opening a file")(errno)),
    };
    let found = found_file(file.as_fd()).map_err(fault("looking at a file"))?;
    Ok(found.map(|found| (file.into(), found)))
}

pub(super) struct LocalOpenFile {
    file: Arc<File>,
    found: FoundFile,
}

pub(super) fn open(tree: &Tree, place: &StoragePath) -> Result<Option<LocalOpenFile>, Error> {
    Ok(open_file(tree, place)?.map(|(file, found)| LocalOpenFile { file: Arc::new(file), found }))
}

/// Opens a file of this backend again, read-only, with a file offset and flags of its own. `None` for another backend's.
pub fn reopen(file: &dyn OpenFile) -> Result<Option<File>, Error> {
    let any: &dyn Any = file;
    let Some(local) = any.downcast_ref::<LocalOpenFile>() else { return Ok(None) };
    let itself = format!("/proc/self/fd/{}", local.file.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let opened = rustix::fs::open(&itself, flags, Mode::empty()).map(File::from);
    opened.map(Some).map_err(fault("opening a file once more"))
}

#[async_trait]
impl OpenFile for LocalOpenFile {
    fn found(&self) -> &FoundFile {
        &self.found
    }

    async fn read(&self, at: u64, bytes_max: usize) -> Result<Vec<u8>, Error> {
        let file = self.file.clone();
        let read = move || {
            let mut bytes = vec![0; bytes_max];
            let mut filled = 0;
            while filled < bytes_max {
                match file.read_at(&mut bytes[filled..], at + filled as u64) {
                    Ok(0) => break,
                    Ok(length) => filled += length,
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(io_fault("reading a file")(error)),
                }
            }
            bytes.truncate(filled);
            Ok(bytes)
        };
        tokio::task::spawn_blocking(read).await.map_err(Error::internal)?
    }
}

/// Page of a folder of the lake, or of the lake root; see [`listing`].
pub(super) fn list(
    tree: &Tree,
    folder: Option<&LakePath>,
    from: u64,
    size: u64,
) -> Result<Option<Vec<FolderEntry>>, Error> {
    let Some(open) = tree.folder(folder)? else { return Ok(None) };
    let path = |name: &str| match folder {
        Some(folder) => folder.join(name),
        None => LakePath::parse(&format!("/{name}")),
    };
    // A name that no lake path can have is hidden, or was put there by another program.
    let page = listing::page(&open, from, size, |name| path(name).is_ok())?;
    let mut entries = Vec::with_capacity(page.len());
    for Name { name, .. } in page {
        let Ok(path) = path(&name) else { continue };
        // A file that was removed during the listing is omitted.
        let Some((modified_at, file)) = found_in(&open, &name).map_err(fault("looking at a file"))? else { continue };
        entries.push(FolderEntry { path, modified_at, file });
    }
    Ok(Some(entries))
}
