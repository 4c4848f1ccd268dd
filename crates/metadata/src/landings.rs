//! Rows of a group of landings, which each database writes by its own statements.

use crate::counts::{Position, Tally};
use crate::landing_facts::Facts;
use crate::row::id;
use crate::uploads::folder_of;
use crate::versions::landing::LandedFile;
use lakeshore::model::sync::job;
use lakeshore::model::sync::status::Status;
use lakeshore::model::trash::NewTrash;
use lakeshore::ports::metadata::upload::CompletedUpload;
use lakeshore::{Error, Timestamp};
use serde::Serialize;
use std::collections::BTreeSet;

/// Rows that a group writes.
#[derive(Default)]
pub(crate) struct GroupRows<'a> {
    pub(crate) tally: Tally,
    /// Uploads that had no row.
    pub(crate) new_rows: Vec<NewRow<'a>>,
    /// Uploads that had a row.
    pub(crate) finished_rows: Vec<FinishedRow>,
    /// Folders within datasets.
    pub(crate) touched: BTreeSet<&'a str>,
    pub(crate) trash: Vec<NewTrash>,
    pub(crate) landed: Vec<LandedFile>,
}

/// Row of an upload that had none.
pub(crate) struct NewRow<'a> {
    pub(crate) history_id: i64,
    pub(crate) sync_id: i64,
    pub(crate) ordinal: i64,
    pub(crate) file_name: &'a str,
    pub(crate) target: &'a str,
    pub(crate) folder_id: i64,
    pub(crate) begun_at: i64,
    pub(crate) size_bytes: u64,
    /// In hexadecimal.
    pub(crate) sha256: String,
    pub(crate) identity: &'a str,
    pub(crate) taken_over: bool,
    /// Who landed it, where that is not who started the sync.
    pub(crate) landed_by: Option<&'a str>,
}

impl NewRow<'_> {
    /// The columns, then those in which the databases differ.
    pub(crate) fn columns(
        &self,
        (taken_over, twelfth, thirteenth): (impl Serialize, impl Serialize, impl Serialize),
    ) -> impl Serialize {
        (
            self.history_id,
            self.sync_id,
            self.ordinal,
            self.file_name,
            self.target,
            self.folder_id,
            self.begun_at,
            self.size_bytes,
            self.sha256.as_str(),
            self.identity,
            taken_over,
            twelfth,
            thirteenth,
        )
    }
}

/// Id, size, and digest in hexadecimal.
pub(crate) type FinishedRow = (i64, u64, String);

impl<'a> GroupRows<'a> {
    /// Adds the rows of an upload, and what it changes in its sync.
    pub(crate) fn add(
        &mut self,
        facts: &mut Facts,
        upload: &'a CompletedUpload,
        trash: Option<&'a NewTrash>,
        at: Timestamp,
    ) -> Result<(), Error> {
        let sync_id = upload.sync_id;
        let sync = facts.syncs.get_mut(&sync_id).ok_or(Error::NoSuchSync(sync_id))?;
        let sha256 = upload.digest.sha256;
        // Uploads of the same group count too, so each is noted below.
        let place = (upload.target.clone(), sync_id);
        if trash.is_some() && facts.earlier.get(&place).is_some_and(|earlier| *earlier != sha256) {
            job::note_duplicate(&mut sync.duplicate_names, &sync.path, &upload.target);
            sync.num_duplicates += 1;
        }
        let size_bytes = upload.digest.size_bytes;
        let position = match upload.upload_id {
            Some(upload_id) => {
                let Some(position) = facts.uploads.remove(&id(upload_id.0)) else { return Ok(()) };
                self.finished_rows.push((position.history_id, size_bytes, hex::encode(sha256)));
                sync.no_longer_in_flight += 1;
                position
            }
            None => {
                let folder_id =
                    facts.folders.get(folder_of(&upload.target)).copied().ok_or(Error::NoSuchSync(sync_id))?;
                facts.last_id += 1;
                sync.added += 1;
                let (history_id, ordinal) = (facts.last_id, sync.listed + sync.added);
                let position = Position { history_id, sync_id: id(sync_id.0), ordinal, folder_id };
                self.new_rows.push(NewRow {
                    history_id,
                    sync_id: id(sync_id.0),
                    ordinal,
                    file_name: &upload.file_name,
                    target: upload.target.as_str(),
                    folder_id,
                    begun_at: upload.begun_at.0,
                    size_bytes,
                    sha256: hex::encode(sha256),
                    identity: &upload.identity.0,
                    taken_over: upload.taken_over,
                    landed_by: (upload.by != sync.started_by).then_some(upload.by.as_str()),
                });
                self.tally.began(position);
                position
            }
        };
        facts.earlier.insert(place, sha256);
        self.tally.ended(position, Status::Finished);
        sync.size_bytes += id(size_bytes);
        if !sync.of.is_full {
            self.touched.insert(folder_of(&upload.target));
        }
        self.trash.extend(trash.cloned());
        self.landed.push(LandedFile {
            history_id: position.history_id,
            group: 0,
            sync_id,
            dataset: sync.path.as_str().to_owned(),
            folder_id: sync.of.folder_id,
            is_full: sync.of.is_full,
            target: upload.target.clone(),
            digest: upload.digest,
            by: upload.by.clone(),
            at,
            trash_key: trash.map(|trash| trash.key.as_str().to_owned()),
        });
        Ok(())
    }
}
