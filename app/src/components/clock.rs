//! The server's time, ticking in the browser.
//!
//! It stands still until the page is hydrated, so that the browser first renders what the server sent.

use crate::browser;
use lakeshore::model::time::Timestamp;
use leptos::prelude::*;
use std::time::Duration;

#[derive(Clone, Copy)]
pub struct Clock {
    now: RwSignal<Option<Timestamp>>,
    /// Offset of the server's clock from the browser's; absent before the first answer.
    ahead_ms: StoredValue<Option<i64>>,
}

impl Clock {
    pub fn provide() {
        let clock = Self { now: RwSignal::new(None), ahead_ms: StoredValue::new(None) };
        provide_context(clock);
        Effect::new(move |_| {
            let tick = move || {
                if let Some(ahead_ms) = clock.ahead_ms.get_value() {
                    clock.now.set(Some(Timestamp(browser::now_ms() + ahead_ms)));
                }
            };
            if let Ok(interval) = set_interval_with_handle(tick, Duration::from_secs(1)) {
                on_cleanup(move || interval.clear());
            }
        });
    }

    pub fn here() -> Self {
        expect_context()
    }

    /// Records the server's time from an answer.
    pub fn observe(self, now: Timestamp) {
        self.ahead_ms.set_value(Some(now.0 - browser::now_ms()));
    }

    /// Current time; before hydration, the time of the shown answer.
    pub fn now(self, as_of: Timestamp) -> Timestamp {
        self.now.get().map_or(as_of, |now| now.max(as_of))
    }

    /// Whether the page is hydrated.
    pub fn is_ticking(self) -> bool {
        self.now.with(Option::is_some)
    }
}
