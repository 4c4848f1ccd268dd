//! What is remembered of an upload beyond the page's end: in the browser's local storage, one small record a sync.

use super::super::unfinished::Unfinished;
use lakeshore::model::id::SyncId;
use web_sys::Storage;

/// Before each record's key, which is the id of its sync.
const KEY: &str = "lakeshore.upload.";
/// Most records; the oldest go.
const RECORDS_MAX: usize = 16;

/// Absent where the person has it switched off: then nothing is remembered.
fn storage() -> Option<Storage> {
    web_sys::window()?.local_storage().ok().flatten()
}

pub fn remember(record: &Unfinished) {
    let Some(storage) = storage() else { return };
    let Ok(text) = leptos::serde_json::to_string(record) else { return };
    // When it is full, this upload is not remembered.
    drop(storage.set_item(&format!("{KEY}{}", record.sync_id), &text));
    for record in recall().into_iter().skip(RECORDS_MAX) {
        forget(record.sync_id);
    }
}

pub fn forget(sync_id: SyncId) {
    if let Some(storage) = storage() {
        // One that is not there is forgotten.
        drop(storage.remove_item(&format!("{KEY}{sync_id}")));
    }
}

/// The newest first.
pub fn recall() -> Vec<Unfinished> {
    let Some(storage) = storage() else { return Vec::new() };
    let keys = (0..storage.length().unwrap_or(0)).filter_map(|index| storage.key(index).ok().flatten());
    let ours = keys.filter(|key| key.starts_with(KEY));
    let texts = ours.filter_map(|key| storage.get_item(&key).ok().flatten());
    let mut records: Vec<Unfinished> = texts.filter_map(|text| crate::json::read(&text).ok()).collect();
    records.sort_by_key(|record| std::cmp::Reverse(record.at_ms));
    records
}
