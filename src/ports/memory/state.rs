//! What is remembered, as vectors behind one lock: each call is a transaction because it holds the lock throughout.

mod keys;
mod syncs;
mod trash;
mod uploads;

use super::datasets::DatasetRow;
use super::faults::Faults;
use crate::model::access::key::{Key, SecretHash};
use crate::model::audit::Activity;
use crate::model::clock_watch::ClockRecord;
use crate::model::digest::Digest;
use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::id::TrashId;
use crate::model::id::UploadId;
use crate::model::page::{Order, Page};
use crate::model::path::LakePath;
use crate::model::storage_path::{Identity, PartialName};
use crate::model::sync::job::{OpenSync, Phase, SyncRecord, may_accept_uploads, note_duplicate, obstacle};
use crate::model::sync::manifest::{Declaration, LandedFile};
use crate::model::sync::start::{NewSync, OnceOnly};
use crate::model::sync::status::{Status, SyncType};
use crate::model::time::Timestamp;
use crate::model::trash::NewTrash;
use crate::model::trash::{Doomed, TrashEntry};
use crate::model::upload::row::Upload;
use crate::ports::Space;
use crate::ports::memory::schemas::Schemas;
use crate::ports::memory::sessions::Sessions;
use crate::ports::metadata::State;
use crate::ports::metadata::resumable::ResumableRecord;
use crate::ports::metadata::schema::SchemaId;
use crate::ports::metadata::trash::TrashRecord;
use crate::ports::metadata::upload::{FinishedLandings, LandedContent, LandedUpload, NewUpload, WholeUpload};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Cheap to clone; every clone is the same state.
#[derive(Clone, Default)]
pub struct MemoryState(Arc<Mutex<Data>>);

#[derive(Default)]
pub(super) struct Data {
    pub(super) syncs: Vec<(SyncRecord, Timestamp)>,
    pub(super) uploads: Vec<UploadRow>,
    pub(super) datasets: Vec<DatasetRow>,
    pub(super) trash: Vec<(TrashRecord, Fate)>,
    keys: Vec<(Key, SecretHash)>,
    pub(super) sessions: Sessions,
    landings: BTreeMap<u64, Vec<WholeUpload>>,
    last_landings_id: u64,
    pub(super) expected: BTreeMap<SyncId, Declaration>,
    pub(super) resumables: BTreeMap<u64, ResumableRecord>,
    /// Of each sync, how many rows of uploads that failed before they had one.
    refused_rows: BTreeMap<SyncId, u64>,
    started_once: Vec<(NewSync, OnceOnly, SyncId)>,
    pub(super) schemas: Schemas,
    pub(super) activity: Vec<Activity>,
    pub(super) clock: Option<ClockRecord>,
    pub(super) faults: Faults,
}

/// What has become of a piece of trash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Kept,
    Restored(Timestamp),
    Emptying,
    Emptied,
}

pub(super) struct UploadRow {
    pub(super) upload: Upload,
    pub(super) target: LakePath,
    partial: Option<PartialName>,
    /// Once it has landed.
    landed: Option<(Identity, LandedContent)>,
    /// Once it was looked at.
    pub(super) schema: Option<SchemaId>,
}

impl UploadRow {
    pub(super) fn identity(&self) -> Option<&Identity> {
        self.landed.as_ref().map(|(identity, _)| identity)
    }

    pub(super) fn landed(&self) -> Option<&(Identity, LandedContent)> {
        self.landed.as_ref()
    }

    pub(super) fn digest(&self) -> Option<Digest> {
        self.landed.as_ref().map(|(_, content)| content.digest)
    }
}

impl MemoryState {
    /// The next calls of `begin_upload`, `intend_landings`, `finish_landings`, `settle_sync` or `finish_restore` fail, having
    /// changed nothing.
    pub fn fail_next(&self, call: &'static str, errors: Vec<Error>) {
        self.data().faults.add(call, errors);
    }

    pub(super) fn data(&self) -> MutexGuard<'_, Data> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn index(id: u64) -> usize {
    usize::try_from(id).unwrap_or(usize::MAX).wrapping_sub(1)
}

fn page_of<T>(mut rows: Vec<T>, page: &Page) -> Vec<T> {
    if page.order == Order::Desc {
        rows.reverse();
    }
    let clamp = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    rows.into_iter().skip(clamp(page.from)).take(clamp(page.size)).collect()
}

fn holds(text: Option<&str>, fields: [&str; 2]) -> bool {
    text.is_none_or(|text| fields.iter().any(|field| field.to_lowercase().contains(&text.to_lowercase())))
}

pub(super) fn within(place: Option<&LakePath>, path: &LakePath) -> bool {
    place.is_none_or(|place| place.contains(path))
}

impl Data {
    pub(super) fn record(&mut self, id: SyncId) -> Result<&mut SyncRecord, Error> {
        self.syncs.get_mut(index(id.0)).map(|(record, _)| record).ok_or(Error::NoSuchSync(id))
    }

