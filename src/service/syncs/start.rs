//! Start of syncs, access to them, and expiry of idle ones.

use crate::model::access::key::{Caller, may_write};
use crate::model::error::Error;
use crate::model::id::{SyncId, VersionNumber};
use crate::model::limits::{IDEMPOTENCY_LIFETIME, LABEL_BYTES_MAX};
use crate::model::page::{ListParameters, Page, SyncQuery, UploadQuery};
use crate::model::path::LakePath;
use crate::model::storage_path::StoragePath;
use crate::model::sync::idempotency::{Fingerprint, IdempotencyKey};
use crate::model::sync::job::{Phase, Supersede, SyncJob, SyncRecord};
use crate::model::sync::start::{IdempotentStart, NewSync, StartSync};
use crate::model::sync::status::SyncType;
use crate::model::upload::row::Upload;
use crate::service::Lake;

impl Lake {
    pub async fn start_sync(&self, caller: &Caller, start: &StartSync) -> Result<SyncId, Error> {
        self.start_sync_once(caller, start.clone(), None).await
    }

    /// Starts a sync. For a key that the caller has sent before with the same call, returns the sync started then.
    pub async fn start_sync_once(
        &self,
        caller: &Caller,
        start: StartSync,
        key: Option<&IdempotencyKey>,
    ) -> Result<SyncId, Error> {
        caller.may_write_somewhere()?;
        let path = LakePath::parse(&start.path)?;
        may_write(caller, &path)?;
        if start.name.len() > LABEL_BYTES_MAX {
            return Err(Error::Invalid(format!("the name is longer than {LABEL_BYTES_MAX} bytes; shorten it")));
        }
        let once = key.map(|key| self.once_only(caller, key, &start)).transpose()?;
        let expected = start.expected.map(|expected| expected.parse(&path)).transpose()?;
        let new = NewSync {
            name: start.name,
            path,
            sync_type: start.sync_type,
            started_by: caller.actor(),
            expected,
            once,
            restores_version: None,
            at: self.now(),
        };
        let started = match self.remember_start(&new, None).await {
            Err(refusal @ Error::PathHeld { .. }) => self.supersede(&new, refusal).await,
            result => result,
        };
        let started = started.map_err(|refusal| refusal.for_caller(caller));
        if let Ok(id) = &started {
            // A sync that an earlier call started is recognised by its time.
            self.0.events.pending_changes().sync(*id).started_at = Some(new.at);
            // A sync with a key may have begun long ago.
            if new.sync_type == SyncType::FullSync
                && !self.0.state.has_other_nodes()
                && (new.once.is_none() || self.record(*id).await.is_ok_and(|record| record.sync.start_time == new.at))
            {
                self.0.size_cache.began(*id);
            }
        }
        started
    }

    /// Starts the sync by which the lake restores a version. It does not supersede the sync that blocks it: the caller
    /// decides about that one.
    pub(in crate::service) async fn start_restore(
        &self,
        caller: &Caller,
        dataset: &LakePath,
        version: VersionNumber,
    ) -> Result<SyncId, Error> {
        let new = NewSync {
            name: format!("restore of version {version}"),
            path: dataset.clone(),
            sync_type: SyncType::FullSync,
            started_by: caller.actor(),
            expected: None,
            once: None,
            restores_version: Some(version),
            at: self.now(),
        };
        let id = self.remember_start(&new, None).await.map_err(|refusal| refusal.for_caller(caller))?;
        self.0.events.pending_changes().sync(id).started_at = Some(new.at);
        if !self.0.state.has_other_nodes() {
            self.0.size_cache.began(id);
        }
        Ok(id)
    }

    /// Refuses as the start of a full sync on this path would.
    pub(in crate::service) async fn check_start_full(&self, caller: &Caller, path: &LakePath) -> Result<(), Error> {
        let check = async || self.0.state.check_start(path, SyncType::FullSync).await;
        let checked = match check().await {
            Err(Error::DatasetsBelow { below, .. }) if self.delete_missing_datasets(&below).await? => check().await,
            checked => checked,
        };
        checked.map_err(|refusal| refusal.for_caller(caller))
    }

    async fn remember_start(&self, new: &NewSync, supersede: Option<&Supersede>) -> Result<SyncId, Error> {
        let attempt = async || match supersede {
            None => self.0.state.start_sync(new).await,
            Some(supersede) => self.0.state.supersede_sync(new, supersede).await,
        };
        match attempt().await {
            // Datasets removed from the lake by hand must not block the path forever.
            Err(Error::DatasetsBelow { below, .. }) if self.delete_missing_datasets(&below).await? => attempt().await,
            result => result,
        }
    }

    /// Starts a sync in place of the one that blocks it, if that one may be superseded; otherwise returns the refusal.
    async fn supersede(&self, new: &NewSync, refusal: Error) -> Result<SyncId, Error> {
        let (Some(silence), Error::PathHeld { sync_id: old, sync_type: SyncType::FullSync, held_path, .. }) =
            (self.0.limits.supersede_after, &refusal)
        else {
            return Err(refusal);
        };
        let old = *old;
        let silent_since = self.silent_since(silence);
        let is_called = self.0.started_at > silent_since || self.0.sync_locks.last_call(old) > Some(silent_since);
        // Most starts that meet another sync end here, without waiting for its landings.
        if *held_path != new.path || (is_called && self.record(old).await?.sync.held.is_none()) {
            return Err(refusal);
        }
        let lock = self.0.sync_locks.of(old);
        // Waits for landings in progress, and excludes a concurrent end.
        let _exclusive = self.lock_exclusive(&lock).await?;
        // A failed upload would count as in flight.
        self.remember_failures_of(old).await?;
        let num_idle_uploads = self.num_idle_of(old, silent_since).await?;
        let supersede = Supersede { sync_id: old, silent_since, num_idle_uploads };
        let started = self.remember_start(new, Some(&supersede)).await?;
        let record = self.record(old).await?;
        if record.phase == Phase::Aborting {
            self.finish_superseded(&lock, &record, started).await;
        }
        Ok(started)
    }

