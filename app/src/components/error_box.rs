//! Error on a page: the cause, the remedy, and a retry button where a retry may help.

use super::icon::{Icon, Picture};
use super::sign_in_form::current_address;
use crate::error::ApiError;
use crate::refusal;
use crate::routes;
use crate::visible::visible;
use leptos::prelude::*;

#[component]
pub fn ErrorBox(
    error: ApiError,
    #[prop(optional, into)] retry: Option<Callback<()>>,
    /// The page has what another one would lose, so nothing leads away from it.
    #[prop(optional)]
    keeps_page: bool,
) -> impl IntoView {
    let offers_sign_in = error.needs_key() && !keeps_page;
    view! {
        <div class="notice notice-error" role="alert">
            <Picture icon=Icon::Warning/>
            <p>
                {sentence(&refusal::on_page(error.0))}
                {offers_sign_in.then(|| view! { " " <SignInLink/> })}
            </p>
            {retry
                .map(|retry| {
                    view! {
                        <button type="button" class="button button-small" on:click=move |_| retry.run(())>
                            <Picture icon=Icon::Retry/>
                            "Try again"
                        </button>
                    }
                })}
        </div>
    }
}

/// Link to the sign-in page, which leads back to this one.
#[component]
pub fn SignInLink() -> impl IntoView {
    let address = current_address();
    view! { <a href=move || routes::sign_in(&address.get())>"Sign in"</a> }
}

/// Shows the error, if any.
#[component]
pub fn MaybeError(#[prop(into)] error: Signal<Option<ApiError>>, #[prop(optional)] keeps_page: bool) -> impl IntoView {
    move || error.get().map(|error| view! { <ErrorBox error keeps_page/> })
}

/// Capitalises a message of the lake and ends it with a period: messages are written in lower case, as parts of log
/// lines.
pub fn sentence(message: &str) -> String {
    let mut characters = message.chars();
    let Some(first) = characters.next() else { return String::new() };
    // ASCII only: tables for all other letters would be a large part of the browser's code.
    let mut text = String::from(first.to_ascii_uppercase());
    text.push_str(characters.as_str());
    let mut text = visible(text);
    if !text.ends_with(['.', '!', '?']) {
        text.push('.');
    }
    text
}
