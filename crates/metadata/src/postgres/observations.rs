//! Whether another process that serves the lake has ended, as far as its beats and its session tell.

use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// Time without a beat after which a process without a session has ended. A connection that broke is back before.
const GONE_MAX: Duration = Duration::from_secs(4);
/// Time without a beat after which any process counts as ended.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// A process that is not fenced, as its row has it.
#[derive(Debug, Clone)]
pub(super) struct ObservedNode {
    pub(super) node: i64,
    pub(super) beats: i64,
    pub(super) is_ready: bool,
    pub(super) group: String,
    pub(super) has_session: bool,
}

/// Observations by node.
#[derive(Debug, Default)]
pub(super) struct Observations(HashMap<i64, Observation>);

#[derive(Debug)]
struct Observation {
    beats: i64,
    /// Since when the beats stand still.
    silent_since: Instant,
    /// Since when it has had no session, without a beat.
    gone_since: Option<Instant>,
}

impl Observations {
    /// Takes a look that was asked for at `asked_at`: a pause between the answer and this call counts for nobody.
    pub(super) fn look(&mut self, all: &[ObservedNode], asked_at: Instant) {
        self.0.retain(|node, _| all.iter().any(|seen| seen.node == *node));
        for seen in all {
            let new = Observation { beats: seen.beats, silent_since: asked_at, gone_since: None };
            let known = self.0.entry(seen.node).or_insert(new);
            if known.beats != seen.beats {
                *known = Observation { beats: seen.beats, silent_since: asked_at, gone_since: None };
            }
            known.gone_since = if seen.has_session { None } else { known.gone_since.or(Some(asked_at)) };
        }
    }

    pub(super) fn is_dead(&self, node: i64, now: Instant) -> bool {
        self.0.get(&node).is_some_and(|seen| {
            let is_gone = seen.gone_since.is_some_and(|since| now.duration_since(since) >= GONE_MAX);
            is_gone || now.duration_since(seen.silent_since) >= SILENCE_MAX
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(beats: i64, has_session: bool) -> Vec<ObservedNode> {
        vec![ObservedNode { node: 1, beats, is_ready: true, group: String::new(), has_session }]
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_process_that_was_killed_is_dead_after_seconds_and_a_silent_one_after_half_a_minute() {
        let (mut observations, start) = (Observations::default(), Instant::now());
        observations.look(&seen(1, true), start);
        observations.look(&seen(1, true), start + 29 * SECOND);
        assert!(!observations.is_dead(1, start + 29 * SECOND));
        observations.look(&seen(1, true), start + 30 * SECOND);
        assert!(observations.is_dead(1, start + 30 * SECOND));
        let mut observations = Observations::default();
        observations.look(&seen(1, false), start);
        observations.look(&seen(1, false), start + 4 * SECOND);
        assert!(observations.is_dead(1, start + 4 * SECOND));
    }

    #[test]
    fn a_beat_and_a_session_that_is_back_begin_the_wait_anew() {
        let (mut observations, start) = (Observations::default(), Instant::now());
        observations.look(&seen(1, false), start);
        observations.look(&seen(1, true), start + 3 * SECOND);
        observations.look(&seen(1, false), start + 4 * SECOND);
        assert!(!observations.is_dead(1, start + 7 * SECOND));
        observations.look(&seen(2, false), start + 9 * SECOND);
        assert!(!observations.is_dead(1, start + 12 * SECOND));
        assert!(observations.is_dead(1, start + 13 * SECOND));
        assert!(!observations.is_dead(2, start), "one that was never seen is not dead");
    }
}
