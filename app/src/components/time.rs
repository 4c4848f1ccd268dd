//! Times and durations: short, exact on hover, and updated while something runs.

use super::clock::Clock;
use crate::{browser, format};
use lakeshore::model::time::Timestamp;
use leptos::prelude::*;

/// `3 min ago`. On hover: UTC, and local time once hydrated.
#[component]
pub fn RelativeTime(at: Timestamp, as_of: Timestamp) -> impl IntoView {
    let clock = Clock::here();
    let is_ticking = Memo::new(move |_| clock.is_ticking());
    let title = move || {
        if is_ticking.get() {
            format!("{}\n{} here", format::utc(at), browser::local_time(at))
        } else {
            format::utc(at)
        }
    };
    view! {
        <time datetime=format::iso(at) title=title>
            {move || format::relative(at, clock.now(as_of))}
        </time>
    }
    .into_any()
}

/// Duration from start to end, or to now before the end.
#[component]
pub fn Elapsed(start: Timestamp, end: Timestamp, as_of: Timestamp) -> impl IntoView {
    let clock = Clock::here();
    move || {
        if end != Timestamp::NOT_YET {
            format::duration(end.0 - start.0)
        } else {
            // Whole seconds: tenths would flicker, as they update only once a second.
            format::duration((clock.now(as_of).0 - start.0) / 1000 * 1000)
        }
    }
}
