//! File systems for single tests. They need root; otherwise a test reports this and is skipped.

use crate::server::skipped;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Unmounted on drop; open files on it have to be closed before.
pub struct Mount(PathBuf);

impl Mount {
    /// A file with an ext4 file system.
    pub fn image(image: &Path, at: &Path, options: &str) -> Option<Self> {
        let options = format!("loop,{options}");
        Self::attach(at, &["-t", "ext4", "-o", &options, image.to_str().unwrap()])
    }

    /// A new XFS in a file, where files can share their bytes.
    pub fn new_xfs(image: &Path, at: &Path) -> Option<Self> {
        // The minimum of its tools. The file is sparse.
        const MEBIBYTES: u64 = 320;
        std::fs::File::create(image).unwrap().set_len(MEBIBYTES * 1024 * 1024).unwrap();
        if !succeeds(Command::new("mkfs.xfs").args(["-q", "-m", "reflink=1"]).arg(image)) {
            skipped("it needs mkfs.xfs (of xfsprogs)");
            return None;
        }
        Self::attach(at, &["-t", "xfs", "-o", "loop", image.to_str().unwrap()])
    }

    /// A new Btrfs in a file, which copies on write.
    pub fn new_btrfs(image: &Path, at: &Path, mebibytes: u64, options: &[&str]) -> Option<Self> {
        std::fs::File::create(image).unwrap().set_len(mebibytes * 1024 * 1024).unwrap();
        if !succeeds(Command::new("mkfs.btrfs").arg("-q").args(options).arg(image)) {
            skipped("it needs mkfs.btrfs (of btrfs-progs)");
            return None;
        }
        Self::attach(at, &["-t", "btrfs", "-o", "loop", image.to_str().unwrap()])
    }

    /// Makes the file system at a path read-only.
    pub fn read_only(at: &Path) -> Option<Self> {
        let at_text = at.to_str().unwrap();
        let bound = Self::attach(at, &["--bind", at_text])?;
        succeeds(Command::new("mount").args(["-o", "remount,ro,bind", at_text])).then_some(bound)
    }

    fn attach(at: &Path, arguments: &[&str]) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        if !succeeds(Command::new("mount").args(arguments).arg(at)) {
            skipped("it mounts a file system of its own, which needs root");
            return None;
        }
        Some(Self(at.to_owned()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

pub fn make_ext4(image: &Path, mebibytes: u64) -> bool {
    std::fs::File::create(image).unwrap().set_len(mebibytes * 1024 * 1024).unwrap();
    succeeds(Command::new("mkfs.ext4").args(["-q", "-I", "256"]).arg(image))
}

fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}
