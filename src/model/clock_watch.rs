//! Steps of the wall clock, and ages that steps cannot change.
//!
//! An operator, NTP or a resumed machine may set the wall clock to any time. Purging trash, failing a sync and
//! discarding a resumable upload cannot be undone, so their ages are measured by a steady clock, as the time that
//! servers have run. Rows still hold wall-clock times, so the watch records the size and time of each step and
//! postpones each expiry by it. Time without a running server was not measured, and counts as a step once it is longer
//! than [`DOWNTIME_COUNTED_MAX`].

use crate::model::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Smallest difference between the two clocks that counts as a step. A leap second, and the time between two readings,
/// are smaller.
const STEP_MIN: Duration = Duration::from_secs(1);
/// Longest time between two servers that counts as passed. No steady clock has measured it, but every restart takes
/// some.
const DOWNTIME_COUNTED_MAX: Duration = Duration::from_secs(60);
/// Longest time that the wall clock may have advanced between its last record and the end of the server.
const UNRECORDED_MAX: Duration = Duration::from_secs(60);
/// Maximum number of known steps, and of repeated periods. Beyond it, the two oldest are merged into one that covers
/// both.
const STEPS_MAX: usize = 64;

/// Both clocks, read together: the wall clock between two readings of the steady clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockReading {
    pub steady_before: Duration,
    pub wall: Timestamp,
    pub steady_after: Duration,
}

/// A change of the wall clock by an operator or by NTP, forwards or backwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockStep {
    /// Time measured by the server before the step, in milliseconds.
    pub seen_ms: i64,
    /// Size of the step in milliseconds; negative: backwards.
    pub by_ms: i64,
}

/// Wall-clock times that may have occurred twice, because the clock was set back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepeatedPeriod {
    pub after: Timestamp,
    pub until: Timestamp,
}

/// State of the clock, stored for the next start.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ClockRecord {
    /// Time measured by all servers of this lake together, in milliseconds.
    pub seen_ms: i64,
    /// Wall clock when `seen_ms` was recorded.
    pub wall: Timestamp,
    /// Oldest first.
    pub steps: Vec<ClockStep>,
    pub repeated: Vec<RepeatedPeriod>,
}

