//! Records of uploads that outlive the page: in local storage, one small record for each sync.

use super::super::unfinished::Unfinished;
use lakeshore::model::id::SyncId;
use web_sys::Storage;

/// Prefix of the record keys; the rest is the sync id.
const KEY: &str = "lakeshore.upload.";
/// Most records; older ones are removed.
const RECORDS_MAX: usize = 16;

/// Absent if the person has disabled it; then nothing is recorded.
fn storage() -> Option<Storage> {
    web_sys::window()?.local_storage().ok().flatten()
}

pub fn remember(record: &Unfinished) {
    let Some(storage) = storage() else { return };
    let Ok(text) = leptos::serde_json::to_string(record) else { return };
    // If the storage is full, this upload is not recorded.
    drop(storage.set_item(&format!("{KEY}{}", record.sync_id), &text));
    for record in recall().into_iter().skip(RECORDS_MAX) {
        discard_record(record.sync_id);
    }
}

pub fn discard_record(sync_id: SyncId) {
    if let Some(storage) = storage() {
        // Fails only for a missing record.
        drop(storage.remove_item(&format!("{KEY}{sync_id}")));
    }
}

/// Records, newest first.
pub fn recall() -> Vec<Unfinished> {
    let Some(storage) = storage() else { return Vec::new() };
    let keys = (0..storage.length().unwrap_or(0)).filter_map(|index| storage.key(index).ok().flatten());
    let ours = keys.filter(|key| key.starts_with(KEY));
    let texts = ours.filter_map(|key| storage.get_item(&key).ok().flatten());
    let mut records: Vec<Unfinished> = texts.filter_map(|text| crate::json::read(&text).ok()).collect();
    records.sort_by_key(|record| std::cmp::Reverse(record.at_ms));
    records
}
