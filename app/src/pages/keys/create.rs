//! Form for a new key. Its secret is shown once.

use crate::api::Session;
use crate::api::sessions::create_key;
use crate::browser::now_ms;
use crate::components::copy::{Command, CopyButton};
use crate::components::error_box::MaybeError;
use crate::components::icon::{Icon, Picture};
use crate::error::ApiError;
use crate::snippet::upload_command;
use crate::visible::visible;
use lakeshore::ErrorCode;
use lakeshore::model::access::key::{CreatedKey, NewKey};
use lakeshore::model::access::role::Role;
use lakeshore::model::dataset::day::Day;
use lakeshore::model::error::Refusal;
use lakeshore::model::path::LakePath;
use lakeshore::model::time::Timestamp;
use leptos::ev::SubmitEvent;
use leptos::prelude::*;
use leptos::task::spawn_local;
use std::time::Duration;

/// Expiry of the new key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expires {
    Never,
    InDays(u64),
    /// At the end of a chosen day.
    After,
}

impl Expires {
    fn parse(text: &str) -> Self {
        match text {
            "after" => Self::After,
            days => days.parse().map_or(Self::Never, Self::InDays),
        }
    }
}

/// End of a day, if it is in the future.
fn end_of(day: &str, now_ms: i64) -> Option<Timestamp> {
    Day::parse(day).map(|day| day.plus(1).start()).filter(|end| end.0 > now_ms)
}

/// Fields of the form.
#[derive(Clone, Copy)]
struct KeyForm {
    name: RwSignal<String>,
    role: RwSignal<Role>,
    prefix: RwSignal<String>,
    expires: RwSignal<Expires>,
    last_day: RwSignal<String>,
}

impl KeyForm {
    fn new(role: Role) -> Self {
        Self {
            name: RwSignal::new(String::new()),
            role: RwSignal::new(role),
            prefix: RwSignal::new(String::new()),
            expires: RwSignal::new(Expires::Never),
            last_day: RwSignal::new(String::new()),
        }
    }

    /// Key that the fields describe, or the refusal of a field.
    fn read(self, now_ms: i64) -> Result<NewKey, ApiError> {
        let path_prefix = match self.prefix.get_untracked().trim() {
            "" => None,
            text => match LakePath::parse(text) {
                Ok(path) => Some(path),
                Err(refused) => return Err(ApiError(Refusal::new(ErrorCode::InvalidPath, refused.to_string()))),
            },
        };
        let expires_at = match self.expires.get_untracked() {
            Expires::Never => None,
            Expires::InDays(days) => Some(Timestamp(now_ms).plus(Duration::from_secs(days * 24 * 3600))),
            Expires::After => match end_of(&self.last_day.get_untracked(), now_ms) {
                Some(end) => Some(end),
                None => {
                    let msg = "the last day must be today or later; choose another".to_owned();
                    return Err(ApiError(Refusal::new(ErrorCode::Invalid, msg)));
                }
            },
        };
        let name = self.name.get_untracked().trim().to_owned();
        Ok(NewKey { name, role: self.role.get_untracked(), path_prefix, expires_at })
    }
}

#[component]
pub fn CreateKey(session: Session, created: RwSignal<Option<CreatedKey>>, refresh: Callback<()>) -> impl IntoView {
    // The first key is the only way in after this session ends.
    let is_first = session.is_first_sign_in;
    let form = KeyForm::new(if is_first { Role::Admin } else { Role::Write });
    // Without a script, the form would only reload the page with the name in its address.
    let is_pending = RwSignal::new(true);
    Effect::new(move |_| is_pending.set(false));
    let error = RwSignal::new(None::<ApiError>);
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        error.set(None);
        let new = match form.read(now_ms()) {
            Ok(new) => new,
            Err(refused) => {
                error.set(Some(refused));
                return;
            }
        };
        is_pending.set(true);
        spawn_local(async move {
            let result = create_key(new).await;
            is_pending.try_set(false);
            match result {
                Ok(key) => {
                    created.try_set(Some(key));
                    form.name.try_set(String::new());
                    refresh.try_run(());
                }
                Err(refused) => drop(error.try_set(Some(refused))),
            }
        });
    };
    let origin = StoredValue::new(session.site.origin);
    view! {
        {move || {
            created.get().map(|key| view! { <CreatedNotice key origin=origin.get_value() on_done=move |()| created.set(None)/> })
        }}
        <section class="section card" aria-labelledby="create-title">
            <h2 id="create-title">"New key"</h2>
            {is_first
                .then(|| {
                    view! {
                        <p>
                            "You signed in with the one-time link. This session ends after an hour, or when you create the first key: you are then signed in with that key, so give it the role admin."
                        </p>
                    }
                })}
            <form class="form-row" on:submit=submit>
                <KeyFields form is_first/>
                <button type="submit" class="button button-primary" disabled=move || is_pending.get()>
                    "Create key"
                </button>
            </form>
            <MaybeError error/>
        </section>
    }
    .into_any()
}

