//! Service of the lake: applies every rule, for REST and for the pages.
//!
//! A call that changes something must run to its end once begun, so its future must not be dropped early (the server
//! runs each request as a task of its own). Calls that a crash interrupts are finished by [`recovery`].

mod access;
mod audit;
mod check;
mod datasets;
mod events;
mod expiry;
mod nodes;
mod overview;
mod recovery;
mod reserve;
mod search;
mod snapshots;
mod syncs;
mod trash;
mod uploads;
mod versions;
mod weak_map;

pub use access::keys::KeyRing;
pub use access::sessions::BegunSession;
pub use check::{CheckOptions, Checked, Finding, FindingKind};
pub use datasets::reading::Download;
pub use datasets::schemas::InspectedFiles;
pub use events::{SerializedEvent, Subscription};
pub use recovery::Recovered;
pub use snapshots::SnapshotRemoval;
pub use uploads::destination::{Destination, RefusedBeginning};
pub use uploads::receive::IncomingUpload;
pub use uploads::resumable::ResumableSession;

use crate::model::clock_watch::ClockWatch;
use crate::model::error::Error;
use crate::model::limits::{FOLDER_LISTS_SHARE_MAX, PREVIEWS_SHARE_MAX, SEARCHES_SHARE_MAX};
use crate::model::settings::Limits;
use crate::model::time::Timestamp;
use crate::ports::{Clock, Files, Formats, Randomness, State, random_bytes};
use access::caller_turns::CallerTurns;
use access::failed_sign_ins::FailedSignIns;
use audit::Refusals;
use datasets::lateness::Lateness;
use datasets::table::Tables;
use events::Events;
use expiry::Watched;
use reserve::Reserve;
use snapshots::Snapshots;
use std::sync::{Arc, OnceLock};
use syncs::dataset_size_cache::DatasetSizeCache;
use syncs::difference::Comparisons;
use syncs::sync_lock::SyncLocks;
use uploads::commit_queue::CommitQueue;
use uploads::failures::Failures;
use uploads::in_flight::InFlight;
use uploads::leftovers::Leftovers;
use uploads::resumable::UploadLocks;
use uploads::reuse_unchanged::FileCopies;
use versions::Moves;
use versions::RunningRestores;

/// The lake. Cheap to clone.
#[derive(Clone)]
pub struct Lake(Arc<Inner>);

struct Inner {
    state: Arc<dyn State>,
    files: Arc<dyn Files>,
    formats: Arc<dyn Formats>,
    clock: Arc<dyn Clock>,
    clock_watch: Watched,
    randomness: Arc<dyn Randomness>,
    limits: Limits,
    /// Of a lake on object storage.
    tables: OnceLock<Tables>,
    /// No request was received before.
    started_at: Timestamp,
    sync_locks: SyncLocks,
    commit_queue: CommitQueue,
    failures: Failures,
    leftovers: Leftovers,
    reserve: Reserve,
    upload_locks: UploadLocks,
    file_copies: FileCopies,
    comparisons: Comparisons,
    events: Events,
    in_flight: InFlight,
    lateness: Lateness,
    size_cache: DatasetSizeCache,
    refusals: Refusals,
    previews: CallerTurns,
    /// Held while landed files are read, by one task at a time.
    inspecting: async_lock::Mutex<()>,
    /// Held during a restore from the trash.
    restoring: async_lock::Mutex<()>,
    running_restores: RunningRestores,
    snapshots: Snapshots,
    moves: Moves,
    searches: CallerTurns,
    folder_lists: CallerTurns,
    failed_sign_ins: FailedSignIns,
}

/// Ports and limits from which a lake is built.
pub struct Parts {
    pub state: Arc<dyn State>,
    pub files: Arc<dyn Files>,
    pub formats: Arc<dyn Formats>,
    pub clock: Arc<dyn Clock>,
    pub randomness: Arc<dyn Randomness>,
    pub limits: Limits,
}

impl Lake {
    pub fn new(parts: Parts) -> Self {
        let Parts { state, files, formats, clock, randomness, limits } = parts;
        let events = Events::new(clock.now(), &*randomness);
        let started_at = clock.now();
        let clock_watch = Watched::new(ClockWatch::resume(None, clock.reading()).0);
        Self(Arc::new(Inner {
            started_at,
            state,
            files,
            formats,
            clock,
            clock_watch,
            randomness,
            limits,
            tables: OnceLock::new(),
            sync_locks: SyncLocks::default(),
            commit_queue: CommitQueue::default(),
            failures: Failures::default(),
            leftovers: Leftovers::default(),
            reserve: Reserve::default(),
            upload_locks: UploadLocks::default(),
            file_copies: FileCopies::default(),
            comparisons: Comparisons::default(),
            events,
            in_flight: InFlight::default(),
            lateness: Lateness::default(),
            size_cache: DatasetSizeCache::default(),
            refusals: Refusals::default(),
            previews: CallerTurns::new("previews", PREVIEWS_SHARE_MAX),
            inspecting: async_lock::Mutex::default(),
            restoring: async_lock::Mutex::default(),
            running_restores: RunningRestores::default(),
            snapshots: Snapshots::default(),
            moves: Moves::default(),
            searches: CallerTurns::new("searches", SEARCHES_SHARE_MAX),
            folder_lists: CallerTurns::new("folder lists", FOLDER_LISTS_SHARE_MAX),
            failed_sign_ins: FailedSignIns::default(),
        }))
    }

    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    fn random<const N: usize>(&self) -> Result<[u8; N], Error> {
        random_bytes(&*self.0.randomness)
    }
}
