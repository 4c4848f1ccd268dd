//! Durable throughput of the disk without a server: one thread for each file in flight writes from memory, syncs the
//! file, renames it and syncs the folder.

use crate::loads::{Load, Supply};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Rate of the load in its unit. `folder` exists and is empty.
pub fn rate(load: Load, folder: &Path, block: &[u8]) -> f64 {
    let (partials, files) = (folder.join("partial"), folder.join("files"));
    fs::create_dir(&partials).unwrap();
    fs::create_dir(&files).unwrap();
    let taken = AtomicUsize::new(0);
    let start = Instant::now();
    let supply = load.supply();
    std::thread::scope(|scope| {
        for _ in 0..load.in_flight() {
            scope.spawn(|| work(load, supply, &taken, &partials, &files, block));
        }
    });
    // Each thread has taken one number more than it wrote.
    let written = taken.into_inner() - load.in_flight();
    load.rate(written, start.elapsed())
}

fn work(load: Load, supply: Supply, taken: &AtomicUsize, partials: &Path, files: &Path, block: &[u8]) {
    let folder = File::open(files).unwrap();
    let block = &block[..block.len().min(load.file_bytes())];
    loop {
        let number = taken.fetch_add(1, Ordering::Relaxed);
        if !supply.holds(number) {
            return;
        }
        let name = number.to_string();
        let mut file = File::create(partials.join(&name)).unwrap();
        for _ in 0..load.file_bytes() / block.len() {
            file.write_all(block).unwrap();
        }
        file.sync_data().unwrap();
        fs::rename(partials.join(&name), files.join(&name)).unwrap();
        folder.sync_all().unwrap();
    }
}
