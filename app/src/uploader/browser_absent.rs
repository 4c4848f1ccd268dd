//! Stands in for `browser.rs` on the server, where no file is ever chosen.

use super::queue::ItemId;
use leptos::ev::DragEvent;
use leptos::web_sys::HtmlInputElement;

pub struct Chosen {
    pub folder: String,
    pub name: String,
    pub size_bytes: u64,
    pub file: (),
}

pub struct Refused {
    pub message: String,
}

pub fn dropped(_event: &DragEvent, _then: impl FnOnce(Vec<Chosen>) + 'static) {}

pub fn picked(_input: &HtmlInputElement) -> Vec<Chosen> {
    Vec::new()
}

pub fn keep(_id: ItemId, _file: ()) {}

pub fn release(_id: ItemId) {}

pub fn release_all() {}

pub fn abort(_id: ItemId) {}

pub async fn send(
    _id: ItemId,
    _address: String,
    _name: String,
    _on_progress: impl Fn(u64) + 'static,
) -> Result<(), Refused> {
    Err(Refused { message: String::new() })
}
