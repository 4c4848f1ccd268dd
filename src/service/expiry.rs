//! Ages in time measured by the server, see [`crate::model::clock_watch`]: for expiry, and for the change times of
//! files.

use super::Lake;
use crate::model::clock_watch::{ClockStep, ClockWatch};
use crate::model::error::Error;
use crate::model::time::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use std::time::Duration;

/// Time between two records of the clock while it makes no step.
const RECORD_INTERVAL: Duration = Duration::from_secs(30);

pub(super) struct Watched(Mutex<Watching>);

struct Watching {
    watch: ClockWatch,
    /// Steps that are not recorded yet.
    unrecorded: Vec<ClockStep>,
    /// Measured time at the last record, in milliseconds.
    recorded_ms: Option<i64>,
}

impl Watched {
    pub(super) fn new(watch: ClockWatch) -> Self {
        Self(Mutex::new(Watching { watch, unrecorded: Vec::new(), recorded_ms: None }))
    }

    fn lock(&self) -> MutexGuard<'_, Watching> {
        self.0.lock()
    }
}

impl Lake {
    /// Reads the clocks, so that every step since the last reading is noticed.
    fn watched(&self) -> MutexGuard<'_, Watching> {
        let mut watching = self.0.clock_watch.lock();
        let step = watching.watch.read(self.0.clock.reading());
        watching.unrecorded.extend(step);
        watching
    }

    /// Time before which events are older than `age`, whatever the wall clock was set to.
    pub(super) fn older_than(&self, age: Duration) -> Timestamp {
        self.watched().watch.older_than(age)
    }

    /// Extra time for which items younger than `age` are kept, compared with the wall clock.
    pub(super) fn postponement(&self, age: Duration) -> Duration {
        self.watched().watch.postponement(age)
    }

    /// Whether a file whose change time is not after `landed_at` is still the one that landed then.
    pub(super) fn is_certain(&self, landed_at: Timestamp) -> bool {
        self.watched().watch.is_certain(landed_at)
    }

    /// Continues from the record of the server before. Only at start, before anything expires. Returns the step of the
    /// clock since then.
    pub async fn resume_clock(&self) -> Result<Option<ClockStep>, Error> {
        let record = self.0.state.clock_record().await?;
        let (watch, step) = ClockWatch::resume(record, self.0.clock.reading());
        *self.0.clock_watch.lock() = Watching { watch, unrecorded: Vec::new(), recorded_ms: None };
        Ok(step)
    }

    /// Records the clock when a record is due. Returns its steps since the last record.
    pub async fn watch_clock(&self) -> Result<Vec<ClockStep>, Error> {
        let (record, steps) = {
            let watching = self.watched();
            let record = watching.watch.record();
            let interval_ms = i64::try_from(RECORD_INTERVAL.as_millis()).unwrap_or(i64::MAX);
            let is_due = watching
                .recorded_ms
                .is_none_or(|recorded_ms| record.seen_ms.saturating_sub(recorded_ms) >= interval_ms);
            if !is_due && watching.unrecorded.is_empty() {
                return Ok(Vec::new());
            }
            (record.clone(), watching.unrecorded.clone())
        };
        // One record, of one clock, where several nodes serve the lake.
        if self.0.state.is_first_node() {
            self.0.state.record_clock(&record).await?;
        }
        let mut watching = self.0.clock_watch.lock();
        watching.recorded_ms = Some(record.seen_ms);
        watching.unrecorded.drain(..steps.len());
        Ok(steps)
    }

    /// Records the clock for the next start.
    pub async fn record_clock(&self) -> Result<(), Error> {
        let record = self.watched().watch.record().clone();
        if !self.0.state.is_first_node() {
            return Ok(());
        }
        self.0.state.record_clock(&record).await
    }
}