#[component]
fn KeyFields(form: KeyForm, is_first: bool) -> impl IntoView {
    view! {
        <label class="field">
            <span>"Name"</span>
            <input
                class="input"
                name="name"
                required
                autocomplete="off"
                placeholder="nightly export"
                prop:value=form.name
                on:input=move |event| form.name.set(event_target_value(&event))
            />
        </label>
        <label class="field">
            <span>"Role"</span>
            <select
                class="input"
                name="role"
                on:change=move |event| {
                    form.role.set(Role::parse(&event_target_value(&event)).unwrap_or(Role::Write))
                }
            >
                <option value="write">"write: upload, end syncs, restore"</option>
                <option value="read">"read: view and download"</option>
                <option value="admin" selected=is_first>
                    "admin: everything, including keys"
                </option>
            </select>
        </label>
        <label class="field">
            <span>"Limit to path"</span>
            <input
                class="input"
                name="prefix"
                autocomplete="off"
                placeholder="whole lake"
                prop:value=form.prefix
                on:input=move |event| form.prefix.set(event_target_value(&event))
            />
        </label>
        <label class="field">
            <span>"Expires"</span>
            <select
                class="input"
                name="expires"
                on:change=move |event| form.expires.set(Expires::parse(&event_target_value(&event)))
            >
                <option value="never">"Never"</option>
                <option value="7">"In 7 days"</option>
                <option value="30">"In 30 days"</option>
                <option value="90">"In 90 days"</option>
                <option value="365">"In 1 year"</option>
                <option value="after">"On a date…"</option>
            </select>
        </label>
        <Show when=move || form.expires.get() == Expires::After>
            <label class="field">
                <span>"Last day (UTC)"</span>
                <input
                    class="input"
                    name="last-day"
                    type="date"
                    required
                    prop:value=form.last_day
                    on:input=move |event| form.last_day.set(event_target_value(&event))
                />
            </label>
        </Show>
    }
    .into_any()
}

#[component]
fn CreatedNotice(key: CreatedKey, origin: String, #[prop(into)] on_done: Callback<()>) -> impl IntoView {
    let CreatedKey { key, secret } = key;
    let command = upload_command(&origin, "SYNC_ID", "sales.parquet", true).replace("$KEY", &secret);
    view! {
        <section class="notice notice-good created" role="status">
            <Picture icon=Icon::Check/>
            <div>
                <p>
                    <strong>{visible(format!("Key \"{}\" created. ", key.name))}</strong>
                    "Copy it now. It is not shown again."
                </p>
                <p class="secret">
                    <code id="new-key">{secret.clone()}</code>
                    <CopyButton text=secret label="Copy key"/>
                </p>
                {(key.role >= Role::Write)
                    .then(|| {
                        view! {
                            <p>"Example upload:"</p>
                            <Command text=command label="Copy upload command"/>
                        }
                    })}
                <p>
                    <button type="button" class="button button-small" on:click=move |_| on_done.run(())>
                        "I have copied it"
                    </button>
                </p>
            </div>
        </section>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_lasts_through_its_last_day_and_no_day_is_taken_that_is_past() {
        let noon = 12 * 3600 * 1000;
        assert_eq!(end_of("1970-01-01", noon), Some(Timestamp(24 * 3600 * 1000)));
        assert_eq!(end_of("1969-12-31", noon), None);
        assert_eq!(end_of("", noon), None);
    }
}
