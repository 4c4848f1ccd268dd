//! Transactions that write.
//!
//! They run at READ COMMITTED, each on its own connection, on any number of nodes. What one decides by is locked first: see
//! the order of locks in the migration. So a statement behind a lock sees all that was committed before.
//!
//! One that has failed before its commit has done nothing, and is tried again where its reason may pass. Where the answer
//! to a COMMIT was lost, the row that the transaction added to `commits` tells whether it took place; until that is known,
//! nothing is tried again.

use super::Postgres;
use super::answers::{PROMPT_MAX, answer, within};
use super::connection::{fault, is_unknown};
use super::folders;
use super::gates;
use super::query::{Row, execute, fetch_all, fetch_optional, values};
use super::sync_counts;
use crate::audit;
use crate::audit_log;
use crate::row::id;
use crate::transaction::WriteTransaction;
pub(super) use crate::transaction::{Counter, Durability, SyncLock};
use lakeshore::Error;
use lakeshore::model::audit::AuditEntry;
use lakeshore::model::fault::FaultKind;
use lakeshore::model::id::SyncId;
use lakeshore::model::sync::status::{Status, SyncType};
use lakeshore::ports::random_bytes;
use lakeshore_system::clock::SystemRandomness;
use lakeshore_system::failpoints::crash_point;
use sqlx::{Connection, PgConnection, Row as _, Transaction};
use std::ops::{Deref, DerefMut};
use std::time::Duration;
use tokio::time::Instant;

/// Time within which a transaction that failed for a passing reason is tried again.
const RETRIES_MAX: Duration = Duration::from_secs(8);
/// Pause before the first repetition; each later one is twice as long, up to the longest.
const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_millis(500);
/// Time within which the outcome of a commit is looked for.
const SETTLING_MAX: Duration = Duration::from_secs(10);
const SETTLING_PAUSE: Duration = Duration::from_millis(100);

/// Name of a counter.
fn name(counter: Counter) -> &'static str {
    match counter {
        Counter::Resumables => "resumables",
        Counter::Uploads => "uploads",
        Counter::Syncs => "syncs",
        Counter::Landings => "landings",
        Counter::Trash => "trash",
        Counter::Folders => "folders",
        Counter::Schemas => "schemas",
        Counter::Keys => "api_keys",
        Counter::Sessions => "sessions",
        Counter::Snapshots => "snapshots",
        Counter::Namespace => "namespace",
        Counter::Activity => "activity",
    }
}

/// Advisory lock of starts and restores, so that none begins beside another on an overlapping path.
const STARTS: i64 = 7002;

/// Groups of rows come as one value, whose length PostgreSQL does not know before a statement runs: a plan for this value is no
/// better than one for any, and to make it takes longer than to run it.
const BEGIN: &str = "BEGIN; SET LOCAL plan_cache_mode = force_generic_plan";
const BEGIN_PASSING: &str = "BEGIN; SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL synchronous_commit = off";

/// A transaction. A job reads and writes by it.
pub(crate) struct Writing {
    transaction: Transaction<'static, sqlx::Postgres>,
    token: i64,
    entries: Vec<AuditEntry>,
    /// Other nodes may serve the lake too.
    pub(super) has_other_nodes: bool,
}

impl Deref for Writing {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.transaction
    }
}

impl DerefMut for Writing {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }
}

/// Runs a block in a transaction, and again where that failed for a passing reason before the commit. It evaluates to the
/// block's result.
macro_rules! transaction {
    ($state:expr, $durability:expr, |$writing:ident| $work:expr) => {{
        let mut tries = $crate::postgres::writing::Tries::begin();
        loop {
            let ended = match $crate::postgres::writing::Writing::begin($state, $durability).await {
                Err(error) => Err(error),
                Ok(mut begun) => {
                    let worked: Result<_, lakeshore::Error> = async {
                        let $writing = &mut begun;
                        $work
                    }
                    .await;
                    begun.end($state, worked).await
                }
            };
            match ended {
                Err(error) if tries.may_go_on(&error).await => {}
                ended => break ended,
            }
        }
    }};
}
pub(super) use transaction;

