//! Command palette and keyboard shortcuts.
//!
//! All pages have the key listener. The actions are a part of the code ([`crate::code_split`]), which is loaded with
//! the first key that may be a shortcut.

pub mod dialog;
pub mod entries;
mod sheet;
pub mod shortcuts;
mod state;

use crate::browser::{self, Pressed};
use crate::code_split::load_palette;
use crate::routes;
use leptos::prelude::*;
use leptos::task::spawn_local;

/// Key in local storage, set while a person has disabled single-key shortcuts.
pub const OFF: &str = "lakeshore.shortcuts-off";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    Palette,
    Sheet,
}

/// Functions of the loaded part.
#[derive(Clone, Copy)]
pub struct Loaded {
    /// Renders both dialogs, closed.
    render: fn() -> AnyView,
    /// Handles a key. Returns whether the browser's default action is prevented.
    press: fn(Palette, &Pressed) -> bool,
}

impl Loaded {
    /// Called only within the part, so that its code is in it.
    pub fn part() -> Self {
        Self { render: || view! { <dialog::PaletteDialog/> <sheet::Sheet/> }.into_any(), press: shortcuts::press }
    }
}

#[derive(Clone, Copy)]
pub struct Palette {
    pub shown: RwSignal<Option<Shown>>,
    loaded: RwSignal<Option<Loaded>>,
    is_loading: StoredValue<bool>,
    /// Time at which `g` was pressed, by the browser's clock.
    prefix_pressed_at_ms: StoredValue<i64>,
}

impl Palette {
    pub fn provide() {
        let palette = Self {
            shown: RwSignal::new(None),
            loaded: RwSignal::new(None),
            is_loading: StoredValue::new(false),
            prefix_pressed_at_ms: StoredValue::new(0),
        };
        provide_context(palette);
        Effect::new(move |_| browser::on_key(move |pressed| palette.handle_key(pressed)));
    }

    pub fn here() -> Self {
        expect_context()
    }

    /// Opens the palette, or the search page if its part cannot be loaded.
    pub fn open(self) {
        self.with_part(move |loaded| match loaded {
            Some(_) => self.shown.set(Some(Shown::Palette)),
            None => browser::go_to(routes::SEARCH),
        });
    }

    fn with_part(self, then: impl FnOnce(Option<Loaded>) + 'static) {
        self.is_loading.set_value(true);
        spawn_local(async move {
            let loaded = load_palette().await;
            self.is_loading.set_value(false);
            if self.loaded.with_untracked(Option::is_none) {
                self.loaded.set(loaded);
            }
            then(loaded);
        });
    }

    fn handle_key(self, pressed: Pressed) -> bool {
        if pressed.is_command {
            let is_ours = pressed.key == "k";
            if is_ours && self.shown.get_untracked().is_some() {
                self.shown.set(None);
            } else if is_ours && !pressed.is_in_dialog {
                self.open();
            }
            return is_ours;
        }
        if pressed.key == "Escape" && self.shown.get_untracked().is_some() {
            // The browser closes the dialog and reports it later; the next key has to find it closed.
            self.shown.set(None);
            return false;
        }
        if browser::kept(OFF).is_some() {
            return false;
        }
        if let Some(loaded) = self.loaded.get_untracked() {
            return (loaded.press)(self, &pressed);
        }
        let may_mean_something = self.is_loading.get_value() || shortcuts::FIRST.contains(&pressed.key.as_str());
        if !pressed.is_plain() || !may_mean_something {
            return false;
        }
        let is_search = pressed.key == shortcuts::TO_SEARCH;
        self.with_part(move |loaded| {
            if let Some(loaded) = loaded {
                (loaded.press)(self, &pressed);
            }
        });
        // Prevents the browser's search within the page.
        is_search
    }
}

/// Place for the dialogs of the part.
#[component]
pub fn PalettePlace() -> impl IntoView {
    let loaded = Palette::here().loaded;
    move || loaded.get().map(|loaded| (loaded.render)())
}
