//! Conformance: search by words.

use super::{finish, finishing, new_sync, path};
use crate::model::search::Words;
use crate::model::sync::start::NewSync;
use crate::model::sync::status::SyncType;
use crate::ports::metadata::State;
use crate::ports::metadata::search::SearchQuery;

fn looking_for(text: &str, scope: Option<&str>) -> SearchQuery {
    SearchQuery { words: Words::of(text), scope: scope.map(path), size: 10 }
}

async fn datasets(state: &dyn State, text: &str, scope: Option<&str>) -> Vec<String> {
    let found = state.find_datasets(&looking_for(text, scope)).await.unwrap();
    let mut found: Vec<_> = found.into_iter().map(|dataset| dataset.path.to_string()).collect();
    found.sort();
    found
}

async fn syncs(state: &dyn State, text: &str, scope: Option<&str>) -> Vec<u64> {
    let found = state.find_syncs(&looking_for(text, scope)).await.unwrap();
    found.into_iter().map(|sync| sync.sync_id.0).collect()
}

pub async fn datasets_and_syncs_are_found_by_parts_of_their_words(state: &dyn State) {
    for (name, at) in
        [("Nightly \"load\"", "/data/db/orders"), ("hourly_100%", "/data/web/orders"), ("x", "/data/customers")]
    {
        let new = NewSync { name: name.into(), ..new_sync(at, SyncType::IncrementalSync) };
        let id = state.start_sync(&new).await.unwrap();
        finish(state, id, &format!("{at}/a.csv")).await;
        state.close_sync(id, &finishing(), false, crate::model::time::Timestamp(50)).await.unwrap();
    }
    let never_landed = NewSync { name: "orders of nobody".into(), ..new_sync("/other", SyncType::FullSync) };
    state.start_sync(&never_landed).await.unwrap();

    assert_eq!(datasets(state, "ORDER", None).await, ["/data/db/orders", "/data/web/orders"]);
    assert_eq!(datasets(state, "orders db", None).await, ["/data/db/orders"]);
    assert_eq!(datasets(state, "web/ord", None).await, ["/data/web/orders"]);
    assert_eq!(datasets(state, "db", None).await, ["/data/db/orders"], "too short for an index");
    assert_eq!(datasets(state, "orders", Some("/data/db")).await, ["/data/db/orders"]);
    assert_eq!(datasets(state, "or", Some("/data/d")).await, [""; 0]);
    for nothing in ["%", "o_ders", "\"", "orders*", "orders NOT data", "other"] {
        assert_eq!(datasets(state, nothing, None).await, [""; 0], "{nothing}");
    }

    assert_eq!(syncs(state, "orders", None).await, [4, 2, 1], "the newest first, by name or path");
    assert_eq!(syncs(state, "nightly", None).await, [1]);
    assert_eq!(syncs(state, "\"load\"", None).await, [1]);
    assert_eq!(syncs(state, "y_1 0%", None).await, [2]);
    assert_eq!(syncs(state, "x", None).await, [3]);
    assert_eq!(syncs(state, "orders", Some("/data")).await, [2, 1]);

    state.delete_dataset(&path("/data/db/orders")).await.unwrap();
    assert_eq!(datasets(state, "orders", None).await, ["/data/web/orders"]);
    let again = state.start_sync(&new_sync("/data/db/orders", SyncType::IncrementalSync)).await.unwrap();
    finish(state, again, "/data/db/orders/b.csv").await;
    assert_eq!(datasets(state, "db orders", None).await, ["/data/db/orders"]);
}
