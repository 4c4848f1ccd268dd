//! Replaces `browser.rs` on the server, which renders pages and runs no effects.

use lakeshore::model::time::Timestamp;

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

pub fn focus_main() {}

pub struct Pressed {
    pub key: String,
    pub is_command: bool,
    pub is_in_field: bool,
    pub is_in_dialog: bool,
}

impl Pressed {
    pub fn is_plain(&self) -> bool {
        false
    }
}

pub fn on_key(_then: impl Fn(Pressed) -> bool + 'static) {}

pub fn kept(_name: &str) -> Option<String> {
    None
}

pub fn keep(_name: &str, _value: Option<&str>) {}

pub fn go_to(_address: &str) {}

pub fn address() -> String {
    String::new()
}

pub fn click(_selector: &str) -> bool {
    false
}

pub fn show(_selector: &str) {}

pub fn focus(_selector: &str, _step: i32) -> bool {
    false
}

pub fn leave_field() {}
