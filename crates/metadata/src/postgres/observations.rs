//! Whether another process that serves the lake has ended, as far as its beats and its session tell.

use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// Time without a beat after which a process without a session has ended.
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
#[derive(Debug)]
pub(super) struct Observations {
    nodes: HashMap<i64, Observation>,
    /// A process without a session counts as gone, although it was never seen with one.
    trusts_absence: bool,
}

#[derive(Debug)]
struct Observation {
    beats: i64,
    /// A session that is missing says that the process has ended.
    trusts_absence: bool,
    /// Since when the beats stand still.
    silent_since: Instant,
    /// Since when it has had no session, without a beat.
    gone_since: Option<Instant>,
}

impl Observations {
    /// Of a process that has just come.
    pub(super) fn begin() -> Self {
        Self { nodes: HashMap::new(), trusts_absence: true }
    }

    /// Of a process whose own session broke. Those of the others may have broken with it, as at a failover, and some come back
    /// later than others.
    pub(super) fn begin_after_a_break() -> Self {
        Self { nodes: HashMap::new(), trusts_absence: false }
    }

    /// Takes a look that was asked for at `asked_at`: a pause between the answer and this call counts for nobody.
    pub(super) fn look(&mut self, all: &[ObservedNode], asked_at: Instant) {
        self.nodes.retain(|node, _| all.iter().any(|seen| seen.node == *node));
        for seen in all {
            let known = self.nodes.entry(seen.node).or_insert(Observation {
                beats: seen.beats,
                trusts_absence: self.trusts_absence,
                silent_since: asked_at,
                gone_since: None,
            });
            if known.beats != seen.beats {
                (known.beats, known.silent_since, known.gone_since) = (seen.beats, asked_at, None);
            }
            known.trusts_absence |= seen.has_session;
            let is_gone = known.trusts_absence && !seen.has_session;
            known.gone_since = if is_gone { known.gone_since.or(Some(asked_at)) } else { None };
        }
    }

    pub(super) fn is_dead(&self, node: i64, now: Instant) -> bool {
        self.nodes.get(&node).is_some_and(|seen| {
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
        let (mut observations, start) = (Observations::begin(), Instant::now());
        observations.look(&seen(1, true), start);
        observations.look(&seen(1, true), start + 29 * SECOND);
        assert!(!observations.is_dead(1, start + 29 * SECOND));
        observations.look(&seen(1, true), start + 30 * SECOND);
        assert!(observations.is_dead(1, start + 30 * SECOND));
        let mut observations = Observations::begin();
        observations.look(&seen(1, false), start);
        observations.look(&seen(1, false), start + 4 * SECOND);
        assert!(observations.is_dead(1, start + 4 * SECOND));
    }

    #[test]
    fn a_beat_and_a_session_that_is_back_begin_the_wait_again() {
        let (mut observations, start) = (Observations::begin(), Instant::now());
        observations.look(&seen(1, false), start);
        observations.look(&seen(1, true), start + 3 * SECOND);
        observations.look(&seen(1, false), start + 4 * SECOND);
        assert!(!observations.is_dead(1, start + 7 * SECOND));
        observations.look(&seen(2, false), start + 9 * SECOND);
        assert!(!observations.is_dead(1, start + 12 * SECOND));
        assert!(observations.is_dead(1, start + 13 * SECOND));
        assert!(!observations.is_dead(2, start), "one that was never seen is not dead");
    }

    #[test]
    fn after_a_break_of_all_sessions_one_that_comes_back_late_is_not_dead() {
        let (mut observations, start) = (Observations::begin_after_a_break(), Instant::now());
        observations.look(&seen(1, false), start);
        observations.look(&seen(1, false), start + 29 * SECOND);
        assert!(!observations.is_dead(1, start + 29 * SECOND));
        observations.look(&seen(1, true), start + 29 * SECOND);
        observations.look(&seen(1, false), start + 30 * SECOND);
        assert!(observations.is_dead(1, start + 34 * SECOND), "it was there, and is gone");
    }
}
