//! Sign-in page. The server answers the form; on a refusal it redirects here with `?error=CODE`.

use crate::components::icon::{Icon, Picture};
use crate::components::page::{SessionResource, TITLE_ID, announce_page};
use crate::components::sign_in_form::SignInForm;
use crate::query::{local, use_query};
use crate::visible::visible;
use lakeshore::ErrorCode;
use leptos::prelude::*;
use leptos_meta::Title;

#[component]
pub fn SignIn() -> impl IntoView {
    announce_page();
    let query = use_query();
    let next = Signal::derive(move || query.with(|query| local(&query.get("next").unwrap_or_default()).to_owned()));
    let message = move || query.with(|query| query.get("error").and_then(|code| message(&code)));
    let session = SessionResource::here().0;
    view! {
        <Title text="Sign in"/>
        <section class="sign-in-page">
            <h1 id=TITLE_ID>"Sign in"</h1>
            {move || {
                message()
                    .map(|message| {
                        view! {
                            <div class="notice notice-error" role="alert">
                                <Picture icon=Icon::Warning/>
                                <p>{message}</p>
                            </div>
                        }
                    })
            }}
            <Suspense>
                {move || Suspend::new(async move {
                    let (name, role) = session.await.ok()?.signed_in?;
                    Some(
                        view! {
                            <p class="hint">
                                "You are signed in as " <strong>{visible(name)}</strong>
                                {format!(", role {role}. Signing in with another key replaces it.")}
                            </p>
                        },
                    )
                })}
            </Suspense>
            <SignInForm next/>
        </section>
    }
}

/// Message for the code of a refused sign-in. The address never has the message itself.
fn message(code: &str) -> Option<&'static str> {
    let code: u32 = code.parse().ok()?;
    Some(if code == ErrorCode::BadKey.number() {
        "This key or sign-in link is unknown, revoked or already used. Check that you copied all of it, or create a new key as shown below."
    } else if code == ErrorCode::ExpiredKey.number() {
        "This key has expired. Sign in with another key, or create a new one as shown below."
    } else if code == ErrorCode::NoKey.number() {
        "Enter a key to sign in."
    } else if code == ErrorCode::CrossSite.number() {
        "The sign-in came from another site and was refused. Sign in here instead."
    } else if code == ErrorCode::TooManySignIns.number() {
        "Too many failed sign-ins from your address. Wait a minute, then try again."
    } else {
        return None;
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_a_number_that_is_known_or_nothing() {
        assert!(message("40100").is_some() && message("42902").is_some());
        for unknown in ["", "0", "40000", "call 555-0100", "40100 or call 555-0100"] {
            assert_eq!(message(unknown), None, "{unknown:?}");
        }
    }
}
