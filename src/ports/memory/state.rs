//! What is remembered, as vectors behind one lock: each call is a transaction because it holds the lock throughout.

use crate::error::Error;
use crate::expected::{Declaration, LandedFile};
use crate::guard::Hold;
use crate::key::{Key, KeyId, NewKey, SecretHash};
use crate::limits::IN_FLIGHT_NAMED_MAX;
use crate::list::{Order, Page, SyncQuery, TrashQuery, UploadQuery};
use crate::path::LakePath;
use crate::ports::Space;
use crate::ports::resumables::ResumableRecord;
use crate::ports::state::{
    KeyState, LandedContent, LandedUpload, LandingsId, NewSync, NewTrash, NewUpload, OnceOnly, RefusedUpload,
    Settlement, State, SyncState, TrashRecord, TrashState, UnfinishedUpload, UploadState, WholeUpload,
};
use crate::sync::{
    Closing, OpenSync, Phase, Status, Sync, SyncId, SyncRecord, SyncType, may_accept_uploads, may_close, obstacle,
};
use crate::time::Timestamp;
use crate::trash::{Doomed, Totals, TrashEntry, TrashId, TrashKey, TrashKind};
use crate::upload::{Digest, Identity, PartialName, Upload, UploadId, hexadecimal};
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Cheap to clone; every clone is the same state.
#[derive(Clone, Default)]
pub struct MemoryState(Arc<Mutex<Data>>);

#[derive(Default)]
pub(super) struct Data {
    pub(super) syncs: Vec<(SyncRecord, Timestamp)>,
    pub(super) uploads: Vec<UploadRow>,
    datasets: Vec<(LakePath, SyncId)>,
    pub(super) trash: Vec<(TrashRecord, Fate)>,
    keys: Vec<(Key, SecretHash)>,
    sessions: Vec<(SecretHash, Option<KeyId>, Timestamp)>,
    sign_in: Option<(SecretHash, Timestamp)>,
    landings: BTreeMap<u64, Vec<WholeUpload>>,
    pub(super) expected: BTreeMap<SyncId, Declaration>,
    pub(super) resumables: BTreeMap<u64, ResumableRecord>,
    started_once: Vec<(NewSync, OnceOnly, SyncId)>,
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
}

impl UploadRow {
    pub(super) fn digest(&self) -> Option<Digest> {
        self.landed.as_ref().map(|(_, content)| content.digest)
    }
}

impl MemoryState {
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

fn within(place: Option<&LakePath>, path: &LakePath) -> bool {
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

    fn refuse_if_held(&self, path: &LakePath, sync_type: SyncType) -> Result<(), Error> {
        let open: Vec<_> = self
            .syncs
            .iter()
            .filter(|(record, _)| record.phase != Phase::Ended)
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
            Some((record, _)) => Err(Error::PathRestoring { path: path.clone(), trash_id: record.entry.trash_id }),
            None => Ok(()),
        }
    }

    fn refuse_above_datasets(&self, path: &LakePath) -> Result<(), Error> {
        let datasets = self.datasets.iter().map(|(dataset, _)| dataset);
        let below: Vec<_> = datasets.filter(|dataset| path.contains(dataset) && *dataset != path).cloned().collect();
        if below.is_empty() { Ok(()) } else { Err(Error::DatasetsBelow { path: path.clone(), below }) }
    }