/// Compares the two clocks at each reading.
#[derive(Debug)]
pub struct ClockWatch {
    record: ClockRecord,
    /// Steady clock at the last reading.
    steady: Duration,
    /// Wall clock at the zero of the steady clock, in milliseconds.
    offset_ms: i64,
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn duration(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

impl ClockWatch {
    /// Continues from the record of an earlier server. Returns the step between the two servers, if there was one.
    pub fn resume(record: Option<ClockRecord>, reading: ClockReading) -> (Self, Option<ClockStep>) {
        let wall = reading.wall;
        let offset_ms = wall.0.saturating_sub(millis(reading.steady_after));
        let steady = reading.steady_after;
        let Some(mut record) = record else {
            let record = ClockRecord { wall, ..ClockRecord::default() };
            return (Self { record, steady, offset_ms }, None);
        };
        let by_ms = wall.0.saturating_sub(record.wall.0);
        if (0..=millis(DOWNTIME_COUNTED_MAX)).contains(&by_ms) {
            record.seen_ms = record.seen_ms.saturating_add(by_ms);
            record.wall = wall;
            return (Self { record, steady, offset_ms }, None);
        }
        let until = record.wall.plus(UNRECORDED_MAX);
        let mut watch = Self { record, steady, offset_ms };
        let step = watch.note(by_ms, wall, until);
        (watch, Some(step))
    }

    /// Adds a reading. Returns the step of the wall clock since the last reading, if there was one.
    pub fn read(&mut self, reading: ClockReading) -> Option<ClockStep> {
        let ClockReading { steady_before, wall, steady_after } = reading;
        let passed = steady_after.saturating_sub(self.steady);
        self.steady = self.steady.max(steady_after);
        self.record.seen_ms = self.record.seen_ms.saturating_add(millis(passed));
        self.record.wall = wall;
        let earliest = self.offset_ms.saturating_add(millis(steady_before));
        let latest = self.offset_ms.saturating_add(millis(steady_after));
        let by_ms = wall.0.saturating_sub(wall.0.clamp(earliest, latest));
        if duration(by_ms.saturating_abs()) < STEP_MIN {
            return None;
        }
        self.offset_ms = self.offset_ms.saturating_add(by_ms);
        Some(self.note(by_ms, wall, Timestamp(latest)))
    }

    /// `until`: latest time of the wall clock before the step.
    fn note(&mut self, by_ms: i64, wall: Timestamp, until: Timestamp) -> ClockStep {
        let step = ClockStep { seen_ms: self.record.seen_ms, by_ms };
        self.record.wall = wall;
        self.record.steps.push(step);
        if self.record.steps.len() > STEPS_MAX {
            let first = self.record.steps.remove(0);
            // Keeps the larger of both steps together and the later step alone, which postpones for longer.
            let next = &mut self.record.steps[0];
            next.by_ms = next.by_ms.max(next.by_ms.saturating_add(first.by_ms));
        }
        if by_ms < 0 {
            self.record.repeated.push(RepeatedPeriod { after: wall, until });
        }
        if self.record.repeated.len() > STEPS_MAX {
            let first = self.record.repeated.remove(0);
            let next = &mut self.record.repeated[0];
            next.after = next.after.min(first.after);
            next.until = next.until.max(first.until);
        }
        step
    }

    pub fn record(&self) -> &ClockRecord {
        &self.record
    }

    /// Wall-clock time before which events are at least `age` old, in time measured by the server. Events recorded
    /// while the clock was ahead, or before it was set back, may be older than that.
    pub fn older_than(&self, age: Duration) -> Timestamp {
        self.record.wall.minus(age).minus(self.postponement(age))
    }

    /// Largest gain of the wall clock on anything that is not `age` old yet: the largest sum of the last steps within
    /// that time.
    pub fn postponement(&self, age: Duration) -> Duration {
        let age_ms = millis(age);
        let recent = |step: &&ClockStep| self.record.seen_ms.saturating_sub(step.seen_ms) < age_ms;
        let (mut sum, mut most) = (0_i64, 0_i64);
        for step in self.record.steps.iter().rev().take_while(recent) {
            sum = sum.saturating_add(step.by_ms);
            most = most.max(sum);
        }
        duration(most)
    }

    /// Whether a file whose last change is not later than `time` is known to be unchanged since. Unknown when `time` is
    /// in the future or may have occurred twice.
    pub fn is_certain(&self, time: Timestamp) -> bool {
        let has_come_twice = |period: &RepeatedPeriod| period.after < time && time <= period.until;
        time <= self.record.wall && !self.record.repeated.iter().any(has_come_twice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const DAY: Duration = Duration::from_secs(24 * 3600);
    const START: Timestamp = Timestamp(1_700_000_000_000);

    /// A machine whose wall clock can be set.
    struct Machine {
        steady: Duration,
        wall: Timestamp,
        watch: ClockWatch,
    }

    fn reading(steady: Duration, wall: Timestamp) -> ClockReading {
        ClockReading { steady_before: steady, wall, steady_after: steady }
    }

    impl Machine {
        fn new() -> Self {
            let (watch, step) = ClockWatch::resume(None, reading(DAY, START));
            assert_eq!(step, None);
            Self { steady: DAY, wall: START, watch }
        }

        fn pass(&mut self, time: Duration) {
            self.steady += time;
            self.wall = self.wall.plus(time);
            assert_eq!(self.watch.read(reading(self.steady, self.wall)), None);
        }

        fn set(&mut self, wall: Timestamp) {
            self.wall = wall;
            assert!(self.watch.read(reading(self.steady, wall)).is_some());
        }

        /// Ends the server and starts another at `wall`, on a rebooted machine.
        fn restart(&mut self, wall: Timestamp) -> Option<ClockStep> {
            let step;
            (self.steady, self.wall) = (HOUR, wall);
            (self.watch, step) = ClockWatch::resume(Some(self.watch.record().clone()), reading(HOUR, wall));
            step
        }

        fn is_expired(&self, at: Timestamp, age: Duration) -> bool {
            at < self.watch.older_than(age)
        }
    }

    #[test]
    fn ages_are_those_of_the_wall_clock_while_nobody_sets_it() {
        let mut machine = Machine::new();
        let at = machine.wall;
        machine.pass(DAY * 30);
        assert!(!machine.is_expired(at, DAY * 30));
        machine.pass(Duration::from_millis(1));
        assert!(machine.is_expired(at, DAY * 30));
    }

    #[test]
    fn a_step_ahead_expires_nothing_early_and_later_items_expire_on_time() {
        let mut machine = Machine::new();
        let before = machine.wall;
        machine.pass(DAY);
        machine.set(machine.wall.plus(DAY * 31));
        let after = machine.wall;
        assert!(!machine.is_expired(before, DAY * 30) && !machine.is_expired(before, HOUR * 48));
        machine.pass(DAY * 29);
        assert!(!machine.is_expired(before, DAY * 30), "it is 30 days old, and not older");
        machine.pass(HOUR);
        assert!(machine.is_expired(before, DAY * 30));
        assert!(!machine.is_expired(after, DAY * 30));
        machine.pass(DAY);
        assert!(machine.is_expired(after, DAY * 30));
    }

    #[test]
    fn a_clock_that_is_set_ahead_and_back_again_changes_no_age() {
        let mut machine = Machine::new();
        let before = machine.wall;
        machine.set(machine.wall.plus(DAY * 31));
        machine.pass(HOUR);
        machine.set(machine.wall.minus(DAY * 31));
        assert_eq!(machine.watch.postponement(DAY * 30), Duration::ZERO);
        machine.pass(HOUR * 23);
        assert!(!machine.is_expired(before, DAY));
        machine.pass(HOUR);
        assert!(machine.is_expired(before, DAY.checked_sub(Duration::from_millis(1)).unwrap()));
    }

    #[test]
    fn a_clock_that_is_set_back_makes_nothing_expire_early() {
        let mut machine = Machine::new();
        machine.pass(DAY);
        machine.set(machine.wall.minus(HOUR * 12));
        let after = machine.wall;
        machine.pass(HOUR * 23);
        assert!(!machine.is_expired(after, DAY));
        machine.set(machine.wall.plus(HOUR * 12));
        assert!(!machine.is_expired(after, DAY));
        machine.pass(HOUR * 2);
        assert!(machine.is_expired(after, DAY));
    }

    #[test]
    fn a_start_counts_a_short_stop_and_no_long_one() {
        let mut machine = Machine::new();
        let before = machine.wall;
        assert_eq!(machine.restart(START.plus(Duration::from_secs(59))), None);
        machine.pass(HOUR);
        assert!(machine.is_expired(before, HOUR));
        let step = machine.restart(machine.wall.plus(DAY * 31));
        assert_eq!(step.unwrap().by_ms, millis(DAY * 31));
        assert!(!machine.is_expired(before, HOUR * 2));
        machine.pass(HOUR);
        assert!(machine.is_expired(before, HOUR * 2));
    }

    #[test]
    fn future_and_repeated_times_are_not_certain() {
        let mut machine = Machine::new();
        assert!(machine.watch.is_certain(START));
        assert!(!machine.watch.is_certain(START.plus(HOUR)));
        machine.set(START.plus(DAY));
        machine.pass(HOUR);
        let landed = machine.wall;
        assert!(machine.watch.is_certain(landed));
        machine.set(START);
        assert!(machine.watch.is_certain(START) && !machine.watch.is_certain(landed));
        machine.pass(DAY * 3);
        assert!(!machine.watch.is_certain(landed), "the file may have been changed when it came again");
        assert!(machine.watch.is_certain(START.plus(DAY * 2)));
        let step = machine.restart(START.plus(DAY * 2));
        assert!(step.unwrap().by_ms < 0);
        assert!(!machine.watch.is_certain(START.plus(DAY * 3)), "the clock was set back between two servers");
    }

    #[test]
    fn an_interrupted_reading_is_not_a_step() {
        let mut machine = Machine::new();
        let late = ClockReading { steady_before: DAY, wall: START.plus(HOUR), steady_after: DAY + HOUR * 2 };
        assert_eq!(machine.watch.read(late), None);
        machine.steady += HOUR * 2;
        machine.wall = machine.wall.plus(HOUR * 2);
        machine.pass(HOUR);
    }

    #[test]
    fn steps_beyond_the_maximum_still_postpone() {
        let mut machine = Machine::new();
        let before = machine.wall;
        for _ in 0..STEPS_MAX {
            machine.set(machine.wall.plus(HOUR));
            machine.set(machine.wall.minus(HOUR * 2));
            machine.set(machine.wall.plus(HOUR * 2));
        }
        assert!(machine.watch.record().steps.len() <= STEPS_MAX);
        assert!(machine.watch.record().repeated.len() <= STEPS_MAX);
        assert!(!machine.is_expired(before, HOUR));
    }
}
