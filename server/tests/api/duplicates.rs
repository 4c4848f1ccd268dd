//! Duplicate names: a sync reports names that were uploaded twice with different content.

use crate::server::TestServer;
use serde_json::json;

#[tokio::test]
async fn a_name_uploaded_twice_with_different_bytes_is_counted_and_named() {
    for sync_type in ["FullSync", "IncrementalSync"] {
        let server = TestServer::start().await;
        let first = server.start_sync("/data/t", sync_type).await;
        for name in ["a.csv", "b.csv"] {
            server.upload(first, name, b"of the sync before").await;
        }
        server.end_sync(first).await;
        let id = server.start_sync("/data/t", sync_type).await;
        // It replaces no file of its own sync.
        server.upload(id, "a.csv", b"1").await;
        assert!(server.sync(id).await.get("num_duplicates").is_none(), "{sync_type}");
        // Repeated after a lost response: the same content loses nothing.
        server.upload(id, "a.csv", b"1").await;
        assert!(server.sync(id).await.get("num_duplicates").is_none(), "{sync_type}");
        server.upload(id, "a.csv", b"from another folder").await;
        server.upload(id, "b.csv", &[1; 200_000]).await;
        server.upload(id, "b.csv", &[2; 200_000]).await;
        server.upload(id, "a.csv", b"and another").await;
        let sync = server.sync(id).await;
        assert_eq!((&sync["num_duplicates"], &sync["duplicate_names"]), (&json!(3), &json!(["a.csv", "b.csv"])));
        server.end_sync(id).await;
        let listed = server.rows("/api/ingestion/file/sync/list").await;
        assert_eq!((listed[0].get("num_duplicates"), &listed[1]["num_duplicates"]), (None, &json!(3)), "{sync_type}");
        let page = server.get(&format!("/syncs/{id}")).send().await.unwrap().text().await.unwrap();
        assert!(page.contains("3 uploads overwrote files of this sync"), "{sync_type}");
    }
}

#[tokio::test]
async fn only_the_first_duplicate_names_are_listed_and_all_are_counted() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "FullSync").await;
    for bytes in [b"1", b"2"] {
        for n in 0..6 {
            server.upload(id, &format!("{n}.csv"), bytes).await;
        }
    }
    let sync = server.sync(id).await;
    assert_eq!((&sync["num_duplicates"], &sync["duplicate_names"]), (&json!(6), &json!(["0.csv", "1.csv", "2.csv"])));
}
