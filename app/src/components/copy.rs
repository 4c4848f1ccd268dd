//! Text to copy: a button, a command, and a digest.

use super::icon::{Icon, Picture};
use crate::browser;
use crate::visible::visible_lines;
use leptos::prelude::*;
use leptos::task::spawn_local;
use std::time::Duration;

/// Characters of a shortened digest, enough to distinguish files.
const DIGEST_CHARACTERS: usize = 10;

/// Copies `text`. `label` is its accessible name: "Copy key". The outcome is shown beside the button, since screen
/// readers would not announce it inside.
#[component]
pub fn CopyButton(#[prop(into)] text: Signal<String>, label: &'static str) -> impl IntoView {
    // `None` instead of an empty text, which would be rendered as a visible space.
    let outcome = RwSignal::new(None::<&str>);
    let copy = move |_| {
        let text = text.get_untracked();
        spawn_local(async move {
            let copied = browser::copy(text).await;
            outcome.try_set(Some(if copied { "Copied" } else { "Select it, press Ctrl+C" }));
            set_timeout(
                move || {
                    outcome.try_set(None);
                },
                Duration::from_secs(2),
            );
        });
    };
    view! {
        <span class="copy">
            <button type="button" class="button button-small button-quiet" aria-label=label title=label on:click=copy>
                <Picture icon=Icon::Copy/>
            </button>
            <span class="copy-said" role="status">
                {move || outcome.get()}
            </span>
        </span>
    }
    .into_any()
}

/// Command for a terminal. `label` says what it does.
#[component]
pub fn Command(#[prop(into)] text: Signal<String>, label: &'static str) -> impl IntoView {
    view! {
        <div class="command">
            <pre>
                <code>{move || visible_lines(text.get())}</code>
            </pre>
            <CopyButton text label/>
        </div>
    }
    .into_any()
}

/// Name of a program, label of the button, and the command or code.
pub type CommandOf = (&'static str, &'static str, String);

/// Commands or code for several programs, each below its name.
#[component]
pub fn Commands(commands: Vec<CommandOf>) -> impl IntoView {
    commands
        .into_iter()
        .map(|(name, label, text)| {
            view! {
                <h3>{name}</h3>
                <Command text label/>
            }
        })
        .collect_view()
}

/// SHA-256: shortened, complete on hover and when copied.
#[component]
pub fn Digest(sha256: String) -> impl IntoView {
    let short: String = sha256.chars().take(DIGEST_CHARACTERS).collect();
    view! {
        <span class="hash">
            <code title=sha256.clone()>{short} "…"</code>
            <CopyButton text=sha256 label="Copy SHA-256"/>
        </span>
    }
    .into_any()
}
