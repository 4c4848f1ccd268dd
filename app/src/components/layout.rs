//! Layout of every page: brand, navigation, and session.

use super::icon::{Icon, Mark, Picture};
use super::live_sign::LiveSign;
use super::page::{AnnouncedPath, SessionResource, TITLE_ID};
use super::sign_in_form::current_address;
use crate::api::Session;
use crate::navigation::DESTINATIONS;
use crate::palette::{Palette, PalettePlace};
use crate::routes;
use crate::uploader::Uploader;
use crate::visible::visible;
use leptos::ev::MouseEvent;
use leptos::prelude::*;
use leptos_router::hooks::use_location;

#[component]
pub fn Layout(children: Children) -> impl IntoView {
    AnnouncedPath::provide();
    view! {
        // External, because the router would not move the focus.
        <a class="skip-link" href="#main" rel="external">
            "Skip to content"
        </a>
        <div class="frame">
            <header class="side">
                <a class="brand" href=routes::OVERVIEW>
                    <Mark/>
                    "Lakeshore"
                </a>
                <SearchLink/>
                <nav class="main-nav" aria-label="Main">
                    {DESTINATIONS
                        .iter()
                        .map(|page| view! { <NavLink href=page.href icon=page.icon label=page.label/> })
                        .collect_view()}
                </nav>
                <LiveSign/>
                <Account/>
            </header>
            <main id="main" tabindex="-1" aria-labelledby=TITLE_ID>
                {children()}
            </main>
        </div>
        <PalettePlace/>
    }
    .into_any()
}

/// Link to the search page; once hydrated, it opens the palette instead.
#[component]
fn SearchLink() -> impl IntoView {
    let palette = Palette::here();
    let open = move |event: MouseEvent| {
        // A new tab or window shows the search page.
        if !(event.ctrl_key() || event.meta_key() || event.shift_key()) {
            event.prevent_default();
            palette.open();
        }
    };
    view! {
        <a class="nav-search" href=routes::SEARCH title="Search, or run a command" aria-keyshortcuts="Control+K Meta+K" on:click=open>
            <Picture icon=Icon::Search/>
            <span>"Search"</span>
            <kbd aria-hidden="true">"Ctrl K"</kbd>
        </a>
    }
}

#[component]
fn NavLink(href: &'static str, icon: Icon, label: &'static str) -> impl IntoView {
    let path = use_location().pathname;
    let current = move || {
        path.with(|path| match href {
            _ if path == href => Some("page"),
            // Pages of a single item belong to the entry of their list.
            routes::SYNCS | routes::DATASETS | routes::TRASH | routes::LAKE
                if path.strip_prefix(href).is_some_and(|rest| rest.starts_with('/')) =>
            {
                Some("true")
            }
            _ => None,
        })
    };
    view! {
        <a class="nav-link" href=href aria-current=current>
            <Picture icon/>
            {label}
            {(href == routes::UPLOAD).then(|| view! { <UploadProgress/> })}
        </a>
    }
}

/// Progress of the upload, shown on every page.
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
    // Outlives the view below: after a fetch of the session, the document has the old link for longer than its signals.
    let address = current_address();
    view! {
        <div class="account">
            <Suspense>
                {move || Suspend::new(async move {
                    session.await.ok().map(|session| view! { <AccountOf session address/> })
                })}
            </Suspense>
        </div>
    }
}

#[component]
fn AccountOf(session: Session, address: Signal<String>) -> impl IntoView {
    let href = move || routes::sign_in(&address.get());
    match session.signed_in {
        Some((name, role)) => view! {
            <p class="account-name" title=visible(name.clone())>
                {visible(name.clone())}
            </p>
            <p class="quiet account-role">{format!("role {role}")}</p>
            <form method="post" action=routes::SIGN_OUT>
                <button type="submit" class="button button-small button-quiet">
                    "Sign out"
                </button>
            </form>
        }
        .into_any(),
        None => view! {
            <p class="quiet account-role">"Not signed in"</p>
            <a class="button button-small" href=href>
                "Sign in"
            </a>
        }
        .into_any(),
    }
}
