//! Reads the lake's folder for `lakeshore check`, and the engine's own folders.

use super::fault::{fault, io_fault};
use super::listing::{self, Name};
use super::stat::stat;
use super::tree::{Tree, open_folder, sync_folder};
use lakeshore::Error;
use lakeshore::model::digest::Digest;
use lakeshore::model::path::LakePath;
use lakeshore::model::storage_path::StoragePath;
use lakeshore::model::storage_path::TrashKey;
use lakeshore::ports::inspection::{Entry, EntryKind};
use rustix::fs::{Dir, Mode, OFlags, RenameFlags, openat, renameat_with};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

const READ_BYTES: usize = 1 << 20;

/// Parent folder of a storage path. `None` where a component is missing, a file or a link.
pub(super) fn parent(tree: &Tree, place: &StoragePath) -> Result<Option<(OwnedFd, String)>, Error> {
    match tree.parent(place) {
        Err(Error::InTheWay(_)) => Ok(None),
        other => other,
    }
}

/// `None` if the path is missing or not a folder.
fn folder(tree: &Tree, place: &StoragePath) -> Result<Option<OwnedFd>, Error> {
    let Some((parent, leaf)) = parent(tree, place)? else { return Ok(None) };
    match open_folder(&parent, leaf.as_str()) {
        Ok(folder) => Ok(Some(folder)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(errno) => Err(fault("opening a folder")(errno)),
    }
}

/// A page in bounded memory; see [`listing`].
pub(super) fn list_page(tree: &Tree, place: &StoragePath, from: u64, size: u64) -> Result<Vec<Entry>, Error> {
    let Some(folder) = folder(tree, place)? else { return Ok(Vec::new()) };
    let page = listing::page(&folder, from, size, |name| LakePath::parse(&format!("/{name}")).is_ok())?;
    let mut entries = Vec::with_capacity(page.len());
    for Name { is_file, name } in page {
        let size_bytes = match stat(&folder, name.as_str()) {
            Ok(found) if found.is_file && is_file => found.bytes,
            Ok(found) if found.is_folder && !is_file => 0,
            // Removed or replaced during the listing.
            Ok(_) | Err(Errno::NOENT) => continue,
            Err(errno) => return Err(fault("looking at a file")(errno)),
        };
        let kind = if is_file { EntryKind::File } else { EntryKind::Folder };
        entries.push(Entry { name, kind, size_bytes });
    }
    Ok(entries)
}

pub(super) fn list(tree: &Tree, place: &StoragePath) -> Result<Vec<Entry>, Error> {
    let Some(folder) = folder(tree, place)? else { return Ok(Vec::new()) };
    let mut entries = Vec::new();
    for entry in Dir::read_from(&folder).map_err(fault("listing a folder"))? {
        let entry = entry.map_err(fault("listing a folder"))?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let (kind, size_bytes) = match stat(&folder, name) {
            Ok(found) if found.is_folder => (EntryKind::Folder, 0),
            Ok(found) if found.is_file => (EntryKind::File, found.bytes),
            Ok(_) => (EntryKind::Other, 0),
            Err(Errno::NOENT) => continue,
            Err(errno) => return Err(fault("looking at a file")(errno)),
        };
        entries.push(Entry { name: name.to_string_lossy().into_owned(), kind, size_bytes });
    }
    Ok(entries)
}

pub(super) fn sizes(tree: &Tree, places: &[StoragePath]) -> Result<Vec<Option<u64>>, Error> {
    let size = |place: &StoragePath| {
        let Some((parent, leaf)) = parent(tree, place)? else { return Ok(None) };
        match stat(&parent, leaf.as_str()) {
            Ok(found) => Ok(found.is_file.then_some(found.bytes)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(fault("looking at a file")(errno)),
        }
    };
    places.iter().map(size).collect()
}

pub(super) fn digest(tree: &Tree, place: &StoragePath) -> Result<Option<Digest>, Error> {
    let Some((parent, leaf)) = parent(tree, place)? else { return Ok(None) };
    // Opening a pipe would block, so only regular files are opened.
    if !stat(&parent, leaf.as_str()).is_ok_and(|found| found.is_file) {
        return Ok(None);
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let mut file = openat(&parent, &leaf, flags, Mode::empty()).map(File::from).map_err(fault("opening a file"))?;
    let mut hasher = Sha256::new();
    let mut size_bytes = 0;
    let mut chunk = vec![0; READ_BYTES];
    loop {
        let length = file.read(&mut chunk).map_err(io_fault("reading a file"))?;
        if length == 0 {
            return Ok(Some(Digest { size_bytes, sha256: hasher.finalize().into() }));
        }
        hasher.update(&chunk[..length]);
        size_bytes += length as u64;
    }
}

pub(super) fn rename_slot(tree: &Tree, from: &TrashKey, to: &TrashKey) -> Result<(), Error> {
    let Some((trash, from)) = tree.parent(&StoragePath::TrashSlot(from.clone()))? else { return Ok(()) };
    renameat_with(&trash, from, &trash, to.as_str(), RenameFlags::NOREPLACE)
        .map_err(fault("renaming a folder of the trash"))?;
    sync_folder(&trash)
}
