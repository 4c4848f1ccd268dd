//! Keys, for admins, and sessions.

use crate::api::sessions::{list_keys, list_sessions, revoke_key};
use crate::api::{AsOf, Session};
use crate::components::clock::Clock;
use crate::components::dialog::Confirm;
use crate::components::icon::{Icon, Picture};
use crate::components::page::{Heading, SessionResource, page};
use crate::components::sign_in_form::SignInHint;
use crate::components::table_head::{column, table_head};
use crate::components::time::RelativeTime;
use crate::json;
use crate::pages::activity::filters::ActivityFilters;
use crate::pages::keys::create::CreateKey;
use crate::pages::keys::sessions::SessionTable;
use crate::refusal;
use crate::visible::visible;
use lakeshore::model::access::key::Key;
use lakeshore::model::access::role::Role;
use lakeshore::model::time::Timestamp;
use leptos::prelude::*;
use leptos::task::spawn_local;
use std::time::Duration;

/// Time before its expiry from which a key is marked as expiring.
const ENDING: Duration = Duration::from_secs(7 * 24 * 3600);

#[component]
pub fn Keys() -> impl IntoView {
    refusal::provide();
    let session = SessionResource::here().0;
    let keys = json::ask(
        || (),
        move |()| async move {
            // The page itself tells visitors without the role; a refusal would be an error.
            let session = session.await?;
            let may_manage = session.may_administer;
            let keys = if may_manage { Some(list_keys().await?) } else { None };
            let sessions = if session.signed_in.is_some() { Some(list_sessions().await?) } else { None };
            Ok((keys, sessions))
        },
    );
    // The first key replaces the session.
    let who = SessionResource::here().0;
    let refresh = Callback::new(move |()| {
        who.refetch();
        keys.refetch();
    });
    // Kept outside of the list, which is rendered again when a key is added.
    let created = RwSignal::new(None);
    page(
        || "Keys".to_owned(),
        keys,
        move |session, (listed, sessions)| match listed {
            Some(listed) => view! {
                <Heading title="Keys"/>
                <CreateKey session created refresh/>
                <KeyTable listed refresh/>
                {sessions.map(|listed| view! { <SessionTable listed/> })}
            }
            .into_any(),
            None => view! {
                <Heading title="Keys"/>
                <NotAllowed session/>
                {sessions.map(|listed| view! { <SessionTable listed/> })}
            }
            .into_any(),
        },
    )
}

#[component]
fn NotAllowed(session: Session) -> impl IntoView {
    view! {
        <section class="empty">
            <h2>"Only admins can manage keys"</h2>
            <p>
                "Scripts and people access the lake with keys. Admins list, create and revoke keys here; on the server, "
                <code>"lakeshore key"</code> " does the same."
            </p>
            {if session.has_role(Role::Admin) {
                view! {
                    <p class="hint">
                        "Your key is limited to a path. Managing keys requires an admin key for the whole lake."
                    </p>
                }
                    .into_any()
            } else {
                view! { <SignInHint is_signed_in=session.signed_in.is_some() purpose="to manage keys" role="admin"/> }
                    .into_any()
            }}
        </section>
    }
}

#[component]
fn KeyTable(listed: AsOf<Vec<Key>>, refresh: Callback<()>) -> impl IntoView {
    let AsOf { now: as_of, value: mut keys, .. } = listed;
    Clock::here().observe(as_of);
    // Active keys first, then the newest.
    keys.sort_by_key(|key| (!key.is_active(as_of), std::cmp::Reverse(key.key_id)));
    let chosen = RwSignal::new(None::<Key>);
    let is_empty = keys.is_empty();
    view! {
        <section class="section" aria-labelledby="keys-title">
            <h2 id="keys-title">"All keys"</h2>
            <table class="table table-keys" hidden=is_empty>
                {table_head([
                    column("Name"), column("Status"), column("Role"), column("Path"),
                    column("Begins with").secondary(), column("Created").secondary(), column("Created by").secondary(),
                    column("Last used"), column("Expires"), column("Actions").unseen(),
                ])}
                <tbody>
                    {keys.into_iter().map(|key| view! { <KeyRow key as_of chosen/> }).collect_view()}
                </tbody>
            </table>
            {is_empty.then(|| view! { <p class="quiet">"No keys yet. Create the first one above."</p> })}
        </section>
        <RevokeDialog chosen refresh/>
    }
    .into_any()
}

