//! The frame around every page: the brand, the way to each page, and who is signed in.

use super::icon::{Icon, Mark, Picture};
use super::live_sign::LiveSign;
use super::page::SessionResource;
use super::sign_in_form::current_address;
use crate::api::Session;
use crate::query::percent_encoded;
use crate::uploader::Uploader;
use leptos::prelude::*;
use leptos_router::hooks::use_location;

#[component]
pub fn Layout(children: Children) -> impl IntoView {
    view! {
        // External: the router would keep the focus where it is.
        <a class="skip-link" href="#main" rel="external">
            "Skip to the content"
        </a>
        <div class="frame">
            <header class="side">
                <a class="brand" href="/">
                    <Mark/>
                    "Lakeshore"
                </a>
                <nav class="main-nav" aria-label="Main">
                    <NavLink href="/" icon=Icon::Overview label="Overview"/>
                    <NavLink href="/datasets" icon=Icon::Dataset label="Datasets"/>
                    <NavLink href="/syncs" icon=Icon::Syncs label="Syncs"/>
                    <NavLink href="/upload" icon=Icon::Upload label="Upload"/>
                    <NavLink href="/lake" icon=Icon::Folder label="Lake"/>
                    <NavLink href="/history" icon=Icon::History label="History"/>
                    <NavLink href="/trash" icon=Icon::Trash label="Trash"/>
                    <NavLink href="/activity" icon=Icon::Activity label="Activity"/>
                    <NavLink href="/keys" icon=Icon::Keys label="Keys"/>
                </nav>
                <LiveSign/>
                <Account/>
            </header>
            <main id="main" tabindex="-1">
                {children()}
            </main>
        </div>
    }
    .into_any()
}

#[component]
fn NavLink(href: &'static str, icon: Icon, label: &'static str) -> impl IntoView {
    let path = use_location().pathname;
    let current = move || {
        path.with(|path| match href {
            _ if path == href => Some("page"),
            // The page of one sync, or dataset, is found by the list of all.
            "/syncs" if path.starts_with("/syncs/") => Some("true"),
            "/datasets" if path.starts_with("/datasets/") => Some("true"),
            "/trash" if path.starts_with("/trash/") => Some("true"),
            "/lake" if path.starts_with("/lake/") => Some("true"),
            _ => None,
        })
    };
    view! {
        <a class="nav-link" href=href aria-current=current>
            <Picture icon/>
            {label}
            {(href == "/upload").then(|| view! { <UploadProgress/> })}
        </a>
    }
}

/// How far the upload is, wherever the person has gone meanwhile.
#[component]
fn UploadProgress() -> impl IntoView {
    let uploader = Uploader::here();
    move || {
        uploader.is_busy().then(|| {
            let percent = move || uploader.totals.with(|totals| totals.percent());
            view! {
                <span class="nav-badge">
                    {percent} "%"
                </span>
            }
        })
    }
}

#[component]
fn Account() -> impl IntoView {
    let session = SessionResource::here().0;
    view! {
        <div class="account">
            <Suspense>
                {move || Suspend::new(async move {
                    session.await.ok().map(|session| view! { <AccountOf session/> })
                })}
            </Suspense>
        </div>
    }
}

#[component]
fn AccountOf(session: Session) -> impl IntoView {
    let address = current_address();
    let href = move || {
        // From the sign-in page there is nothing to come back to.
        let address = address.get();
        if address.starts_with("/sign-in") {
            "/sign-in".to_owned()
        } else {
            format!("/sign-in?next={}", percent_encoded(&address))
        }
    };
    match session.signed_in {
        Some((name, role)) => view! {
            <p class="account-name" title=name.clone()>
                {name.clone()}
            </p>
            <p class="quiet account-role">{format!("role {role}")}</p>
            <form method="post" action="/sign-out">
                <button type="submit" class="button button-small button-quiet">
                    "Sign out"
                </button>
            </form>
        }
        .into_any(),
        None => view! {
            <p class="quiet account-role">"Visitor"</p>
            <a class="button button-small" href=href>
                "Sign in"
            </a>
        }
        .into_any(),
    }
}
