//! What a deployment may change.

use crate::model::limits::UNTOUCHED_RESUMABLE_MAX;
use crate::model::sync::guard::ShrinkGuard;
use std::time::Duration;

/// What a deployment may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Largest file, in bytes.
    pub upload_bytes_max: u64,
    /// A sync without any upload for this long fails by itself.
    pub sync_idle_max: Duration,
    /// A full sync that is held, or of which nobody heard anything for this long, gives way to a new start on its path. `None`:
    /// none does.
    pub supersede_after: Option<Duration>,
    /// A resumable upload to which nothing came for this long is given up; see [`Self::idle_max`].
    pub resumable_idle_max: Duration,
    /// What has been in the trash for longer is removed for good.
    pub trash_age_max: Duration,
    /// When the trash holds more bytes, the oldest pieces are removed for good. `None`: it may grow.
    pub trash_bytes_max: Option<u64>,
    /// An upload is refused where its disk, or that of the state, would have less left. `None`: a part of the disk.
    pub free_bytes_min: Option<u64>,
    /// What a full sync must leave of its dataset to be published unasked.
    pub shrink_guard: ShrinkGuard,
    /// An upload in flight of which no byte comes for so long is shown as stalled, or as abandoned.
    pub stalled_after: Duration,
}

impl Limits {
    /// For how long nothing may come to a resumable upload that has come so far.
    pub fn idle_max(&self, received_bytes: u64) -> Duration {
        match received_bytes {
            0 => self.resumable_idle_max.min(UNTOUCHED_RESUMABLE_MAX),
            _ => self.resumable_idle_max,
        }
    }

    /// How long a piece of trash stays; `None`: until somebody removes it.
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
