//! Processes that serve a lake: one alone, or several together.
//!
//! Each has a row in `serving_nodes`, and a connection of its own that holds two session locks: one says whether the lake is
//! served by one process or by several, the other that this process has a session. Every transaction that writes checks the
//! row; a process whose row is fenced writes nothing any more, however late it wakes up.
//!
//! Of several, each adds a beat to its row, and fences one whose beats stand still: after a few seconds where its session has
//! gone too, as after a kill; after half a minute where it has not. No clocks are compared: the observer measures the time,
//! and begins again whenever the database did not answer. What a fenced process has left is recovered by the others.

use super::connection::fault;
use super::observations::{Observations, ObservedNode};
use super::options::PostgresOptions;
use super::query::{Row, execute, fetch_all, fetch_optional, values};
use lakeshore::Error;
use lakeshore::ports::random_bytes;
use lakeshore_system::clock::SystemRandomness;
use sqlx::{Connection, PgConnection, Row as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// Advisory lock of the lake: exclusive by one process that serves it alone, shared by several.
const LAKE: i64 = 7000;
/// First key of the advisory lock of each process that has a session. The second is its number.
const SESSION: i32 = 7003;
/// First key of the advisory lock of a process's transactions: see `begin_write`.
const TRANSACTIONS: i32 = 7001;
/// Pause between two checks of the connection that holds the locks.
const CHECK_PAUSE: Duration = Duration::from_secs(2);
/// Pause between two beats.
const BEAT_PAUSE: Duration = Duration::from_secs(1);
/// Time in which the database answers a check.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Time in which a process that is ending gives the lock back.
const ENDING_MAX: Duration = Duration::from_secs(2);
const ENDING_PAUSE: Duration = Duration::from_millis(50);
/// Pause before a process that starts looks again whether another one has recovered the lake.
const JOIN_PAUSE: Duration = Duration::from_millis(200);

/// Length of the key that the processes of a group have in common.
pub(super) const SECRET_BYTES: usize = 32;

/// How a process serves a lake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ServingMode {
    Alone,
    Several,
}

/// The lake is served by this process.
pub(super) struct Membership {
    pub(super) node: i64,
    pub(super) mode: ServingMode,
    pub(super) group: String,
    pub(super) group_secret: [u8; SECRET_BYTES],
    /// Others served the lake when this one came, so what is unfinished may be theirs.
    pub(super) is_joining: bool,
    standing: Arc<Standing>,
    keeper: JoinHandle<()>,
}

