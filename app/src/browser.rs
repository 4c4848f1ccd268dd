//! Functions of the browser that Leptos lacks: clock, clipboard, keys, storage, and the question before leaving. On the
//! server, `browser_absent.rs` takes its place, where none of them is ever called.

use lakeshore::model::time::Timestamp;
use leptos::prelude::{document, window_event_listener, window_event_listener_untyped};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

/// Time of the browser, in milliseconds since 1970.
pub fn now_ms() -> i64 {
    js_sys::Date::now() as i64
}

/// Random number from 0 to 1.
pub fn random() -> f64 {
    js_sys::Math::random()
}

/// Time in the person's time zone and language.
pub fn local_time(at: Timestamp) -> String {
    let date = js_sys::Date::new(&JsValue::from_f64(at.0 as f64));
    String::from(date.to_locale_string("default", &JsValue::UNDEFINED))
}

/// Offset of local time from UTC, in minutes.
pub fn minutes_ahead_of_utc() -> i64 {
    -(js_sys::Date::new_0().get_timezone_offset() as i64)
}

/// Copies the text to the clipboard. False if the browser refuses.
pub async fn copy(text: String) -> bool {
    let Some(window) = web_sys::window() else { return false };
    // Missing on pages over plain HTTP from another machine.
    if window.is_secure_context() && JsFuture::from(window.navigator().clipboard().write_text(&text)).await.is_ok() {
        return true;
    }
    copy_by_selection(&text).unwrap_or(false)
}

/// Fallback: selects a text field, and executes the command "copy".
fn copy_by_selection(text: &str) -> Result<bool, JsValue> {
    let document = document();
    let field = document.create_element("textarea")?.dyn_into::<web_sys::HtmlTextAreaElement>()?;
    field.set_value(text);
    field.set_class_name("visually-hidden");
    // While a dialog is open, elements outside of it cannot have the focus.
    let parent = document.query_selector("dialog[open]")?.or_else(|| document.body().map(Into::into));
    let Some(parent) = parent else { return Ok(false) };
    parent.append_child(&field)?;
    field.select();
    let copied = document.unchecked_ref::<web_sys::HtmlDocument>().exec_command("copy");
    field.remove();
    copied
}

/// Makes the browser ask before the page is left.
pub fn ask_before_leaving(event: &web_sys::BeforeUnloadEvent) {
    event.prevent_default();
    // Older browsers ask only if a value is set.
    event.set_return_value("Files are still being sent.");
}

/// Calls `then` with the address of a link of this site when it is hovered or focused.
pub fn on_pointing_at_link(then: impl Fn(&str) + Clone + 'static) {
    for kind in ["pointerover", "focusin"] {
        let then = then.clone();
        // The listener lives as long as the document.
        let _ = window_event_listener_untyped(kind, move |event| {
            let target = event.target().and_then(|target| target.dyn_into::<web_sys::Element>().ok());
            let link = target.and_then(|target| target.closest("a[href^='/']").ok().flatten());
            if let Some(address) = link.and_then(|link| link.get_attribute("href")) {
                then(&address);
            }
        });
    }
}

/// Reloads the document.
pub fn reload() {
    // On failure, the page stays.
    let _ = leptos::prelude::location().reload();
}

/// A pressed key.
pub struct Pressed {
    pub key: String,
    /// With Ctrl, or Command on a Mac, and no other modifier.
    pub is_command: bool,
    /// In a field where keys type or select.
    pub is_in_field: bool,
    pub is_in_dialog: bool,
}

impl Pressed {
    /// Whether the key was pressed outside of fields and dialogs, without modifiers.
    pub fn is_plain(&self) -> bool {
        !self.is_command && !self.is_in_field && !self.is_in_dialog
    }
}

/// Calls `then` for each key pressed alone or as a command. If it returns true, the browser's default action is
/// prevented.
pub fn on_key(then: impl Fn(Pressed) -> bool + 'static) {
    // The listener lives as long as the document.
    let _ = window_event_listener(leptos::ev::keydown, move |event| {
        let is_command = event.ctrl_key() != event.meta_key();
        if event.alt_key() || event.is_composing() || (event.ctrl_key() && event.meta_key()) {
            return;
        }
        let found = |selector| document().query_selector(selector).ok().flatten().is_some();
        let pressed = Pressed {
            key: event.key(),
            is_command,
            is_in_field: found("input:focus, textarea:focus, select:focus"),
            is_in_dialog: found("dialog[open]"),
        };
        if then(pressed) {
            event.prevent_default();
        }
    });
}

/// Reads a value from local storage.
pub fn kept(name: &str) -> Option<String> {
    web_sys::window()?.local_storage().ok()??.get_item(name).ok()?
}

/// Stores a value, or removes it.
pub fn keep(name: &str, value: Option<&str>) {
    let Some(storage) = web_sys::window().and_then(|window| window.local_storage().ok().flatten()) else { return };
    // On failure, the setting lasts until the page is left.
    match value {
        Some(value) => drop(storage.set_item(name, value)),
        None => drop(storage.remove_item(name)),
    }
}

/// Opens another page in a new document.
pub fn go_to(address: &str) {
    // On failure, the page stays.
    let _ = leptos::prelude::location().set_href(address);
}

/// Address of the page, for sending to another person.
pub fn address() -> String {
    leptos::prelude::location().href().unwrap_or_default()
}

fn first(selector: &str) -> Option<web_sys::HtmlElement> {
    document().query_selector(selector).ok().flatten()?.dyn_into().ok()
}

/// Clicks the first match of the selector. False without a match.
pub fn click(selector: &str) -> bool {
    first(selector).inspect(web_sys::HtmlElement::click).is_some()
}

/// Scrolls as little as needed to show the first match of the selector.
pub fn show(selector: &str) {
    if let Some(element) = first(selector) {
        let options = web_sys::ScrollIntoViewOptions::new();
        options.set_block(web_sys::ScrollLogicalPosition::Nearest);
        element.scroll_into_view_with_scroll_into_view_options(&options);
    }
}

/// Moves the focus by `step` within the matches of the selector, or to the first match. False without a match.
pub fn focus(selector: &str, step: i32) -> bool {
    let Ok(all) = document().query_selector_all(selector) else { return false };
    let focused = document().active_element();
    let at = |index: u32| all.get(index).and_then(|node| node.dyn_into::<web_sys::HtmlElement>().ok());
    let now = (0..all.length()).find(|&index| at(index).as_deref() == focused.as_ref());
    let next = match now {
        Some(now) => now.saturating_add_signed(step).min(all.length().saturating_sub(1)),
        None => 0,
    };
    at(next).is_some_and(|element| element.focus().is_ok())
}

/// Moves the focus to the page's main part, which a screen reader then announces by its heading. A field of the new page
/// that has taken the focus keeps it.
pub fn focus_main() {
    let document = document();
    let Some(main) = document.get_element_by_id("main") else { return };
    let active = document.active_element();
    let is_main = active.as_ref() == Some(&main);
    if is_main {
        // It is announced again only if it takes the focus again.
        leave_field();
    }
    if is_main || !main.contains(active.as_deref()) {
        let options = web_sys::FocusOptions::new();
        options.set_prevent_scroll(true);
        // Fails only if the element is no longer in the document.
        let _ = main.unchecked_ref::<web_sys::HtmlElement>().focus_with_options(&options);
    }
}

/// Removes the focus from the focused field.
pub fn leave_field() {
    let focused = document().active_element().and_then(|element| element.dyn_into::<web_sys::HtmlElement>().ok());
    if let Some(focused) = focused {
        // Fails only if the element has lost the focus already.
        let _ = focused.blur();
    }
}
