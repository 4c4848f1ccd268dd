//! What the event stream tells: the plain types that travel, to scripts and pages alike.
//!
//! An event says how things stand after what happened, not by how much they changed: a sync comes whole, as the lists give it,
//! so that whoever hears of it twice, or misses the one before, is right all the same.

use crate::model::id::SyncId;
use crate::model::id::TrashId;
use crate::model::id::UploadId;
use crate::model::overview::LateDataset;
use crate::model::path::LakePath;
use crate::model::sync::job::SyncJob;
use crate::model::time::Timestamp;
use crate::model::upload::in_flight::UploadInFlight;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::str::FromStr;

/// The place of an event among all: `{start}-{number}`. Numbers count from 1 without gaps; `start` tells one start of the
/// server from another, since what the stream told is not kept beyond one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventId {
    pub start: u64,
    pub number: u64,
}

impl EventId {
    /// Whether the events up to `self` hold all of those up to `other`.
    pub fn includes(self, other: Self) -> bool {
        self.start == other.start && self.number >= other.number
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}", self.start, self.number)
    }
}

/// The text is not an id that the stream has given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoEventId;

impl FromStr for EventId {
    type Err = NoEventId;

    fn from_str(text: &str) -> Result<Self, NoEventId> {
        let (start, number) = text.split_once('-').ok_or(NoEventId)?;
        let start = u64::from_str_radix(start, 16).map_err(|_| NoEventId)?;
        Ok(Self { start, number: number.parse().map_err(|_| NoEventId)? })
    }
}

/// As its text: a number of JavaScript does not hold it.
impl Serialize for EventId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EventId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|NoEventId| de::Error::custom("not the id of an event"))
    }
}

/// One thing that happened, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    pub at: Timestamp,
    #[serde(flatten)]
    pub happened: Happened,
}

/// What happened. [`Self::kind`] is its name in the stream, and its `type` in the JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Happened {
    /// From here on nothing is missed.
    Ready,
    /// What happened between the id that was sent and this one is not known any more: read the lists anew. From here on
    /// nothing is missed.
    Reset,
    SyncStarted {
        sync: SyncJob,
    },
    /// Its counters, or what it is expected to hold, have changed, and no file has landed.
    SyncChanged {
        sync: SyncJob,
    },
    /// Files have landed, in a moment: all of them are counted, and some are named.
    UploadsLanded {
        sync: SyncJob,
        num_files: u64,
        size_bytes: u64,
        /// Of them, those that have replaced a file, which is in the trash now.
        num_replaced: u64,
        /// The first [`crate::model::limits::LANDED_NAMED_MAX`] of them.
        files: Vec<FileLanded>,
    },
    /// An upload has failed. Of many in a moment, some are told; [`SyncJob::num_failed`] counts all.
    UploadFailed {
        sync_id: SyncId,
        /// The dataset of its sync.
        path: LakePath,
        file_name: String,
        message: String,
    },
    /// How far an upload in flight is: told of each at most once a second.
    UploadProgress {
        upload: UploadInFlight,
    },
    /// An upload of which the progress was told is in flight no more: it has landed or failed.
    UploadLeft {
        sync_id: SyncId,
        /// The dataset of its sync.
        path: LakePath,
        history_id: UploadId,
    },
    /// Its end was refused, because it would shrink the dataset.
    SyncHeld {
        sync: SyncJob,
    },
    /// A full sync has become the dataset.
    SyncPublished {
        sync: SyncJob,
    },
    /// An incremental sync has ended.
    SyncFinished {
        sync: SyncJob,
    },
    /// Aborted, expired, or it could not be published.
    SyncFailed {
        sync: SyncJob,
    },
    /// Its files have not come in time, by its rhythm. Told once, within moments of the deadline.
    DatasetLate {
        dataset: LateDataset,
    },
    TrashRestored {
        trash_id: TrashId,
        /// Where it is again.
        path: LakePath,
        by: String,
    },
    /// Trash was emptied or counted: list it anew.
    TrashChanged,
    /// A deed was remembered that no other event tells of, such as a new key or a sign-in: list the activity anew.
    ActivityChanged,
}

