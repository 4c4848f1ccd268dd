//! State of a mounted volatile disk, and the steps that its calls share: each first meets the planned faults.

use super::faults::{Call, Faults};
use super::tree::{Body, Node, Number, Tree};
use fuser::{FileAttr, FileType, INodeNo};
use rustix::io::Errno;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

pub(super) const BLOCK_BYTES: u32 = 4096;

pub struct State {
    pub tree: Tree,
    pub faults: Faults,
    /// Entries of open listings.
    pub(super) listings: HashMap<u64, Vec<(Number, FileType, OsString)>>,
    pub(super) handles: u64,
}

impl State {
    pub fn new(tree: Tree) -> Self {
        Self { tree, faults: Faults::default(), listings: HashMap::new(), handles: 0 }
    }

    pub(super) fn meet(&mut self, call: Call, number: Number) -> Result<(), Errno> {
        if self.tree.is_steady(number) {
            return Ok(());
        }
        let Self { tree, faults, .. } = self;
        faults.meets(call, || tree.path(number)).map_or(Ok(()), Err)
    }

    pub(super) fn meet_in(&mut self, call: Call, folder: Number, name: &OsStr) -> Result<(), Errno> {
        if self.tree.is_steady(folder) {
            return Ok(());
        }
        let Self { tree, faults, .. } = self;
        faults.meets(call, || tree.path_in(folder, name)).map_or(Ok(()), Err)
    }
}

#[derive(Clone)]
pub struct Served(pub Arc<Mutex<State>>);

#[expect(clippy::disallowed_methods, reason = "a file system stamps its files by the system's clock")]
pub fn now() -> SystemTime {
    SystemTime::now()
}

pub(super) fn kind(body: &Body) -> FileType {
    match body {
        Body::File(_) => FileType::RegularFile,
        Body::Folder(_) => FileType::Directory,
        Body::Socket => FileType::Socket,
    }
}

pub(super) fn attributes(number: Number, node: &Node) -> FileAttr {
    let size = match &node.body {
        Body::File(contents) => contents.len() as u64,
        Body::Folder(_) => u64::from(BLOCK_BYTES),
        Body::Socket => 0,
    };
    FileAttr {
        ino: INodeNo(number),
        size,
        blocks: size.div_ceil(512),
        atime: node.modified,
        mtime: node.modified,
        ctime: node.changed,
        crtime: node.changed,
        kind: kind(&node.body),
        perm: node.mode,
        nlink: node.links,
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        rdev: 0,
        blksize: BLOCK_BYTES,
        flags: 0,
    }
}

impl Served {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(super) fn entry(&self, number: Number) -> Result<FileAttr, Errno> {
        Ok(attributes(number, self.state().tree.node(number)?))
    }

    pub(super) fn make(
        &self,
        call: Call,
        parent: INodeNo,
        name: &OsStr,
        body: Body,
        mode: u32,
    ) -> Result<Number, Errno> {
        let mut state = self.state();
        state.meet_in(call, parent.0, name)?;
        state.tree.make(parent.0, name, body, (mode & 0o7777) as u16, now())
    }

    pub(super) fn sync(&self, number: Number, call: Call) -> Result<(), Errno> {
        let mut state = self.state();
        if let Err(errno) = state.meet(call, number) {
            state.tree.fail_sync(number);
            return Err(errno);
        }
        state.tree.sync(number)
    }

    pub(super) fn open_more(&self, number: Number) -> Result<(), Errno> {
        self.state().tree.node_mut(number)?.opens += 1;
        Ok(())
    }

    pub(super) fn open_less(&self, number: Number) {
        if let Ok(node) = self.state().tree.node_mut(number) {
            node.opens = node.opens.saturating_sub(1);
        }
    }

    pub(super) fn write_some(&self, number: Number, offset: u64, data: &[u8]) -> Result<u32, Errno> {
        let mut state = self.state();
        let mut data = data;
        match state.meet(Call::Write, number) {
            // A disk that becomes full accepts a part.
            Err(Errno::NOSPC) if data.len() >= 2 * BLOCK_BYTES as usize => data = &data[..data.len() / 2],
            met => met?,
        }
        state.tree.contents_mut(number)?.write(usize::try_from(offset).unwrap(), data);
        let node = state.tree.node_mut(number)?;
        (node.modified, node.changed) = (now(), now());
        Ok(data.len() as u32)
    }
}