    pub(super) fn begin_upload(&mut self, new: &NewUpload) -> Result<UploadId, Error> {
        let upload = new_upload(new.sync_id, &new.file_name, Status::Syncing, "", new.at);
        let partial = Some(new.partial.clone());
        self.add_upload(UploadRow { upload, target: new.target.clone(), partial, landed: None }, false)
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

    fn finish(&mut self, whole: &WholeUpload, trash: Option<&NewTrash>, at: Timestamp) -> Result<(), Error> {
        let id = match whole.upload_id {
            Some(id) => id,
            None => {
                let upload = new_upload(whole.sync_id, &whole.file_name, Status::Syncing, "", whole.begun_at);
                self.add_upload(UploadRow { upload, target: whole.target.clone(), partial: None, landed: None }, false)?
            }
        };
        let Some(row) = self.in_flight(id) else { return Ok(()) };
        row.upload.sync_status = Status::Finished;
        row.upload.end_time = at;
        row.upload.size_bytes = whole.digest.size_bytes;
        row.upload.sha256 = Some(hexadecimal(&whole.digest.sha256));
        row.upload.landed_path = Some(row.target.clone());
        row.upload.taken_over = whole.taken_over;
        row.landed = Some((whole.identity.clone(), LandedContent { digest: whole.digest, landed_at: at }));
        let record = self.record(whole.sync_id)?;
        record.sync.num_in_flight -= 1;
        record.sync.size_bytes += whole.digest.size_bytes;
        record.sync.held = None;
        let (path, sync_type) = (record.sync.path.clone(), record.sync.sync_type);
        self.syncs[index(whole.sync_id.0)].1 = at;
        if sync_type == SyncType::IncrementalSync {
            self.remember_dataset(path, whole.sync_id);
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
        };
        self.trash.push((TrashRecord { entry, key: new.key.clone(), restoring: None }, Fate::Kept));
    }

    fn remember_dataset(&mut self, path: LakePath, id: SyncId) {
        self.datasets.retain(|(dataset, _)| *dataset != path);
        self.datasets.push((path, id));
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
                    return Err(Error::PathRestoring { path: record.entry.origin.clone(), trash_id: id });
                }
                removable.retain(|entry| entry.trash_id == id);
            }
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
    }
}

#[async_trait]
impl SyncState for MemoryState {
    async fn start_sync(&self, new: &NewSync) -> Result<SyncId, Error> {
        let mut data = self.data();
        if let Some(once) = &new.once {
            data.started_once.retain(|(earlier, ..)| earlier.at >= once.forget_before);
            let mut earlier = data.started_once.iter();
            let is_same = |(earlier, by, _): &&(NewSync, OnceOnly, SyncId)| {
                earlier.started_by == new.started_by && by.key == once.key
            };
            match earlier.find(is_same) {
                Some((_, by, id)) if by.fingerprint == once.fingerprint => return Ok(*id),
                Some(_) => return Err(Error::IdempotencyKeyReused),
                None => {}
            }
        }
        data.refuse_if_held(&new.path, new.sync_type)?;
        if new.sync_type == SyncType::FullSync {
            data.refuse_above_datasets(&new.path)?;
        }
        let sync_id = SyncId(data.syncs.len() as u64 + 1);
        let sync = Sync {
            org_id: 0,
            sync_id,
            name: new.name.clone(),
            path: new.path.clone(),
            sync_type: new.sync_type,
            sync_status: Status::Syncing,
            start_time: new.at,
            end_time: Timestamp::NOT_YET,
            total_files: 0,
            num_failed: 0,
            num_in_flight: 0,
            size_bytes: 0,
            message: String::new(),
            started_by: new.started_by.clone(),
            expected: None,
            held: None,
        };
        data.syncs.push((SyncRecord { sync, phase: Phase::Open, closing: None }, new.at));
        if let Some(expected) = &new.expected {
            data.expect(sync_id, expected)?;
        }
        if let Some(once) = &new.once {
            data.started_once.push((new.clone(), once.clone(), sync_id));
        }
        Ok(sync_id)
    }

    async fn sync(&self, id: SyncId) -> Result<Option<SyncRecord>, Error> {
        Ok(self.data().syncs.get(index(id.0)).map(|(record, _)| record.clone()))
    }

    async fn syncs(&self, query: &SyncQuery) -> Result<Vec<Sync>, Error> {
        let data = self.data();
        let rows = data.syncs.iter().map(|(record, _)| &record.sync).filter(|sync| {
            query.status.is_none_or(|status| sync.sync_status == status)
                && query.sync_type.is_none_or(|sync_type| sync.sync_type == sync_type)
                && within(query.path.as_ref(), &sync.path)
                && within(query.scope.as_ref(), &sync.path)
                && holds(query.text.as_deref(), [&sync.name, sync.path.as_str()])
        });
        Ok(page_of(rows.cloned().collect(), &query.page))
    }

