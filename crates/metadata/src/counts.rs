//! Offsets in filtered lists: the start of a page is found by adding counts of blocks instead of stepping over rows.
//!
//! Every upload counts in the blocks of its position: one of 2^10 positions and one of 2^20, in the whole history, in
//! its sync, and in its folder and each folder above. So the n-th failed upload of ten million is found by adding ten
//! large counts, then at most a thousand small ones, then stepping over at most a thousand rows.

use crate::row::DbRow;
use lakeshore::model::sync::status::Status;
use std::collections::BTreeMap;
use std::ops::Range;

/// Blocks have 2^SPAN positions; the wide ones come first.
pub(crate) const WIDE: u32 = 20;
pub(crate) const NARROW: u32 = 10;

/// Rows that are counted together, and the position that orders them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scope {
    /// The whole history, by `history_id`.
    History,
    /// A sync, by `ordinal`.
    Sync(i64),
    /// A folder and everything below it, by `history_id`.
    Folder(i64),
}

impl Scope {
    fn key(self) -> (i64, i64) {
        match self {
            Self::History => (0, 0),
            Self::Sync(id) => (1, id),
            Self::Folder(id) => (2, id),
        }
    }
}

/// Changes of counts, summed over a transaction: many uploads of one sync change the same few blocks.
#[derive(Default)]
pub(crate) struct Tally(BTreeMap<(Scope, u32, i64), [i64; 3]>);

/// Positions of a row in each scope.
#[derive(Clone, Copy)]
pub(crate) struct Position {
    pub(crate) history_id: i64,
    pub(crate) sync_id: i64,
    pub(crate) ordinal: i64,
    pub(crate) folder_id: i64,
}

impl Position {
    /// Decodes `history_id, sync_id, ordinal, folder_id`.
    pub(crate) fn of(row: &impl DbRow) -> sqlx::Result<Self> {
        Ok(Self {
            history_id: row.get("history_id")?,
            sync_id: row.get("sync_id")?,
            ordinal: row.get("ordinal")?,
            folder_id: row.get("folder_id")?,
        })
    }
}

impl Tally {
    /// Counts a new row.
    pub(crate) fn began(&mut self, position: Position) {
        self.add(position, [1, 0, 0]);
    }

    /// Counts the end of a row that was added before.
    pub(crate) fn ended(&mut self, position: Position, status: Status) {
        self.add(position, [0, i64::from(status == Status::Finished), i64::from(status == Status::Failed)]);
    }

    fn add(&mut self, Position { history_id, sync_id, ordinal, folder_id }: Position, change: [i64; 3]) {
        let scopes =
            [(Scope::History, history_id), (Scope::Sync(sync_id), ordinal), (Scope::Folder(folder_id), history_id)];
        for (scope, position) in scopes {
            for span in [NARROW, WIDE] {
                self.change((scope, span, position >> span), change);
            }
        }
    }

    fn change(&mut self, block: (Scope, u32, i64), change: [i64; 3]) {
        let counts = self.0.entry(block).or_default();
        counts.iter_mut().zip(change).for_each(|(count, change)| *count += change);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Rows to add: kind and id of the scope, span, block, and the changes of its total, finished and failed rows.
    pub(crate) fn rows(&self) -> Vec<(i64, i64, u32, i64, i64, i64, i64)> {
        let row = |((scope, span, block), [total, finished, failed]): (&(Scope, u32, i64), &[i64; 3])| {
            let (scope, scope_id) = scope.key();
            (scope, scope_id, *span, *block, *total, *finished, *failed)
        };
        self.0.iter().map(row).collect()
    }
}

/// Rows of a page within a range of positions: `skipped` matching rows are left out first, in the order of the page.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Slice {
    pub(crate) positions: Range<i64>,
    pub(crate) skipped: u64,
}
