//! Whether the page is live: a quiet word in the frame.

use crate::live::{Live, Standing};
use leptos::prelude::*;

#[component]
pub fn LiveSign() -> impl IntoView {
    let standing = Live::here().standing;
    let class = move || match standing.get() {
        Standing::Off => "live-sign",
        Standing::Live => "live-sign live-on",
        Standing::Reconnecting => "live-sign live-broken",
    };
    let title = move || match standing.get() {
        Standing::Off => "",
        Standing::Live => "This page updates automatically",
        Standing::Reconnecting => "Connection lost: this page may be out of date",
    };
    let word = move || match standing.get() {
        Standing::Off => "",
        Standing::Live => "Live",
        Standing::Reconnecting => "Reconnecting…",
    };
    view! {
        <p class=class role="status" title=title>
            {word}
        </p>
    }
    .into_any()
}