    async fn close_sync(
        &self,
        id: SyncId,
        closing: &Closing,
        discard_in_flight: bool,
        at: Timestamp,
    ) -> Result<(), Error> {
        let mut data = self.data();
        let open = |row: &&mut UploadRow| row.upload.sync_id == id && row.upload.sync_status == Status::Syncing;
        let named = usize::try_from(IN_FLIGHT_NAMED_MAX).unwrap_or(usize::MAX);
        let in_flight = data.uploads.iter_mut().filter(open).take(named).map(|row| row.upload.clone()).collect();
        may_close(data.record(id)?, in_flight, closing, discard_in_flight)?;
        let mut discarded = 0;
        for row in data.uploads.iter_mut().filter(open) {
            row.upload.sync_status = Status::Failed;
            row.upload.end_time = at;
            row.upload.message = Error::Discarded(id).to_string();
            discarded += 1;
        }
        let record = data.record(id)?;
        record.sync.num_failed += discarded;
        record.sync.num_in_flight = 0;
        record.sync.held = None;
        match closing {
            Closing::Finish => {
                record.phase = Phase::Ended;
                record.sync.sync_status = Status::Finished;
                record.sync.end_time = at;
            }
            Closing::Publish { .. } => record.phase = Phase::Publishing,
            Closing::Abort { .. } => record.phase = Phase::Aborting,
        }
        record.closing = (record.phase != Phase::Ended).then(|| closing.clone());
        Ok(())
    }

    async fn settle_sync(&self, settlement: &Settlement) -> Result<(), Error> {
        let mut data = self.data();
        let record = data.record(settlement.sync_id)?;
        if !matches!(record.phase, Phase::Publishing | Phase::Aborting) {
            return Ok(());
        }
        record.phase = Phase::Ended;
        record.closing = None;
        record.sync.sync_status = settlement.status;
        record.sync.message.clone_from(&settlement.message);
        record.sync.end_time = settlement.at;
        let path = record.sync.path.clone();
        if let Some(trash) = &settlement.trash {
            data.add_trash(trash);
        }
        if settlement.status == Status::Finished {
            data.remember_dataset(path, settlement.sync_id);
        }
        Ok(())
    }

    async fn hold_sync(&self, id: SyncId, replaced: Totals, published: Totals, at: Timestamp) -> Result<Hold, Error> {
        let mut data = self.data();
        let record = data.record(id)?;
        may_accept_uploads(record)?;
        let earlier = record.sync.held;
        let hold = Hold { since: earlier.map_or(at, |earlier| earlier.since), replaced, published };
        record.sync.held = Some(hold);
        if earlier.is_none() {
            data.touch(id, at);
        }
        Ok(hold)
    }

    async fn reopen_sync(&self, id: SyncId) -> Result<(), Error> {
        let mut data = self.data();
        let record = data.record(id)?;
        if record.phase != Phase::Ended {
            record.phase = Phase::Open;
            record.closing = None;
        }
        Ok(())
    }

    async fn closing_syncs(&self) -> Result<Vec<SyncRecord>, Error> {
        let data = self.data();
        Ok(data.syncs.iter().map(|(record, _)| record).filter(|record| record.closing.is_some()).cloned().collect())
    }

    async fn open_syncs(&self) -> Result<Vec<SyncId>, Error> {
        let data = self.data();
        let open = data.syncs.iter().filter(|(record, _)| record.phase != Phase::Ended);
        Ok(open.map(|(record, _)| record.sync.sync_id).collect())
    }

    async fn idle_syncs(&self, before: Timestamp) -> Result<Vec<SyncId>, Error> {
        let data = self.data();
        let idle = data.syncs.iter().filter(|(record, last_activity)| {
            record.phase == Phase::Open && record.sync.num_in_flight == 0 && *last_activity < before
        });
        Ok(idle.map(|(record, _)| record.sync.sync_id).collect())
    }

