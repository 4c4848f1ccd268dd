//! Keeps an open page current: applies events, and fetches again where an event is not enough.

use crate::browser::now_ms;
use crate::live::{Live, ServerEvent};
use lakeshore::model::event::EventId;
use leptos::prelude::*;
use leptos::task::spawn_local;
use std::future::Future;
use std::time::Duration;

/// Minimum interval between two fetches of a page.
pub const ASKING_MS_MIN: i64 = 500;

/// Fetches again, now or after events. Stops with its page.
#[derive(Clone, Copy)]
pub struct LiveRefresh {
    asked_at_ms: StoredValue<i64>,
    /// A fetch is running or scheduled.
    is_busy: StoredValue<bool>,
    is_due: StoredValue<bool>,
    ask: Callback<()>,
    apart_ms: i64,
}

impl LiveRefresh {
    /// `apply_event` applies an event as far as it can, and returns whether a fetch is needed. `ask` fetches, and
    /// returns the id of the last event that the answer includes; `None` without an answer. `read_at` is that id for
    /// the initial content.
    pub fn keep<F>(
        read_at: EventId,
        apart_ms: i64,
        apply_event: impl Fn(&ServerEvent) -> bool + Send + Sync + 'static,
        ask: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Option<EventId>> + 'static,
    {
        let live = Live::here();
        let is_busy = StoredValue::new(false);
        let is_due = StoredValue::new(false);
        let (asked_at_ms, callback) = (StoredValue::new(0), StoredValue::new(None::<LiveRefresh>));
        let ask = Callback::new(move |()| {
            let answer = ask();
            spawn_local(async move {
                let answered = answer.await;
                // The page may have been left meanwhile.
                if is_busy.try_set_value(false).is_some() {
                    return;
                }
                // Events after the answer's id were applied before it arrived, and the answer overwrites them.
                let is_behind = answered.is_some_and(|read_at| !live.is_heard_in(read_at));
                if (is_due.get_value() || is_behind)
                    && let Some(fresh) = callback.get_value()
                {
                    fresh.want();
                }
            });
        });
        let fresh = Self { asked_at_ms, is_busy, is_due, ask, apart_ms };
        callback.set_value(Some(fresh));
        Effect::new({
            let apply_event = std::sync::Arc::new(apply_event);
            move |_| {
                let apply_event = apply_event.clone();
                let is_behind = live.listen(read_at, move |event| {
                    if event.is_reset() || apply_event(event) {
                        fresh.want();
                    }
                });
                if is_behind {
                    fresh.want();
                }
            }
        });
        fresh
    }

    /// Fetches as soon as the interval allows.
    pub fn want(self) {
        self.is_due.try_set_value(true);
        if self.is_busy.try_get_value() != Some(false) {
            return;
        }
        self.is_busy.set_value(true);
        let wait_ms = self.asked_at_ms.get_value() + self.apart_ms - now_ms();
        match u64::try_from(wait_ms) {
            Ok(wait_ms) if wait_ms > 0 => set_timeout(move || self.ask_now(), Duration::from_millis(wait_ms)),
            _ => self.ask_now(),
        }
    }

    fn ask_now(self) {
        if self.is_due.try_set_value(false).is_some() {
            // The page was left.
            return;
        }
        self.asked_at_ms.set_value(now_ms());
        self.ask.run(());
    }

    /// Fetches at once, after an action of the person.
    pub fn now(self) {
        self.asked_at_ms.set_value(0);
        self.want();
    }
}