    fn once_only(&self, caller: &Caller, key: &IdempotencyKey, start: &StartSync) -> Result<IdempotentStart, Error> {
        let fingerprint = Fingerprint::of(start)?;
        let (owner, expired_before) = (caller.principal(), self.older_than(IDEMPOTENCY_LIFETIME));
        Ok(IdempotentStart { owner, key: key.clone(), fingerprint, expired_before })
    }

    /// True when at least one of `datasets` no longer existed.
    pub(in crate::service) async fn delete_missing_datasets(&self, datasets: &[LakePath]) -> Result<bool, Error> {
        let mut any_missing = false;
        for dataset in datasets {
            if !self.0.files.exists(&StoragePath::Live(dataset.clone())).await? {
                self.0.state.delete_dataset(dataset).await?;
                any_missing = true;
            }
        }
        Ok(any_missing)
    }

    /// The sync, or the error that it does not exist.
    pub(in crate::service) async fn record(&self, id: SyncId) -> Result<SyncRecord, Error> {
        self.0.state.sync(id).await?.ok_or(Error::NoSuchSync(id))
    }

    /// Sync that the caller may see. One outside its prefix is reported as missing.
    pub async fn sync(&self, caller: &Caller, id: SyncId) -> Result<SyncJob, Error> {
        caller.may_read()?;
        Ok(self.seen(caller, id).await?.sync)
    }

    async fn seen(&self, caller: &Caller, id: SyncId) -> Result<SyncRecord, Error> {
        let record = self.record(id).await?;
        if caller.sees(&record.sync.path) { Ok(record) } else { Err(Error::NoSuchSync(id)) }
    }

    /// Sync that the caller may change. Checks its general rights before any look-up.
    pub(in crate::service) async fn writable(&self, caller: &Caller, id: SyncId) -> Result<SyncRecord, Error> {
        caller.may_write_somewhere()?;
        self.seen(caller, id).await
    }

    pub async fn syncs(&self, caller: &Caller, parameters: &ListParameters) -> Result<Vec<SyncJob>, Error> {
        let scope = caller.may_read()?;
        let query = SyncQuery {
            page: Page::new(parameters.from, parameters.size, parameters.order)?,
            status: parameters.status,
            sync_type: parameters.sync_type,
            path: parameters.path.clone(),
            text: parameters.q.clone().filter(|text| !text.is_empty()),
            scope,
        };
        let _turn = self.search_turn(caller, query.text.as_deref()).await?;
        self.0.state.syncs(&query).await
    }

    pub async fn uploads(&self, caller: &Caller, parameters: &ListParameters) -> Result<Vec<Upload>, Error> {
        let scope = caller.may_read()?;
        let query = UploadQuery {
            page: Page::new(parameters.from, parameters.size, parameters.order)?,
            sync_id: parameters.sync_id,
            status: parameters.status,
            path: parameters.path.clone(),
            text: parameters.q.clone().filter(|text| !text.is_empty()),
            scope,
        };
        let _turn = self.search_turn(caller, query.text.as_deref()).await?;
        self.0.state.uploads(&query).await
    }

    /// Datasets that begin with the text, for suggestions: at most 20.
    pub async fn datasets(&self, caller: &Caller, beginning: &str) -> Result<Vec<LakePath>, Error> {
        const SUGGESTIONS_MAX: u64 = 20;
        let scope = caller.may_read()?;
        self.0.state.datasets(beginning, scope.as_ref(), SUGGESTIONS_MAX).await
    }

    /// Completes syncs that a fault interrupted: closed, and neither published nor moved to the trash.
    pub async fn resume_closings(&self) -> Result<(), Error> {
        let closing = self.0.state.closing_syncs().await?;
        let mut resumed = Ok(());
        for record in closing {
            let lock = self.0.sync_locks.of(record.sync.sync_id);
            let _exclusive = self.lock_exclusive(&lock).await?;
            // A sync that stays incomplete does not stop the others.
            resumed = self.resume_closing(record.sync.sync_id).await.map(drop).and(resumed);
        }
        resumed
    }

    /// Fails syncs without an upload for [`crate::model::settings::Limits::sync_idle_max`].
    pub async fn expire_idle_syncs(&self) -> Result<usize, Error> {
        let idle_max = self.0.limits.sync_idle_max;
        let idle_before = self.older_than(idle_max);
        let idle = self.0.state.idle_syncs(idle_before).await?;
        let message = format!("expired: no upload for {} minutes", idle_max.as_secs() / 60);
        let mut expired = 0;
        for id in idle {
            let mut message = message.clone();
            if self.record(id).await?.sync.held.is_some() {
                message.push_str("; it was held, because it would have shrunk the dataset");
            }
            match self.expire(id, message, idle_before).await {
                Ok(true) => expired += 1,
                // The sync was used again, or ended, in between.
                Ok(false)
                | Err(
                    Error::UploadsInFlight { .. } | Error::SyncEnded { .. } | Error::SyncEnding(_) | Error::SyncBusy(_),
                ) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(expired)
    }
}
