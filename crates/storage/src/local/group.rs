//! Writes and syncs small uploads in groups.

use super::fault::unsure_fault;
use super::partial::create_file;
use super::stat::identity_of;
use super::tree::Tree;
use async_trait::async_trait;
use lakeshore::Error;
use lakeshore::model::digest::Digest;
use lakeshore::model::storage_path::Identity;
use lakeshore::ports::WrittenGroup;
use lakeshore::ports::storage::{WholeFile, WrittenFiles};
use lakeshore_system::failpoints::crash_point;
use rustix::fs::{Advice, fadvise};
use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;

/// Files of a group, open until they are synced.
pub(super) struct LocalGroup {
    files: Vec<File>,
    /// Whether a sync waits for a disk; false in memory.
    waits: bool,
}

pub(super) fn write(tree: &Tree, files: Vec<WholeFile>) -> (WrittenFiles, LocalGroup) {
    let mut open = Vec::with_capacity(files.len());
    let mut write_one = |file: WholeFile| -> Result<(Identity, Digest), Error> {
        let mut partial = create_file(tree, &file.name)?;
        crash_point!("partial.created");
        // The file exists from here on, so a retry would find its name taken.
        let identity = identity_of(partial.as_fd()).map_err(Error::permanent)?;
        partial.write_all(&file.bytes).map_err(unsure_fault("writing an upload"))?;
        open.push(partial);
        Ok((identity, file.digest))
    };
    let written = files.into_iter().map(&mut write_one).collect();
    (written, LocalGroup { files: open, waits: tree.syncs_wait() })
}

impl LocalGroup {
    fn sync(self) -> Result<(), Error> {
        if self.files.len() > 1 {
            for file in &self.files {
                // Starts the writes of all files without waiting, so that the syncs below find most of the work done.
                // This is a hint: a file system that ignores it writes during the syncs.
                let _ = fadvise(file, 0, None, Advice::DontNeed);
            }
        }
        for file in &self.files {
            rustix::fs::fdatasync(file).map_err(unsure_fault("syncing an upload"))?;
        }
        crash_point!("partial.synced");
        Ok(())
    }
}

#[async_trait]
impl WrittenGroup for LocalGroup {
    async fn seal(self: Box<Self>) -> Result<(), Error> {
        if !self.waits {
            return self.sync();
        }
        // Uses another thread, because this one commits the intent at the same time.
        tokio::task::spawn_blocking(move || self.sync()).await.map_err(Error::internal)?
    }
}