    async fn datasets(&self, beginning: &str, scope: Option<&LakePath>, size: u64) -> Result<Vec<LakePath>, Error> {
        let mut datasets = self.data().datasets.clone();
        datasets.retain(|(path, _)| path.as_str().starts_with(beginning) && within(scope, path));
        datasets.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        datasets.truncate(usize::try_from(size).unwrap_or(usize::MAX));
        Ok(datasets.into_iter().map(|(path, _)| path).collect())
    }

    async fn forget_dataset(&self, path: &LakePath) -> Result<(), Error> {
        self.data().datasets.retain(|(dataset, _)| dataset != path);
        Ok(())
    }
}

#[async_trait]
impl UploadState for MemoryState {
    async fn begin_upload(&self, new: &NewUpload) -> Result<UploadId, Error> {
        self.data().begin_upload(new)
    }

    async fn refuse_upload(&self, refused: &RefusedUpload) -> Result<UploadId, Error> {
        let mut upload =
            new_upload(refused.sync_id, &refused.file_name, Status::Failed, &refused.message, refused.begun_at);
        upload.end_time = refused.at;
        upload.size_bytes = refused.size_bytes;
        let target = refused.target.clone().unwrap_or_else(|| refused.folder.clone());
        self.data().add_upload(UploadRow { upload, target, partial: None, landed: None }, true)
    }

    async fn intend_landings(&self, uploads: &[WholeUpload]) -> Result<(LandingsId, Vec<Result<(), Error>>), Error> {
        let mut data = self.data();
        let permissions: Vec<_> =
            uploads.iter().map(|upload| may_accept_uploads(data.record(upload.sync_id)?)).collect();
        let allowed = uploads.iter().zip(&permissions).filter(|(_, permission)| permission.is_ok());
        let allowed = allowed.map(|(upload, _)| upload.clone()).collect();
        let id = data.landings.last_key_value().map_or(1, |(id, _)| id + 1);
        data.landings.insert(id, allowed);
        Ok((LandingsId(id), permissions))
    }

    async fn finish_landings(&self, id: LandingsId, landed: &[LandedUpload], at: Timestamp) -> Result<(), Error> {
        let mut data = self.data();
        if data.landings.remove(&id.0).is_none() {
            return Ok(());
        }
        for LandedUpload { upload, trash } in landed {
            data.finish(upload, trash.as_ref(), at)?;
        }
        Ok(())
    }

    async fn unfinished_landings(&self) -> Result<Vec<(LandingsId, Vec<WholeUpload>)>, Error> {
        Ok(self.data().landings.iter().map(|(id, uploads)| (LandingsId(*id), uploads.clone())).collect())
    }

    async fn fail_upload(&self, id: UploadId, message: &str, size_bytes: u64, at: Timestamp) -> Result<(), Error> {
        let mut data = self.data();
        let Some(row) = data.in_flight(id) else { return Ok(()) };
        row.upload.sync_status = Status::Failed;
        row.upload.end_time = at;
        row.upload.size_bytes = size_bytes;
        message.clone_into(&mut row.upload.message);
        let sync_id = row.upload.sync_id;
        let record = data.record(sync_id)?;
        record.sync.num_in_flight -= 1;
        record.sync.num_failed += 1;
        Ok(())
    }

    async fn upload(&self, id: UploadId) -> Result<Option<Upload>, Error> {
        Ok(self.data().uploads.get(index(id.0)).map(|row| row.upload.clone()))
    }

    async fn landed_contents(&self, files: &[(LakePath, Identity)]) -> Result<Vec<Option<LandedContent>>, Error> {
        let data = self.data();
        let content = |(target, identity): &(LakePath, Identity)| {
            let mut landed = data.uploads.iter().rev().filter(|row| row.target == *target);
            landed
                .find_map(|row| row.landed.as_ref().filter(|(landed, _)| landed == identity))
                .map(|(_, content)| *content)
        };
        Ok(files.iter().map(content).collect())
    }

    async fn uploads(&self, query: &UploadQuery) -> Result<Vec<Upload>, Error> {
        let data = self.data();
        let rows = data.uploads.iter().filter(|UploadRow { upload, target, .. }| {
            query.sync_id.is_none_or(|id| upload.sync_id == id)
                && query.status.is_none_or(|status| upload.sync_status == status)
                && within(query.path.as_ref(), target)
                && within(query.scope.as_ref(), target)
                && holds(query.text.as_deref(), [&upload.file_name, target.as_str()])
        });
        Ok(page_of(rows.map(|row| row.upload.clone()).collect(), &query.page))
    }

