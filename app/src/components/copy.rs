//! Text to copy: a button, and a command with one.

use super::icon::{Icon, Picture};
use crate::browser;
use leptos::prelude::*;
use leptos::task::spawn_local;
use std::time::Duration;

/// Copies `text`. `label` is its accessible name: "Copy key".
#[component]
pub fn CopyButton(#[prop(into)] text: Signal<String>, label: &'static str) -> impl IntoView {
    let outcome = RwSignal::new("");
    let copy = move |_| {
        let text = text.get_untracked();
        spawn_local(async move {
            let copied = browser::copy(text).await;
            outcome.try_set(if copied { "Copied" } else { "Select it and press Ctrl+C" });
            set_timeout(
                move || {
                    outcome.try_set("");
                },
                Duration::from_secs(2),
            );
        });
    };
    view! {
        <button type="button" class="button button-small button-quiet copy" aria-label=label title=label on:click=copy>
            <Picture icon=Icon::Copy/>
            <span role="status">{move || outcome.get()}</span>
        </button>
    }
    .into_any()
}

/// A command for a terminal. `label` says what it does.
#[component]
pub fn Command(#[prop(into)] text: Signal<String>, label: &'static str) -> impl IntoView {
    view! {
        <div class="command">
            <pre>
                <code>{move || text.get()}</code>
            </pre>
            <CopyButton text label/>
        </div>
    }
    .into_any()
}