struct Standing {
    /// Fenced.
    is_lost: AtomicBool,
    /// The oldest of those that are ready, or the only one.
    is_first: AtomicBool,
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl Membership {
    pub(super) fn is_lost(&self) -> bool {
        self.standing.is_lost.load(Ordering::Relaxed)
    }

    pub(super) fn is_first(&self) -> bool {
        self.mode == ServingMode::Alone || self.standing.is_first.load(Ordering::Relaxed)
    }

    /// Ends the checks: the process is about to leave.
    pub(super) fn stop(&self) {
        self.keeper.abort();
    }
}

/// Node that a process became.
struct Entry {
    node: i64,
    group: String,
    group_secret: [u8; SECRET_BYTES],
    is_joining: bool,
}

/// Takes the lake, or a place beside others. `Err` has the holder, where another process has the lake.
pub(super) async fn take(
    options: &PostgresOptions,
    holder: &str,
    mode: ServingMode,
) -> Result<Result<Membership, String>, Error> {
    let mut connection = options.connection().await.map_err(fault)?;
    let end = Instant::now() + ENDING_MAX;
    let mut is_taken = lock_lake(&mut connection, mode).await?;
    while !is_taken && Instant::now() < end {
        sleep(ENDING_PAUSE).await;
        is_taken = lock_lake(&mut connection, mode).await?;
    }
    if !is_taken {
        let sql = "SELECT holder FROM serving_nodes WHERE fenced_at IS NULL ORDER BY serving_node DESC LIMIT 1";
        let holder = fetch_optional(&mut connection, sql, values![], |row| row.try_get::<String, _>(0)).await?;
        return Ok(Err(holder.unwrap_or_default()));
    }
    let mut observations = if has_broken_sessions(&mut connection).await? {
        Observations::begin_after_a_break()
    } else {
        Observations::begin()
    };
    let entry = loop {
        if let Some(entry) = enter(&mut connection, holder, mode, &mut observations).await? {
            break entry;
        }
        sleep(JOIN_PAUSE).await;
    };
    let Entry { node, group, group_secret, is_joining } = entry;
    lock_session(&mut connection, node).await?;
    let standing = Arc::new(Standing { is_lost: AtomicBool::new(false), is_first: AtomicBool::new(!is_joining) });
    let has_locks = true;
    let (options, shared) = (options.clone(), standing.clone());
    let keeper = Keeper { options, connection, node, mode, has_locks, standing: shared, observations };
    let keeper = tokio::spawn(keeper.keep());
    Ok(Ok(Membership { node, mode, group, group_secret, is_joining, standing, keeper }))
}

/// Whether PostgreSQL has started since a process beat that is not fenced: their sessions broke, and may come back.
async fn has_broken_sessions(connection: &mut PgConnection) -> Result<bool, Error> {
    let sql =
        "SELECT EXISTS (SELECT 1 FROM serving_nodes WHERE fenced_at IS NULL AND seen_at < pg_postmaster_start_time())";
    Ok(fetch_optional(connection, sql, values![], |row| row.try_get(0)).await?.unwrap_or(false))
}

async fn lock_lake(connection: &mut PgConnection, mode: ServingMode) -> Result<bool, Error> {
    let sql = match mode {
        ServingMode::Alone => "SELECT pg_try_advisory_lock(?)",
        ServingMode::Several => "SELECT pg_try_advisory_lock_shared(?)",
    };
    Ok(fetch_optional(connection, sql, values![LAKE], |row| row.try_get(0)).await?.unwrap_or(false))
}

/// The lock is free, or that of an earlier session of this process, which is about to end.
async fn lock_session(connection: &mut PgConnection, node: i64) -> Result<bool, Error> {
    let sql = format!("SELECT pg_try_advisory_lock({SESSION}, ?::bigint::int)");
    Ok(fetch_optional(connection, sql, values![node], |row| row.try_get(0)).await?.unwrap_or(false))
}

/// Adds the row of this process: beside one that is ready, or, where all others have ended, as the only one. `None` where
/// another one recovers the lake, or may have ended a moment ago.
async fn enter(
    connection: &mut PgConnection,
    holder: &str,
    mode: ServingMode,
    observations: &mut Observations,
) -> Result<Option<Entry>, Error> {
    let mut transaction = connection.begin().await.map_err(fault)?;
    // Starts come one after the other.
    execute(&mut *transaction, "LOCK TABLE serving_nodes IN SHARE ROW EXCLUSIVE MODE", vec![]).await?;
    let asked_at = Instant::now();
    let others = see(&mut transaction).await?;
    observations.look(&others, asked_at);
    // One without a session may have ended a moment ago.
    let ready = others.iter().find(|other| other.is_ready && other.has_session);
    let ready = ready.filter(|_| mode == ServingMode::Several);
    let is_any_alive =
        mode == ServingMode::Several && others.iter().any(|other| !observations.is_dead(other.node, asked_at));
    let (group, group_secret, is_joining) = match ready {
        Some(ready) => (ready.group.clone(), secret(&mut transaction, ready.node).await?, true),
        None if is_any_alive => return Ok(None),
        None => (hex::encode(random_bytes::<16>(&SystemRandomness)?), random_bytes(&SystemRandomness)?, false),
    };
    if !is_joining {
        execute(&mut *transaction, "UPDATE serving_nodes SET fenced_at = now() WHERE fenced_at IS NULL", vec![])
            .await?;
    }
    let sql = "INSERT INTO serving_nodes (holder, group_name, group_secret, is_ready) VALUES (?, ?, unhex(?), ?) \
               RETURNING serving_node";
    let given = values![holder, group, hex::encode(group_secret), is_joining];
    let node = fetch_optional(&mut *transaction, sql, given, |row| row.try_get::<i64, _>(0)).await?;
    let node = node.ok_or_else(|| Error::internal(sqlx::Error::RowNotFound))?;
    transaction.commit().await.map_err(fault)?;
    if !is_joining {
        for other in others {
            await_transactions(connection, other.node).await?;
        }
    }
    Ok(Some(Entry { node, group, group_secret, is_joining }))
}

async fn secret(connection: &mut PgConnection, of: i64) -> Result<[u8; SECRET_BYTES], Error> {
    let sql = "SELECT group_secret FROM serving_nodes WHERE serving_node = ?";
    let secret = fetch_optional(connection, sql, values![of], |row| row.try_get::<Vec<u8>, _>(0)).await?;
    secret.unwrap_or_default().try_into().map_err(|_| Error::internal(sqlx::Error::RowNotFound))
}

/// Waits for the transactions that a process had begun before it was fenced.
pub(super) async fn await_transactions(connection: &mut PgConnection, node: i64) -> Result<(), Error> {
    let mut transaction = connection.begin().await.map_err(fault)?;
    let sql = format!("SELECT pg_advisory_xact_lock({TRANSACTIONS}, ?::bigint::int)");
    execute(&mut *transaction, sql, values![node]).await?;
    transaction.commit().await.map_err(fault)
}

/// Processes that are not fenced, the oldest first.
async fn see(connection: &mut PgConnection) -> Result<Vec<ObservedNode>, Error> {
    let sql = format!(
        "SELECT n.serving_node, n.beats, n.is_ready, n.group_name, EXISTS (SELECT 1 FROM pg_locks l \
         WHERE l.locktype = 'advisory' AND l.granted AND l.classid::bigint = {SESSION} AND l.objsubid = 2 \
         AND l.objid::bigint = n.serving_node \
         AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())) AS has_session \
         FROM serving_nodes n WHERE n.fenced_at IS NULL ORDER BY n.serving_node"
    );
    let observed = |row: &Row| {
        Ok(ObservedNode {
            node: row.try_get("serving_node")?,
            beats: row.try_get("beats")?,
            is_ready: row.try_get("is_ready")?,
            group: row.try_get("group_name")?,
            has_session: row.try_get("has_session")?,
        })
    };
    fetch_all(connection, sql, vec![], observed).await
}

/// Task that keeps the session, and watches the others.
struct Keeper {
    options: PostgresOptions,
    connection: PgConnection,
    node: i64,
    mode: ServingMode,
    /// The connection has both locks.
    has_locks: bool,
    standing: Arc<Standing>,
    observations: Observations,
}

impl Keeper {
    async fn keep(mut self) {
        let pause = if self.mode == ServingMode::Alone { CHECK_PAUSE } else { BEAT_PAUSE };
        loop {
            sleep(pause).await;
            let checked = match self.mode {
                ServingMode::Alone => {
                    timeout(ANSWER_MAX, self.connection.ping()).await.is_ok_and(|answer| answer.is_ok())
                }
                ServingMode::Several => match timeout(ANSWER_MAX, self.beat()).await {
                    Ok(Ok(true)) => true,
                    Ok(Ok(false)) => return self.lose(),
                    Ok(Err(_)) | Err(_) => false,
                },
            };
            if checked {
                continue;
            }
            // The others may have been kept from their beats too.
            self.observations = Observations::begin_after_a_break();
            if timeout(ANSWER_MAX, self.connect_again()).await.is_ok_and(|again| again.is_ok_and(|is_fenced| is_fenced))
            {
                return self.lose();
            }
        }
    }

