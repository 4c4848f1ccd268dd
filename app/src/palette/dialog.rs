//! Command palette: a field and its results, for keyboard and touch.

use super::entries::{Act, Beside, Entry, Group, marked, words};
use super::state::{OPTION, PaletteState};
use super::{Palette, Shown};
use crate::browser;
use crate::components::dialog::show_while;
use crate::components::icon::{Icon, Picture};
use crate::components::status::SyncPill;
use crate::components::time::RelativeTime;
use crate::routes;
use crate::visible::visible;
use lakeshore::Timestamp;
use leptos::prelude::*;
use leptos::task::spawn_local;
use std::time::Duration;

#[component]
pub fn PaletteDialog() -> impl IntoView {
    let state = PaletteState::new();
    let dialog = NodeRef::<leptos::html::Dialog>::new();
    show_while(dialog, state.is_open.into());
    state.reset_on_open();
    state.open_pending();
    view! {
        <dialog
            class="palette"
            node_ref=dialog
            aria-label="Search and commands"
            on:close=move |_| {
                // The dialog may have been opened again.
                if dialog.get_untracked().is_none_or(|dialog| !dialog.open()) {
                    state.close();
                }
            }
            on:click=move |event| {
                // A click on the dialog element itself is one on the backdrop.
                if dialog.get_untracked().is_some_and(|dialog| event_target::<leptos::web_sys::Element>(&event) == **dialog) {
                    state.close();
                }
            }
        >
            <div class="palette-box">
                <Field state/>
                <Results state/>
                <div class="palette-foot">
                    <p role="status">{move || state.status_text()}</p>
                    <p class="palette-keys" aria-hidden="true">
                        <kbd>"↑"</kbd>
                        <kbd>"↓"</kbd>
                        " select "
                        <kbd>"Enter"</kbd>
                        " open "
                        <kbd>"?"</kbd>
                        " on a page: shortcuts"
                    </p>
                </div>
            </div>
            <form id="palette-sign-out" method="post" action=routes::SIGN_OUT hidden></form>
        </dialog>
    }
    .into_any()
}

#[component]
fn Field(state: PaletteState) -> impl IntoView {
    view! {
        <div class="palette-field" class:palette-busy=move || state.asking.is_asking.get()>
            <Picture icon=Icon::Search/>
            <input
                type="text"
                role="combobox"
                aria-label="Search datasets, syncs, pages and actions"
                aria-expanded="true"
                aria-autocomplete="list"
                aria-controls="palette-list"
                aria-activedescendant=move || format!("{OPTION}{}", state.chosen.get())
                placeholder="Search datasets, syncs, pages…"
                autocomplete="off"
                autocapitalize="off"
                spellcheck="false"
                autofocus
                prop:value=move || state.asking.text.get()
                on:input=move |event| state.type_in(event_target_value(&event))
                on:keydown=move |event| state.press(&event)
            />
            <button type="button" class="button button-small button-quiet" aria-label="Close" on:click=move |_| state.close()>
                <kbd>"Esc"</kbd>
            </button>
        </div>
    }
    .into_any()
}

#[component]
fn Results(state: PaletteState) -> impl IntoView {
    let PaletteState { chosen, copied, .. } = state;
    view! {
        <div id="palette-list" role="listbox" aria-label="Results" class="palette-list">
            {move || {
                let words = words(&state.asking.text.get_untracked());
                let as_of = untrack(|| state.as_of());
                let mut at = 0;
                state
                    .groups
                    .get()
                    .into_iter()
                    .map(|Group { name, entries, .. }| {
                        let options = entries
                            .into_iter()
                            .map(|entry| {
                                at += 1;
                                view! { <Choice entry words=words.clone() at=at - 1 chosen copied as_of/> }
                            })
                            .collect_view();
                        view! {
                            <div role="group" aria-label=name class="palette-group">
                                <p aria-hidden="true">{name}</p>
                                {options}
                            </div>
                        }
                    })
                    .collect_view()
            }}
        </div>
    }
    .into_any()
}

#[component]
fn Choice(
    entry: Entry,
    words: Vec<String>,
    at: usize,
    chosen: RwSignal<usize>,
    copied: RwSignal<Option<bool>>,
    as_of: Timestamp,
) -> impl IntoView {
    let Entry { icon, title, beside, act } = entry;
    let palette = Palette::here();
    let id = format!("{OPTION}{at}");
    let is_chosen = move || (chosen.get() == at).to_string();
    // On movement only, so that a resting pointer does not select.
    let point = move |_| chosen.set(at);
    let inside = view! {
        <Picture icon/>
        <span class="palette-title"><Marked text=title words=words.clone()/></span>
        <Aside beside words as_of/>
    };
    let close = move || palette.shown.set(None);
    if let Act::Go(href) = act {
        return view! {
            <a
                id=id
                role="option"
                tabindex="-1"
                class="palette-option"
                href=href
                aria-selected=is_chosen
                on:pointermove=point
                on:click=move |_| close()
            >
                {inside}
            </a>
        }
        .into_any();
    }
    let (kind, form) = if act == Act::SignOut { ("submit", Some("palette-sign-out")) } else { ("button", None) };
    let do_it = move |_| match act {
        Act::CopyAddress => spawn_local(async move {
            let is_copied = browser::copy(browser::address()).await;
            copied.set(Some(is_copied));
        }),
        Act::Shortcuts => {
            close();
            // After this dialog has closed and returned the focus.
            set_timeout(move || palette.shown.set(Some(Shown::Sheet)), Duration::ZERO);
        }
        Act::SignOut | Act::Go(_) => close(),
    };
    view! {
        <button
            id=id
            type=kind
            form=form
            role="option"
            tabindex="-1"
            class="palette-option"
            aria-selected=is_chosen
            on:pointermove=point
            on:click=do_it
        >
            {inside}
        </button>
    }
    .into_any()
}

/// Text with the matching words marked.
#[component]
pub fn Marked(text: String, words: Vec<String>) -> impl IntoView {
    marked(&text, &words)
        .into_iter()
        .map(|(is_marked, span)| (is_marked, visible(span)))
        .map(|(is_marked, span)| if is_marked { view! { <mark>{span}</mark> }.into_any() } else { span.into_any() })
        .collect_view()
}

/// Details beside the title of an entry.
#[component]
pub fn Aside(beside: Beside, words: Vec<String>, as_of: Timestamp) -> impl IntoView {
    match beside {
        Beside::Nothing => ().into_any(),
        Beside::Key("?") => view! { <span class="palette-aside" aria-hidden="true"><kbd>"?"</kbd></span> }.into_any(),
        Beside::Key(letter) => {
            view! { <span class="palette-aside" aria-hidden="true"><kbd>"g"</kbd> <kbd>{letter}</kbd></span> }
                .into_any()
        }
        Beside::Landed(at) => view! { <span class="palette-aside quiet"><RelativeTime at as_of/></span> }.into_any(),
        Beside::Sync { path, status, is_held } => view! {
            <span class="palette-path quiet"><Marked text=path words/></span>
            <span class="palette-aside"><SyncPill status is_held/></span>
        }
        .into_any(),
    }
}
