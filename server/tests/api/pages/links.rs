//! Pages that concern one thing lead to each other.

use super::{page, publish};
use crate::server::{TestServer, answer};

#[tokio::test]
async fn a_sync_leads_to_its_dataset_folder_files_versions_key_and_audit_entries_and_they_to_it() {
    let server = TestServer::start().await;
    let id = publish(&server, "/data/my t", &[("a.csv", "a\n1\n")]).await;
    let sync = page(&server, &format!("/syncs/{id}")).await;
    let back = format!("/syncs/{id}");
    for (words, address) in [
        ("Dataset", "/datasets/data/my%20t"),
        ("Versions", "/datasets/data/my%20t?tab=versions"),
        ("Uploads", &format!("/history?sync_id={id}")),
        ("Activity", &format!("/activity?sync_id={id}")),
        ("Key test", "/activity?who=test"),
    ] {
        assert!(sync.links(words).iter().any(|link| link == address), "{words}: {:?}", sync.links(words));
        let there = page(&server, address).await;
        assert!(there.html.contains(&format!("href=\"{back}\"")), "{words} does not lead back");
    }
    assert_eq!(sync.link("Folder"), "/lake/data/my%20t");
    let folder = page(&server, "/lake/data/my%20t").await;
    assert_eq!(folder.link("View dataset"), "/datasets/data/my%20t");
    let syncs = page(&server, &folder.link("View syncs")).await;
    assert!(syncs.html.contains(&format!("href=\"{back}\"")));
    let file = page(&server, "/lake/data/my%20t/a.csv").await;
    assert_eq!(file.link(&format!("Sync {id}")), back);
    assert_eq!(file.link("/data/my t"), "/datasets/data/my%20t");
}

#[tokio::test]
async fn copied_curl_commands_fail_on_a_refusal_and_carry_a_key_where_one_is_needed() {
    let server = TestServer::start().await;
    publish(&server, "/data/t", &[("a.csv", "a\n1\n")]).await;
    let open = server.start_sync("/data/t", "IncrementalSync").await;
    let bearer = "--header \"Authorization: Bearer $KEY\"";
    for address in ["/lake/data/t/a.csv?tab=use", "/versions/data/t?version=1", &format!("/syncs/{open}")] {
        let commands = page(&server, address).await;
        let curls: Vec<_> = commands.text.match_indices("curl --").map(|(at, _)| &commands.text[at..]).collect();
        assert!(!curls.is_empty(), "{address}");
        assert!(curls.iter().all(|curl| curl.starts_with("curl --fail ")), "{address}: {curls:?}");
        commands.has_not(bearer);
    }
    let closed = TestServer::start_with(&["--open-to", "203.0.113.0/24"]).await;
    let id = closed.start_sync("/data/t", "FullSync").await;
    let upload = closed.upload_request(&format!("sync_id={id}"), &[("a.csv", b"a\n1\n")]);
    assert_eq!(answer(upload.header("X-API-Key", &closed.key)).await.0, 200);
    closed.end_sync(id).await;
    for address in ["/lake/data/t/a.csv?tab=use", "/versions/data/t?version=1"] {
        page(&closed, address).await.has(bearer);
    }
}
