//! A query that ends when it takes too long, and when nobody waits for what it finds.

use lakeshore::Error;
use rusqlite::{Connection, ErrorCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// Steps of SQLite's machine between two looks at the time: some tens of microseconds.
const STEPS_BETWEEN_LOOKS: i32 = 4096;

/// Whoever waits for a query. The query ends soon after this is dropped.
pub(super) struct Waiting(Arc<AtomicBool>);

/// What a running query asks whether to go on.
pub(super) struct Bound {
    is_given_up: Arc<AtomicBool>,
    time_max: Duration,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Bound {
    pub(super) fn new(time_max: Duration) -> (Waiting, Self) {
        let is_given_up = Arc::<AtomicBool>::default();
        (Waiting(is_given_up.clone()), Self { is_given_up, time_max })
    }

    /// Runs the query; the connection is as before when it has ended.
    pub(super) fn run<T>(
        self,
        connection: &Connection,
        query: impl FnOnce(&Connection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let Self { is_given_up, time_max } = self;
        let end = Instant::now() + time_max;
        let has_to_end = move || is_given_up.load(Ordering::Relaxed) || Instant::now() >= end;
        connection.progress_handler(STEPS_BETWEEN_LOOKS, Some(has_to_end)).map_err(super::fault)?;
        let result = query(connection);
        connection.progress_handler(0, None::<fn() -> bool>).map_err(super::fault)?;
        result.map_err(|error| if is_interrupted(&error) { Error::SearchTooLong { max: time_max } } else { error })
    }
}

fn is_interrupted(error: &Error) -> bool {
    let Error::Internal(source) = error else { return false };
    let source = source.downcast_ref::<rusqlite::Error>();
    source.is_some_and(|source| source.sqlite_error_code() == Some(ErrorCode::OperationInterrupted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::sqlite::fault;

    fn count(connection: &Connection, rows: i64) -> Result<i64, Error> {
        let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT count(*) FROM n";
        connection.query_row(sql, [rows], |row| row.get(0)).map_err(fault)
    }

    #[test]
    fn a_query_ends_at_its_time_or_with_whoever_waits_and_its_connection_goes_on() {
        let connection = Connection::open_in_memory().unwrap();
        let endless = |connection: &Connection| count(connection, 1 << 50);
        let (_waiting, bound) = Bound::new(Duration::from_millis(10));
        assert!(matches!(bound.run(&connection, endless), Err(Error::SearchTooLong { .. })));
        let (waiting, bound) = Bound::new(Duration::from_secs(600));
        drop(waiting);
        assert!(matches!(bound.run(&connection, endless), Err(Error::SearchTooLong { .. })));
        let (_waiting, bound) = Bound::new(Duration::from_secs(600));
        assert_eq!(bound.run(&connection, |connection| count(connection, 100_000)).unwrap(), 100_000);
        assert_eq!(count(&connection, 100_000).unwrap(), 100_000);
    }
}
