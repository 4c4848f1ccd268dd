//! What the pages ask of the browser besides Leptos: its clock, its clipboard, its keys, and asking before it is left.
//! `browser_absent.rs` stands in for it on the server, where none of this is ever called.

use lakeshore::model::time::Timestamp;
use leptos::prelude::{document, window_event_listener, window_event_listener_untyped};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

/// The browser's own time, in milliseconds since 1970.
pub fn now_ms() -> i64 {
    js_sys::Date::now() as i64
}

/// Chance, from 0 to 1.
pub fn random() -> f64 {
    js_sys::Math::random()
}

/// The time as the person's own clock and language write it.
pub fn local_time(at: Timestamp) -> String {
    let date = js_sys::Date::new(&JsValue::from_f64(at.0 as f64));
    String::from(date.to_locale_string("default", &JsValue::UNDEFINED))
}

/// Minutes that the local time is ahead of UTC.
pub fn minutes_ahead_of_utc() -> i64 {
    -(js_sys::Date::new_0().get_timezone_offset() as i64)
}

/// Puts the text on the clipboard; false where the browser does not let us.
pub async fn copy(text: String) -> bool {
    let Some(window) = web_sys::window() else { return false };
    // Absent on pages that came by plain HTTP from another machine.
    if window.is_secure_context() && JsFuture::from(window.navigator().clipboard().write_text(&text)).await.is_ok() {
        return true;
    }
    copy_by_selection(&text).unwrap_or(false)
}

/// The old way: a text field, selected, and the command "copy".
fn copy_by_selection(text: &str) -> Result<bool, JsValue> {
    let document = document();
    let field = document.create_element("textarea")?.dyn_into::<web_sys::HtmlTextAreaElement>()?;
    field.set_value(text);
    field.set_class_name("visually-hidden");
    // Inside an open dialog, everything outside of it cannot be focused.
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
    // Older browsers ask only when this is set to something.
    event.set_return_value("Files are still being sent.");
}

/// Calls `then` with the address of a link of this site as soon as somebody points at it, or comes to it by the keyboard.
pub fn on_pointing_at_link(then: impl Fn(&str) + Clone + 'static) {
    for kind in ["pointerover", "focusin"] {
        let then = then.clone();
        // It stays for as long as the document does.
        let _ = window_event_listener_untyped(kind, move |event| {
            let target = event.target().and_then(|target| target.dyn_into::<web_sys::Element>().ok());
            let link = target.and_then(|target| target.closest("a[href^='/']").ok().flatten());
            if let Some(address) = link.and_then(|link| link.get_attribute("href")) {
                then(&address);
            }
        });
    }
}

/// Loads the document of this address anew.
pub fn reload() {
    // Where it cannot, the page stays.
    let _ = leptos::prelude::location().reload();
}

/// A key, as it was pressed.
pub struct Pressed {
    pub key: String,
    /// With Ctrl, or the Command key of a Mac, and nothing else.
    pub is_command: bool,
    /// Where letters are typed, or a choice is made by them.
    pub is_in_field: bool,
    pub is_in_dialog: bool,
}

impl Pressed {
    /// On a page, where a key types nothing.
    pub fn is_plain(&self) -> bool {
        !self.is_command && !self.is_in_field && !self.is_in_dialog
    }
}

/// Calls `then` with each key that is pressed alone, or as a command. The browser does nothing of its own where it says so.
pub fn on_key(then: impl Fn(Pressed) -> bool + 'static) {
    // It stays for as long as the document does.
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

/// What the browser remembers under a name.
pub fn kept(name: &str) -> Option<String> {
    web_sys::window()?.local_storage().ok()??.get_item(name).ok()?
}

/// Remembers it, or forgets what was.
pub fn keep(name: &str, value: Option<&str>) {
    let Some(storage) = web_sys::window().and_then(|window| window.local_storage().ok().flatten()) else { return };
    // Where it cannot, it holds until the page is left.
    match value {
        Some(value) => drop(storage.set_item(name, value)),
        None => drop(storage.remove_item(name)),
    }
}

/// To another page, in a document of its own.
pub fn go_to(address: &str) {
    // Where it cannot, the page stays.
    let _ = leptos::prelude::location().set_href(address);
}

/// The address of the page, as another person would open it.
pub fn address() -> String {
    leptos::prelude::location().href().unwrap_or_default()
}

fn first(selector: &str) -> Option<web_sys::HtmlElement> {
    document().query_selector(selector).ok().flatten()?.dyn_into().ok()
}

/// Clicks the first that the selector finds. False when there is none.
pub fn click(selector: &str) -> bool {
    first(selector).inspect(web_sys::HtmlElement::click).is_some()
}

/// Scrolls no more than it takes to see the first that the selector finds.
pub fn show(selector: &str) {
    if let Some(element) = first(selector) {
        let options = web_sys::ScrollIntoViewOptions::new();
        options.set_block(web_sys::ScrollLogicalPosition::Nearest);
        element.scroll_into_view_with_scroll_into_view_options(&options);
    }
}

/// Gives the focus to one of those that the selector finds: `step` behind the one that has it, else the first. False when there is none.
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

/// Takes the focus from the field that has it.
pub fn leave_field() {
    let focused = document().active_element().and_then(|element| element.dyn_into::<web_sys::HtmlElement>().ok());
    if let Some(focused) = focused {
        // What has no focus any more has left already.
        let _ = focused.blur();
    }
}
