//! Command palette: a field and its results, for keyboard and touch.

use super::entries::{Act, Beside, Entry, Group, actions, elsewhere, marked, of_lake, pages, words};
use super::{Palette, Shown};
use crate::api::AsOf;
use crate::api::search::search;
use crate::browser;
use crate::components::clock::Clock;
use crate::components::dialog::show_while;
use crate::components::error_box::sentence;
use crate::components::icon::{Icon, Picture};
use crate::components::page::SessionResource;
use crate::components::status::SyncPill;
use crate::components::time::RelativeTime;
use crate::error::ApiError;
use crate::routes;
use crate::visible::visible;
use lakeshore::Timestamp;
use lakeshore::model::search::{Found, SearchParameters};
use leptos::ev::KeyboardEvent;
use leptos::prelude::*;
use leptos::task::spawn_local;
use std::time::Duration;

/// Results of each kind.
const FOUND_MAX: u64 = 6;
/// Delay after the last key before the query is sent.
const PAUSE: Duration = Duration::from_millis(120);
const OPTION: &str = "palette-option-";

/// A query and its answer.
#[derive(Clone, Copy)]
struct Asking {
    text: RwSignal<String>,
    answer: RwSignal<Option<Result<AsOf<Found>, ApiError>>>,
    is_asking: RwSignal<bool>,
    clock: Clock,
    /// Number of the query, to discard answers to earlier ones.
    asked: StoredValue<u64>,
}

impl Asking {
    fn new() -> Self {
        Self {
            text: RwSignal::new(String::new()),
            answer: RwSignal::new(None),
            is_asking: RwSignal::new(false),
            clock: Clock::here(),
            asked: StoredValue::new(0),
        }
    }

    fn type_in(self, text: String) {
        self.asked.update_value(|asked| *asked += 1);
        let number = self.asked.get_value();
        let is_empty = text.trim().is_empty();
        self.text.set(text.clone());
        self.is_asking.set(!is_empty);
        if is_empty {
            self.answer.set(None);
            return;
        }
        let ask = move || {
            if self.asked.get_value() != number {
                return;
            }
            spawn_local(async move {
                let answer = search(SearchParameters { q: text, size: Some(FOUND_MAX) }).await;
                if self.asked.get_value() == number {
                    if let Ok(found) = &answer {
                        self.clock.observe(found.now);
                    }
                    self.answer.set(Some(answer));
                    self.is_asking.set(false);
                }
            });
        };
        set_timeout(ask, PAUSE);
    }
}

