//! Syncs.

use super::{Data, MemoryState, UploadRow, holds, index, page_of, within};
use crate::model::access::actor::Actor;
use crate::model::audit::Deed;
use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::limits::IN_FLIGHT_NAMED_MAX;
use crate::model::page::SyncQuery;
use crate::model::path::LakePath;
use crate::model::sync::end::Settlement;
use crate::model::sync::hold::Hold;
use crate::model::sync::job::{
    Closing, Phase, Supersede, Sync, SyncRecord, gives_way, may_accept_uploads, may_close, superseded_by,
};
use crate::model::sync::start::{NewSync, OnceOnly};
use crate::model::sync::status::{Status, SyncType};
use crate::model::time::Timestamp;
use crate::ports::metadata::sync::SyncState;
use async_trait::async_trait;

#[async_trait]
impl SyncState for MemoryState {
    async fn start_sync(&self, new: &NewSync) -> Result<SyncId, Error> {
        self.data().start_sync(new, None)
    }

    async fn supersede_sync(&self, new: &NewSync, supersede: &Supersede) -> Result<SyncId, Error> {
        let mut data = self.data();
        let gives_way = data
            .syncs
            .get(index(supersede.sync_id.0))
            .is_some_and(|(record, last_activity)| gives_way(record, *last_activity, &new.path, supersede));
        let superseded = gives_way.then_some(supersede.sync_id);
        let known = data.syncs.len();
        let sync_id = data.start_sync(new, superseded)?;
        // One that an earlier call has started supersedes nothing.
        if let Some(superseded) = superseded.filter(|_| data.syncs.len() > known) {
            data.close_sync(superseded, &superseded_by(sync_id, new.started_by.clone()), true, new.at)?;
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
        self.data().close_sync(id, closing, discard_in_flight, at)
    }

    async fn settle_sync(&self, settlement: &Settlement) -> Result<(), Error> {
        let mut data = self.data();
        data.faults.next("settle_sync")?;
        let record = data.record(settlement.sync_id)?;
        if !matches!(record.phase, Phase::Publishing | Phase::Aborting) {
            return Ok(());
        }
        record.phase = Phase::Ended;
        let closing = record.closing.take();
        record.sync.sync_status = settlement.status;
        record.sync.message.clone_from(&settlement.message);
        record.sync.end_time = settlement.at;
        let path = record.sync.path.clone();
        let deed = closing.map(|closing| Deed::sync_settled(&record.sync, &closing, settlement));
        deed.into_iter().for_each(|deed| data.remember(deed));
        if let Some(trash) = &settlement.trash {
            data.add_trash(trash);
        }
        if settlement.status == Status::Finished {
            data.remember_dataset(&path, settlement.sync_id, settlement.at);
            data.touch_datasets(&path);
            data.remember_good(settlement.sync_id);
        }
        Ok(())
    }

    async fn hold_sync(&self, id: SyncId, hold: Hold, by: &Actor) -> Result<Hold, Error> {
        let mut data = self.data();
        let record = data.record(id)?;
        may_accept_uploads(record)?;
        let earlier = record.sync.held;
        let at = hold.since;
        let hold = Hold { since: earlier.map_or(at, |earlier| earlier.since), ..hold };
        record.sync.held = Some(hold);
        if earlier.is_none() {
            let deed = Deed::sync_held(&record.sync, &hold, by);
            data.remember(deed);
            data.touch(id, at);
        }
        Ok(hold)
    }

    async fn reopen_sync(&self, id: SyncId, why: &str, at: Timestamp) -> Result<(), Error> {
        let mut data = self.data();
        let record = data.record(id)?;
        if record.phase != Phase::Ended {
            record.phase = Phase::Open;
            let closing = record.closing.take();
            let deed = closing.map(|closing| Deed::sync_reopened(&record.sync, &closing, why, at));
            deed.into_iter().for_each(|deed| data.remember(deed));
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
        let data = self.data();
        let mut datasets: Vec<_> =
            data.datasets.iter().map(|row| (row.record.path.clone(), row.record.last_sync_id)).collect();
        datasets.retain(|(path, _)| path.as_str().starts_with(beginning) && within(scope, path));
        datasets.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        datasets.truncate(usize::try_from(size).unwrap_or(usize::MAX));
        Ok(datasets.into_iter().map(|(path, _)| path).collect())
    }

    async fn forget_dataset(&self, path: &LakePath) -> Result<(), Error> {
        self.data().datasets.retain(|row| row.record.path != *path);
        Ok(())
    }
}

impl Data {
    /// Starts a sync beside `superseded`, which is about to be closed.
    fn start_sync(&mut self, new: &NewSync, superseded: Option<SyncId>) -> Result<SyncId, Error> {
        if let Some(once) = &new.once {
            self.started_once.retain(|(earlier, ..)| earlier.at >= once.forget_before);
            let mut earlier = self.started_once.iter();
            let is_same = |(_, by, _): &&(NewSync, OnceOnly, SyncId)| by.owner == once.owner && by.key == once.key;
            match earlier.find(is_same) {
                Some((_, by, id)) if by.fingerprint == once.fingerprint => return Ok(*id),
                Some(_) => return Err(Error::IdempotencyKeyReused),
                None => {}
            }
        }
        self.refuse_if_held(&new.path, new.sync_type, superseded)?;
        if new.sync_type == SyncType::FullSync {
            self.refuse_above_datasets(&new.path)?;
        }
        let sync_id = SyncId(self.syncs.len() as u64 + 1);
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
            num_unlisted: 0,
            size_bytes: 0,
            message: String::new(),
            started_by: new.started_by.name.clone(),
            expected: None,
            held: None,
            num_schema_differences: 0,
            num_duplicates: 0,
            duplicate_names: Vec::new(),
        };
        self.syncs.push((SyncRecord { sync, phase: Phase::Open, closing: None }, new.at));
        if let Some(expected) = &new.expected {
            self.expect(sync_id, expected)?;
        }
        if let Some(once) = &new.once {
            self.started_once.push((new.clone(), once.clone(), sync_id));
        }
        self.remember(Deed::sync_started(sync_id, new));
        Ok(sync_id)
    }

    fn close_sync(
        &mut self,
        id: SyncId,
        closing: &Closing,
        discard_in_flight: bool,
        at: Timestamp,
    ) -> Result<(), Error> {
        let open = |row: &&mut UploadRow| row.upload.sync_id == id && row.upload.sync_status == Status::Syncing;
        let named = usize::try_from(IN_FLIGHT_NAMED_MAX).unwrap_or(usize::MAX);
        let in_flight = self.uploads.iter_mut().filter(open).take(named).map(|row| row.upload.clone()).collect();
        may_close(self.record(id)?, in_flight, closing, discard_in_flight)?;
        let mut discarded = 0;
        for row in self.uploads.iter_mut().filter(open) {
            row.upload.sync_status = Status::Failed;
            row.upload.end_time = at;
            row.upload.message = closing.discard_message(id);
            discarded += 1;
        }
        let record = self.record(id)?;
        let mut deeds = Deed::closing(record, closing, discarded, at);
        record.sync.num_failed += discarded;
        record.sync.num_in_flight = 0;
        record.sync.held = None;
        match closing {
            Closing::Finish { by } => {
                record.phase = Phase::Ended;
                record.sync.sync_status = Status::Finished;
                record.sync.end_time = at;
                deeds.push(Deed::sync_finished(&record.sync, by, at));
            }
            Closing::Publish { .. } => record.phase = Phase::Publishing,
            Closing::Abort { .. } => record.phase = Phase::Aborting,
        }
        record.closing = (record.phase != Phase::Ended).then(|| closing.clone());
        if record.phase == Phase::Ended {
            self.remember_good(id);
        }
        deeds.into_iter().for_each(|deed| self.remember(deed));
        Ok(())
    }
}
