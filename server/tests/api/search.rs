//! Search: `/api/lake/search`.

use crate::server::{TestServer, answer, assert_refused};
use serde_json::{Value, json};

const SEARCH: &str = "/api/lake/search";

async fn found(server: &TestServer, key: &str, query: &str) -> (Vec<String>, Vec<u64>) {
    let (status, body) = answer(server.get(&format!("{SEARCH}?{query}")).bearer_auth(key)).await;
    assert_eq!(status, 200, "{body}");
    let all = |name: &str| body[name].as_array().unwrap().clone();
    let path = |row: Value| row["path"].as_str().unwrap().to_owned();
    (
        all("datasets").into_iter().map(path).collect(),
        all("syncs").iter().map(|row| row["sync_id"].as_u64().unwrap()).collect(),
    )
}

/// Four datasets with one sync each.
async fn lake() -> TestServer {
    let server = TestServer::start_with(&["--auth", "required"]).await;
    for (name, path) in [
        ("web load", "/data/web/orders_raw"),
        ("nightly", "/data/db/orders"),
        ("customers", "/data/db/customers"),
        ("nightly", "/finance/orders"),
    ] {
        let start = json!({ "name": name, "path": path, "api_key": server.key, "sync_type": "IncrementalSync" });
        let (_, started) = answer(server.post("/api/ingestion/file/sync/start", &start)).await;
        let id = started["sync_id"].as_u64().unwrap();
        let upload = server.upload_request(&format!("sync_id={id}"), &[("a.csv", b"1")]);
        assert_eq!(answer(upload.bearer_auth(&server.key)).await.0, 200);
        server.end_sync(id).await;
    }
    server
}

#[tokio::test]
async fn datasets_are_found_by_parts_of_their_path_and_syncs_by_number_name_or_path() {
    let server = lake().await;
    let found = async |query: &str| found(&server, &server.key, query).await;
    let (datasets, syncs) = found("q=orders").await;
    assert_eq!(datasets, ["/data/db/orders", "/finance/orders", "/data/web/orders_raw"], "the best first");
    assert_eq!(syncs, [4, 2, 1]);
    assert_eq!(found("q=ORD%20db").await.0, ["/data/db/orders"]);
    assert_eq!(found("q=nightly").await, (vec![], vec![4, 2]));
    assert_eq!(found("q=3").await.1, [3]);
    assert_eq!(found("q=%233").await.1, [3]);
    assert_eq!(found("q=99").await.1, [0; 0]);
    assert_eq!(found("q=orders&size=1").await, (vec!["/data/db/orders".to_owned()], vec![4]));
    for nothing in ["", "q=", "q=%20", "q=%25%25%25", "q=%22"] {
        assert_eq!(found(nothing).await, (vec![], vec![]), "{nothing}");
    }
    let long = format!("{SEARCH}?q={}", "x".repeat(201));
    assert_refused(answer(server.get(&long).bearer_auth(&server.key)).await, 40000, "shorten it");
}

#[tokio::test]
async fn a_search_shows_what_the_key_may_see() {
    let server = lake().await;
    assert_refused(answer(server.get(&format!("{SEARCH}?q=orders"))).await, 40100, "a key is required");
    let narrow = server.new_key(&["--role", "read", "--path-prefix", "/data/db"]);
    assert_eq!(found(&server, &narrow, "q=orders").await, (vec!["/data/db/orders".to_owned()], vec![2]));
    assert_eq!(found(&server, &narrow, "q=or").await, (vec!["/data/db/orders".to_owned()], vec![2]));
    assert_eq!(found(&server, &narrow, "q=4").await, (vec![], vec![]));
}
