//! Files and folders readable by this user alone: the state of the commands below `$XDG_STATE_HOME/lakeshore`.
//!
//! A folder is used only if it belongs to the current user and is closed to all others, so that nobody can plant a link
//! or another file in it. Names in it are resolved beneath its handle, and no link is followed.

use super::error::ClientError;
use super::settings::base;
use lakeshore_system::beneath::make_folder;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, fchmod, fstat, fsync, openat, renameat, unlinkat};
use rustix::io::Errno;
use rustix::process::geteuid;
use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

const FOLDER_MODE: Mode = Mode::RWXU;
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);
/// Permissions of all users but the owner.
const OTHERS: Mode = Mode::RWXG.union(Mode::RWXO);

#[derive(Debug)]
pub struct PrivateFolder {
    handle: OwnedFd,
    path: PathBuf,
}

impl PrivateFolder {
    /// State folder of this user.
    pub fn of_state() -> Result<Self, ClientError> {
        let path = base("XDG_STATE_HOME", ".local/state").ok_or_else(|| {
            ClientError::Usage("there is no folder for the state of this push; set HOME or XDG_STATE_HOME".into())
        })?;
        Self::open(&path)
    }

    /// Opens a folder by its path; makes it where it is missing.
    pub fn open(path: &Path) -> Result<Self, ClientError> {
        let unusable = |error: &dyn std::fmt::Display| cannot_use(path, error);
        let parent = path.parent().unwrap_or(path);
        DirBuilder::new().recursive(true).mode(FOLDER_MODE.bits()).create(parent).map_err(|error| unusable(&error))?;
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        let parent = openat(CWD, parent, flags, Mode::empty()).map_err(|errno| unusable(&errno))?;
        let name = path.file_name().unwrap_or_default();
        Self::closed(make_folder(&parent, name, FOLDER_MODE).map_err(Errno::from), path.to_owned())
    }

    /// Opens a folder in this one; makes it where it is missing.
    pub fn folder(&self, name: &str) -> Result<Self, ClientError> {
        Self::closed(make_folder(&self.handle, name, FOLDER_MODE).map_err(Errno::from), self.path.join(name))
    }

    /// Checks that the folder belongs to this user and is closed to all others.
    fn closed(opened: Result<OwnedFd, Errno>, path: PathBuf) -> Result<Self, ClientError> {
        let unusable = |error: &dyn std::fmt::Display| cannot_use(&path, error);
        let handle = match opened {
            Err(Errno::LOOP | Errno::NOTDIR) => {
                return Err(unusable(&"it is a link or a file, not a folder; remove it, or set XDG_STATE_HOME"));
            }
            opened => opened.map_err(|errno| unusable(&errno))?,
        };
        let found = fstat(&handle).map_err(|errno| unusable(&errno))?;
        if found.st_uid != geteuid().as_raw() {
            return Err(unusable(&"it belongs to another user; set XDG_STATE_HOME to a folder of your own"));
        }
        if Mode::from_raw_mode(found.st_mode).intersects(OTHERS) {
            fchmod(&handle, FOLDER_MODE).map_err(|errno| unusable(&errno))?;
        }
        Ok(Self { handle, path })
    }

    /// Path of a file in the folder, for messages.
    pub fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Opens a file to read it; `None` if it is missing.
    pub fn read(&self, name: &str) -> io::Result<Option<File>> {
        match openat(&self.handle, name, OFlags::RDONLY | OFlags::NONBLOCK | SAFELY, Mode::empty()) {
            Ok(file) => regular(file).map(Some),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Content of a small file; `None` if it is missing.
    pub fn read_all(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        /// Longest record: a few names and numbers.
        const BYTES_MAX: u64 = 1 << 20;
        let Some(file) = self.read(name)? else { return Ok(None) };
        let mut bytes = Vec::new();
        file.take(BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Creates an empty file, in place of any that has the name.
    pub fn create(&self, name: &str) -> io::Result<File> {
        self.remove(name)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | SAFELY;
        Ok(File::from(openat(&self.handle, name, flags, FILE_MODE)?))
    }

    /// Opens a file to append to it; makes it where it is missing.
    pub fn append(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | OFlags::NONBLOCK | SAFELY;
        regular(openat(&self.handle, name, flags, FILE_MODE)?)
    }

    /// Writes a file durably, completely or not at all.
    pub fn write_durably(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let unfinished = format!("{name}.new");
        let mut file = self.create(&unfinished)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        self.rename(&unfinished, name)?;
        Ok(fsync(&self.handle)?)
    }

    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(renameat(&self.handle, from, &self.handle, to)?)
    }

    /// Removes a file. A missing one is no error.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        match unlinkat(&self.handle, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

const SAFELY: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC);

fn regular(file: OwnedFd) -> io::Result<File> {
    if FileType::from_raw_mode(fstat(&file)?.st_mode) != FileType::RegularFile {
        return Err(io::Error::other("it is not a file; remove it"));
    }
    Ok(File::from(file))
}

fn cannot_use(path: &Path, error: &dyn std::fmt::Display) -> ClientError {
    ClientError::local(format!("cannot use {}", path.display()), error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn a_folder_that_others_may_write_to_is_closed_and_a_planted_link_is_not_followed() {
        let base = tempfile::tempdir().unwrap();
        let (state, outside) = (base.path().join("state/lakeshore"), base.path().join("outside"));
        std::fs::create_dir_all(&state).unwrap();
        std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o777)).unwrap();
        std::fs::write(&outside, b"untouched").unwrap();
        symlink(&outside, state.join("file")).unwrap();
        symlink(base.path(), state.join("folder")).unwrap();
        let folder = PrivateFolder::open(&state).unwrap();
        assert_eq!(std::fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(folder.read("file").is_err() && folder.append("file").is_err());
        assert!(folder.folder("folder").unwrap_err().to_string().contains("not a folder"));
        folder.create("file").unwrap().write_all(b"own").unwrap();
        assert_eq!(std::fs::metadata(state.join("file")).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(folder.read_all("file").unwrap().unwrap(), b"own");
        assert_eq!(std::fs::read(&outside).unwrap(), b"untouched");
        symlink(&state, base.path().join("link")).unwrap();
        assert!(PrivateFolder::open(&base.path().join("link")).is_err());
    }
}
