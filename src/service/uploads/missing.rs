//! Missing files: those that a client has to send, because the lake does not have them.
//!
//! The response is always safe to follow: a sync that is sent its missing files has every requested file. So in a full
//! sync a file of the dataset counts as missing until it is taken over.

use crate::model::access::key::Caller;
use crate::model::digest::Digest;
use crate::model::error::Error;
use crate::model::limits::OFFERED_FILES_MAX;
use crate::model::path::LakePath;
use crate::model::storage_path::StoragePath;
use crate::model::sync::status::SyncType;
use crate::model::upload::offer::{Missing, Offer};
use crate::service::Lake;
use crate::service::uploads::destination::Destination;

use crate::ports::storage::FoundFile;
use crate::service::uploads::reuse_unchanged::Unchanged;
use std::collections::BTreeSet;

/// A file that may have to be sent.
pub(in crate::service) struct Wanted {
    /// Index in the offer.
    pub(in crate::service) index: usize,
    pub(in crate::service) target: LakePath,
    pub(in crate::service) digest: Digest,
}

impl Lake {
    /// Returns the files that have to be sent, and takes over unchanged ones. Idempotent, also after an interruption:
    /// files that were sent or taken over before are not missing.
    pub async fn missing_files(&self, caller: &Caller, offer: &Offer) -> Result<Missing, Error> {
        if self.0.state.has_other_nodes() {
            // Nothing below checks again whether another node has ended it.
            self.0.sync_locks.forget_open(offer.sync_id);
        }
        let destination = self.destination(caller, offer.sync_id, offer.path.as_deref()).await?;
        self.note_call(offer.sync_id).await?;
        let (wanted, mut missing) = wanted(&destination, offer)?;
        let sync = destination.sync.clone();
        let is_full = sync.sync_type == SyncType::FullSync;
        let mut unchanged = 0;
        let mut taken_over = 0;
        let mut unsent = wanted;
        if is_full {
            let staged = |wanted: &Wanted| StoragePath::of_upload(Some(sync.sync_id), &sync.path, &wanted.target);
            let (there, rest) = self.part(unsent, staged).await?;
            unchanged += there.len() as u64;
            unsent = rest;
        }
        let (there, rest) = self.part(unsent, |wanted| StoragePath::Live(wanted.target.clone())).await?;
        missing.extend(rest.iter().map(|wanted| wanted.index));
        unchanged += there.len() as u64;
        if is_full && offer.take_over {
            let names: Vec<_> = offer.files.iter().map(|file| file.path.as_str()).collect();
            let asked = there.len();
            let there = there.into_iter().map(|(wanted, found)| {
                let place = StoragePath::Live(wanted.target.clone());
                Unchanged { wanted, found, place }
            });
            let there = there.collect();
            let left = self.take_over(&destination, there, &names).await?;
            taken_over = (asked - left.len()) as u64;
            unchanged -= left.len() as u64;
            missing.extend(left);
        } else if is_full {
            missing.extend(there.iter().map(|(wanted, _)| wanted.index));
        }
        missing.sort_unstable();
        let missing = missing.iter().map(|&index| offer.files[index].path.clone()).collect();
        Ok(Missing { missing, unchanged, taken_over })
    }

    /// Splits the files into those whose bytes are at their path, with the found file, and the rest.
    async fn part(
        &self,
        wanted: Vec<Wanted>,
        place: impl Fn(&Wanted) -> StoragePath,
    ) -> Result<(Vec<(Wanted, FoundFile)>, Vec<Wanted>), Error> {
        let places: Vec<_> = wanted.iter().map(place).collect();
        let found = self.0.files.find(&places).await?;
        let mut rest = Vec::new();
        let mut candidates = Vec::new();
        for (wanted, found) in wanted.into_iter().zip(found) {
            match found {
                Some(found) if found.size_bytes == wanted.digest.size_bytes => candidates.push((wanted, found)),
                _ => rest.push(wanted),
            }
        }
        let asked: Vec<_> = candidates.iter().map(|(wanted, found)| (wanted.target.clone(), found.clone())).collect();
        let known = self.known_digests(&asked).await?;
        let mut there = Vec::new();
        for ((wanted, found), known) in candidates.into_iter().zip(known) {
            if known == Some(wanted.digest) {
                there.push((wanted, found));
            } else {
                rest.push(wanted);
            }
        }
        Ok((there, rest))
    }
}

/// Files of an offer, ordered by path, and those with invalid names: sending these returns the reason.
fn wanted(destination: &Destination, offer: &Offer) -> Result<(Vec<Wanted>, Vec<usize>), Error> {
    if offer.files.len() > OFFERED_FILES_MAX {
        return Err(Error::Invalid(format!(
            "a request asks for at most {OFFERED_FILES_MAX} files; ask for the rest in another"
        )));
    }
    let mut wanted = Vec::with_capacity(offer.files.len());
    let mut nameless = Vec::new();
    let mut targets = BTreeSet::new();
    for (index, file) in offer.files.iter().enumerate() {
        let Some(sha256) = Digest::parse_sha256(&file.sha256) else {
            return Err(Error::Invalid(format!(
                "the sha256 of {:?} is not 64 hexadecimal digits; send the output of sha256sum",
                crate::service::uploads::destination::bounded(&file.path)
            )));
        };
        let Ok(target) = destination.folder.file(&file.path) else {
            nameless.push(index);
            continue;
        };
        if !targets.insert(target.clone()) {
            return Err(Error::Invalid(format!("{target} is listed twice; list each file once")));
        }
        wanted.push(Wanted { index, target, digest: Digest { size_bytes: file.size_bytes, sha256 } });
    }
    wanted.sort_by(|one, other| one.target.cmp(&other.target));
    Ok((wanted, nameless))
}
