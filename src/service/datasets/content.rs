//! What the lake knows of the bytes of a file without reading them.
//!
//! A file that has landed is known by its place and its identity. Its digest is relied on only while nothing but the lake
//! can have touched it: its size is what landed, and it was not changed after it had landed. The time of change is the
//! kernel's own, so a file that somebody wrote to by hand is not known any more, even where its size and its time of
//! modification were kept; nor is one that was renamed, linked or restored by itself. Such a file is sent again, and
//! known again.
//!
//! This assumes that the file system takes its times from the clock that the lake reads, and that no time has come twice.
//! A file that landed at a time that is still to come, or that came again after the clock was set back (see
//! [`crate::model::clock_watch`]), is not known: a change by hand could have the same time, or an earlier one.

use crate::model::digest::Digest;
use crate::model::error::Error;
use crate::model::path::LakePath;
use crate::ports::storage::FoundFile;
use crate::service::Lake;

impl Lake {
    /// The digests of files that were found, each at the place where it is, or is to be once its sync is published.
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
