//! Asking again while a page is looked at.

use leptos::prelude::*;
use leptos::task::spawn_local;
use std::future::Future;
use std::time::Duration;

/// Asks again, now or from time to time. It stops with the page that made it.
#[derive(Clone, Copy)]
pub struct Fresh {
    waited_seconds: StoredValue<u32>,
    is_asking: StoredValue<bool>,
    ask: Callback<()>,
}

impl Fresh {
    /// Calls `ask` every so many seconds, as `seconds` says each time; not while the page is hidden, and not while
    /// the call before is under way.
    pub fn keep<F>(
        seconds: impl Fn() -> u32 + Send + Sync + 'static,
        ask: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + 'static,
    {
        let waited_seconds = StoredValue::new(0);
        let is_asking = StoredValue::new(false);
        let ask = Callback::new(move |()| {
            let answer = ask();
            spawn_local(async move {
                answer.await;
                // The page may have been left meanwhile.
                is_asking.try_set_value(false);
            });
        });
        let fresh = Self { waited_seconds, is_asking, ask };
        let seconds = StoredValue::new(seconds);
        Effect::new(move |_| {
            let tick = move || {
                waited_seconds.update_value(|waited| *waited = waited.saturating_add(1));
                let is_due = seconds.with_value(|seconds| waited_seconds.get_value() >= untrack(seconds));
                if is_due && !is_asking.get_value() && !document().hidden() {
                    fresh.now();
                }
            };
            if let Ok(interval) = set_interval_with_handle(tick, Duration::from_secs(1)) {
                on_cleanup(move || interval.clear());
            }
        });
        fresh
    }

    pub fn now(self) {
        self.waited_seconds.set_value(0);
        self.is_asking.set_value(true);
        self.ask.run(());
    }
}
