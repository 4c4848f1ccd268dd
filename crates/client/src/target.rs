//! Where downloads go: a folder of this machine, and a file in it that grows under a random name until it is whole.
//!
//! The folder that the user names is theirs, with every link on the way to it. Below it nothing is followed: names come from
//! a server, and others may have put links where a shared folder is written to. The bytes of a file go to a file that
//! nobody had made before, and take its name in one step, in place of a file or a link that has it.

use super::error::ClientError;
use super::private::PrivateFolder;
use lakeshore::LakePath;

use lakeshore::ports::Randomness;
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

/// As everybody else makes them: the umask decides who reads what was fetched. Nothing that comes is executable.
const FILE_MODE: Mode =
    Mode::RUSR.union(Mode::WUSR).union(Mode::RGRP).union(Mode::WGRP).union(Mode::ROTH).union(Mode::WOTH);
const FOLDER_MODE: Mode = Mode::RWXU.union(Mode::RWXG).union(Mode::RWXO);
const LOOKED_AT: StatxFlags = StatxFlags::BASIC_STATS.union(StatxFlags::BTIME);

/// A folder of this machine that files are fetched into.
#[derive(Debug, Clone)]
pub struct Folder {
    handle: Arc<OwnedFd>,
    path: PathBuf,
}

impl Folder {
    /// The folder that the user has named, made where it is missing.
    pub fn named(path: &Path) -> Result<Self, ClientError> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let failed = |error: io::Error| cannot_write(path, error);
        std::fs::create_dir_all(path).map_err(failed)?;
        let opened = openat(CWD, path, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let handle = opened.map_err(|errno| failed(errno.into()))?;
        Ok(Self { handle: Arc::new(handle), path: path.to_owned() })
    }

    /// The folder below this one, with each one on the way made where it is missing. No link is followed.
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

/// The name that a file is to have.
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

    /// The file that has the name already; `None` where none has it, or a link or something else.
    pub fn there(&self) -> Option<File> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&*self.folder.handle, &self.name, flags, Mode::empty()).ok()?;
        let is_file = FileType::from_raw_mode(look(&file).ok()?.stx_mode.into()) == FileType::RegularFile;
        is_file.then(|| File::from(file))
    }

    /// What tells this target from every other, under whichever path.
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
    /// For people who look into it.
    server: String,
    path: LakePath,
    target: PathBuf,
    etag: String,
    /// The name under which it grows, and which file that is.
    partial: String,
    identity: String,
}

/// What this user has begun to fetch, in the folder of their state.
#[derive(Debug)]
pub struct Records(PrivateFolder);

impl Records {
    pub fn open() -> Result<Self, ClientError> {
        Ok(Self(PrivateFolder::of_state()?.folder("downloads")?))
    }
}

/// A file that grows.
#[derive(Debug)]
pub struct Growing {
    target: Target,
    name: String,
    file: File,
    key: String,
    /// The version of the lake's file that its bytes are of; absent where they can only be begun again.
    pub etag: Option<String>,
    is_recorded: bool,
}

impl Growing {
    /// A new one, under a name that nobody can foresee.
    pub fn begin(target: &Target, server: &str, path: &LakePath) -> Result<Self, ClientError> {
        let mut random = [0; 16];
        SystemRandomness.fill(&mut random).map_err(|error| ClientError::Local(error.to_string()))?;
        // The lake has no hidden names: this is none of its files.
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

    /// The one that an earlier command has left, if it is still what that has left, and nobody else is at it.
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

    /// Remembers which version of which file its bytes are of. Where that is not known, or nothing can be remembered, it is
    /// begun again by the next command.
    pub fn record(&mut self, records: Option<&Records>, server: &str, path: &LakePath, etag: Option<&str>) {
        if self.etag.as_deref() == etag && (self.is_recorded || etag.is_none()) {
            return;
        }
        self.etag = etag.map(str::to_owned);
        self.forget(records);
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

    fn forget(&mut self, records: Option<&Records>) {
        if let Some(records) = records.filter(|_| self.is_recorded) {
            // One that stays is of no file.
            let _ = records.0.remove(&self.key);
        }
        self.is_recorded = false;
    }

    /// Gives it its name, in place of whatever file or link has it, durably.
    pub fn finish(mut self, records: Option<&Records>) -> io::Result<()> {
        let folder = &*self.target.folder.handle;
        let named = statx(folder, &*self.name, AtFlags::SYMLINK_NOFOLLOW, LOOKED_AT)?;
        if identity(&named) != identity(&look(&self.file)?) {
            return Err(io::Error::other(format!("{} was replaced by another program", self.name)));
        }
        renameat(folder, &*self.name, folder, &self.target.name)?;
        fsync(folder)?;
        self.forget(records);
        Ok(())
    }

    /// Nothing of it is of use.
    pub fn discard(mut self, records: Option<&Records>) {
        self.forget(records);
        let _ = unlinkat(&*self.target.folder.handle, &*self.name, AtFlags::empty());
    }

    /// It came to no end: what the next command can go on with stays.
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