    async fn unfinished_uploads(&self) -> Result<Vec<UnfinishedUpload>, Error> {
        let data = self.data();
        let can_be_resumed = |id: UploadId| data.resumables.values().any(|resumable| resumable.upload_id == Some(id));
        let unfinished = data
            .uploads
            .iter()
            .filter(|row| row.upload.sync_status == Status::Syncing && !can_be_resumed(row.upload.history_id));
        Ok(unfinished
            .filter_map(|row| {
                Some(UnfinishedUpload { upload_id: row.upload.history_id, partial: row.partial.clone()? })
            })
            .collect())
    }
}

#[async_trait]
impl TrashState for MemoryState {
    async fn trash(&self, query: &TrashQuery) -> Result<Vec<TrashEntry>, Error> {
        let data = self.data();
        let kept = data.trash.iter().filter(|(_, fate)| *fate == Fate::Kept).map(|(record, _)| &record.entry);
        let rows = kept.filter(|entry| {
            within(query.path.as_ref(), &entry.origin)
                && within(query.scope.as_ref(), &entry.origin)
                && holds(query.text.as_deref(), [entry.origin.as_str(), &entry.trashed_by])
        });
        Ok(page_of(rows.cloned().collect(), &query.page))
    }

    async fn trash_record(&self, id: TrashId) -> Result<Option<TrashRecord>, Error> {
        Ok(self.data().kept_trash(id).map(|(record, _)| record.clone()))
    }

    async fn begin_restore(&self, id: TrashId, identity: &Identity, by: &str) -> Result<(), Error> {
        let mut data = self.data();
        let entry = data.kept_trash(id).map(|(record, _)| record.entry.clone()).ok_or(Error::NoSuchTrash(id))?;
        let shares_as = match entry.kind {
            TrashKind::Dataset => SyncType::FullSync,
            TrashKind::File => SyncType::IncrementalSync,
        };
        data.refuse_if_held(&entry.origin, shares_as)?;
        if entry.kind == TrashKind::Dataset {
            data.refuse_above_datasets(&entry.origin)?;
        }
        if let Some((record, _)) = data.kept_trash(id) {
            record.restoring = Some((identity.clone(), by.to_owned()));
        }
        Ok(())
    }

    async fn finish_restore(&self, id: TrashId, replaced: Option<&NewTrash>, at: Timestamp) -> Result<(), Error> {
        let mut data = self.data();
        let Some((record, fate)) = data.kept_trash(id) else { return Ok(()) };
        record.restoring = None;
        *fate = Fate::Restored(at);
        if let Some(trash) = replaced {
            data.add_trash(trash);
        }
        Ok(())
    }

    async fn cancel_restore(&self, id: TrashId) -> Result<(), Error> {
        if let Some((record, _)) = self.data().kept_trash(id) {
            record.restoring = None;
        }
        Ok(())
    }

    async fn unfinished_restores(&self) -> Result<Vec<TrashRecord>, Error> {
        let data = self.data();
        Ok(data.trash.iter().map(|(record, _)| record).filter(|record| record.restoring.is_some()).cloned().collect())
    }

    async fn uncounted_trash(&self, size: u64) -> Result<Vec<TrashRecord>, Error> {
        let data = self.data();
        let kept = data.trash.iter().filter(|(record, fate)| *fate == Fate::Kept && record.entry.totals.is_none());
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        Ok(kept.map(|(record, _)| record.clone()).take(size).collect())
    }

    async fn count_trash(&self, id: TrashId, totals: Totals) -> Result<(), Error> {
        if let Some((record, _)) = self.data().kept_trash(id) {
            record.entry.totals = Some(totals);
        }
        Ok(())
    }

    async fn begin_emptying(
        &self,
        doomed: &Doomed,
        size: u64,
        _by: &str,
        _at: Timestamp,
    ) -> Result<Vec<TrashEntry>, Error> {
        self.data().doom(doomed, size)
    }

