//! Known digests of files, without reading them.
//!
//! A landed file is recognised by its path and identity. Its recorded digest is used only while nothing but the lake
//! can have changed the file: its size is the landed one, and its change time is not later than the landing. The kernel
//! sets the change time, so a file that was written by hand is no longer recognised, even if its size and modification
//! time were preserved; nor is one that was renamed, linked or restored by hand. Such a file is sent again, and then
//! recognised again.
//!
//! This assumes that the file system takes its times from the same clock as the lake, and that no time occurred twice.
//! A file that landed at a future or repeated time (see [`crate::model::clock_watch`]) is not recognised, as a change
//! by hand could have the same time, or an earlier one.

use crate::model::digest::Digest;
use crate::model::error::Error;
use crate::model::path::LakePath;
use crate::ports::storage::FoundFile;
use crate::service::Lake;

impl Lake {
    /// Digests of found files, each at its current path, or at its path after the publish of its sync.
    pub(in crate::service) async fn known_digests(
        &self,
        files: &[(LakePath, FoundFile)],
    ) -> Result<Vec<Option<Digest>>, Error> {
        if files.is_empty() {
            return Ok(Vec::new());
        }
        let asked: Vec<_> = files.iter().map(|(target, found)| (target.clone(), found.identity.clone())).collect();
        let landed = self.0.state.landed_contents(&asked).await?;
        let known = files.iter().zip(landed).map(|((_, found), landed)| {
            let landed = landed?;
            let is_known =
                found.is_as_landed(landed.digest.size_bytes, landed.landed_at) && self.is_certain(landed.landed_at);
            is_known.then_some(landed.digest)
        });
        Ok(known.collect())
    }
}
