//! Replaces `browser/` on the server, where no file is ever chosen.

use super::answer::Refused;
use super::item::ItemId;
use super::unfinished::Unfinished;
use super::{HashEvent, Job, Progress};
use lakeshore::model::id::SyncId;
use leptos::ev::DragEvent;
use leptos::web_sys::HtmlInputElement;

pub struct Chosen {
    pub folder: String,
    pub name: String,
    pub size_bytes: u64,
    pub modified_ms: i64,
    pub file: (),
}

pub fn dropped(_event: &DragEvent, _then: impl FnOnce(Vec<Chosen>) + 'static) {}

pub fn picked(_input: &HtmlInputElement, _then: impl FnOnce(Vec<Chosen>) + 'static) {}

pub fn keep(_id: ItemId, _file: ()) {}

pub fn release(_id: ItemId) {}

pub fn release_all() {}

pub fn nothing_is_unfinished() {}

pub fn abort(_id: ItemId) {}

pub fn discard(_id: ItemId) {}

pub async fn send(_job: Job, _on_progress: impl Fn(Progress) + Clone + 'static) -> Result<(), Refused> {
    Err(Refused::Broken)
}

pub fn is_hashing_possible() -> bool {
    false
}

pub fn hash(_ids: &[ItemId], _on_events: impl Fn(Vec<HashEvent>) + 'static) {}

pub fn cancel_hashing(_id: ItemId) {}

pub fn remember(_record: &Unfinished) {}

pub fn discard_record(_sync_id: SyncId) {}

pub fn recall() -> Vec<Unfinished> {
    Vec::new()
}

pub async fn breathe() {}

pub fn on_online(_then: impl Fn() + 'static) {}
