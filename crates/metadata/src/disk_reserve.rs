//! Reserve: disk space set aside beside the database in empty files. When a full disk keeps a server from starting, or
//! people from purging the trash, one file is released. The reserve is refilled when there is room; until then no
//! upload begins.
//!
//! The reserve has several files, so that each release frees some inodes and blocks, and a purge that meets a full disk
//! again has another file to release.

use lakeshore::ports::Space;
use lakeshore_system::space::space_of;
use rustix::fs::{CWD, FallocateFlags, Mode, OFlags, fallocate, openat, statvfs, syncfs};
use rustix::io::Errno;
use std::fs::DirBuilder;
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// The folder of the reserve, in the data folder.
const FOLDER: &str = "reserve";
/// File beside the folder that is written to check for room.
const PROBE: &str = "reserve-probe";
const FILES: u64 = 4;
const FILE_BYTES: u64 = 512 << 10;
/// Free space below which the disk has no room for a reserve.
const ROOM_BYTES_MIN: u64 = 8 * FILES * FILE_BYTES;
/// Free space below which a database cannot be opened, as its log has to be made.
const OPENING_BYTES_MIN: u64 = 1 << 20;
const OPENING_INODES_MIN: u64 = 8;

#[derive(Debug)]
pub struct DiskReserve {
    folder: PathBuf,
    /// Files that existed once and are released now.
    num_released: AtomicU64,
}

impl DiskReserve {
    pub fn in_data_folder(data_dir: &Path) -> Self {
        let reserve = Self { folder: data_dir.join(FOLDER), num_released: AtomicU64::new(0) };
        if reserve.folder.is_dir() {
            let num_released = (0..FILES).filter(|number| !reserve.file(*number).exists()).count();
            reserve.num_released.store(num_released as u64, Ordering::Relaxed);
        }
        reserve
    }

    fn file(&self, number: u64) -> PathBuf {
        self.folder.join(number.to_string())
    }

    /// Bytes that the reserve still lacks, which nothing else may use.
    pub fn missing_bytes(&self) -> u64 {
        self.num_released.load(Ordering::Relaxed).saturating_mul(FILE_BYTES)
    }

    /// Releases one file of the reserve. Returns false when none is left.
    pub fn release(&self) -> bool {
        for number in 0..FILES {
            match std::fs::remove_file(self.file(number)) {
                Ok(()) => {
                    // Btrfs frees the space with its next commit.
                    if let Ok(folder) = openat(CWD, &self.folder, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
                        let _ = syncfs(&folder);
                    }
                    self.num_released.fetch_add(1, Ordering::Relaxed);
                    let left = FILES - self.num_released.load(Ordering::Relaxed).min(FILES);
                    tracing::warn!(
                        left,
                        "the disk of the database is full; released a part of the reserve, so that the trash can be emptied"
                    );
                    return true;
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => tracing::debug!(%error, "cannot release a part of the disk reserve"),
            }
        }
        false
    }

    /// Makes the missing files of the reserve, where the disk has room for them.
    pub fn refill(&self) -> io::Result<()> {
        let is_made = self.folder.is_dir();
        let needed_bytes = match (is_made, self.missing_bytes()) {
            (true, 0) => return Ok(()),
            // An equal amount stays free for the work that made the room.
            (true, missing_bytes) => 2 * missing_bytes + OPENING_BYTES_MIN,
            (false, _) => ROOM_BYTES_MIN,
        };
        if self.space()?.free_bytes < needed_bytes {
            return Ok(());
        }
        if !is_made {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        }
        for number in 0..FILES {
            let file = self.file(number);
            if !file.exists()
                && let Err(error) = allocate(&file)
            {
                let _ = std::fs::remove_file(&file);
                return Err(error);
            }
        }
        if self.num_released.swap(0, Ordering::Relaxed) > 0 {
            tracing::info!("restored the reserve on the disk of the database");
        }
        Ok(())
    }

    /// Whether the disk is too full to open a database. Btrfs may report more room than it gives, so this is checked by
    /// a write too.
    pub fn is_disk_full(&self) -> bool {
        let data_dir = self.folder.parent().unwrap_or(&self.folder);
        let Ok(found) = statvfs(data_dir) else { return false };
        // A file system that does not count inodes never runs out of them.
        let has_inodes = found.f_files == 0 || found.f_favail >= OPENING_INODES_MIN;
        if space_of(&found).free_bytes < OPENING_BYTES_MIN || !has_inodes {
            return true;
        }
        let probe = data_dir.join(PROBE);
        let written = allocate(&probe);
        let _ = std::fs::remove_file(&probe);
        written.is_err_and(|error| matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    }

    fn space(&self) -> Result<Space, Errno> {
        Ok(space_of(&statvfs(self.folder.parent().unwrap_or(&self.folder))?))
    }
}

/// Allocates blocks, so that the space is really taken.
fn allocate(path: &Path) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(CWD, path, flags, Mode::RUSR | Mode::WUSR)?;
    match fallocate(&file, FallocateFlags::empty(), 0, FILE_BYTES) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
            let mut file = std::fs::File::from(file);
            let chunk = vec![0xa5; 64 << 10];
            for _ in 0..FILE_BYTES / chunk.len() as u64 {
                file.write_all(&chunk)?;
            }
            file.sync_all()
        }
        allocated => Ok(allocated?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_released_is_missing_until_it_is_set_aside_again() {
        let folder = tempfile::tempdir().unwrap();
        let reserve = DiskReserve::in_data_folder(folder.path());
        assert!(!reserve.release(), "none was made yet");
        assert_eq!(reserve.missing_bytes(), 0);
        reserve.refill().unwrap();
        for released in 1..=FILES {
            assert!(reserve.release());
            assert_eq!(reserve.missing_bytes(), released * FILE_BYTES);
        }
        assert!(!reserve.release());
        let reserve = DiskReserve::in_data_folder(folder.path());
        assert_eq!(reserve.missing_bytes(), FILES * FILE_BYTES, "another server knows of it");
        reserve.refill().unwrap();
        assert_eq!(reserve.missing_bytes(), 0);
        assert_eq!(std::fs::metadata(reserve.file(0)).unwrap().len(), FILE_BYTES);
    }
}
