//! The queue as it is looked at: all of it in numbers, the failures by their reason, the rows in view.

use super::super::item::{Failure, ItemId, State};
use super::super::rate::time_left_ms;
use super::super::totals::{Filter, Totals};
use super::Queue;

/// Most reasons of failures that are told apart.
const REASONS_MAX: usize = 8;

/// Files that failed for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureGroup {
    pub failure: Failure,
    pub files: usize,
}

/// The rows that are in view.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    /// Rows that there are, in view or not.
    pub all: usize,
    /// Number of the first row in view, from 0.
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

    /// The failures by their reason, those of most files first.
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

    /// At most `rows` of the files that the filter shows, from the `first` on; the last ones where there are not so many.
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