#[component]
fn KeyRow(key: Key, as_of: Timestamp, chosen: RwSignal<Option<Key>>) -> impl IntoView {
    let is_active = key.is_active(as_of);
    let is_ending = is_active && key.expires_at.is_some_and(|at| at.minus(ENDING) <= as_of);
    let (class, icon, status) = match (is_active, key.revoked_at.is_some()) {
        (true, _) if is_ending => ("pill pill-held", Icon::Warning, "Expires soon"),
        (true, _) => ("pill pill-finished", Icon::Check, "Active"),
        (false, true) => ("pill pill-off", Icon::Cross, "Revoked"),
        (false, false) => ("pill pill-off", Icon::History, "Expired"),
    };
    let time = |at: Option<Timestamp>, absent: &'static str| match at {
        Some(at) => view! { <RelativeTime at as_of/> }.into_any(),
        None => view! { <span class="quiet">{absent}</span> }.into_any(),
    };
    let label = format!("Revoke {}", key.name);
    let prefix = key.path_prefix.as_ref().map(ToString::to_string);
    let name = key.name.clone();
    let activity = ActivityFilters::of_who(&name);
    let created_by = if key.created_by.is_empty() { "—".to_owned() } else { key.created_by.clone() };
    let (created_at, last_used_at, expires_at) = (key.created_at, key.last_used_at, key.expires_at);
    let (role, hint) = (key.role, key.hint.clone());
    view! {
        <tr>
            <td class="cell-main">
                <a class="row-name" href=activity title="Show activity of this key">
                    {visible(name)}
                </a>
            </td>
            <td data-label="Status">
                <span class=class>
                    <Picture icon/>
                    {status}
                </span>
            </td>
            <td data-label="Role">{role.as_str()}</td>
            <td data-label="Path">
                {match prefix {
                    Some(prefix) => view! { <span class="path">{visible(prefix)}</span> }.into_any(),
                    None => view! { <span class="quiet whole">"Whole lake"</span> }.into_any(),
                }}
            </td>
            <td data-label="Begins with" class="secondary">
                <code>{hint} "…"</code>
            </td>
            <td data-label="Created" class="secondary">
                {time(Some(created_at), "")}
            </td>
            <td data-label="Created by" class="secondary">
                {visible(created_by)}
            </td>
            <td data-label="Last used">{time(last_used_at, "Never")}</td>
            <td data-label="Expires">{time(expires_at, "Never")}</td>
            <td class="cell-actions">
                {is_active
                    .then(|| {
                        view! {
                            <button
                                type="button"
                                class="button button-small button-danger-quiet"
                                aria-label=visible(label)
                                on:click=move |_| chosen.set(Some(key.clone()))
                            >
                                "Revoke"
                            </button>
                        }
                    })}
            </td>
        </tr>
    }
    .into_any()
}

#[component]
fn RevokeDialog(chosen: RwSignal<Option<Key>>, refresh: Callback<()>) -> impl IntoView {
    let open = RwSignal::new(false);
    let is_pending = RwSignal::new(false);
    let error = RwSignal::new(None);
    Effect::new(move |_| {
        if chosen.with(Option::is_some) {
            open.set(true);
        }
    });
    Effect::new(move |was_open: Option<bool>| {
        let is_open = open.get();
        if was_open == Some(true) && !is_open {
            chosen.set(None);
        }
        is_open
    });
    let text = move || {
        let name = chosen.with(|chosen| chosen.as_ref().map(|key| key.name.clone()).unwrap_or_default());
        format!(
            "Requests with the key \"{name}\" will be refused, and its sessions will end. This cannot be undone, but you can create a new key at any time."
        )
    };
    let on_confirm = move |()| {
        let Some(key) = chosen.get_untracked() else { return };
        is_pending.set(true);
        spawn_local(async move {
            let result = revoke_key(key.key_id).await;
            is_pending.try_set(false);
            match result {
                Ok(()) => {
                    open.try_set(false);
                    refresh.try_run(());
                }
                Err(refused) => drop(error.try_set(Some(refused))),
            }
        });
    };
    view! {
        <Confirm
            id="revoke-title"
            open
            title="Revoke this key?"
            confirm="Revoke key"
            running="Revoking…"
            is_danger=true
            is_ready=true
            is_pending
            error
            on_confirm
        >
            <p>{move || visible(text())}</p>
        </Confirm>
    }
}
