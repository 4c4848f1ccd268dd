//! Taking over unchanged files: files of the dataset become part of the full sync that is to replace it.
//!
//! Each file is copied under a partial name and lands as an upload does, by [`crate::service::uploads::commit_queue`],
//! so a crash has the same effect as during an upload. The copy is not a hard link: a write to the old file in the
//! trash must not change the new dataset, and a restart distinguishes files by their identity.

use crate::model::digest::{Digest, ExpectedDigests};
use crate::model::error::Error;
use crate::model::storage_path::PartialName;
use crate::model::storage_path::StoragePath;
use crate::model::time::Timestamp;
use crate::ports::storage::{FoundFile, ReuseRequest, ReusedCopy};
use crate::service::Lake;
use crate::service::syncs::sync_lock::UploadLease;
use crate::service::uploads::destination::{Destination, bounded};
use crate::service::uploads::landing_step::{Content, Ready};
use crate::service::uploads::missing::Wanted;
use async_lock::Semaphore;
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};

/// Maximum files that are copied, synced and landed together.
const TOGETHER_FILES_MAX: usize = 64;
/// Maximum bytes of these files, unless a single file is larger.
const TOGETHER_BYTES_MAX: u64 = 256 << 20;
/// Concurrent copies of all requests: each occupies a thread.
const AT_ONCE_MAX: usize = 4;

pub(in crate::service) struct FileCopies(Semaphore);

impl Default for FileCopies {
    fn default() -> Self {
        Self(Semaphore::new(AT_ONCE_MAX))
    }
}

/// An unchanged file, as found at a path.
pub(in crate::service) struct Unchanged {
    pub(in crate::service) wanted: Wanted,
    pub(in crate::service) found: FoundFile,
    pub(in crate::service) place: StoragePath,
}

impl Lake {
    /// Makes the files part of the full sync. Returns the indexes of those that could not be taken over and have to be
    /// sent. `names` has the client's name of each file.
    pub(in crate::service) async fn take_over(
        &self,
        destination: &Destination,
        files: Vec<Unchanged>,
        names: &[&str],
    ) -> Result<Vec<usize>, Error> {
        let lease = self.0.sync_locks.of(destination.sync.sync_id).lease();
        let steps = stream::iter(together(files)).map(|files| self.take_over_some(destination, &lease, files, names));
        // All run to their end even when one has failed, as a landing must not be dropped.
        let results: Vec<_> = steps.buffer_unordered(AT_ONCE_MAX).collect().await;
        let left: Result<Vec<_>, _> = results.into_iter().collect();
        Ok(left?.concat())
    }

    async fn take_over_some(
        &self,
        destination: &Destination,
        lease: &UploadLease,
        files: Vec<Unchanged>,
        names: &[&str],
    ) -> Result<Vec<usize>, Error> {
        let lake = &self.0;
        let begun_at = self.now();
        lease.check()?;
        self.refuse_below_reserve(destination.owner, files.iter().map(|file| file.wanted.digest.size_bytes).sum())
            .await?;
        let mut copies = Vec::with_capacity(files.len());
        for Unchanged { found, place, .. } in &files {
            let partial = PartialName::from_random(self.random()?);
            copies.push(ReuseRequest { from: place.clone(), found: found.clone(), partial });
        }
        let copied = {
            let _turn = lake.file_copies.0.acquire().await;
            lake.files.copy_unchanged(&copies).await
        };
        // Excludes endings until the landings are committed.
        let entered = lease.enter().await;
        let land = async |(Unchanged { wanted, .. }, copy, copied): (
            Unchanged,
            ReuseRequest,
            Result<Option<ReusedCopy>, Error>,
        )| {
            let index = wanted.index;
            let partial = copy.partial;
            let result = match (copied, &entered) {
                (Ok(Some(copied)), Ok(_)) => {
                    // If the bytes of the copy were read, their digest must match the row.
                    let expected = ExpectedDigests { sha256: Some(wanted.digest.sha256), sha512: None };
                    let ready = ready(destination, wanted, names[index], partial.clone(), copied, begun_at);
                    match lake.commit_queue.land(self, ready, &expected, None).await {
                        Ok(_) => return Ok(None),
                        // The bytes have changed since the landing; or the path is blocked, and sending the file will
                        // report and record the reason.
                        Err(Error::DigestMismatch { .. } | Error::InTheWay(_)) => Ok(Some(index)),
                        Err(error) if error.is_unsettled() => return Err(error),
                        Err(error) => Err(error),
                    }
                }
                (Ok(_), _) => Ok(Some(index)),
                (Err(error), _) => Err(error),
            };
            self.discard(&partial).await;
            result
        };
        let each = files.into_iter().zip(copies).zip(copied);
        let landed = join_all(each.map(|((file, copy), copied)| land((file, copy, copied)))).await;
        entered?;
        let left: Result<Vec<_>, _> = landed.into_iter().collect();
        Ok(left?.into_iter().flatten().collect())
    }
}

/// The copy, ready to land.
fn ready(
    destination: &Destination,
    wanted: Wanted,
    name: &str,
    partial: PartialName,
    copied: ReusedCopy,
    begun_at: Timestamp,
) -> Ready {
    let size_bytes = wanted.digest.size_bytes;
    let sha256 = copied.sha256.unwrap_or(wanted.digest.sha256);
    Ready {
        sync: destination.sync.clone(),
        upload_id: None,
        file_name: bounded(name),
        target: wanted.target,
        partial,
        content: Content::Sealed(copied.identity, Digest { size_bytes, sha256 }),
        begun_at,
        by: destination.by.clone(),
        taken_over: true,
    }
}

/// Splits the files, in order, into groups that are taken over together.
fn together(files: Vec<Unchanged>) -> Vec<Vec<Unchanged>> {
    let mut groups: Vec<Vec<Unchanged>> = Vec::new();
    let mut bytes = 0;
    for file in files {
        bytes += file.found.size_bytes;
        match groups.last_mut() {
            Some(group) if group.len() < TOGETHER_FILES_MAX && bytes <= TOGETHER_BYTES_MAX => group.push(file),
            _ => {
                bytes = file.found.size_bytes;
                groups.push(vec![file]);
            }
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::path::LakePath;
    use crate::model::storage_path::Identity;

    fn unchanged(size_bytes: u64) -> Unchanged {
        let target = LakePath::parse("/a/b").unwrap();
        let (modified_at, changed_at) = (Timestamp(0), Timestamp(0));
        let found = FoundFile { identity: Identity(String::new()), size_bytes, modified_at, changed_at };
        let place = StoragePath::Live(target.clone());
        let wanted = Wanted { index: 0, target, digest: Digest { size_bytes, sha256: [0; 32] } };
        Unchanged { wanted, found, place }
    }

    #[test]
    fn files_are_taken_over_in_groups_bounded_by_number_and_bytes() {
        let sizes = |sizes: &[u64]| -> Vec<usize> {
            together(sizes.iter().map(|&size| unchanged(size)).collect()).iter().map(Vec::len).collect()
        };
        assert_eq!(sizes(&[]), [0; 0]);
        assert_eq!(sizes(&[1; 130]), [64, 64, 2]);
        let most = TOGETHER_BYTES_MAX;
        assert_eq!(sizes(&[most, 0, 1, most - 1, 1]), [2, 2, 1]);
        assert_eq!(sizes(&[2 * most, 1, 2 * most]), [1, 1, 1]);
    }
}
