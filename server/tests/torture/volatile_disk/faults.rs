//! Planned faults: calls that fail from the n-th on, several times.

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
    /// Calls that fail; empty for any.
    pub calls: Vec<Call>,
    /// Prefix of the path, below the disk's root.
    pub below: String,
    /// The first call that fails, counted from 1.
    pub first: usize,
    /// Number of consecutive failures.
    pub length: usize,
    pub error: Errno,
}

impl Plan {
    pub const FOR_EVER: usize = usize::MAX;
}

#[derive(Debug, Default)]
pub struct Faults {
    plan: Option<Plan>,
    /// Calls since the last [`Self::begin`], while recording.
    calls: Vec<(Call, String)>,
    is_recording: bool,
    num_matching: usize,
    num_failed: usize,
}

impl Faults {
    /// Clears the recorded calls.
    pub fn begin(&mut self, plan: Option<Plan>) {
        *self = Self { is_recording: true, plan, ..Self::default() };
    }

    /// Ends the faults. Returns the number of failed calls.
    pub fn end(&mut self) -> usize {
        self.plan = None;
        self.num_failed
    }

    pub fn calls(&self) -> Vec<(Call, String)> {
        self.calls.clone()
    }

    /// Error of this call, if it fails.
    pub fn meets(&mut self, call: Call, path: impl FnOnce() -> String) -> Option<Errno> {
        if !self.is_recording {
            return None;
        }
        let path = path();
        // The index of the database's log is shared memory, not a durable file.
        if path.ends_with("-shm") {
            return None;
        }
        self.calls.push((call, path.clone()));
        let plan = self.plan.as_ref()?;
        // Opening a file for reading needs no space.
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