    fn lose(&self) {
        tracing::error!("another server has taken over this lake; this one can only read now");
        self.standing.is_lost.store(true, Ordering::Relaxed);
        self.standing.is_first.store(false, Ordering::Relaxed);
    }

    /// Takes the locks again after the connection broke. True where this process is fenced.
    async fn connect_again(&mut self) -> Result<bool, Error> {
        let mut again = self.options.connection().await.map_err(fault)?;
        let sql = "SELECT fenced_at IS NOT NULL FROM serving_nodes WHERE serving_node = ?";
        if fetch_optional(&mut again, sql, values![self.node], |row| row.try_get(0)).await?.unwrap_or(true) {
            return Ok(true);
        }
        // Otherwise another process is about to take over, or the old session is about to end.
        self.has_locks = lock_lake(&mut again, self.mode).await? && lock_session(&mut again, self.node).await?;
        // One of several lives by its beats, also while PostgreSQL keeps a session that has died on this side only.
        if self.has_locks || self.mode == ServingMode::Several {
            self.connection = again;
        }
        Ok(false)
    }

    /// Adds a beat, and fences those that have ended. False where this process is fenced.
    async fn beat(&mut self) -> Result<bool, Error> {
        let asked_at = Instant::now();
        let sql =
            "UPDATE serving_nodes SET beats = beats + 1, seen_at = now() WHERE serving_node = ? AND fenced_at IS NULL";
        if execute(&mut self.connection, sql, values![self.node]).await? == 0 {
            return Ok(false);
        }
        if !self.has_locks {
            self.has_locks = lock_lake(&mut self.connection, self.mode).await?
                && lock_session(&mut self.connection, self.node).await?;
        }
        let all = see(&mut self.connection).await?;
        let first = all.iter().find(|node| node.is_ready).or(all.first());
        self.standing.is_first.store(first.is_some_and(|first| first.node == self.node), Ordering::Relaxed);
        self.observations.look(&all, asked_at);
        for other in
            all.iter().filter(|other| other.node != self.node && self.observations.is_dead(other.node, asked_at))
        {
            let sql =
                "UPDATE serving_nodes SET fenced_at = now() WHERE serving_node = ? AND beats = ? AND fenced_at IS NULL";
            if execute(&mut self.connection, sql, values![other.node, other.beats]).await? > 0 {
                tracing::warn!(
                    node = other.node,
                    "a server of this lake has ended or does not answer; its work is recovered"
                );
            }
        }
        Ok(true)
    }
}
