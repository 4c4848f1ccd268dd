//! Targets of downloads: a local folder, and a file in it that grows under a random name until it is complete.
//!
//! Links on the way to the folder that the user names are followed. Below it none is: names come from a server, and in
//! a shared folder other users may plant links. The bytes go to a file that was newly created, which is renamed in one
//! step, in place of a file or link that has the name.

use super::error::ClientError;
use super::private::PrivateFolder;
use lakeshore::LakePath;

use lakeshore::ports::random_bytes;
use lakeshore_system::beneath::make_folder;
use lakeshore_system::clock::SystemRandomness;
use rustix::fs::{
    AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, Statx, StatxFlags, flock, fsync, openat, renameat, statx,
    unlinkat,
};
use rustix::io::Errno;
use rustix::process::geteuid;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The usual mode: the umask decides who may read the file. Downloads are never executable.
const FILE_MODE: Mode =
    Mode::RUSR.union(Mode::WUSR).union(Mode::RGRP).union(Mode::WGRP).union(Mode::ROTH).union(Mode::WOTH);
const FOLDER_MODE: Mode = Mode::RWXU.union(Mode::RWXG).union(Mode::RWXO);
const LOOKED_AT: StatxFlags = StatxFlags::BASIC_STATS.union(StatxFlags::BTIME);

/// Local folder for downloads.
#[derive(Debug, Clone)]
pub struct Folder {
    handle: Arc<OwnedFd>,
    path: PathBuf,
}

impl Folder {
    /// Opens the folder that the user has named; makes it where it is missing.
    pub fn named(path: &Path) -> Result<Self, ClientError> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let failed = |error: io::Error| cannot_write(path, error);
        std::fs::create_dir_all(path).map_err(failed)?;
        let opened = openat(CWD, path, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let handle = opened.map_err(|errno| failed(errno.into()))?;
        Ok(Self { handle: Arc::new(handle), path: path.to_owned() })
    }

    /// Opens a folder below this one; makes missing folders on the way. No link is followed.
    pub fn below<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Result<Self, ClientError> {
        let mut folder = self.clone();
        for name in names {
            let path = folder.path.join(name);
            let handle = make_folder(&*folder.handle, name, FOLDER_MODE).map_err(|unmade| match unmade.into() {
                Errno::LOOP | Errno::NOTDIR => ClientError::Local(format!(
                    "{} is a link or a file, not a folder; remove it, or fetch to another folder",
                    path.display()
                )),
                errno => cannot_write(&path, errno),
            })?;
            folder = Self { handle: Arc::new(handle), path };
        }
        Ok(folder)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn file(&self, name: impl Into<OsString>) -> Target {
        Target { folder: self.clone(), name: name.into() }
    }
}

/// Final name of a download.
#[derive(Debug, Clone)]
pub struct Target {
    folder: Folder,
    name: OsString,
}

impl Target {
    pub fn path(&self) -> PathBuf {
        self.folder.path.join(&self.name)
    }

    pub fn failed(&self, error: impl std::fmt::Display) -> ClientError {
        cannot_write(&self.path(), error)
    }

    /// The regular file that has the name; `None` for a missing file, a link, or anything else.
    pub fn there(&self) -> Option<File> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&*self.folder.handle, &self.name, flags, Mode::empty()).ok()?;
        let is_file = FileType::from_raw_mode(look(&file).ok()?.stx_mode.into()) == FileType::RegularFile;
        is_file.then(|| File::from(file))
    }

    /// Key of this target, the same under every path that leads to it.
    fn key(&self, server: &str, path: &LakePath) -> io::Result<String> {
        let folder = look(&*self.folder.handle)?;
        let place = format!("{}:{}:{}", folder.stx_dev_major, folder.stx_dev_minor, folder.stx_ino);
        let parts = [server.as_bytes(), path.as_str().as_bytes(), place.as_bytes(), self.name.as_encoded_bytes()];
        Ok(hex::encode(&Sha256::digest(parts.join(&0))[..16]))
    }
}

/// The resume record of a partial file.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    /// For people who read the record.
    server: String,
    path: LakePath,
    target: PathBuf,
    etag: String,
    /// Name of the partial file, and its identity.
    partial: String,
    identity: String,
}

/// Records of unfinished downloads, in the user's state folder.
#[derive(Debug)]
pub struct Records(PrivateFolder);

impl Records {
    pub fn open() -> Result<Self, ClientError> {
        Ok(Self(PrivateFolder::of_state()?.folder("downloads")?))
    }
}

/// A partial file.
#[derive(Debug)]
pub struct PartialDownload {
    target: Target,
    name: String,
    file: File,
    key: String,
    /// ETag of the version whose bytes it holds; missing where the download has to start over.
    pub etag: Option<String>,
    is_recorded: bool,
}

