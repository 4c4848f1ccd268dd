//! Failpoints: named points at which a test ends the process as `kill -9` would, to check the next start.
//!
//! Without the feature `failpoints`, `crash_point!("landing.named")` compiles to nothing. With it, the environment's
//! `LAKESHORE_CRASH_AT=landing.named:2` ends the process when it passes that point for the second time.

/// How the names of the points begin that only a lake on object storage passes.
pub const OF_OBJECTS: &str = "object.";

/// All failpoints, in the order in which an upload, a publish, a purge and a start pass them.
pub const POINTS: &[&str] = &[
    "partial.created",
    "partial.checkpoint",
    "partial.cut",
    "partial.synced",
    "take_over.copied",
    "take_over.synced",
    "landing.in_slot",
    "landing.named",
    "landing.folder_synced",
    "publish.in_slot",
    "exchange.done",
    "exchange.synced",
    "drop.moved",
    "hold.remembered",
    "supersede.remembered",
    "inspection.begun",
    "inspection.remembered",
    "emptying.removed",
    "emptying.synced",
    "sweep.begun",
    "sweep.uploads_removed",
    "snapshot.begun",
    "snapshot.filled",
    "snapshot.synced",
    "snapshot.named",
    "snapshot.removed",
    "snapshot.unlinked",
    "object.intended",
    "object.put",
    "object.multipart_begun",
    "object.part_put",
    "object.tail_intended",
    "object.landed",
    "object.deleted",
    "object.table_drafted",
    "object.table_fixed",
    "object.table_written",
    "object.table_current",
    "state.before_commit",
    "state.committed",
];

/// Checks the name of a failpoint at compile time, so that the list is complete and tests cover every point.
#[must_use]
pub const fn is_listed(name: &str) -> bool {
    let mut at = 0;
    while at < POINTS.len() {
        if is_same(POINTS[at].as_bytes(), name.as_bytes()) {
            return true;
        }
        at += 1;
    }
    false
}

const fn is_same(one: &[u8], other: &[u8]) -> bool {
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

#[cfg(feature = "failpoints")]
#[macro_export]
macro_rules! crash_point {
    ($name:literal) => {{
        const { assert!($crate::failpoints::is_listed($name), "add the point to failpoints::POINTS") };
        $crate::failpoints::fail::fail_point!($name);
    }};
}

#[cfg(not(feature = "failpoints"))]
#[macro_export]
macro_rules! crash_point {
    ($name:literal) => {};
}

pub use crate::crash_point;
#[cfg(feature = "failpoints")]
#[doc(hidden)]
pub use fail;

/// Reads the failpoint from the environment. Without the feature it does nothing.
pub fn arm() -> Result<(), String> {
    #[cfg(feature = "failpoints")]
    armed::arm()?;
    Ok(())
}

#[cfg(feature = "failpoints")]
mod armed {
    use super::POINTS;
    use rustix::process::{Signal, getpid, kill_process};
    use std::sync::atomic::{AtomicU64, Ordering};

    const VARIABLE: &str = "LAKESHORE_CRASH_AT";

    pub(super) fn arm() -> Result<(), String> {
        let Ok(wanted) = std::env::var(VARIABLE) else { return Ok(()) };
        let (name, passing) = wanted.split_once(':').unwrap_or((&wanted, "1"));
        if !POINTS.contains(&name) {
            return Err(format!("{VARIABLE}: there is no point {name:?}"));
        }
        let passing: u64 = passing.parse().map_err(|_| format!("{VARIABLE}: {passing:?} is not a number"))?;
        let passed = AtomicU64::new(0);
        let pass = move || {
            if passed.fetch_add(1, Ordering::SeqCst) + 1 == passing {
                // SIGKILL cannot be caught: nothing is flushed or dropped.
                let _ = kill_process(getpid(), Signal::KILL);
            }
        };
        fail::cfg_callback(name, pass)
    }
}
