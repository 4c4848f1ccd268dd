//! Limits that a deployment may change.

use crate::model::limits::UNTOUCHED_RESUMABLE_MAX;
use crate::model::sync::guard::ShrinkGuard;
use std::time::Duration;

/// Limits that a deployment may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Largest file, in bytes.
    pub upload_bytes_max: u64,
    /// Time without an upload after which a sync fails.
    pub sync_idle_max: Duration,
    /// Idle time after which a full sync is superseded by a new start on its path; a held one is superseded at once.
    /// `None`: never.
    pub supersede_after: Option<Duration>,
    /// Idle time after which a resumable upload is discarded; see [`Self::idle_max`].
    pub resumable_idle_max: Duration,
    /// Time in the trash after which an item is purged.
    pub trash_age_max: Duration,
    /// Size of the trash above which the oldest items are purged. `None`: unlimited.
    pub trash_bytes_max: Option<u64>,
    /// Free bytes that an upload must leave on the disk of the lake and on that of the database. `None`: a part of the
    /// disk.
    pub free_bytes_min: Option<u64>,
    /// Part of its dataset that a full sync must leave to be published without confirmation.
    pub shrink_guard: ShrinkGuard,
    /// Time without a byte after which an upload in flight is shown as stalled or abandoned.
    pub stalled_after: Duration,
}

impl Limits {
    /// Idle time after which a resumable upload with this many bytes is discarded.
    pub fn idle_max(&self, received_bytes: u64) -> Duration {
        match received_bytes {
            0 => self.resumable_idle_max.min(UNTOUCHED_RESUMABLE_MAX),
            _ => self.resumable_idle_max,
        }
    }

    /// Time for which an item stays in the trash; `None`: until somebody purges it.
    pub fn trash_kept(&self) -> Option<Duration> {
        const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
        Some(self.trash_age_max).filter(|age| *age < FOR_EVER)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            upload_bytes_max: 1 << 40,
            sync_idle_max: Duration::from_secs(24 * 3600),
            supersede_after: Some(Duration::from_secs(15 * 60)),
            resumable_idle_max: Duration::from_secs(24 * 3600),
            trash_age_max: Duration::from_secs(30 * 24 * 3600),
            trash_bytes_max: None,
            free_bytes_min: None,
            shrink_guard: ShrinkGuard::default(),
            stalled_after: Duration::from_secs(30),
        }
    }
}
