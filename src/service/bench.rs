//! A lake in memory whose steps fail when a test wants that, and whose pauses end when it lets them.

use super::{Lake, Parts};
use crate::model::access::key::{Caller, Grant};
use crate::model::access::role::Role;
use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::page::ListParameters;
use crate::model::settings::Limits;
use crate::model::sync::start::StartSync;
use crate::model::sync::status::{Status, SyncType};
use crate::model::time::Timestamp;
use crate::ports::Clock;
use crate::ports::memory::{CountingRandomness, MemoryFiles, MemoryFormats, MemoryState};
use async_trait::async_trait;
use bytes::Bytes;
use pollster::block_on;
use std::sync::Arc;
use std::time::Duration;

/// Pauses end when somebody lets them.
pub(super) struct Stopwatch {
    pub(super) ends: async_lock::Semaphore,
}

#[async_trait]
impl Clock for Stopwatch {
    fn now(&self) -> Timestamp {
        Timestamp(1000)
    }

    fn steady(&self) -> Duration {
        Duration::from_secs(1)
    }

    async fn pause(&self, _length: Duration) {
        self.ends.acquire().await.forget();
    }
}

pub(super) struct Bench {
    pub(super) lake: Lake,
    pub(super) files: MemoryFiles,
    pub(super) state: MemoryState,
    pub(super) clock: Arc<Stopwatch>,
    pub(super) sync_id: SyncId,
}

pub(super) fn caller() -> Caller {
    Caller::Known(Grant::new("etl", Role::Admin, None))
}

/// A lake in which so many pauses end at once.
pub(super) fn bench(pauses: usize) -> Bench {
    let (files, state) = (MemoryFiles::default(), MemoryState::default());
    let clock = Arc::new(Stopwatch { ends: async_lock::Semaphore::new(pauses) });
    let lake = Lake::new(Parts {
        state: Arc::new(state.clone()),
        files: Arc::new(files.clone()),
        formats: Arc::new(MemoryFormats),
        clock: clock.clone(),
        randomness: Arc::new(CountingRandomness::default()),
        limits: Limits::default(),
    });
    let sync_type = SyncType::IncrementalSync;
    let start = StartSync { name: "n".into(), path: "/a".into(), sync_type, expected: None };
    let sync_id = block_on(lake.start_sync(&caller(), &start)).unwrap();
    Bench { lake, files, state, clock, sync_id }
}

impl Bench {
    pub(super) async fn upload(&self, name: &str, size: usize) -> Result<(), Error> {
        let mut upload = self.lake.destination(&caller(), self.sync_id, None).await?.begin(name).await?;
        let written = upload.write(Bytes::from(vec![b'x'; size])).await;
        match written {
            Ok(()) => upload.land().await.map(drop),
            Err(error) => upload.fail(&error).await.and(Err(error)),
        }
    }

    /// Another lake on the same state and files, as after a kill.
    pub(super) fn restart(self) -> Self {
        let lake = Lake::new(Parts {
            state: Arc::new(self.state.clone()),
            files: Arc::new(self.files.clone()),
            formats: Arc::new(MemoryFormats),
            clock: self.clock.clone(),
            randomness: Arc::new(CountingRandomness::default()),
            limits: Limits::default(),
        });
        Self { lake, ..self }
    }

    pub(super) fn fail(&self, call: &'static str, errors: Vec<Error>) {
        if ["create_partial", "write_group", "seal", "land", "land_synced", "recover_landing"].contains(&call) {
            self.files.fail_next(call, errors);
        } else {
            self.state.fail_next(call, errors);
        }
    }

    pub(super) async fn statuses(&self) -> Vec<Status> {
        let uploads = self.lake.uploads(&caller(), &ListParameters::default()).await.unwrap();
        uploads.into_iter().map(|upload| upload.sync_status).collect()
    }
}

pub(super) const SMALL: usize = 10;
/// Has a partial file and a row before it lands.
pub(super) const LARGE: usize = 1024 * 1024;
