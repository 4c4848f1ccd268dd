//! The lake's one service: every rule is applied here, whichever door a request came by.
//!
//! A call that changes something must run to its end once begun: whoever holds the future must not drop it half way
//! (the server runs each request as a task of its own). What a crash interrupts, [`recovery`] finishes.

mod activity;
mod batches;
#[cfg(test)]
mod bench;
mod browsing;
mod caller_turns;
mod check;
mod content;
mod datasets;
mod difference;
mod emptying;
mod events;
mod expiry;
mod failures;
mod gate;
mod guard;
mod in_flight;
mod keys;
mod landings;
mod lateness;
mod led_queue;
mod leftovers;
mod measures;
mod missing;
mod overview;
mod patience;
mod preview;
mod publish;
mod reading;
mod recovery;
mod reserve;
mod restoring;
mod resumable;
mod row_tally;
mod schemas;
mod search;
mod sessions;
mod syncs;
mod take_over;
mod timeline;
mod trash;
mod trash_contents;
mod unsettled;
mod uploads;
mod wrong_sign_ins;

pub use batches::ExpectFiles;
pub use browsing::{BrowseFolder, Browsed, FolderSort};
pub use check::{CheckOptions, Checked, Finding, FindingKind};
pub use emptying::{Emptied, EmptyTrash};
pub use events::{EventFilter, Subscription, Told};
pub use keys::KeyRing;
pub use missing::{Missing, Offer, OfferedFile};
pub use publish::EndPreview;
pub use reading::{Download, LakeEntry};
pub use recovery::Recovered;
pub use restoring::{NotRestored, RestoreTrash, RestoredTrash};
pub use resumable::{NewResumption, Resumption};
pub use schemas::{DatasetSchema, InspectedFiles, SetSchemaPolicy};
pub use sessions::BegunSession;
pub use syncs::{EndSync, StartSync};
pub use timeline::{Timeline, TimelineUpload};
pub use trash_contents::{InTrash, LookIntoTrash, TrashContent};
pub use uploads::{Destination, IncomingUpload, RefusedBeginning};

use crate::clock_watch::ClockWatch;
use crate::error::Error;
use crate::limits::{Limits, PREVIEWS_SHARE_MAX, SEARCHES_SHARE_MAX};
use crate::ports::{Clock, Files, Formats, Randomness, State};
use crate::time::Timestamp;
use activity::Refusals;
use caller_turns::CallerTurns;
use difference::Comparisons;
use events::Events;
use expiry::Watched;
use failures::Failures;
use gate::Gates;
use in_flight::InFlight;
use landings::Landings;
use lateness::Lateness;
use leftovers::Leftovers;
use measures::Measures;
use reserve::Reserve;
use resumable::Holders;
use std::sync::Arc;
use take_over::TakeOvers;
use wrong_sign_ins::WrongSignIns;

/// The lake. Cheap to clone.
#[derive(Clone)]
pub struct Lake(Arc<Inner>);

struct Inner {
    state: Arc<dyn State>,
    files: Arc<dyn Files>,
    formats: Arc<dyn Formats>,
    clock: Arc<dyn Clock>,
    watched: Watched,
    randomness: Arc<dyn Randomness>,
    limits: Limits,
    /// Nobody could call before.
    started_at: Timestamp,
    gates: Gates,
    landings: Landings,
    failures: Failures,
    leftovers: Leftovers,
    reserve: Reserve,
    holders: Holders,
    take_overs: TakeOvers,
    comparisons: Comparisons,
    events: Events,
    in_flight: InFlight,
    lateness: Lateness,
    measures: Measures,
    refusals: Refusals,
    previews: CallerTurns,
    /// One at a time looks into files that have landed.
    inspecting: async_lock::Mutex<()>,
    /// Held by whoever puts something back from the trash.
    restoring: async_lock::Mutex<()>,
    searches: CallerTurns,
    wrong_sign_ins: WrongSignIns,
}

/// What a lake is made of.
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
        let watched = Watched::new(ClockWatch::resume(None, clock.reading()).0);
        Self(Arc::new(Inner {
            started_at,
            state,
            files,
            formats,
            clock,
            watched,
            randomness,
            limits,
            gates: Gates::default(),
            landings: Landings::default(),
            failures: Failures::default(),
            leftovers: Leftovers::default(),
            reserve: Reserve::default(),
            holders: Holders::default(),
            take_overs: TakeOvers::default(),
            comparisons: Comparisons::default(),
            events,
            in_flight: InFlight::default(),
            lateness: Lateness::default(),
            measures: Measures::default(),
            refusals: Refusals::default(),
            previews: CallerTurns::new("previews", PREVIEWS_SHARE_MAX),
            inspecting: async_lock::Mutex::default(),
            restoring: async_lock::Mutex::default(),
            searches: CallerTurns::new("searches", SEARCHES_SHARE_MAX),
            wrong_sign_ins: WrongSignIns::default(),
        }))
    }

    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    fn random<const N: usize>(&self) -> Result<[u8; N], Error> {
        let mut bytes = [0; N];
        self.0.randomness.fill(&mut bytes)?;
        Ok(bytes)
    }
}