/// A file that has landed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileLanded {
    /// Where readers find it, once a full sync is published.
    pub path: LakePath,
    pub size_bytes: u64,
}

impl Happened {
    /// Every kind that there is, as [`Self::kind`] names them.
    pub const KINDS: [&str; 16] = [
        "ready",
        "reset",
        "sync_started",
        "sync_changed",
        "uploads_landed",
        "upload_failed",
        "upload_progress",
        "upload_left",
        "sync_held",
        "sync_published",
        "sync_finished",
        "sync_failed",
        "dataset_late",
        "trash_restored",
        "trash_changed",
        "activity_changed",
    ];

    pub fn kind(&self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Reset => "reset",
            Self::SyncStarted { .. } => "sync_started",
            Self::SyncChanged { .. } => "sync_changed",
            Self::UploadsLanded { .. } => "uploads_landed",
            Self::UploadFailed { .. } => "upload_failed",
            Self::UploadProgress { .. } => "upload_progress",
            Self::UploadLeft { .. } => "upload_left",
            Self::SyncHeld { .. } => "sync_held",
            Self::SyncPublished { .. } => "sync_published",
            Self::SyncFinished { .. } => "sync_finished",
            Self::SyncFailed { .. } => "sync_failed",
            Self::DatasetLate { .. } => "dataset_late",
            Self::TrashRestored { .. } => "trash_restored",
            Self::TrashChanged => "trash_changed",
            Self::ActivityChanged => "activity_changed",
        }
    }

    /// The sync that it is about, as it stands now.
    pub fn sync(&self) -> Option<&SyncJob> {
        match self {
            Self::SyncStarted { sync }
            | Self::SyncChanged { sync }
            | Self::UploadsLanded { sync, .. }
            | Self::SyncHeld { sync }
            | Self::SyncPublished { sync }
            | Self::SyncFinished { sync }
            | Self::SyncFailed { sync } => Some(sync),
            _ => None,
        }
    }

    pub fn sync_id(&self) -> Option<SyncId> {
        match self {
            Self::UploadFailed { sync_id, .. } | Self::UploadLeft { sync_id, .. } => Some(*sync_id),
            Self::UploadProgress { upload } => Some(upload.sync_id),
            other => other.sync().map(|sync| sync.sync_id),
        }
    }

    /// The place in the lake that it is about; absent where it says nothing of any.
    pub fn path(&self) -> Option<&LakePath> {
        match self {
            Self::UploadFailed { path, .. } | Self::UploadLeft { path, .. } | Self::TrashRestored { path, .. } => {
                Some(path)
            }
            Self::UploadProgress { upload } => Some(&upload.dataset),
            Self::DatasetLate { dataset } => Some(&dataset.path),
            other => other.sync().map(|sync| &sync.path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_back_from_its_text() {
        let id = EventId { start: 0x0123_4567_89ab_cdef, number: 42 };
        assert_eq!(id.to_string(), "0123456789abcdef-42");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(serde_json::from_str::<EventId>(&serde_json::to_string(&id).unwrap()).unwrap(), id);
        for wrong in ["", "42", "-", "g-1", "1-", "1--1", "1-2-3"] {
            assert_eq!(wrong.parse::<EventId>(), Err(NoEventId), "{wrong}");
        }
    }

    #[test]
    fn an_id_includes_those_before_it_of_the_same_start() {
        let id = |start, number| EventId { start, number };
        assert!(id(1, 3).includes(id(1, 3)) && id(1, 3).includes(id(1, 2)));
        assert!(!id(1, 3).includes(id(1, 4)) && !id(1, 3).includes(id(2, 1)));
    }

    #[test]
    fn the_type_in_the_json_is_the_kind() {
        for happened in [Happened::Ready, Happened::Reset, Happened::TrashChanged, Happened::ActivityChanged] {
            let kind = happened.kind();
            assert!(Happened::KINDS.contains(&kind));
            let json = serde_json::to_value(Event { at: Timestamp(7), happened }).unwrap();
            assert_eq!(json, serde_json::json!({ "at": 7, "type": kind }));
        }
    }
}
