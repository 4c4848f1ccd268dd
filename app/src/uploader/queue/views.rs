//! Views of the queue: totals, failures by reason, visible rows.

use super::super::item::{Failure, ItemId, State};
use super::super::rate::time_left_ms;
use super::super::totals::{Filter, Totals};
use super::Queue;

/// Most reasons of failures that are listed.
const REASONS_MAX: usize = 8;

/// Files that failed for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureGroup {
    pub failure: Failure,
    pub files: usize,
}

/// Visible rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    /// Number of all rows.
    pub all: usize,
    /// Index of the first visible row.
    pub first: usize,
    pub ids: Vec<ItemId>,
}

impl Queue {
    pub fn totals(&self, now_ms: i64) -> Totals {
        let mut totals = Totals::default();
        for item in &self.items {
            totals.count(item);
        }
        if totals.sending > 0 {
            totals.bytes_per_second = self.rate.bytes_per_second(now_ms);
            totals.time_left_ms = time_left_ms(totals.bytes - totals.bytes_done, totals.bytes_per_second);
        }
        totals
    }

    /// Failures by reason, the most frequent first.
    pub fn failures(&self) -> Vec<FailureGroup> {
        let mut groups: Vec<FailureGroup> = Vec::new();
        for item in &self.items {
            let State::Failed(failure) = &item.state else { continue };
            if let Some(group) = groups.iter_mut().find(|group| group.failure.is_like(failure)) {
                group.files += 1;
            } else if groups.len() < REASONS_MAX {
                groups.push(FailureGroup { failure: failure.clone(), files: 1 });
            }
        }
        groups.sort_by_key(|group| std::cmp::Reverse(group.files));
        groups
    }

    /// At most `rows` of the files that pass the filter, from index `first`, or the last ones.
    pub fn shown(&self, filter: Filter, first: usize, rows: usize) -> Shown {
        if filter == Filter::All {
            let all = self.items.len();
            let first = first.min(all.saturating_sub(rows));
            let ids = self.items.iter().skip(first).take(rows).map(|item| item.id).collect();
            return Shown { all, first, ids };
        }
        let matching: Vec<_> = self.items.iter().filter(|item| filter.shows(item)).map(|item| item.id).collect();
        let all = matching.len();
        let first = first.min(all.saturating_sub(rows));
        Shown { all, first, ids: matching.into_iter().skip(first).take(rows).collect() }
    }
}