    async fn emptying_trash(&self, after: TrashId, size: u64) -> Result<Vec<(TrashId, TrashKey)>, Error> {
        let data = self.data();
        let emptying = data.trash.iter().filter(|(_, fate)| *fate == Fate::Emptying);
        let pieces = emptying.map(|(record, _)| (record.entry.trash_id, record.key.clone()));
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        Ok(pieces.filter(|(id, _)| *id > after).take(size).collect())
    }

    async fn finish_emptying(&self, ids: &[TrashId], _at: Timestamp) -> Result<(), Error> {
        let mut data = self.data();
        for id in ids {
            if let Some((_, fate)) = data.trash.get_mut(index(id.0)).filter(|(_, fate)| *fate == Fate::Emptying) {
                *fate = Fate::Emptied;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl KeyState for MemoryState {
    async fn create_key(&self, new: &NewKey, hint: &str, hash: &SecretHash, at: Timestamp) -> Result<Key, Error> {
        let mut data = self.data();
        let key = Key {
            key_id: KeyId(data.keys.len() as u64 + 1),
            name: new.name.clone(),
            role: new.role,
            path_prefix: new.path_prefix.clone(),
            hint: hint.to_owned(),
            created_at: at,
            expires_at: new.expires_at,
            last_used_at: None,
            revoked_at: None,
        };
        data.keys.push((key.clone(), *hash));
        Ok(key)
    }

    async fn keys(&self) -> Result<Vec<Key>, Error> {
        Ok(self.data().keys.iter().map(|(key, _)| key.clone()).collect())
    }

    async fn key_of(&self, hash: &SecretHash) -> Result<Option<Key>, Error> {
        Ok(self.data().keys.iter().find(|(_, kept)| kept == hash).map(|(key, _)| key.clone()))
    }

    async fn revoke_key(&self, id: KeyId, at: Timestamp) -> Result<bool, Error> {
        let mut data = self.data();
        data.sessions.retain(|(_, key, _)| *key != Some(id));
        match data.keys.get_mut(index(id.0)) {
            Some((key, _)) if key.revoked_at.is_none() => {
                key.revoked_at = Some(at);
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    async fn touch_key(&self, id: KeyId, at: Timestamp) -> Result<(), Error> {
        if let Some((key, _)) = self.data().keys.get_mut(index(id.0)) {
            key.last_used_at = Some(at);
        }
        Ok(())
    }

    async fn begin_session(&self, hash: &SecretHash, key: Option<KeyId>, expires_at: Timestamp) -> Result<(), Error> {
        self.data().sessions.push((*hash, key, expires_at));
        Ok(())
    }

    async fn session(&self, hash: &SecretHash, now: Timestamp) -> Result<Option<Option<Key>>, Error> {
        let data = self.data();
        let session = data.sessions.iter().find(|(kept, _, expires_at)| kept == hash && now < *expires_at);
        let key_of = |id: KeyId| data.keys.get(index(id.0)).map(|(key, _)| key.clone());
        Ok(session.map(|(_, key, _)| key.and_then(key_of)))
    }

    async fn end_session(&self, hash: &SecretHash) -> Result<(), Error> {
        self.data().sessions.retain(|(kept, _, _)| kept != hash);
        Ok(())
    }

    async fn offer_sign_in(&self, hash: &SecretHash, expires_at: Timestamp) -> Result<(), Error> {
        self.data().sign_in = Some((*hash, expires_at));
        Ok(())
    }

    async fn take_sign_in(&self, hash: &SecretHash, now: Timestamp) -> Result<bool, Error> {
        let taken = self.data().sign_in.take_if(|(kept, expires_at)| kept == hash && now < *expires_at);
        Ok(taken.is_some())
    }

    async fn is_unclaimed(&self) -> Result<bool, Error> {
        let data = self.data();
        Ok(data.keys.is_empty() && data.sessions.is_empty())
    }
}

impl State for MemoryState {
    fn space(&self) -> Result<Space, Error> {
        Ok(Space::UNBOUNDED)
    }
}
