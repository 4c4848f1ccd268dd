//! Files that a publish, a landing or a restore is moving: they are at their new path before the version is committed, so
//! a reader that does not find them where they are recorded waits for the commit.

use super::super::Lake;
use crate::model::error::Error;
use crate::model::path::LakePath;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Pauses before a file is looked up again while nothing is known to move it: a move may have ended between the lookup
/// and the opening.
const PAUSES: [Duration; 8] = [
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(20),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_millis(800),
];
/// Pause before a file that is being moved is looked up again.
const MOVING_PAUSE: Duration = Duration::from_millis(50);
/// Longest wait for a move. A disk whose syncs take longer is broken.
const MOVING_MAX: Duration = Duration::from_secs(30);

/// Paths that are being moved: files, or the datasets that hold them.
#[derive(Default)]
pub(in crate::service) struct Moves(Arc<Mutex<Begun>>);

#[derive(Default)]
struct Begun {
    last: u64,
    moves: BTreeMap<u64, Vec<LakePath>>,
}

/// A move, until its version is committed.
pub(in crate::service) struct Move {
    begun: Arc<Mutex<Begun>>,
    number: u64,
}

impl Moves {
    pub(in crate::service) fn begin(&self, paths: Vec<LakePath>) -> Move {
        let mut begun = self.0.lock();
        begun.last += 1;
        let number = begun.last;
        begun.moves.insert(number, paths);
        Move { begun: self.0.clone(), number }
    }

    pub(in crate::service) fn is_moving(&self, file: &LakePath) -> bool {
        self.0.lock().moves.values().flatten().any(|path| path.contains(file))
    }
}

impl Drop for Move {
    fn drop(&mut self) {
        self.begun.lock().moves.remove(&self.number);
    }
}

/// Attempts to find a file where it is recorded.
#[derive(Default)]
pub(in crate::service) struct Lookups {
    pauses: usize,
    waited: Duration,
}

impl Lookups {
    /// Skips the shortest pauses, as each of them is followed by lookups of many files.
    pub(in crate::service) fn of_many() -> Self {
        Self { pauses: PAUSES.len() / 2, ..Self::default() }
    }

    /// Pauses before the next lookup. False if nothing moves the file, so that it is not there.
    pub(in crate::service) async fn again(&mut self, lake: &Lake, file: &LakePath) -> Result<bool, Error> {
        if lake.0.moves.is_moving(file) {
            if self.waited >= MOVING_MAX {
                return Err(Error::Moving(file.clone()));
            }
            self.waited += MOVING_PAUSE;
            self.pauses = 0;
            lake.pause(MOVING_PAUSE).await;
            return Ok(true);
        }
        let Some(pause) = PAUSES.get(self.pauses) else { return Ok(false) };
        self.pauses += 1;
        lake.pause(*pause).await;
        Ok(true)
    }
}
