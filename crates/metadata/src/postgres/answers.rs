//! Time limits of the answers of PostgreSQL.
//!
//! A server whose machine or network vanishes closes no connection, and sqlx sets no TCP keepalive: a statement would wait
//! for ever, and with it a connection of the pool. PostgreSQL itself ends a statement that takes longer than
//! `statement_timeout`. One that has not answered [`GRACE`] later is lost: its connection is closed, and the transaction
//! fails for a passing reason.

use futures_util::future::BoxFuture;
use sqlx::pool::PoolConnectionMetadata;
use sqlx::{Connection, PgConnection};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::timeout;

/// Time beyond the limit of a statement within which its answer comes.
const GRACE: Duration = Duration::from_secs(10);
/// Time within which an answer comes that takes no work.
pub(super) const PROMPT_MAX: Duration = Duration::from_secs(5);
const UNLIMITED: u64 = u64::MAX;

/// The longest limit of the databases that this process has opened, in milliseconds. Statements do not know whose they are.
static LIMIT: AtomicU64 = AtomicU64::new(0);

/// Waits for the answers to statements that may take this long, or for ever.
pub(super) fn allow(statement_time_max: Option<Duration>) {
    let limit = statement_time_max.and_then(|limit| u64::try_from((limit + GRACE).as_millis()).ok());
    LIMIT.fetch_max(limit.unwrap_or(UNLIMITED), Ordering::Relaxed);
}

/// Waits for the answer to a statement, and fails like a broken connection where none comes.
pub(super) async fn answer<T>(asked: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    match LIMIT.load(Ordering::Relaxed) {
        UNLIMITED => asked.await,
        limit => within(Duration::from_millis(limit), asked).await,
    }
}

/// Waits this long, whatever statements may take.
pub(super) async fn within<T>(limit: Duration, asked: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    timeout(limit, asked).await.unwrap_or_else(|_| {
        let cause = "PostgreSQL does not answer; check that its machine runs and can be reached";
        Err(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, cause)))
    })
}

/// Asks a connection of the pool whether it lives, before its use and behind it: the pool itself would wait for the answer
/// without a limit. An error closes the connection.
pub(super) fn ping(connection: &mut PgConnection, _: PoolConnectionMetadata) -> BoxFuture<'_, sqlx::Result<bool>> {
    Box::pin(async move { within(PROMPT_MAX, connection.ping()).await.map(|()| true) })
}
