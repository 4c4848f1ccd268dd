//! Record of an upload, by which a reloaded page or a restarted browser can resume it.
//!
//! The files themselves cannot be recorded, since browsers give no page access to a file again. Their list is not
//! needed: when the same files or folders are chosen again, the lake tells which it has, and at which offset the others
//! continue.

use super::totals::Totals;
use lakeshore::model::id::SyncId;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfinished {
    pub sync_id: SyncId,
    /// Lake path of the sync.
    pub path: String,
    /// Chosen files, and those of them that had arrived or were unchanged.
    pub files: usize,
    pub done: usize,
    /// Bytes of all files.
    pub bytes: u64,
    /// Whether the sync ends when every file has arrived.
    pub ends: bool,
    /// Time of the record, in milliseconds since 1970.
    pub at_ms: i64,
}

impl Unfinished {
    /// Current state. Files that were chosen only before a reload count as not done.
    pub fn new(sync_id: SyncId, path: String, totals: &Totals, ends: bool, before: Option<&Self>, at_ms: i64) -> Self {
        let (files, done) = (totals.files(), totals.done());
        let files = before.map_or(files, |before| before.files.max(files));
        let bytes = before.map_or(totals.bytes, |before| before.bytes.max(totals.bytes));
        Self { sync_id, path, files, done, bytes, ends, at_ms }
    }

    pub fn missing(&self) -> usize {
        self.files.saturating_sub(self.done)
    }

    /// Whether the records differ in more than their time.
    pub fn differs(&self, other: &Self) -> bool {
        Self { at_ms: 0, ..self.clone() } != Self { at_ms: 0, ..other.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_were_not_chosen_again_are_missing_still() {
        let totals = |done| Totals { arrived: done, waiting: 3, bytes: 70, ..Totals::default() };
        let new =
            |totals, before: Option<&Unfinished>| Unfinished::new(SyncId(1), "/a".into(), &totals, true, before, 0);
        let before = new(totals(7), None);
        assert_eq!((before.files, before.missing()), (10, 3));
        let after = new(Totals { arrived: 4, bytes: 9, ..Totals::default() }, Some(&before));
        assert_eq!((after.files, after.missing(), after.bytes), (10, 6, 70));
        assert!(after.differs(&before) && !after.differs(&Unfinished { at_ms: 9, ..after.clone() }));
    }
}
