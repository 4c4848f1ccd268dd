//! Shortcut sheet, with a switch that disables the shortcuts.

use super::shortcuts::SHORTCUTS;
use super::{OFF, Palette, Shown};
use crate::browser;
use crate::components::dialog::show_while;
use crate::navigation::DESTINATIONS;
use leptos::prelude::*;

#[component]
pub fn Sheet() -> impl IntoView {
    let palette = Palette::here();
    let dialog = NodeRef::<leptos::html::Dialog>::new();
    let is_open = Memo::new(move |_| palette.shown.get() == Some(Shown::Sheet));
    show_while(dialog, is_open.into());
    let close = move || {
        if is_open.get_untracked() {
            palette.shown.set(None);
        }
    };
    let is_on = RwSignal::new(browser::kept(OFF).is_none());
    let switch = move |event| {
        is_on.set(event_target_checked(&event));
        browser::keep(OFF, (!is_on.get_untracked()).then_some("yes"));
    };
    let keys = |keys: &[&'static str]| {
        keys.iter().flat_map(|key| key.split(' ')).map(|key| view! { <kbd>{key}</kbd> }).collect_view()
    };
    view! {
        <dialog class="dialog sheet" node_ref=dialog aria-labelledby="sheet-title" on:close=move |_| close()>
            <h2 id="sheet-title">"Keyboard shortcuts"</h2>
            <div class="sheet-columns">
                <dl>
                    {SHORTCUTS
                        .iter()
                        .map(|shortcut| {
                            view! {
                                <div>
                                    <dt>{keys(shortcut.keys)}</dt>
                                    <dd>{shortcut.words}</dd>
                                </div>
                            }
                        })
                        .collect_view()}
                </dl>
                <dl>
                    {DESTINATIONS
                        .iter()
                        .map(|page| {
                            view! {
                                <div>
                                    <dt>{keys(&["g", page.letter])}</dt>
                                    <dd>{page.label}</dd>
                                </div>
                            }
                        })
                        .collect_view()}
                </dl>
            </div>
            <label class="check">
                <input type="checkbox" prop:checked=move || is_on.get() on:change=switch/>
                <span>
                    "Enable single-key shortcuts"
                    <span class="quiet sheet-hint">
                        "If off, only Ctrl K works. Saved in this browser."
                    </span>
                </span>
            </label>
            <div class="dialog-buttons">
                <button type="button" class="button" on:click=move |_| close()>
                    "Close"
                </button>
            </div>
        </dialog>
    }
    .into_any()
}
