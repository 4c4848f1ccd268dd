//! Conformance: the record of the clock.

use crate::model::clock_watch::{ClockRecord, ClockStep, RepeatedPeriod};
use crate::model::time::Timestamp;
use crate::ports::metadata::State;

pub async fn the_last_record_of_the_clock_is_kept(state: &dyn State) {
    assert_eq!(state.clock_record().await.unwrap(), None);
    let first = ClockRecord { seen_ms: 1, wall: Timestamp(1000), steps: Vec::new(), repeated: Vec::new() };
    let steps = vec![ClockStep { seen_ms: 1, by_ms: -300 }, ClockStep { seen_ms: 2, by_ms: 90_000 }];
    let repeated = vec![RepeatedPeriod { after: Timestamp(700), until: Timestamp(1000) }];
    let second = ClockRecord { seen_ms: 2, wall: Timestamp(90_701), steps, repeated };
    for record in [first, second] {
        state.record_clock(&record).await.unwrap();
        assert_eq!(state.clock_record().await.unwrap(), Some(record));
    }
}