#[component]
pub fn PaletteDialog() -> impl IntoView {
    let palette = Palette::here();
    let session = SessionResource::here().0;
    let session = Memo::new(move |_| session.get().and_then(Result::ok));
    let asking = Asking::new();
    let chosen = RwSignal::new(0);
    // Outcome of copying the address, if that was chosen.
    let copied = RwSignal::new(None);
    // Enter was pressed before the answer: it applies to the first result.
    let is_hurried = StoredValue::new(false);
    let dialog = NodeRef::<leptos::html::Dialog>::new();
    let is_open = Memo::new(move |_| palette.shown.get() == Some(Shown::Palette));
    show_while(dialog, is_open.into());
    let close = move || {
        if is_open.get_untracked() {
            palette.shown.set(None);
        }
    };
    // Resets the palette whenever it opens.
    Effect::new(move |_| {
        is_hurried.set_value(false);
        if is_open.get() {
            asking.type_in(String::new());
            copied.set(None);
            chosen.set(0);
        }
    });
    let groups = Memo::new(move |_| {
        let text = asking.text.get();
        let words = words(&text);
        let session = session.get();
        let mut groups = vec![pages(&words), actions(&words, session.as_ref())];
        if let Some(Ok(found)) = asking.answer.get() {
            groups.extend(of_lake(found.value, session.as_ref()));
        }
        groups.push(elsewhere(&text));
        groups.retain(|group| !group.entries.is_empty());
        groups
    });
    let count = Memo::new(move |_| groups.with(|groups| groups.iter().map(|group| group.entries.len()).sum::<usize>()));
    let as_of = move || match asking.answer.get() {
        Some(Ok(found)) => found.now,
        _ => Timestamp(browser::now_ms()),
    };
    let take = move |at: usize| {
        browser::click(&format!("#{OPTION}{at}"));
    };
    Effect::new(move |_| {
        asking.answer.track();
        if !asking.is_asking.get() && is_hurried.get_value() {
            is_hurried.set_value(false);
            // After the results are rendered.
            set_timeout(move || take(0), Duration::ZERO);
        }
    });
    let choose = move |at: usize| {
        chosen.set(at);
        browser::show(&format!("#{OPTION}{at}"));
    };
    let press = move |event: KeyboardEvent| {
        let (at, last) = (chosen.get_untracked(), count.get_untracked().saturating_sub(1));
        match event.key().as_str() {
            "ArrowDown" => choose(if at >= last { 0 } else { at + 1 }),
            "ArrowUp" => choose(if at == 0 { last } else { at - 1 }),
            "Home" => choose(0),
            "End" => choose(last),
            "Enter" => {
                let has_own = groups.with_untracked(|groups| groups.len() > 1);
                if asking.is_asking.get_untracked() && at == 0 && !has_own {
                    is_hurried.set_value(true);
                } else {
                    take(at);
                }
            }
            _ => return,
        }
        event.prevent_default();
    };
    let type_in = move |event| {
        is_hurried.set_value(false);
        copied.set(None);
        asking.type_in(event_target_value(&event));
        choose(0);
    };
    let said = move || {
        match copied.get() {
            Some(true) => return "Copied".to_owned(),
            Some(false) => return "The browser blocked copying. Copy the link from the address bar.".to_owned(),
            None => {}
        }
        let is_typed = asking.text.with(|text| !text.trim().is_empty());
        match asking.answer.get() {
            _ if !is_typed => "Type part of a path, or the name or ID of a sync.".to_owned(),
            _ if asking.is_asking.get() => "Searching…".to_owned(),
            Some(Err(error)) => sentence(&error.0.msg),
            Some(Ok(found)) if found.value == Found::default() => {
                "No matching dataset or sync. Any part of a path works: orders, db/orders.".to_owned()
            }
            _ => crate::format::counted(count.get() as u64, "result"),
        }
    };
    view! {
        <dialog
            class="palette"
            node_ref=dialog
            aria-label="Search and commands"
            on:close=move |_| {
                // The dialog may have been opened again.
                if dialog.get_untracked().is_none_or(|dialog| !dialog.open()) {
                    close();
                }
            }
            on:click=move |event| {
                // A click on the dialog element itself is one on the backdrop.
                if dialog.get_untracked().is_some_and(|dialog| event_target::<leptos::web_sys::Element>(&event) == **dialog) {
                    close();
                }
            }
        >
            <div class="palette-box">
                <div class="palette-field" class:palette-busy=move || asking.is_asking.get()>
                    <Picture icon=Icon::Search/>
                    <input
                        type="text"
                        role="combobox"
                        aria-label="Search datasets, syncs, pages and actions"
                        aria-expanded="true"
                        aria-autocomplete="list"
                        aria-controls="palette-list"
                        aria-activedescendant=move || format!("{OPTION}{}", chosen.get())
                        placeholder="Search datasets, syncs, pages…"
                        autocomplete="off"
                        autocapitalize="off"
                        spellcheck="false"
                        autofocus
                        prop:value=move || asking.text.get()
                        on:input=type_in
                        on:keydown=press
                    />
                    <button type="button" class="button button-small button-quiet" aria-label="Close" on:click=move |_| close()>
                        <kbd>"Esc"</kbd>
                    </button>
                </div>
                <div id="palette-list" role="listbox" aria-label="Results" class="palette-list">
                    {move || {
                        let words = words(&asking.text.get_untracked());
                        let as_of = untrack(as_of);
                        let mut at = 0;
                        groups
                            .get()
                            .into_iter()
                            .map(|Group { name, entries }| {
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
                <div class="palette-foot">
                    <p role="status">{said}</p>
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
