//! Holds of a node: rows that say what its tasks have, until they are released.

use super::PostgresState;
use lakeshore::Error;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::time::sleep;

/// Pause before something that could not be released is tried again.
const RELEASE_PAUSE: Duration = Duration::from_millis(500);

/// Number of a hold, of those of this process: one that the same node begins later is another.
pub(super) fn next_hold() -> i64 {
    static HOLDS: AtomicI64 = AtomicI64::new(1);
    HOLDS.fetch_add(1, Ordering::Relaxed)
}

/// Releases a hold whose owner is dropped. Others wait for it, so it is tried until it is done.
pub(super) fn release<F>(state: PostgresState, attempt: impl Fn(PostgresState) -> F + Send + 'static)
where
    F: Future<Output = Result<(), Error>> + Send,
{
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    runtime.spawn(async move {
        // Whatever a fenced node holds is nobody's.
        while let Err(error) = attempt(state.clone()).await
            && !(matches!(error, Error::ShuttingDown) || state.is_taken_over())
        {
            sleep(RELEASE_PAUSE).await;
        }
    });
}
