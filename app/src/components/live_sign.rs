//! Indicator whether the page is live.

use crate::live::{ConnectionState, Live};
use leptos::prelude::*;

#[component]
pub fn LiveSign() -> impl IntoView {
    let standing = Live::here().standing;
    let class = move || match standing.get() {
        ConnectionState::Off => "live-sign",
        ConnectionState::Live => "live-sign live-on",
        ConnectionState::Reconnecting => "live-sign live-broken",
    };
    let title = move || match standing.get() {
        ConnectionState::Off => "",
        ConnectionState::Live => "This page updates automatically",
        ConnectionState::Reconnecting => "Connection lost: this page may be out of date",
    };
    let word = move || match standing.get() {
        ConnectionState::Off => "",
        ConnectionState::Live => "Live",
        ConnectionState::Reconnecting => "Reconnecting…",
    };
    view! {
        <p class=class role="status" title=title>
            {word}
        </p>
    }
    .into_any()
}
