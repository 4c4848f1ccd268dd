//! FUSE operations of the volatile disk.

use super::contents::Contents;
use super::faults::Call;
use super::state::{BLOCK_BYTES, Served, State, attributes, kind, now};
use super::tree::{Body, Folder};
use fuser::{
    BsdFileFlags, Config, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, LockOwner, OpenFlags,
    RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs,
    ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Cache time of the kernel. Only the kernel changes anything, so cached data stays valid.
const KNOWN_FOR: Duration = Duration::from_secs(60);
const BLOCKS: u64 = 16 * 1024 * 1024;
const THREADS: usize = 3;

pub fn config() -> Config {
    let mut config = Config::default();
    config.mount_options =
        vec![fuser::MountOption::FSName("volatile".to_owned()), fuser::MountOption::DefaultPermissions];
    config.n_threads = Some(THREADS);
    config
}

/// Whether the request comes from the test itself, which sees the disk without faults.
fn is_own(request: &Request) -> bool {
    Path::new(&format!("/proc/self/task/{}", request.pid())).exists()
}

fn fuse_error(errno: Errno) -> fuser::Errno {
    fuser::Errno::from_i32(errno.raw_os_error())
}

/// Replies with the result or the error.
macro_rules! answer {
    ($reply:ident, $result:expr, $value:pat => $give:expr) => {
        match $result {
            Ok($value) => $give,
            Err(errno) => $reply.error(fuse_error(errno)),
        }
    };
}

impl Filesystem for Served {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = self.state().tree.find(parent.0, name);
        let found = found.and_then(|number| self.entry(number));
        answer!(reply, found, entry => reply.entry(&KNOWN_FOR, &entry, Generation(0)));
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        answer!(reply, self.entry(number.0), entry => reply.attr(&KNOWN_FOR, &entry));
    }

    fn setattr(
        &self,
        _: &Request,
        number: INodeNo,
        mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _accessed: Option<TimeOrNow>,
        modified: Option<TimeOrNow>,
        _changed: Option<SystemTime>,
        _handle: Option<FileHandle>,
        _created: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let set = || {
            let mut state = self.state();
            if let Some(size) = size {
                state.meet(Call::SetLength, number.0)?;
                state.tree.contents_mut(number.0)?.set_length(usize::try_from(size).unwrap());
            }
            let node = state.tree.node_mut(number.0)?;
            node.changed = now();
            if let Some(mode) = mode {
                node.mode = (mode & 0o7777) as u16;
            }
            match modified {
                Some(TimeOrNow::SpecificTime(time)) => node.modified = time,
                Some(TimeOrNow::Now) => node.modified = now(),
                None if size.is_some() => node.modified = now(),
                None => {}
            }
            Ok(attributes(number.0, node))
        };
        answer!(reply, set(), entry => reply.attr(&KNOWN_FOR, &entry));
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, mode: u32, _umask: u32, reply: ReplyEntry) {
        let made = self.make(Call::Mkdir, parent, name, Body::Folder(Folder::default()), mode);
        let made = made.and_then(|number| self.entry(number));
        answer!(reply, made, entry => reply.entry(&KNOWN_FOR, &entry, Generation(0)));
    }

    fn mknod(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        _device: u32,
        reply: ReplyEntry,
    ) {
        let body = match rustix::fs::FileType::from_raw_mode(mode) {
            rustix::fs::FileType::Socket => Ok(Body::Socket),
            rustix::fs::FileType::RegularFile => Ok(Body::File(Contents::default())),
            _ => Err(Errno::PERM),
        };
        let made = body.and_then(|body| self.make(Call::Create, parent, name, body, mode));
        let made = made.and_then(|number| self.entry(number));
        answer!(reply, made, entry => reply.entry(&KNOWN_FOR, &entry, Generation(0)));
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let remove = || {
            let mut state = self.state();
            state.meet_in(Call::Unlink, parent.0, name)?;
            state.tree.remove(parent.0, name, false, now())
        };
        answer!(reply, remove(), () => reply.ok());
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let remove = || {
            let mut state = self.state();
            state.meet_in(Call::Rmdir, parent.0, name)?;
            state.tree.remove(parent.0, name, true, now())
        };
        answer!(reply, remove(), () => reply.ok());
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let rename = || {
            let mut state = self.state();
            state.meet_in(Call::Rename, new_parent.0, new_name)?;
            let is_exchange = flags.contains(RenameFlags::RENAME_EXCHANGE);
            let never_over = flags.contains(RenameFlags::RENAME_NOREPLACE);
            state.tree.rename((parent.0, name), (new_parent.0, new_name), is_exchange, never_over, now())
        };
        answer!(reply, rename(), () => reply.ok());
    }

    fn link(&self, _: &Request, number: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let link = || {
            let mut state = self.state();
            state.meet_in(Call::Link, parent.0, name)?;
            state.tree.link(number.0, parent.0, name, now())?;
            drop(state);
            self.entry(number.0)
        };
        answer!(reply, link(), entry => reply.entry(&KNOWN_FOR, &entry, Generation(0)));
    }

    fn open(&self, request: &Request, number: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let met = if is_own(request) { Ok(()) } else { self.state().meet(Call::Open, number.0) };
        let opened = met.and_then(|()| self.open_more(number.0));
        answer!(reply, opened, () => reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE));
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        let made = self.make(Call::Create, parent, name, Body::File(Contents::default()), mode);
        let made = made.and_then(|number| self.open_more(number).and_then(|()| self.entry(number)));
        answer!(reply, made, entry => {
            reply.created(&KNOWN_FOR, &entry, Generation(0), FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE);
        });
    }

    fn release(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        self.open_less(number.0);
        reply.ok();
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn read(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let mut state = self.state();
        let contents = state.tree.contents_mut(number.0);
        answer!(reply, contents, contents => {
            reply.data(contents.read(usize::try_from(offset).unwrap(), size as usize));
        });
    }

    fn write(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        answer!(reply, self.write_some(number.0, offset, data), written => reply.written(written));
    }

    fn fallocate(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let allocate = || {
            let mut state = self.state();
            if mode != 0 {
                return Err(Errno::OPNOTSUPP);
            }
            state.meet(Call::Allocate, number.0)?;
            let contents = state.tree.contents_mut(number.0)?;
            let end = usize::try_from(offset + length).unwrap();
            if end > contents.len() {
                contents.set_length(end);
            }
            Ok(())
        };
        answer!(reply, allocate(), () => reply.ok());
    }

    fn fsync(&self, _: &Request, number: INodeNo, _: FileHandle, is_data: bool, reply: ReplyEmpty) {
        let call = if is_data { Call::SyncData } else { Call::SyncFile };
        answer!(reply, self.sync(number.0, call), () => reply.ok());
    }

    fn fsyncdir(&self, _: &Request, number: INodeNo, _: FileHandle, _is_data: bool, reply: ReplyEmpty) {
        answer!(reply, self.sync(number.0, Call::SyncFolder), () => reply.ok());
    }

    fn opendir(&self, request: &Request, number: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let mut state = self.state();
        let list = |state: &mut State| {
            if !is_own(request) {
                state.meet(Call::Open, number.0)?;
            }
            let folder = state.tree.folder(number.0)?;
            let own = [".", ".."].map(|name| Ok((number.0, FileType::Directory, OsString::from(name))));
            let below =
                folder.now.iter().map(|(name, below)| Ok((*below, kind(&state.tree.node(*below)?.body), name.clone())));
            own.into_iter().chain(below).collect::<Result<Vec<_>, Errno>>()
        };
        answer!(reply, list(&mut state), listing => {
            state.handles += 1;
            let handle = state.handles;
            state.listings.insert(handle, listing);
            reply.opened(FileHandle(handle), FopenFlags::empty());
        });
    }

    fn readdir(&self, _: &Request, _: INodeNo, handle: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let mut state = self.state();
        let listing = state.listings.entry(handle.0).or_default();
        let from = usize::try_from(offset).unwrap();
        for (index, (number, kind, name)) in listing.iter().enumerate().skip(from) {
            if reply.add(INodeNo(*number), index as u64 + 1, *kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(&self, _: &Request, _: INodeNo, handle: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        self.state().listings.remove(&handle.0);
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        reply.statfs(BLOCKS, BLOCKS, BLOCKS, 1 << 20, 1 << 20, BLOCK_BYTES, 255, BLOCK_BYTES);
    }
}
