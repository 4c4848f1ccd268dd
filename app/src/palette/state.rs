//! State of the command palette: the query, its answer, the chosen entry.

use super::entries::{Group, actions, elsewhere, of_lake, pages, words};
use super::{Palette, Shown};
use crate::api::AsOf;
use crate::api::search::search;
use crate::browser;
use crate::components::clock::Clock;
use crate::components::error_box::sentence;
use crate::components::page::SessionResource;
use crate::error::ApiError;
use crate::format;
use lakeshore::Timestamp;
use lakeshore::model::search::{SearchParameters, SearchResults};
use leptos::ev::KeyboardEvent;
use leptos::prelude::*;
use leptos::task::spawn_local;
use std::time::Duration;

/// Results of each kind.
const FOUND_MAX: u64 = 6;
/// Delay after the last key before the query is sent.
const PAUSE: Duration = Duration::from_millis(120);
/// Start of the ids of entries.
pub(super) const OPTION: &str = "palette-option-";

/// A query and its answer.
#[derive(Clone, Copy)]
pub(super) struct Asking {
    pub(super) text: RwSignal<String>,
    answer: RwSignal<Option<Result<AsOf<SearchResults>, ApiError>>>,
    pub(super) is_asking: RwSignal<bool>,
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

/// State of the palette.
#[derive(Clone, Copy)]
pub(super) struct PaletteState {
    palette: Palette,
    pub(super) is_open: Memo<bool>,
    pub(super) asking: Asking,
    pub(super) groups: Memo<Vec<Group>>,
    /// Number of entries of all groups.
    count: Memo<usize>,
    pub(super) chosen: RwSignal<usize>,
    /// Outcome of copying the address, if that was chosen.
    pub(super) copied: RwSignal<Option<bool>>,
    /// Enter was pressed before the answer: it applies to the first result.
    enter_pending: StoredValue<bool>,
}

impl PaletteState {
    pub(super) fn new() -> Self {
        let palette = Palette::here();
        let session = SessionResource::here().0;
        let session = Memo::new(move |_| session.get().and_then(Result::ok));
        let asking = Asking::new();
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
        let count = move |groups: &Vec<Group>| groups.iter().map(|group| group.entries.len()).sum::<usize>();
        Self {
            palette,
            is_open: Memo::new(move |_| palette.shown.get() == Some(Shown::Palette)),
            asking,
            groups,
            count: Memo::new(move |_| groups.with(count)),
            chosen: RwSignal::new(0),
            copied: RwSignal::new(None),
            enter_pending: StoredValue::new(false),
        }
    }

    /// Resets the palette whenever it opens.
    pub(super) fn reset_on_open(self) {
        Effect::new(move |_| {
            self.enter_pending.set_value(false);
            if self.is_open.get() {
                self.asking.type_in(String::new());
                self.copied.set(None);
                self.chosen.set(0);
            }
        });
    }

    /// Opens the first result once the answer comes for which Enter was pressed.
    pub(super) fn open_pending(self) {
        Effect::new(move |_| {
            self.asking.answer.track();
            if !self.asking.is_asking.get() && self.enter_pending.get_value() {
                self.enter_pending.set_value(false);
                // After the results are rendered.
                set_timeout(|| open_entry(0), Duration::ZERO);
            }
        });
    }

    pub(super) fn close(self) {
        if self.is_open.get_untracked() {
            self.palette.shown.set(None);
        }
    }

    fn choose(self, at: usize) {
        self.chosen.set(at);
        browser::show(&format!("#{OPTION}{at}"));
    }

    pub(super) fn type_in(self, text: String) {
        self.enter_pending.set_value(false);
        self.copied.set(None);
        self.asking.type_in(text);
        self.choose(0);
    }

    pub(super) fn press(self, event: &KeyboardEvent) {
        let (at, last) = (self.chosen.get_untracked(), self.count.get_untracked().saturating_sub(1));
        match event.key().as_str() {
            "ArrowDown" => self.choose(if at >= last { 0 } else { at + 1 }),
            "ArrowUp" => self.choose(if at == 0 { last } else { at - 1 }),
            "Home" => self.choose(0),
            "End" => self.choose(last),
            "Enter" => {
                // Meanwhile the first result may be that of an earlier query.
                let has_own = self.groups.with_untracked(|groups| groups.first().is_some_and(|group| group.is_own));
                if self.asking.is_asking.get_untracked() && at == 0 && !has_own {
                    self.enter_pending.set_value(true);
                } else {
                    open_entry(at);
                }
            }
            _ => return,
        }
        event.prevent_default();
    }

    /// Time of the answer, for its relative times.
    pub(super) fn as_of(self) -> Timestamp {
        match self.asking.answer.get() {
            Some(Ok(found)) => found.now,
            _ => Timestamp(browser::now_ms()),
        }
    }

    pub(super) fn status_text(self) -> String {
        match self.copied.get() {
            Some(true) => return "Copied".to_owned(),
            Some(false) => return "The browser blocked copying. Copy the link from the address bar.".to_owned(),
            None => {}
        }
        let is_typed = self.asking.text.with(|text| !text.trim().is_empty());
        match self.asking.answer.get() {
            _ if !is_typed => "Type part of a path, or the name or ID of a sync.".to_owned(),
            _ if self.asking.is_asking.get() => "Searching…".to_owned(),
            Some(Err(error)) => sentence(&error.0.msg),
            Some(Ok(found)) if found.value == SearchResults::default() => {
                "No matching dataset or sync. Any part of a path works: orders, db/orders.".to_owned()
            }
            _ => format::counted(self.count.get() as u64, "result"),
        }
    }
}

fn open_entry(at: usize) {
    browser::click(&format!("#{OPTION}{at}"));
}
