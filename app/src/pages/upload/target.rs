//! Target of an upload: a new sync, or an open one.

use crate::api::list_datasets;
use crate::browser::{minutes_ahead_of_utc, now_ms};
use crate::components::status::{meaning, short};
use crate::format;
use lakeshore::model::path::LakePath;
use lakeshore::model::sync::start::StartSync;
use lakeshore::model::sync::status::SyncType;
use lakeshore::model::time::Timestamp;
use leptos::prelude::*;
use leptos::task::spawn_local;

/// Fields of the new sync.
#[derive(Clone, Copy)]
pub struct Draft {
    pub path: RwSignal<String>,
    pub sync_type: RwSignal<SyncType>,
    /// Absent until the person types a name, which replaces the proposed one.
    name: RwSignal<Option<String>>,
    /// Time at which the page was opened in the browser; absent on the server.
    opened_at: RwSignal<Option<Timestamp>>,
}

impl Draft {
    /// `path` is taken from the page's address.
    pub fn new(path: String) -> Self {
        let draft = Self {
            path: RwSignal::new(path),
            sync_type: RwSignal::new(SyncType::IncrementalSync),
            name: RwSignal::new(None),
            opened_at: RwSignal::new(None),
        };
        Effect::new(move |_| draft.opened_at.set(Some(Timestamp(now_ms() + minutes_ahead_of_utc() * 60_000))));
        draft
    }

    fn name(self) -> String {
        self.name.get().unwrap_or_else(|| self.proposed_name())
    }

    /// `transactions 2026-11-24 14:05`, in local time.
    fn proposed_name(self) -> String {
        let path = LakePath::parse(self.path.get().trim());
        match (path, self.opened_at.get()) {
            (Ok(path), Some(at)) => format!("{} {}", path.leaf(), format::minute(at)),
            _ => String::new(),
        }
    }

    /// Problem of the path, if any; none for an empty one.
    pub fn path_fault(self) -> Option<String> {
        let text = self.path.get();
        let text = text.trim();
        if text.is_empty() { None } else { LakePath::parse(text).err().map(|fault| fault.to_string()) }
    }

    /// The start call, if the path is valid.
    pub fn start(self) -> Option<StartSync> {
        let path = LakePath::parse(self.path.get().trim()).ok()?;
        let name = self.name();
        let name = if name.trim().is_empty() { self.proposed_name() } else { name.trim().to_owned() };
        Some(StartSync { name, path: path.to_string(), sync_type: self.sync_type.get(), expected: None })
    }
}

#[component]
pub fn DraftForm(draft: Draft) -> impl IntoView {
    let suggestions = RwSignal::new(Vec::<LakePath>::new());
    Effect::new(move |_| {
        let beginning = draft.path.get().trim().to_owned();
        spawn_local(async move {
            // Suggestions are optional: without them a path is typed.
            let found = list_datasets(beginning.clone()).await.unwrap_or_default();
            // Discards the answer to an earlier text.
            if draft.path.try_with_untracked(|now| now.trim() == beginning) == Some(true) {
                suggestions.try_set(found);
            }
        });
    });
    let fault = Memo::new(move |_| draft.path_fault());
    view! {
        <div class="form-grid">
            <label class="field">
                <span>"Lake path"</span>
                <input
                    class="input"
                    id="lake-path"
                    name="path"
                    list="known-datasets"
                    autocomplete="off"
                    spellcheck="false"
                    required
                    placeholder="/data/db/transactions"
                    aria-describedby="lake-path-fault"
                    aria-invalid=move || fault.get().is_some().then_some("true")
                    value=draft.path.get_untracked()
                    prop:value=draft.path
                    on:input=move |event| draft.path.set(event_target_value(&event))
                />
                <span id="lake-path-fault" class="field-fault">
                    {move || fault.get().map(|fault| crate::components::error_box::sentence(&fault))}
                </span>
            </label>
            <datalist id="known-datasets">
                <For each=move || suggestions.get() key=|path| path.clone() children=|path| view! { <option value=path.to_string()></option> }/>
            </datalist>
            <label class="field">
                <span>"Name"</span>
                <input
                    class="input"
                    name="name"
                    autocomplete="off"
                    placeholder="such as nightly export"
                    prop:value=move || draft.name()
                    on:input=move |event| draft.name.set(Some(event_target_value(&event)))
                />
            </label>
        </div>
        <fieldset class="choices">
            <legend>"Type"</legend>
            <TypeChoice draft sync_type=SyncType::IncrementalSync/>
            <TypeChoice draft sync_type=SyncType::FullSync/>
        </fieldset>
    }
    .into_any()
}

#[component]
fn TypeChoice(draft: Draft, sync_type: SyncType) -> impl IntoView {
    let is_default = sync_type == SyncType::IncrementalSync;
    view! {
        <label class="choice">
            <input
                type="radio"
                name="sync_type"
                value=sync_type.as_str()
                checked=is_default
                prop:checked=move || draft.sync_type.get() == sync_type
                on:change=move |_| draft.sync_type.set(sync_type)
            />
            <span>
                <strong>{short(sync_type)} " sync"</strong>
                <span class="quiet">{meaning(sync_type)}</span>
            </span>
        </label>
    }
}
