//! Work for the writer: what a transaction runs, how durable it has to be, and what becomes of its callers.

use super::transaction_fault::Fault;
use super::writing::Writing;
use crate::transaction;
use lakeshore::Error;
use std::pin::Pin;

/// Durability of a commit, set by the pragma `synchronous` (see the SQLite documentation).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Durability {
    /// Survives the end of the process, and is durable with the next `Synced` commit.
    Written,
    /// Durable before the answer.
    Synced,
}

impl From<transaction::Durability> for Durability {
    fn from(durability: transaction::Durability) -> Self {
        match durability {
            transaction::Durability::Passing | transaction::Durability::Written => Self::Written,
            transaction::Durability::Synced => Self::Synced,
        }
    }
}

pub(super) type BoxFuture<'w, T> = Pin<Box<dyn Future<Output = T> + Send + 'w>>;

/// Work of a job. It runs in the transaction, and returns what to do after its end.
pub(super) type Work = Box<dyn for<'w> FnOnce(&'w mut Writing) -> BoxFuture<'w, Done> + Send>;
pub(super) type Answer = Box<dyn FnOnce(Result<(), Fault>) + Send>;

/// Effect of a job on the others, and on what groups of landings keep in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// May change anything.
    Any,
    /// Changes nothing that groups of landings keep in memory.
    Aside,
    /// The caller drives the job, which reads only tables that no other process writes to, so its reads hold without a
    /// transaction too. It refuses before it writes. The steps of landings, which keep their facts up to date.
    InPlace,
}

pub(super) struct Job {
    pub(super) durability: Durability,
    pub(super) effect: Effect,
    pub(super) work: Work,
    /// Answers a job that never ran.
    pub(super) refuse: Answer,
}

pub(super) struct Done {
    pub(super) outcome: JobOutcome,
    pub(super) answer: Answer,
}

/// Result of a job.
pub(super) enum JobOutcome {
    Done,
    /// Refused by a rule: nothing of the job is kept, and the others continue.
    Refused,
    /// A fault of the database, which may have rolled the whole transaction back.
    Failed(Fault),
}

impl JobOutcome {
    pub(super) fn of<T>(result: &Result<T, Error>) -> Self {
        match result {
            Ok(_) => Self::Done,
            Err(fault @ (Error::DiskFull | Error::Internal(_))) => Self::Failed(Fault::of(fault)),
            Err(_) => Self::Refused,
        }
    }
}
