//! A disk with a volatile cache, whose calls fail by plan: a file system in memory, mounted by FUSE.
//!
//! Processes see every write and name at once. A power cut ([`VolatileDisk::cut`]) leaves what was synced, and of the rest any
//! part that POSIX permits: writes torn and reordered within a file, names of folders that nobody has synced. A failed sync
//! loses what it was to write, as Linux does: it can be read until the cut, and no later sync writes it.
//!
//! It has no times of birth, so a file is known by its inode alone, of which none is given twice. `syncfs`, `O_TMPFILE`,
//! reflinks and `copy_file_range` are not supported, as on most file systems by FUSE.

mod behaviour;
mod contents;
mod durable;
mod faults;
mod serve;
mod tree;

pub use durable::Order;
pub use faults::{Call, Plan};
pub use tree::Tree;

use crate::server::skipped;
use fuser::BackgroundSession;
use rand::rngs::StdRng;
use serve::{Served, State};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard};
use tempfile::TempDir;

/// Mounted until its end. Whatever has it open then finds it gone.
pub struct VolatileDisk {
    state: Arc<Mutex<State>>,
    session: Option<BackgroundSession>,
    folder: TempDir,
}

impl VolatileDisk {
    /// An empty one. `None`, said loudly, where FUSE cannot be mounted.
    pub fn new(order: Order) -> Option<Self> {
        Self::mount(Tree::new(order, serve::now()))
    }

    /// One that holds what was saved before, or what a power cut has left.
    pub fn mount(tree: Tree) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let state = Arc::new(Mutex::new(State::new(tree)));
        match fuser::spawn_mount(Served(state.clone()), folder.path(), &serve::config()) {
            Ok(session) => Some(Self { state, session: Some(session), folder }),
            Err(error) => {
                skipped(&format!(
                    "it mounts a file system of its own by FUSE, which needs root and /dev/fuse: {error}"
                ));
                None
            }
        }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A folder in its root, which a power cut leaves.
    pub fn make_folder(&self, name: &str) {
        std::fs::create_dir(self.path().join(name)).unwrap();
        std::fs::File::open(self.path()).unwrap().sync_all().unwrap();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// What it holds, to begin with again.
    pub fn save(&self) -> Tree {
        self.state().tree.settled()
    }

    /// How it keeps its promises, and what is below which name in its root loses nothing.
    pub fn behave(&self, order: Order, steady: Option<&str>) {
        let mut state = self.state();
        state.tree.set_order(order);
        state.tree.set_steady(steady);
    }

    /// From now on calls are recorded, and fail by this plan.
    pub fn begin(&self, plan: Option<Plan>) {
        self.state().faults.begin(plan);
    }

    /// The disk is well again. Gives how many calls have failed.
    pub fn end(&self) -> usize {
        self.state().faults.end()
    }

    pub fn calls(&self) -> Vec<(Call, String)> {
        self.state().faults.calls()
    }

    /// A kill at this moment: the cache of the disk goes on, and what was not synced can still be lost.
    pub fn cut_nothing(&self) -> Tree {
        self.state().tree.clone()
    }

    /// A power cut at this moment: the disk that a start finds, to be mounted.
    pub fn cut(&self, random: &mut StdRng) -> Tree {
        self.state().tree.cut(random)
    }
}

impl Drop for VolatileDisk {
    fn drop(&mut self) {
        // A process that was killed may still be on its way out.
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
        drop(self.session.take());
    }
}
