//! Stands in for `browser.rs` where there is no browser: on the server, which renders pages and runs no effects.

use lakeshore::time::Timestamp;

pub fn now_ms() -> i64 {
    0
}

pub fn random() -> f64 {
    0.0
}

pub fn local_time(_at: Timestamp) -> String {
    String::new()
}

pub fn minutes_ahead_of_utc() -> i64 {
    0
}

pub async fn copy(_text: String) -> bool {
    false
}

pub fn ask_before_leaving(_event: &leptos::web_sys::BeforeUnloadEvent) {}

pub fn on_pointing_at_link(_then: impl Fn(&str) + Clone + 'static) {}

pub fn reload() {}
