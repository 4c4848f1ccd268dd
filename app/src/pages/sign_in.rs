//! Signing in. The server answers the form; when it refuses, it sends the person back here with `?error=CODE`.

use crate::components::icon::{Icon, Picture};
use crate::components::page::SessionResource;
use crate::components::sign_in_form::SignInForm;
use crate::query::use_query;
use lakeshore::ErrorCode;
use leptos::prelude::*;
use leptos_meta::Title;

#[component]
pub fn SignIn() -> impl IntoView {
    let query = use_query();
    let next = Signal::derive(move || query.with(|query| local(query.get("next"))));
    let message = move || query.with(|query| query.get("error").map(|code| message(&code)));
    let session = SessionResource::here().0;
    view! {
        <Title text="Sign in"/>
        <section class="sign-in-page">
            <h1>"Sign in"</h1>
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
                                "You are signed in as " <strong>{name}</strong>
                                {format!(", role {role}. Another key takes its place.")}
                            </p>
                        },
                    )
                })}
            </Suspense>
            <SignInForm next/>
        </section>
    }
}

/// Where to go afterwards: only ever a page of this site.
fn local(next: Option<String>) -> String {
    next.filter(|next| next.starts_with('/') && !next.starts_with("//") && !next.contains('\\'))
        .unwrap_or_else(|| "/".to_owned())
}

fn message(code: &str) -> &'static str {
    let code = code.parse().unwrap_or(0);
    if code == ErrorCode::BadKey.number() {
        "This key or sign-in link is not known here, was revoked, or was used before. Check that it was copied whole, or make a new key with: lakeshore key create --name NAME"
    } else if code == ErrorCode::ExpiredKey.number() {
        "This key has expired. Sign in with another, or make a new one with: lakeshore key create --name NAME"
    } else if code == ErrorCode::NoKey.number() {
        "Enter a key to sign in."
    } else if code == ErrorCode::CrossSite.number() {
        "The sign-in came from a page of another site, so it was refused. Sign in here."
    } else {
        "The sign-in did not work. Try again; if it stays so, look into the server's log."
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_in_never_leads_to_another_site() {
        for next in ["https://evil.example", "//evil.example", "/\\evil.example", ""] {
            assert_eq!(local(Some(next.to_owned())), "/");
        }
        assert_eq!(local(Some("/syncs/3?page=1".to_owned())), "/syncs/3?page=1");
    }
}