impl PartialDownload {
    /// Creates a partial file under an unpredictable name.
    pub fn begin(target: &Target, server: &str, path: &LakePath) -> Result<Self, ClientError> {
        let random: [u8; 16] =
            random_bytes(&SystemRandomness).map_err(|error| ClientError::Local(error.to_string()))?;
        // The name is hidden, so no file of the lake has it.
        let name = format!(".lakeshore-{}.part", hex::encode(random));
        let make = || {
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = openat(&*target.folder.handle, &*name, flags, FILE_MODE)?;
            flock(&file, FlockOperation::NonBlockingLockExclusive)?;
            Ok((File::from(file), target.key(server, path)?))
        };
        let (file, key) = make().map_err(|error: io::Error| target.failed(error))?;
        Ok(Self { target: target.clone(), name, file, key, etag: None, is_recorded: false })
    }

    /// Finds the partial file of an earlier command, if its identity matches and no other process uses it.
    pub fn find(target: &Target, records: &Records, server: &str, path: &LakePath) -> Option<Self> {
        let key = target.key(server, path).ok()?;
        let record: Record = serde_json::from_slice(&records.0.read_all(&key).ok()??).ok()?;
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&*target.folder.handle, &*record.partial, flags, Mode::empty()).ok()?;
        let found = look(&file).ok()?;
        let is_ours = identity(&found) == record.identity
            && FileType::from_raw_mode(found.stx_mode.into()) == FileType::RegularFile
            && found.stx_nlink == 1
            && found.stx_uid == geteuid().as_raw();
        if !is_ours || record.server != server || record.path != *path {
            return None;
        }
        flock(&file, FlockOperation::NonBlockingLockExclusive).ok()?;
        let (file, etag) = (File::from(file), Some(record.etag));
        Some(Self { target: target.clone(), name: record.partial, file, key, etag, is_recorded: true })
    }

    pub fn file(&self) -> &File {
        &self.file
    }

    /// Records which version of which file the bytes belong to. Without a version or a record, the next command starts
    /// over.
    pub fn record(&mut self, records: Option<&Records>, server: &str, path: &LakePath, etag: Option<&str>) {
        if self.etag.as_deref() == etag && (self.is_recorded || etag.is_none()) {
            return;
        }
        self.etag = etag.map(str::to_owned);
        self.remove_record(records);
        let (Some(records), Some(etag)) = (records, etag) else { return };
        let write = || {
            let record = Record {
                server: server.to_owned(),
                path: path.clone(),
                target: std::path::absolute(self.target.path())?,
                etag: etag.to_owned(),
                partial: self.name.clone(),
                identity: identity(&look(&self.file)?),
            };
            io::Write::write_all(&mut records.0.create(&self.key)?, &serde_json::to_vec(&record)?)
        };
        self.is_recorded = write().is_ok();
    }

    fn remove_record(&mut self, records: Option<&Records>) {
        if let Some(records) = records.filter(|_| self.is_recorded) {
            // A record that stays refers to no file.
            let _ = records.0.remove(&self.key);
        }
        self.is_recorded = false;
    }

    /// Renames the file durably, in place of any file or link that has the name.
    pub fn finish(mut self, records: Option<&Records>) -> io::Result<()> {
        let folder = &*self.target.folder.handle;
        let named = statx(folder, &*self.name, AtFlags::SYMLINK_NOFOLLOW, LOOKED_AT)?;
        if identity(&named) != identity(&look(&self.file)?) {
            return Err(io::Error::other(format!("{} was replaced by another program", self.name)));
        }
        renameat(folder, &*self.name, folder, &self.target.name)?;
        fsync(folder)?;
        self.remove_record(records);
        Ok(())
    }

    /// Removes the partial file and its record.
    pub fn discard(mut self, records: Option<&Records>) {
        self.remove_record(records);
        let _ = unlinkat(&*self.target.folder.handle, &*self.name, AtFlags::empty());
    }

    /// Keeps a partial file that the next command can continue, and removes any other.
    pub fn leave(self, records: Option<&Records>) {
        if !self.is_recorded {
            self.discard(records);
        }
    }
}

fn look(file: impl AsFd) -> io::Result<Statx> {
    Ok(statx(file, "", AtFlags::EMPTY_PATH, LOOKED_AT)?)
}

/// Device, inode and time of birth.
fn identity(found: &Statx) -> String {
    let born = found.stx_btime;
    let (major, minor) = (found.stx_dev_major, found.stx_dev_minor);
    format!("{major}:{minor}:{}:{}.{}", found.stx_ino, born.tv_sec, born.tv_nsec)
}

fn cannot_write(path: &Path, error: impl std::fmt::Display) -> ClientError {
    ClientError::local(format!("cannot write {}", path.display()), error)
}
