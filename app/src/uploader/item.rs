//! One file of the queue, and its state.

use super::rate::{RateMeter, time_left_ms};

/// Files below this size are sent in one request; larger ones in resumable chunks.
pub const SMALL_BYTES: u64 = 1 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemId(pub usize);

/// Reason why a file did not arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Code of the lake; 0 for failures elsewhere.
    pub code: u32,
    pub message: String,
}

impl Failure {
    /// Failure before the file reached the server.
    pub fn here(message: &str) -> Self {
        Self { code: 0, message: message.to_owned() }
    }

    /// Whether two failures have the same reason, and are shown together. Messages of the lake name the file; codes do
    /// not.
    pub fn is_like(&self, other: &Self) -> bool {
        self.code == other.code && (self.code != 0 || self.message == other.message)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// Not read yet.
    Waiting,
    /// Its digest is being computed.
    Hashing {
        bytes_read: u64,
    },
    /// Its digest is known, and the lake is asked for it.
    Asking,
    /// Waits to be sent, from this offset.
    Ready {
        bytes_sent: u64,
    },
    Sending {
        bytes_sent: u64,
        rate: RateMeter,
        moved_at_ms: i64,
    },
    /// Paused by the person.
    Paused {
        bytes_sent: u64,
    },
    Arrived,
    /// The lake has the same bytes.
    Unchanged,
    Failed(Failure),
    Cancelled,
}

/// A file of the queue.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    pub id: ItemId,
    pub name: String,
    /// Relative to the sync's path; empty for the path itself.
    pub folder: String,
    pub size_bytes: u64,
    /// Modification time in milliseconds since 1970, from the browser.
    pub modified_ms: i64,
    pub state: State,
    /// SHA-256 in hexadecimal, once computed.
    pub sha256: Option<String>,
    /// The lake was asked, and lacks the file.
    pub is_missing: bool,
    /// Temporary faults in a row.
    pub faults: u32,
    /// Number of attempts, which identifies results of earlier ones.
    pub turn: u32,
}

impl Item {
    pub fn new(id: ItemId, folder: String, name: String, size_bytes: u64, modified_ms: i64) -> Self {
        let (sha256, is_missing, faults, turn) = (None, false, 0, 0);
        Self { id, name, folder, size_bytes, modified_ms, state: State::Waiting, sha256, is_missing, faults, turn }
    }

    /// Folder and name, as below the sync's path in the lake.
    pub fn relative_path(&self) -> String {
        if self.folder.is_empty() { self.name.clone() } else { format!("{}/{}", self.folder, self.name) }
    }

    pub fn is_small(&self) -> bool {
        self.size_bytes < SMALL_BYTES
    }

    /// Bytes that the lake has received.
    pub fn bytes_done(&self) -> u64 {
        match &self.state {
            State::Ready { bytes_sent } | State::Sending { bytes_sent, .. } | State::Paused { bytes_sent } => {
                *bytes_sent
            }
            State::Arrived | State::Unchanged => self.size_bytes,
            _ => 0,
        }
    }

    pub fn bytes_per_second(&self, now_ms: i64) -> Option<f64> {
        match &self.state {
            State::Sending { rate, .. } => rate.bytes_per_second(now_ms),
            _ => None,
        }
    }

    pub fn time_left_ms(&self, now_ms: i64) -> Option<i64> {
        time_left_ms(self.size_bytes - self.bytes_done(), self.bytes_per_second(now_ms))
    }

    pub fn is_sending(&self) -> bool {
        matches!(self.state, State::Sending { .. })
    }

    /// Whether the file needs no further work.
    pub fn is_settled(&self) -> bool {
        matches!(self.state, State::Arrived | State::Unchanged | State::Failed(_) | State::Cancelled)
    }

    pub fn may_retry(&self) -> bool {
        matches!(self.state, State::Failed(_) | State::Cancelled)
    }

    pub fn may_cancel(&self) -> bool {
        !self.is_settled()
    }

    pub fn may_pause(&self) -> bool {
        !self.is_settled() && !self.is_paused()
    }

    pub fn is_paused(&self) -> bool {
        matches!(self.state, State::Paused { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_alike_by_the_code_of_the_lake_or_else_by_their_words() {
        let refused = |message: &str| Failure { code: 40001, message: message.to_owned() };
        assert!(refused("a/../b leads upward").is_like(&refused("c/../d leads upward")));
        assert!(!Failure::here("gone").is_like(&Failure::here("unreadable")));
        assert!(!refused("x").is_like(&Failure::here("x")));
    }

    #[test]
    fn a_file_in_a_folder_is_shown_with_it() {
        let item = |folder: &str| Item::new(ItemId(0), folder.to_owned(), "a".to_owned(), SMALL_BYTES, 0);
        assert_eq!((item("").relative_path(), item("dt=1").relative_path()), ("a".to_owned(), "dt=1/a".to_owned()));
        assert!(!item("").is_small());
    }
}
