//! Sign-in by key: a plain form that works without scripts.

use crate::routes;
use leptos::prelude::*;
use leptos_router::hooks::use_location;

/// Returns to `next` after the sign-in.
#[component]
pub fn SignInForm(#[prop(into)] next: Signal<String>) -> impl IntoView {
    view! {
        <form class="sign-in" method="post" action=routes::SIGN_IN>
            <input type="hidden" name="next" value=move || next.get()/>
            <label class="field">
                <span>"Key"</span>
                <input
                    class="input"
                    type="password"
                    name="key"
                    required
                    autocomplete="current-password"
                    spellcheck="false"
                    placeholder="lks_…"
                />
            </label>
            <button type="submit" class="button button-primary">
                "Sign in"
            </button>
            <p class="quiet">
                "No key yet? The server prints a one-time sign-in link on its first start. Its operator can create a key with "
                <code>"lakeshore key create --name NAME --role admin"</code> "."
            </p>
        </form>
    }
}

/// Hint that an action needs a role that the visitor lacks.
#[component]
pub fn SignInHint(
    is_signed_in: bool,
    /// "to upload", "to end this sync"
    purpose: &'static str,
    #[prop(default = "write")] role: &'static str,
) -> impl IntoView {
    let address = current_address();
    let href = move || routes::sign_in(&address.get());
    let own = is_signed_in.then_some(if role == "admin" {
        "Your key is not an admin key. "
    } else {
        "Your key is read-only. "
    });
    view! {
        <p class="hint">
            {own} <a href=href>"Sign in"</a>
            {format!(" with a key of the role {role} {purpose}.")}
        </p>
    }
    .into_any()
}

/// Path and query of the page.
pub fn current_address() -> Signal<String> {
    let location = use_location();
    Signal::derive(move || {
        let search = location.search.get();
        let path = location.pathname.get();
        if search.is_empty() { path } else { format!("{path}?{}", search.trim_start_matches('?')) }
    })
}
