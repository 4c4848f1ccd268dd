//! What is remembered of an upload, so that a page that was reloaded, or a browser that crashed, can go on with it.
//!
//! The files themselves cannot be remembered: browsers give no page a file twice. Nor need the list of them be: when the
//! same files or folders are chosen again, the lake tells which of them it has, and where each of the others goes on.

use super::totals::Totals;
use lakeshore::model::id::SyncId;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfinished {
    pub sync_id: SyncId,
    /// The lake path of the sync.
    pub path: String,
    /// Files that were chosen, and those of them that had arrived, or had been there already.
    pub files: usize,
    pub done: usize,
    /// Bytes of all.
    pub bytes: u64,
    /// The sync was to be ended once everything had arrived.
    pub ends: bool,
    /// When this was remembered, in milliseconds since 1970.
    pub at_ms: i64,
}

impl Unfinished {
    /// How it stands now. Files that were chosen before a reload, and not again since, are not done.
    pub fn new(sync_id: SyncId, path: String, totals: &Totals, ends: bool, before: Option<&Self>, at_ms: i64) -> Self {
        let (files, done) = (totals.files(), totals.done());
        let files = before.map_or(files, |before| before.files.max(files));
        let bytes = before.map_or(totals.bytes, |before| before.bytes.max(totals.bytes));
        Self { sync_id, path, files, done, bytes, ends, at_ms }
    }

    pub fn missing(&self) -> usize {
        self.files.saturating_sub(self.done)
    }

    /// Whether it says something else, whenever it was remembered.
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
