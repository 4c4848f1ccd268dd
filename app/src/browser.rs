//! What the pages ask of the browser besides Leptos: its clock, its clipboard, and asking before it is left.
//! `browser_absent.rs` stands in for it on the server, where none of this is ever called.

use lakeshore::time::Timestamp;
use leptos::prelude::{document, window_event_listener_untyped};
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
    event.set_return_value("Files are being sent.");
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