    pub(super) fn expect(&mut self, id: SyncId, expected: &Declaration) -> Result<(), Error> {
        self.record(id)?.sync.expected = Some(expected.totals());
        self.expected.insert(id, expected.clone());
        Ok(())
    }

    /// Something has happened in the sync.
    pub(super) fn touch(&mut self, id: SyncId, at: Timestamp) {
        if let Some((_, last_activity)) = self.syncs.get_mut(index(id.0)) {
            *last_activity = at;
        }
    }

    /// What the sync has landed, in the order of the history.
    pub(super) fn landed_by(&self, id: SyncId) -> impl Iterator<Item = LandedFile> {
        let of_sync = self.uploads.iter().filter(move |row| row.upload.sync_id == id);
        of_sync.filter_map(|row| Some(LandedFile { target: row.target.clone(), digest: row.digest()? }))
    }

    fn refuse_if_held(&self, path: &LakePath, sync_type: SyncType, superseded: Option<SyncId>) -> Result<(), Error> {
        let open: Vec<_> = self
            .syncs
            .iter()
            .filter(|(record, _)| record.phase != Phase::Ended && Some(record.sync.sync_id) != superseded)
            .map(|(SyncRecord { sync, .. }, _)| OpenSync {
                sync_id: sync.sync_id,
                path: sync.path.clone(),
                sync_type: sync.sync_type,
            })
            .collect();
        if let Some(held) = obstacle(path, sync_type, &open) {
            return Err(Error::PathHeld {
                path: path.clone(),
                sync_id: held.sync_id,
                sync_type: held.sync_type,
                held_path: held.path.clone(),
            });
        }
        let mut restoring = self.trash.iter().filter(|(record, _)| record.restoring.is_some());
        match restoring.find(|(record, _)| record.entry.origin.overlaps(path)) {
            Some((record, _)) => {
                let TrashEntry { trash_id, origin, .. } = record.entry.clone();
                Err(Error::PathRestoring { path: path.clone(), trash_id, origin })
            }
            None => Ok(()),
        }
    }

    fn refuse_above_datasets(&self, path: &LakePath) -> Result<(), Error> {
        let datasets = self.datasets.iter().map(|row| &row.record.path);
        let below: Vec<_> = datasets.filter(|dataset| path.contains(dataset) && *dataset != path).cloned().collect();
        if below.is_empty() { Ok(()) } else { Err(Error::DatasetsBelow { path: path.clone(), below }) }
    }

    pub(super) fn begin_upload(&mut self, new: &NewUpload) -> Result<UploadId, Error> {
        let upload = new_upload(new.sync_id, &new.file_name, Status::Syncing, "", new.at);
        let partial = Some(new.partial.clone());
        self.add_upload(UploadRow { upload, target: new.target.clone(), partial, landed: None, schema: None }, false)
    }

    pub(super) fn upload_row(&self, id: UploadId) -> Option<&Upload> {
        self.uploads.get(index(id.0)).map(|row| &row.upload)
    }

    fn add_upload(&mut self, row: UploadRow, failed: bool) -> Result<UploadId, Error> {
        let record = self.record(row.upload.sync_id)?;
        may_accept_uploads(record)?;
        record.sync.total_files += 1;
        if failed {
            record.sync.num_failed += 1;
        } else {
            record.sync.num_in_flight += 1;
        }
        let at = row.upload.start_time;
        let sync = index(row.upload.sync_id.0);
        self.syncs[sync].1 = at;
        let history_id = UploadId(self.uploads.len() as u64 + 1);
        self.uploads.push(UploadRow { upload: Upload { history_id, ..row.upload }, ..row });
        Ok(history_id)
    }

    fn finish_landings(&mut self, finished: &FinishedLandings) -> Result<(), Error> {
        let FinishedLandings { id, landed, left, at } = finished;
        let Some(intended) = self.landings.remove(&id.0) else { return Ok(()) };
        let is_intended = |upload: &WholeUpload| intended.iter().any(|intended| intended.partial == upload.partial);
        for LandedUpload { upload, trash } in landed.iter().filter(|landed| is_intended(&landed.upload)) {
            self.finish(upload, trash.as_ref(), *at)?;
        }
        if !left.is_empty() {
            self.landings.insert(id.0, left.iter().filter(|upload| is_intended(upload)).cloned().collect());
        }
        Ok(())
    }

