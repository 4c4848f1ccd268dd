//! Sessions, as a part of the page of keys. Plain forms, which work without scripts.

use crate::api::AsOf;
use crate::components::error_box::ErrorBox;
use crate::components::table_head::{column, table_head};
use crate::components::time::RelativeTime;
use crate::query::use_query;
use crate::refusal;
use crate::visible::visible;
use lakeshore::model::access::session::SessionEntry;
use lakeshore::model::time::Timestamp;
use leptos::prelude::*;
use std::collections::BTreeMap;

#[component]
pub fn SessionTable(listed: AsOf<Vec<SessionEntry>>) -> impl IntoView {
    let AsOf { now: as_of, value: sessions, .. } = listed;
    // Refusal of the sent form.
    let refused = use_query();
    // A key with several sessions has a button that ends all of them.
    let mut of_keys = BTreeMap::<_, (String, usize)>::new();
    for session in &sessions {
        if let Some(key_id) = session.key_id {
            of_keys.entry(key_id.0).or_insert((session.key_name.clone(), 0)).1 += 1;
        }
    }
    of_keys.retain(|_, (_, count)| *count > 1);
    let has_others = sessions.iter().any(|session| !session.is_own);
    let is_empty = sessions.is_empty();
    view! {
        <section class="section" aria-labelledby="sessions-title">
            <h2 id="sessions-title">"Sessions"</h2>
            {move || refused.with(refusal::of_address).map(|error| view! { <ErrorBox error/> })}
            <p class="lead quiet">
                "Browsers that are signed in. A session ends with its key, after 30 days, or after 7 days without use."
            </p>
            <table class="table table-keys" hidden=is_empty>
                {table_head([
                    column("Key"), column("Started"), column("Last seen"), column("Expires"), column("From"),
                    column("Client").secondary(), column("Actions").unseen(),
                ])}
                <tbody>
                    {sessions.into_iter().map(|session| view! { <SessionRow session as_of/> }).collect_view()}
                </tbody>
            </table>
            {is_empty.then(|| view! { <p class="quiet">"No active sessions."</p> })}
            <div class="form-row">
                {of_keys
                    .into_iter()
                    .map(|(key_id, (name, count))| {
                        view! {
                            <EndForm
                                field="key_id"
                                value=key_id.to_string()
                                label=format!("End {count} sessions of {name}")
                                text=format!("End {count} sessions of {name}")
                            />
                        }
                    })
                    .collect_view()}
                {has_others
                    .then(|| {
                        view! {
                            <EndForm
                                field="others"
                                value="true".to_owned()
                                label="End all other sessions".to_owned()
                                text="End all other sessions".to_owned()
                            />
                        }
                    })}
            </div>
        </section>
    }
    .into_any()
}

#[component]
fn SessionRow(session: SessionEntry, as_of: Timestamp) -> impl IntoView {
    let SessionEntry { session_id, key_id, key_name, begun_at, last_seen_at, expires_at, address, program, is_own } =
        session;
    let name = if key_id.is_some() { key_name } else { "first sign-in".to_owned() };
    let label = format!("End session of {name} from {}", address.as_deref().unwrap_or("an unknown address"));
    let whole_program = program.clone().map(visible);
    let text = |text: Option<String>| match text {
        Some(text) => view! { <span>{visible(text)}</span> }.into_any(),
        None => view! { <span class="quiet">"Unknown"</span> }.into_any(),
    };
    view! {
        <tr>
            <td class="cell-main">
                <span class="row-name">{visible(name)}</span>
                {is_own.then(|| view! { <span class="quiet">" (this browser)"</span> })}
            </td>
            <td data-label="Started">
                <RelativeTime at=begun_at as_of/>
            </td>
            <td data-label="Last seen">
                <RelativeTime at=last_seen_at as_of/>
            </td>
            <td data-label="Expires">
                <RelativeTime at=expires_at as_of/>
            </td>
            <td data-label="From">{text(address)}</td>
            <td data-label="Client" class="secondary">
                <span class="program" title=whole_program>
                    {text(program)}
                </span>
            </td>
            <td class="cell-actions">
                <EndForm field="session_id" value=session_id.0.to_string() label text="End".to_owned()/>
            </td>
        </tr>
    }
    .into_any()
}

/// Form that ends the sessions of one field.
#[component]
fn EndForm(field: &'static str, value: String, label: String, text: String) -> impl IntoView {
    view! {
        <form method="post" action="/fn/end-sessions">
            <input type="hidden" name=field value=value/>
            <button type="submit" class="button button-small button-danger-quiet" aria-label=visible(label)>
                {visible(text)}
            </button>
        </form>
    }
}
