//! A lake is served by one node: it holds a session lock on a connection of its own, and its epoch, which every
//! transaction that writes checks. The lock tells that a node is alive; the epoch keeps one that has lost its connection, and
//! whose lake was taken over meanwhile, from writing.

use super::connection::fault;
use super::options::PostgresOptions;
use super::query::{found, values};
use lakeshore::Error;
use sqlx::{Connection, PgConnection, Row as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

/// Advisory lock of the node that serves the lake.
const NODE: i64 = 7000;
/// Pause between two checks of the connection that holds the lock.
const CHECK_PAUSE: Duration = Duration::from_secs(2);

/// Time in which the database answers a check.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Time in which a node that is ending gives the lock back.
const ENDING_MAX: Duration = Duration::from_secs(2);
const ENDING_PAUSE: Duration = Duration::from_millis(50);

/// The lake is served by this process.
pub(super) struct Lease {
    pub(super) epoch: i64,
    is_lost: Arc<AtomicBool>,
    keeper: JoinHandle<()>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

/// Takes the lease. `Err` has the holder, where another node has it.
pub(super) async fn take(options: &PostgresOptions, holder: &str) -> Result<Result<Lease, String>, Error> {
    let mut connection = options.connection().await.map_err(fault)?;
    let end = Instant::now() + ENDING_MAX;
    let mut is_taken = lock(&mut connection).await.map_err(fault)?;
    while !is_taken && Instant::now() < end {
        tokio::time::sleep(ENDING_PAUSE).await;
        is_taken = lock(&mut connection).await.map_err(fault)?;
    }
    if !is_taken {
        let sql = "SELECT holder FROM lake_node";
        let holder = found(&mut connection, sql, values![], |row| row.try_get::<String, _>(0)).await?;
        return Ok(Err(holder.unwrap_or_default()));
    }
    let mut transaction = connection.begin().await.map_err(fault)?;
    // Waits for the transactions of the node before.
    sqlx::query("SELECT pg_advisory_xact_lock(7001)").execute(&mut *transaction).await.map_err(fault)?;
    let sql = "UPDATE lake_node SET epoch = epoch + 1, holder = ? RETURNING epoch";
    let epoch = found(&mut transaction, sql, values![holder], |row| row.try_get::<i64, _>(0)).await?;
    let epoch = epoch.ok_or_else(|| Error::internal(sqlx::Error::RowNotFound))?;
    transaction.commit().await.map_err(fault)?;
    let is_lost = Arc::new(AtomicBool::new(false));
    let keeper = tokio::spawn(keep(options.clone(), connection, epoch, is_lost.clone()));
    Ok(Ok(Lease { epoch, is_lost, keeper }))
}

impl Lease {
    /// Whether another node has taken the lake over.
    pub(super) fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::Relaxed)
    }
}

async fn lock(connection: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT pg_try_advisory_lock($1)").bind(NODE).fetch_one(connection).await
}

/// Takes the lock again after the connection broke, unless another node has taken over.
async fn keep(options: PostgresOptions, mut connection: PgConnection, epoch: i64, is_lost: Arc<AtomicBool>) {
    loop {
        tokio::time::sleep(CHECK_PAUSE).await;
        if let Ok(Ok(())) = timeout(ANSWER_MAX, connection.ping()).await {
            continue;
        }
        // A network that passes nothing on gives no answer at all.
        let Ok(Ok(mut again)) = timeout(ANSWER_MAX, options.connection()).await else { continue };
        let epoch_now = sqlx::query_scalar::<_, i64>("SELECT epoch FROM lake_node");
        let Ok(current) = timeout(ANSWER_MAX, epoch_now.fetch_one(&mut again)).await else { continue };
        match current {
            Ok(current) if current != epoch => {
                tracing::error!("another node has taken over this lake; this one can only read now");
                is_lost.store(true, Ordering::Relaxed);
                return;
            }
            Ok(_) if matches!(timeout(ANSWER_MAX, lock(&mut again)).await, Ok(Ok(true))) => connection = again,
            // Another node is about to take over, or the old session is about to end.
            Ok(_) | Err(_) => {}
        }
    }
}
