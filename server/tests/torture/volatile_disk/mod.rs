//! Volatile disk whose calls fail by plan: an in-memory file system, mounted by FUSE.
//!
//! Processes see every write and name at once. A power cut ([`VolatileDisk::cut`]) keeps synced data, and any part of
//! the rest that POSIX permits: writes torn and reordered within a file, names of unsynced folders. A failed sync loses
//! its data, as on Linux: it can be read until the cut, and no later sync writes it.
//!
//! It has no times of birth, so a file is identified by its inode alone, and inodes are never reused. `syncfs`,
//! `O_TMPFILE`, reflinks and `copy_file_range` are not supported, as on most FUSE file systems.

mod behaviour;
mod contents;
mod durable;
mod faults;
mod serve;
mod state;
mod tree;

pub use durable::Order;
pub use faults::{Call, Plan};
pub use tree::Tree;

use crate::server::skipped;
use fuser::BackgroundSession;
use rand::rngs::StdRng;
use state::{Served, State};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard};
use tempfile::TempDir;

/// Mounted until dropped. Processes with open files lose them then.
pub struct VolatileDisk {
    state: Arc<Mutex<State>>,
    session: Option<BackgroundSession>,
    folder: TempDir,
}

impl VolatileDisk {
    /// Empty disk. `None`, with a message, if FUSE cannot be mounted.
    pub fn new(order: Order) -> Option<Self> {
        Self::mount(Tree::new(order, state::now()))
    }

    /// Disk with a saved state, or with the result of a power cut.
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

    /// Makes a durable folder in the root.
    pub fn make_folder(&self, name: &str) {
        std::fs::create_dir(self.path().join(name)).unwrap();
        std::fs::File::open(self.path()).unwrap().sync_all().unwrap();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Current content, for a later mount.
    pub fn save(&self) -> Tree {
        self.state().tree.settled()
    }

    /// Sets the durability rules, and the name in the root below which nothing is lost.
    pub fn behave(&self, order: Order, steady: Option<&str>) {
        let mut state = self.state();
        state.tree.set_order(order);
        state.tree.set_steady(steady);
    }

    /// Starts recording calls, and makes them fail by this plan.
    pub fn begin(&self, plan: Option<Plan>) {
        self.state().faults.begin(plan);
    }

    /// Ends the faults. Returns the number of failed calls.
    pub fn end(&self) -> usize {
        self.state().faults.end()
    }

    pub fn calls(&self) -> Vec<(Call, String)> {
        self.state().faults.calls()
    }

    /// Effect of a kill now: the cache of the disk stays, and unsynced data can still be lost.
    pub fn cut_nothing(&self) -> Tree {
        self.state().tree.clone()
    }

    /// Power cut now: the state that a start finds, to be mounted.
    pub fn cut(&self, random: &mut StdRng) -> Tree {
        self.state().tree.cut(random)
    }
}

impl Drop for VolatileDisk {
    fn drop(&mut self) {
        // A killed process may still be exiting.
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
        drop(self.session.take());
    }
}