    fn finish(&mut self, whole: &WholeUpload, trash: Option<&NewTrash>, at: Timestamp) -> Result<(), Error> {
        let id = match whole.upload_id {
            Some(id) => id,
            None => {
                let upload = new_upload(whole.sync_id, &whole.file_name, Status::Syncing, "", whole.begun_at);
                self.add_upload(
                    UploadRow { upload, target: whole.target.clone(), partial: None, landed: None, schema: None },
                    false,
                )?
            }
        };
        let earlier = self.uploads.iter().rev().find(|row| {
            let is_of_sync = row.upload.sync_id == whole.sync_id && row.target == whole.target;
            is_of_sync && row.upload.sync_status == Status::Finished
        });
        let is_duplicate = earlier.and_then(UploadRow::digest).is_some_and(|digest| digest != whole.digest);
        let Some(row) = self.in_flight(id) else { return Ok(()) };
        row.upload.sync_status = Status::Finished;
        row.upload.end_time = at;
        row.upload.size_bytes = whole.digest.size_bytes;
        row.upload.sha256 = Some(hex::encode(whole.digest.sha256));
        row.upload.landed_path = Some(row.target.clone());
        row.upload.taken_over = whole.taken_over;
        row.landed = Some((whole.identity.clone(), LandedContent { digest: whole.digest, landed_at: at }));
        self.schemas.uninspected.insert(id);
        let record = self.record(whole.sync_id)?;
        record.sync.num_in_flight -= 1;
        record.sync.size_bytes += whole.digest.size_bytes;
        record.sync.held = None;
        if is_duplicate {
            record.sync.num_duplicates += 1;
            note_duplicate(&mut record.sync.duplicate_names, &record.sync.path, &whole.target);
        }
        let (path, sync_type) = (record.sync.path.clone(), record.sync.sync_type);
        self.syncs[index(whole.sync_id.0)].1 = at;
        if sync_type == SyncType::IncrementalSync {
            self.remember_dataset(&path, whole.sync_id, at);
            self.touch_datasets(&whole.target);
        }
        if let Some(trash) = trash {
            self.add_trash(trash);
        }
        Ok(())
    }

    /// The upload, if it is in flight.
    fn in_flight(&mut self, id: UploadId) -> Option<&mut UploadRow> {
        self.uploads.get_mut(index(id.0)).filter(|row| row.upload.sync_status == Status::Syncing)
    }

    pub(super) fn add_trash(&mut self, new: &NewTrash) {
        let entry = TrashEntry {
            trash_id: TrashId(self.trash.len() as u64 + 1),
            origin: new.origin.clone(),
            kind: new.kind,
            reason: new.reason,
            sync_id: new.sync_id,
            trashed_by: new.by.clone(),
            trashed_at: new.at,
            totals: None,
            expires_at: None,
        };
        self.trash.push((TrashRecord { entry, key: new.key.clone(), restoring: None }, Fate::Kept));
    }

    fn kept_trash(&mut self, id: TrashId) -> Option<&mut (TrashRecord, Fate)> {
        self.trash.get_mut(index(id.0)).filter(|(_, fate)| *fate == Fate::Kept)
    }

    /// What is kept and not being restored, the oldest first.
    fn removable_trash(&self) -> Vec<TrashEntry> {
        let removable = |(record, fate): &&(TrashRecord, Fate)| *fate == Fate::Kept && record.restoring.is_none();
        let mut entries: Vec<_> = self.trash.iter().filter(removable).map(|(record, _)| record.entry.clone()).collect();
        entries.sort_by_key(|entry| (entry.trashed_at, entry.trash_id));
        entries
    }

    fn doom(&mut self, doomed: &Doomed, size: u64) -> Result<Vec<TrashEntry>, Error> {
        let mut removable = self.removable_trash();
        match *doomed {
            Doomed::Piece(id) => {
                let (record, _) = self.kept_trash(id).ok_or(Error::NoSuchTrash(id))?;
                if record.restoring.is_some() {
                    let origin = record.entry.origin.clone();
                    return Err(Error::PathRestoring { path: origin.clone(), trash_id: id, origin });
                }
                removable.retain(|entry| entry.trash_id == id);
            }
            Doomed::OfSync(sync_id) => removable.retain(|entry| entry.sync_id.unwrap_or(SyncId(0)) == sync_id),
            Doomed::Before(before) => removable.retain(|entry| entry.trashed_at < before),
            Doomed::Beyond { bytes_max } => {
                let bytes = |entry: &TrashEntry| entry.totals.map_or(0, |totals| totals.bytes);
                let kept = self.trash.iter().filter(|(_, fate)| *fate == Fate::Kept);
                let mut held: u64 = kept.map(|(record, _)| bytes(&record.entry)).sum();
                removable.retain(|entry| {
                    let is_beyond = held > bytes_max;
                    held -= if is_beyond { bytes(entry) } else { 0 };
                    is_beyond
                });
            }
        }
        removable.truncate(usize::try_from(size).unwrap_or(usize::MAX));
        for entry in &removable {
            if let Some((_, fate)) = self.kept_trash(entry.trash_id) {
                *fate = Fate::Emptying;
            }
        }
        Ok(removable)
    }
}

fn new_upload(sync_id: SyncId, file_name: &str, status: Status, message: &str, at: Timestamp) -> Upload {
    Upload {
        org_id: 0,
        history_id: UploadId(0),
        sync_id,
        file_name: file_name.to_owned(),
        start_time: at,
        end_time: if status == Status::Syncing { Timestamp::NOT_YET } else { at },
        sync_status: status,
        message: message.to_owned(),
        size_bytes: 0,
        landed_path: None,
        sha256: None,
        taken_over: false,
        row_count: None,
        inspection_problem: None,
        schema_difference: None,
    }
}

impl State for MemoryState {
    fn space(&self) -> Result<Space, Error> {
        Ok(Space::UNBOUNDED)
    }
}
