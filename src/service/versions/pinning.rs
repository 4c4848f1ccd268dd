//! Pins: keep a version beyond the limits of the trash.

use super::super::Lake;
use crate::model::access::key::{Caller, may_write};
use crate::model::error::Error;
use crate::model::limits::PIN_NOTE_BYTES_MAX;
use crate::model::path::LakePath;
use crate::model::version::WhichVersion;
use crate::model::version_requests::PinVersion;

impl Lake {
    /// Keeps the files of a version in the trash until it is unpinned. Files that are already purged do not come back.
    pub async fn pin_version(&self, caller: &Caller, wanted: &PinVersion) -> Result<(), Error> {
        if wanted.note.len() > PIN_NOTE_BYTES_MAX {
            return Err(Error::Invalid(format!("the note is longer than {PIN_NOTE_BYTES_MAX} bytes; shorten it")));
        }
        self.set_pin(caller, wanted, Some(&wanted.note)).await
    }

    /// Applies the limits of the trash to a version again. Idempotent.
    pub async fn unpin_version(&self, caller: &Caller, wanted: &PinVersion) -> Result<(), Error> {
        self.set_pin(caller, wanted, None).await
    }

    async fn set_pin(&self, caller: &Caller, wanted: &PinVersion, note: Option<&str>) -> Result<(), Error> {
        caller.may_write_somewhere()?;
        let dataset = self.exact_dataset(caller, &wanted.path).await?;
        may_write(caller, &dataset)?;
        self.seen_version(&dataset, WhichVersion::Number(wanted.version)).await?;
        self.0.state.pin_version(&dataset, wanted.version, note, &caller.actor(), self.now()).await?;
        self.0.events.pending_changes().activity();
        self.0.events.pending_changes().trash_changed();
        Ok(())
    }

    /// Dataset at exactly this path.
    pub(in super::super) async fn exact_dataset(&self, caller: &Caller, path: &LakePath) -> Result<LakePath, Error> {
        let dataset = self.seen_dataset(caller, path).await?;
        if dataset == *path { Ok(dataset) } else { Err(Error::NoSuchDataset(path.clone())) }
    }
}