/// Repetitions of a transaction.
pub(super) struct Tries {
    end: Instant,
    pause: Duration,
}

impl Tries {
    pub(super) fn begin() -> Self {
        Self { end: Instant::now() + RETRIES_MAX, pause: PAUSE_MIN }
    }

    /// Pauses, where the error may pass and there is time left.
    pub(super) async fn may_go_on(&mut self, error: &Error) -> bool {
        if !error.is_transient() || Instant::now() + self.pause >= self.end {
            return false;
        }
        tracing::debug!(%error, "a transaction is tried again");
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        true
    }
}

pub(super) fn new_token() -> Result<i64, Error> {
    Ok(i64::from_le_bytes(random_bytes(&SystemRandomness)?))
}

impl Writing {
    pub(super) async fn begin(state: &Postgres, durability: Durability) -> Result<Self, Error> {
        let token = new_token()?;
        let begin = if durability == Durability::Passing { BEGIN_PASSING } else { BEGIN };
        let transaction = answer(state.pool.begin_with(begin)).await.map_err(fault)?;
        let has_other_nodes = state.group().is_some();
        let mut writing = Self { transaction, token, entries: Vec::new(), has_other_nodes };
        execute(&mut writing, "SELECT begin_write(?, ?)", values![token, state.node()]).await?;
        Ok(writing)
    }

    /// Commits what a job has done, or rolls it back where the job was refused or failed.
    pub(super) async fn end<T>(mut self, state: &Postgres, worked: Result<T, Error>) -> Result<T, Error> {
        let worked = match worked {
            Ok(worked) => worked,
            Err(error) => {
                // Dropped, a transaction is rolled back too, by the next user of its connection: its locks stay until then.
                let _ = within(PROMPT_MAX, self.transaction.rollback()).await;
                return Err(error);
            }
        };
        let entries = std::mem::take(&mut self.entries);
        audit::insert(&mut self, &entries).await?;
        crash_point!("state.before_commit");
        match answer(self.transaction.commit()).await {
            Ok(()) => {}
            Err(error) if !is_unknown(&error) => return Err(fault(error)),
            Err(error) => {
                tracing::warn!(%error, "the answer to a commit was lost; looking for its outcome");
                if !took_place(state, self.token).await? {
                    return Err(Error::transient(error).of_kind(FaultKind::NoDatabase));
                }
            }
        }
        crash_point!("state.committed");
        entries.iter().for_each(audit_log::log);
        Ok(worked)
    }

    /// Records an action in this transaction, and logs it after the commit.
    pub(super) fn record(&mut self, entry: &AuditEntry) {
        self.entries.push(entry.clone());
    }

    /// Locks the rows of syncs, those that there are.
    pub(super) async fn lock_syncs(&mut self, mut ids: Vec<i64>, lock: SyncLock) -> Result<(), Error> {
        ids.sort_unstable();
        ids.dedup();
        let sql = match lock {
            SyncLock::Share => "SELECT 1 FROM syncs WHERE sync_id = ANY(?) ORDER BY sync_id FOR SHARE",
            SyncLock::Change => "SELECT 1 FROM syncs WHERE sync_id = ANY(?) ORDER BY sync_id FOR NO KEY UPDATE",
        };
        fetch_all(self, sql, values![ids], |_| Ok(())).await.map(drop)
    }

    /// Locks the history, the trash, the versions, and what is counted of them; the last id of an upload.
    pub(super) async fn lock_history(&mut self) -> Result<i64, Error> {
        self.next_ids(Counter::Uploads, 0).await
    }

    /// Allocates ids, which nobody else gets unless this transaction is rolled back; the one before the first of them.
    pub(super) async fn next_ids(&mut self, counter: Counter, count: i64) -> Result<i64, Error> {
        let sql = match count {
            0 => "SELECT last FROM counters WHERE name = $1 FOR NO KEY UPDATE",
            _ => "UPDATE counters SET last = last + $2 WHERE name = $1 RETURNING last - $2 AS last",
        };
        let mut values = values![name(counter)];
        if count > 0 {
            values.push(super::query::Value::Integer(count));
        }
        let last = |row: &Row| row.try_get::<i64, _>("last");
        fetch_optional(self, sql, values, last).await?.ok_or_else(|| Error::internal(sqlx::Error::RowNotFound))
    }

