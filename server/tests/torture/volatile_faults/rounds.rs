//! Rounds of the test: which calls of an operation fail, how, and how the server ends.

use super::scene::{DATA, LAKE};
use crate::volatile_disk::{Call, Order, Plan};
use rand::RngExt;
use rand::rngs::StdRng;
use rustix::io::Errno;

/// Rounds for each operation in `make test`.
pub(super) const ROUNDS: usize = 5;
pub(super) const BURSTS: [usize; 5] = [1, 2, 3, 6, Plan::FOR_EVER];
pub(super) const ERRORS: [Errno; 3] = [Errno::IO, Errno::NOSPC, Errno::ROFS];

/// End of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Cut,
    /// The page cache survives.
    Kill,
    KillThenCut,
}

#[derive(Debug, Clone)]
pub(super) struct Round {
    pub(super) plan: Plan,
    pub(super) order: Order,
    /// Folder that loses nothing and never fails, if only a part is on the failing disk.
    pub(super) steady: Option<&'static str>,
    pub(super) end: End,
    /// Faults during the next start.
    pub(super) at_start: Option<Plan>,
    /// Whether a refused caller retries once.
    pub(super) again: bool,
    pub(super) seed: u64,
}

/// Plan from this call on: calls of its kind or all, everywhere or only on its side of the disk.
fn plan(calls: &[(Call, String)], at: usize, random: &mut StdRng) -> Plan {
    let (call, path) = &calls[at];
    let failing = if random.random_bool(0.5) { vec![*call] } else { Vec::new() };
    let side = path.split_inclusive('/').next().unwrap();
    let below = if random.random_bool(0.5) { side } else { "" }.to_owned();
    let matches =
        |(other, path): &&(Call, String)| (failing.is_empty() || failing.contains(other)) && path.starts_with(&below);
    let first = calls[..=at].iter().filter(matches).count();
    let length = BURSTS[random.random_range(0..BURSTS.len())];
    // A read-only disk stays read-only.
    let errors = if length == Plan::FOR_EVER { &ERRORS[..] } else { &ERRORS[..2] };
    Plan { calls: failing, below, first, length, error: errors[random.random_range(0..errors.len())] }
}

/// Calls to fail: of many consecutive equal calls on one file, the first, a middle one, and the last.
fn points(calls: &[(Call, String)]) -> Vec<usize> {
    let mut points = Vec::new();
    let mut from = 0;
    for run in calls.chunk_by(|one, other| one == other) {
        let to = from + run.len() - 1;
        points.extend([from, usize::midpoint(from, to), to]);
        from = to + 1;
    }
    points.dedup();
    points
}

impl Round {
    fn random(calls: &[(Call, String)], at: usize, random: &mut StdRng) -> Self {
        let at_start = random.random_bool(0.25).then(|| Plan {
            calls: Vec::new(),
            below: String::new(),
            first: random.random_range(1..60),
            length: BURSTS[random.random_range(0..BURSTS.len())],
            error: ERRORS[random.random_range(0..2)],
        });
        Self {
            plan: plan(calls, at, random),
            order: if random.random_bool(0.5) { Order::Journal } else { Order::Strict },
            steady: [None, None, Some(DATA), Some(LAKE)][random.random_range(0..4)],
            end: [End::Cut, End::Cut, End::Kill, End::KillThenCut][random.random_range(0..4)],
            at_start,
            again: random.random_bool(0.5),
            seed: random.random(),
        }
    }
}

/// Rounds of an operation for its calls.
pub(super) fn rounds(calls: &[(Call, String)], random: &mut StdRng) -> Vec<Round> {
    let points = points(calls);
    match std::env::var("VOLATILE").as_deref() {
        Ok("all") => {
            let mut rounds = Vec::new();
            for at in points {
                for length in BURSTS {
                    for error in ERRORS {
                        let mut round = Round::random(calls, at, random);
                        (round.plan.length, round.plan.error) = (length, error);
                        rounds.push(round);
                    }
                }
            }
            rounds
        }
        count => {
            let count = count.map_or(ROUNDS, |count| count.parse().unwrap());
            (0..count).map(|_| Round::random(calls, points[random.random_range(0..points.len())], random)).collect()
        }
    }
}
