//! Calls that fail by plan: from the n-th on, so many times.

use rustix::io::Errno;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call {
    Open,
    Create,
    Mkdir,
    Link,
    Unlink,
    Rmdir,
    Rename,
    Write,
    SetLength,
    Allocate,
    SyncFile,
    SyncData,
    SyncFolder,
}

#[derive(Debug, Clone)]
pub struct Plan {
    /// Any call, where none is named.
    pub calls: Vec<Call>,
    /// The path of what is called upon, below the disk's root, begins so.
    pub below: String,
    /// The first that fails, from 1 on.
    pub first: usize,
    /// So many fail in a row.
    pub length: usize,
    pub error: Errno,
}

impl Plan {
    pub const FOR_EVER: usize = usize::MAX;
}

#[derive(Debug, Default)]
pub struct Faults {
    plan: Option<Plan>,
    /// What was called since the last [`Self::begin`], where that is recorded.
    calls: Vec<(Call, String)>,
    is_recording: bool,
    num_matching: usize,
    num_failed: usize,
}

impl Faults {
    /// Forgets what was called before.
    pub fn begin(&mut self, plan: Option<Plan>) {
        *self = Self { is_recording: true, plan, ..Self::default() };
    }

    /// The disk is well from now on. Gives how many calls have failed.
    pub fn end(&mut self) -> usize {
        self.plan = None;
        self.num_failed
    }

    pub fn calls(&self) -> Vec<(Call, String)> {
        self.calls.clone()
    }

    /// How this call fails, if it does.
    pub fn meets(&mut self, call: Call, path: impl FnOnce() -> String) -> Option<Errno> {
        if !self.is_recording {
            return None;
        }
        let path = path();
        // The index of the log of the database is memory that processes share, and no file that has to last.
        if path.ends_with("-shm") {
            return None;
        }
        self.calls.push((call, path.clone()));
        let plan = self.plan.as_ref()?;
        // Who opens a file to read it asks for no room.
        if call == Call::Open && plan.error != Errno::IO {
            return None;
        }
        if !plan.calls.is_empty() && !plan.calls.contains(&call) || !path.starts_with(&plan.below) {
            return None;
        }
        self.num_matching += 1;
        let is_due = self.num_matching >= plan.first && self.num_matching - plan.first < plan.length;
        if is_due {
            self.num_failed += 1;
        }
        is_due.then_some(plan.error)
    }
}