    pub(super) async fn next_id(&mut self, counter: Counter) -> Result<i64, Error> {
        Ok(self.next_ids(counter, 1).await? + 1)
    }
}

impl WriteTransaction for Writing {
    async fn lock(&mut self, counter: Counter) -> Result<(), Error> {
        self.next_ids(counter, 0).await.map(drop)
    }

    async fn lock_syncs(&mut self, ids: Vec<i64>, lock: SyncLock) -> Result<(), Error> {
        Self::lock_syncs(self, ids, lock).await
    }

    async fn lock_receiving(&mut self, sync_id: SyncId) -> Result<(), Error> {
        self.lock_syncs(vec![id(sync_id.0)], SyncLock::Change).await?;
        gates::refuse_held(self, sync_id).await?;
        self.lock_history().await.map(drop)
    }

    async fn lock_starts(&mut self) -> Result<(), Error> {
        execute(self, "SELECT pg_advisory_xact_lock(?)", values![STARTS]).await.map(drop)
    }

    async fn lock_all_syncs(&mut self) -> Result<(), Error> {
        execute(self, "LOCK TABLE syncs IN SHARE ROW EXCLUSIVE MODE", vec![]).await.map(drop)
    }

    async fn new_ids(&mut self, counter: Counter, count: usize) -> Result<Option<i64>, Error> {
        let count = i64::try_from(count).map_err(Error::internal)?;
        Ok(Some(self.next_ids(counter, count).await? + 1))
    }

    async fn count_sync(
        &mut self,
        sync_id: SyncId,
        sync_type: SyncType,
        before: Option<Status>,
        status: Status,
    ) -> Result<(), Error> {
        sync_counts::count_sync(self, sync_id, sync_type, before, status).await
    }

    async fn folder_id(&mut self, path: &str) -> Result<i64, Error> {
        folders::folder_id(self, path).await
    }

    async fn record(&mut self, entry: &AuditEntry) -> Result<(), Error> {
        Self::record(self, entry);
        Ok(())
    }
}

/// Removes the rows of commits whose nodes have long had their answers.
pub(super) async fn forget_old_commits(writing: &mut Writing) -> Result<(), Error> {
    execute(writing, "DELETE FROM commits WHERE made_at < now() - interval '1 hour'", vec![]).await.map(drop)
}

/// Whether a transaction was committed. If it was not, it never will be.
async fn took_place(state: &Postgres, token: i64) -> Result<bool, Error> {
    let end = Instant::now() + SETTLING_MAX;
    loop {
        match fence(state, token).await {
            Ok(is_fence) => return Ok(!is_fence),
            Err(error) if Instant::now() >= end => return Err(Error::unsettled(error).of_kind(FaultKind::NoDatabase)),
            Err(error) => tracing::debug!(%error, "the outcome of a commit is not known yet"),
        }
        tokio::time::sleep(SETTLING_PAUSE).await;
    }
}

/// Adds the row of a transaction in its place, if it is not there. Waits while the transaction is still at work, since both
/// add the same key.
async fn fence(state: &Postgres, token: i64) -> sqlx::Result<bool> {
    let mut connection = state.options.connection().await?;
    let sql = "INSERT INTO commits (token, is_fence) VALUES ($1, TRUE) ON CONFLICT DO NOTHING";
    answer(sqlx::query(sql).bind(token).execute(&mut connection)).await?;
    // Read, since the answer to an earlier attempt may have been lost too.
    let is_fence = "SELECT is_fence FROM commits WHERE token = $1";
    let is_fence = answer(sqlx::query_scalar(is_fence).bind(token).fetch_one(&mut connection)).await?;
    let _ = connection.close().await;
    Ok(is_fence)
}
