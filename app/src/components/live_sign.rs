//! Indicator whether the page is live.

use super::error_box::SignInLink;
use crate::live::{ConnectionState, Live};
use leptos::prelude::*;

#[component]
pub fn LiveSign() -> impl IntoView {
    let state = Live::here().state;
    let class = move || match state.get() {
        ConnectionState::Off | ConnectionState::SignedOut => "live-sign",
        ConnectionState::Live => "live-sign live-on",
        ConnectionState::Reconnecting => "live-sign live-broken",
    };
    let title = move || match state.get() {
        ConnectionState::Off => "",
        ConnectionState::SignedOut => "This page no longer updates",
        ConnectionState::Live => "This page updates automatically",
        ConnectionState::Reconnecting => "Connection lost: this page may be out of date",
    };
    let word = move || match state.get() {
        ConnectionState::Off => "",
        ConnectionState::SignedOut => "Signed out. ",
        ConnectionState::Live => "Live",
        ConnectionState::Reconnecting => "Reconnecting…",
    };
    view! {
        <p class=class role="status" title=title>
            {word}
            {move || (state.get() == ConnectionState::SignedOut).then(|| view! { <SignInLink/> })}
        </p>
    }
    .into_any()
}
