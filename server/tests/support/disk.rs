//! Small disks, for tests of full ones.

#![allow(dead_code, reason = "two test targets share this file, and each uses a part of it")]

use crate::server::skipped;
use std::path::{Path, PathBuf};
use std::process::Command;

/// In-memory file system with a size limit. Unmounted on drop; its server has to end first.
pub struct SmallDisk(pub PathBuf);

impl SmallDisk {
    /// `None`, with a message, if mounting is not allowed.
    pub fn mount(at: &Path, limits: &str) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let options = ["-t", "tmpfs", "-o", limits, "tmpfs", at.to_str().unwrap()];
        let mounted = Command::new("mount").args(options).output().is_ok_and(|output| output.status.success());
        if !mounted {
            skipped("it mounts a small tmpfs, which needs root");
            return None;
        }
        Some(Self(at.to_owned()))
    }

    /// Fills the disk except for this many bytes.
    pub fn fill(&self, free_bytes: u64) {
        // The server may take some space between the reading and the allocation.
        const ATTEMPTS: usize = 5;
        let is_filled = (0..ATTEMPTS).any(|_| {
            let filler = std::fs::File::create(self.filler()).unwrap();
            let size_bytes = self.free_bytes().saturating_sub(free_bytes);
            // Allocates blocks, so that the space is really taken.
            let allocated = Command::new("fallocate").args(["-l", &size_bytes.to_string()]).arg(self.filler()).status();
            drop(filler);
            size_bytes == 0 || allocated.unwrap().success()
        });
        assert!(is_filled);
    }

    pub fn make_space(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    pub fn free_bytes(&self) -> u64 {
        let output = Command::new("stat").args(["-f", "-c", "%f %S"]).arg(&self.0).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (blocks, size) = text.trim().split_once(' ').unwrap();
        blocks.parse::<u64>().unwrap() * size.parse::<u64>().unwrap()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}
