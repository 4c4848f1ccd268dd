//! Totals of the queue, and its filters.

use super::item::{Item, State};

/// Totals of all files. Cancelled ones count only in `cancelled`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Totals {
    /// Neither being read nor sent.
    pub waiting: usize,
    /// Their digest is being computed, or the lake is asked for it.
    pub checking: usize,
    pub sending: usize,
    pub paused: usize,
    pub arrived: usize,
    pub unchanged: usize,
    pub failed: usize,
    pub cancelled: usize,
    pub bytes: u64,
    pub bytes_done: u64,
    pub bytes_per_second: Option<f64>,
    pub time_left_ms: Option<i64>,
}

impl Totals {
    pub(super) fn count(&mut self, item: &Item) {
        *match item.state {
            State::Waiting | State::Ready { .. } => &mut self.waiting,
            State::Hashing { .. } | State::Asking => &mut self.checking,
            State::Sending { .. } => &mut self.sending,
            State::Paused { .. } => &mut self.paused,
            State::Arrived => &mut self.arrived,
            State::Unchanged => &mut self.unchanged,
            State::Failed(_) => &mut self.failed,
            State::Cancelled => &mut self.cancelled,
        } += 1;
        if item.state != State::Cancelled {
            self.bytes += item.size_bytes;
            self.bytes_done += item.bytes_done();
        }
    }

    /// Files that are in the lake.
    pub fn done(&self) -> usize {
        self.arrived + self.unchanged
    }

    /// Files that are, or will be, in the lake.
    pub fn files(&self) -> usize {
        self.unfinished() + self.done() + self.failed
    }

    pub fn unfinished(&self) -> usize {
        self.waiting + self.checking + self.sending + self.paused
    }

    pub fn is_settled(&self) -> bool {
        self.unfinished() == 0
    }

    /// 100 only when every file is in the lake.
    pub fn percent(&self) -> u64 {
        match (self.bytes_done, self.bytes) {
            (_, 0) if self.is_settled() => 100,
            (_, 0) => 0,
            (done, all) if done >= all => {
                if self.done() == self.files() {
                    100
                } else {
                    99
                }
            }
            (done, all) => ((done as f64 / all as f64) * 100.0) as u64,
        }
    }

    pub fn of(&self, filter: Filter) -> usize {
        match filter {
            Filter::All => self.files() + self.cancelled,
            Filter::Sending => self.sending,
            Filter::Failed => self.failed,
            Filter::Unchanged => self.unchanged,
        }
    }
}

/// Filter of the rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Filter {
    #[default]
    All,
    Sending,
    Failed,
    Unchanged,
}

impl Filter {
    pub const EACH: [Self; 4] = [Self::All, Self::Sending, Self::Failed, Self::Unchanged];

    pub(super) fn shows(self, item: &Item) -> bool {
        match self {
            Self::All => true,
            Self::Sending => item.is_sending(),
            Self::Failed => matches!(item.state, State::Failed(_)),
            Self::Unchanged => item.state == State::Unchanged,
        }
    }
}
