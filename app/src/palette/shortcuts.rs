//! Keyboard shortcuts: one table for the actions and the sheet.

use super::{Palette, Shown};
use crate::browser::{self, Pressed};
use crate::navigation::DESTINATIONS;
use leptos::prelude::{GetValue, Set, SetValue};

/// Time after `g` within which a letter opens a page.
const LED_MS_MAX: i64 = 1500;
const LEAD: &str = "g";
pub const TO_SEARCH: &str = "/";
/// First keys of shortcuts.
pub const FIRST: [&str; 5] = [LEAD, TO_SEARCH, "j", "k", "?"];

/// Links that open table rows.
const ROWS: &str = "main tbody a.row-name";
/// Search and filter fields of pages.
const SEARCH_FIELDS: &str = "main search input:not([type=hidden]), main input[type=search]";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Does {
    Search,
    NextRow,
    RowBefore,
    /// Leaves a field, so that shortcuts work again.
    Leave,
    Sheet,
    /// Listed only: handled by the browser or by another key.
    Told,
}

pub struct Shortcut {
    pub keys: &'static [&'static str],
    pub does: Does,
    pub words: &'static str,
}

pub static SHORTCUTS: [Shortcut; 8] = [
    Shortcut { keys: &["Ctrl K"], does: Does::Told, words: "Open the command palette (⌘ K on a Mac)" },
    Shortcut { keys: &[TO_SEARCH], does: Does::Search, words: "Go to the page's search field, or open the palette" },
    Shortcut { keys: &["j"], does: Does::NextRow, words: "Next table row" },
    Shortcut { keys: &["k"], does: Does::RowBefore, words: "Previous table row" },
    Shortcut { keys: &["Enter"], does: Does::Told, words: "Open the selected row" },
    Shortcut { keys: &["Escape"], does: Does::Leave, words: "Close a dialog, or leave a field" },
    Shortcut { keys: &["?"], does: Does::Sheet, words: "Show keyboard shortcuts" },
    Shortcut { keys: &[LEAD], does: Does::Told, words: "Go to a page: press its letter next" },
];

/// Handles a key. Returns whether the browser's default action is prevented.
pub fn press(palette: Palette, pressed: &Pressed) -> bool {
    let is_led = browser::now_ms() - palette.led_at_ms.get_value() < LED_MS_MAX;
    palette.led_at_ms.set_value(0);
    let key = pressed.key.as_str();
    let shortcut = SHORTCUTS.iter().find(|shortcut| shortcut.keys.contains(&key));
    if pressed.is_in_field && !pressed.is_in_dialog && shortcut.is_some_and(|shortcut| shortcut.does == Does::Leave) {
        browser::leave_field();
        return false;
    }
    if !pressed.is_plain() {
        return false;
    }
    if is_led && let Some(page) = DESTINATIONS.iter().find(|page| page.letter == key) {
        return browser::click(&format!(".main-nav a[href=\"{}\"]", page.href));
    }
    if key == LEAD {
        palette.led_at_ms.set_value(browser::now_ms());
        return false;
    }
    match shortcut.map(|shortcut| shortcut.does) {
        Some(Does::Search) => {
            if !browser::focus(SEARCH_FIELDS, 0) {
                palette.shown.set(Some(Shown::Palette));
            }
            true
        }
        Some(Does::NextRow) => browser::focus(ROWS, 1),
        Some(Does::RowBefore) => browser::focus(ROWS, -1),
        Some(Does::Sheet) => {
            palette.shown.set(Some(Shown::Sheet));
            true
        }
        Some(Does::Leave | Does::Told) | None => false,
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
        for shortcut in SHORTCUTS.iter().filter(|shortcut| !matches!(shortcut.does, Does::Told | Does::Leave)) {
            assert!(shortcut.keys.iter().all(|key| FIRST.contains(key)), "{:?}", shortcut.keys);
        }
    }
}
