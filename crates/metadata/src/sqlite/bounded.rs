//! Connection whose queries end when they take too long, or when their caller has gone.

use super::connection::open_reading;
use sqlx::SqliteConnection;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// SQLite instructions between two checks of the time: some tens of microseconds.
const STEPS_BETWEEN_LOOKS: i32 = 4096;

/// State that a running query checks to decide whether to continue.
#[derive(Debug)]
struct Bound {
    is_given_up: AtomicBool,
    /// Deadline in milliseconds since the connection was opened.
    end: AtomicU64,
    opened: Instant,
}

impl Bound {
    fn may_go_on(&self) -> bool {
        !self.is_given_up.load(Ordering::Relaxed) && self.now() < self.end.load(Ordering::Relaxed)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

pub(super) struct Bounded {
    pub(super) connection: SqliteConnection,
    bound: Arc<Bound>,
}

impl Bounded {
    pub(super) async fn open(file: &Path) -> sqlx::Result<Self> {
        let mut connection = open_reading(file).await?;
        let bound =
            Bound { is_given_up: AtomicBool::new(false), end: AtomicU64::new(u64::MAX), opened: Instant::now() };
        let bound = Arc::new(bound);
        let asked = bound.clone();
        connection.lock_handle().await?.set_progress_handler(STEPS_BETWEEN_LOOKS, move || asked.may_go_on());
        Ok(Self { connection, bound })
    }

    /// Limits the total time of the next queries. `None` means until the caller has gone.
    pub(super) fn begin(&self, time_max: Option<Duration>) {
        let millis = time_max.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        let end = millis.map_or(u64::MAX, |millis| self.bound.now().saturating_add(millis));
        self.bound.end.store(end, Ordering::Relaxed);
        self.bound.is_given_up.store(false, Ordering::Relaxed);
    }

    /// Ends the running query soon, as its caller has gone.
    pub(super) fn give_up(&self) {
        self.bound.is_given_up.store(true, Ordering::Relaxed);
    }
}
