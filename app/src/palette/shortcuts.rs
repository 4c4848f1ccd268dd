//! Keyboard shortcuts: one table for the actions and the sheet.

use super::{Palette, Shown};
use crate::browser::{self, Pressed};
use crate::navigation::DESTINATIONS;
use leptos::prelude::{GetValue, Set, SetValue};

/// Time after `g` within which a letter opens a page.
const PREFIX_MS_MAX: i64 = 1500;
const PREFIX_KEY: &str = "g";
pub const TO_SEARCH: &str = "/";
/// First keys of shortcuts.
pub const FIRST: [&str; 5] = [PREFIX_KEY, TO_SEARCH, "j", "k", "?"];

/// Links that open table rows.
const ROWS: &str = "main tbody a.row-name";
/// Search and filter fields of pages.
const SEARCH_FIELDS: &str = "main search input:not([type=hidden]), main input[type=search]";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShortcutAction {
    Search,
    NextRow,
    PreviousRow,
    /// Leaves a field, so that shortcuts work again.
    BlurField,
    Sheet,
    /// Listed only: handled by the browser or by another key.
    DocumentedOnly,
}

pub struct Shortcut {
    pub keys: &'static [&'static str],
    pub action: ShortcutAction,
    pub words: &'static str,
}

pub static SHORTCUTS: [Shortcut; 8] = [
    Shortcut {
        keys: &["Ctrl K"],
        action: ShortcutAction::DocumentedOnly,
        words: "Open the command palette (⌘ K on a Mac)",
    },
    Shortcut {
        keys: &[TO_SEARCH],
        action: ShortcutAction::Search,
        words: "Go to the page's search field, or open the palette",
    },
    Shortcut { keys: &["j"], action: ShortcutAction::NextRow, words: "Next table row" },
    Shortcut { keys: &["k"], action: ShortcutAction::PreviousRow, words: "Previous table row" },
    Shortcut { keys: &["Enter"], action: ShortcutAction::DocumentedOnly, words: "Open the selected row" },
    Shortcut { keys: &["Escape"], action: ShortcutAction::BlurField, words: "Close a dialog, or leave a field" },
    Shortcut { keys: &["?"], action: ShortcutAction::Sheet, words: "Show keyboard shortcuts" },
    Shortcut {
        keys: &[PREFIX_KEY],
        action: ShortcutAction::DocumentedOnly,
        words: "Go to a page: press its letter next",
    },
];

/// Handles a key. Returns whether the browser's default action is prevented.
pub fn press(palette: Palette, pressed: &Pressed) -> bool {
    let is_prefixed = browser::now_ms() - palette.prefix_pressed_at_ms.get_value() < PREFIX_MS_MAX;
    palette.prefix_pressed_at_ms.set_value(0);
    let key = pressed.key.as_str();
    let shortcut = SHORTCUTS.iter().find(|shortcut| shortcut.keys.contains(&key));
    if pressed.is_in_field
        && !pressed.is_in_dialog
        && shortcut.is_some_and(|shortcut| shortcut.action == ShortcutAction::BlurField)
    {
        browser::leave_field();
        return false;
    }
    if !pressed.is_plain() {
        return false;
    }
    if is_prefixed && let Some(page) = DESTINATIONS.iter().find(|page| page.letter == key) {
        return browser::click(&format!(".main-nav a[href=\"{}\"]", page.href));
    }
    if key == PREFIX_KEY {
        palette.prefix_pressed_at_ms.set_value(browser::now_ms());
        return false;
    }
    match shortcut.map(|shortcut| shortcut.action) {
        Some(ShortcutAction::Search) => {
            if !browser::focus(SEARCH_FIELDS, 0) {
                palette.shown.set(Some(Shown::Palette));
            }
            true
        }
        Some(ShortcutAction::NextRow) => browser::focus(ROWS, 1),
        Some(ShortcutAction::PreviousRow) => browser::focus(ROWS, -1),
        Some(ShortcutAction::Sheet) => {
            palette.shown.set(Some(Shown::Sheet));
            true
        }
        Some(ShortcutAction::BlurField | ShortcutAction::DocumentedOnly) | None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_means_one_thing_and_each_that_begins_one_is_listened_for() {
        let mut letters: Vec<_> = DESTINATIONS.iter().map(|page| page.letter).collect();
        letters.sort_unstable();
        letters.dedup();
        assert_eq!(letters.len(), DESTINATIONS.len());
        let mut keys: Vec<_> = SHORTCUTS.iter().flat_map(|shortcut| shortcut.keys).collect();
        let all = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), all);
        for shortcut in SHORTCUTS
            .iter()
            .filter(|shortcut| !matches!(shortcut.action, ShortcutAction::DocumentedOnly | ShortcutAction::BlurField))
        {
            assert!(shortcut.keys.iter().all(|key| FIRST.contains(key)), "{:?}", shortcut.keys);
        }
    }
}
