//! The Versions tab, a version, and its pin.

use super::{fields, page, page_as, publish, send};
use crate::server::{TestServer, bucket};
use serde_json::json;

const T: &str = "/data/t";

async fn two_versions() -> TestServer {
    let server = TestServer::start().await;
    publish(&server, T, &[("a.csv", "a\n1\n"), ("b.csv", "a\n2\n"), ("old.csv", "a\n3\n")]).await;
    publish(&server, T, &[("a.csv", "a\n1\n"), ("b.csv", "a\n22\n"), ("new.csv", "a\n4\n")]).await;
    server
}

#[tokio::test]
async fn the_tab_lists_versions_with_their_origin_and_compares_any_two() {
    let server = two_versions().await;
    let list = page(&server, "/datasets/data/t?tab=versions").await;
    list.has("Version 2 Current").has("Version 1").has("Full sync by test").has("Restore…");
    assert_eq!(list.links("Restore…"), ["/restore/data/t?version=1"], "the current one is not offered");
    assert_eq!(list.link("Changes since yesterday"), "/datasets/data/t?tab=versions&since=24");
    assert!(page(&server, "/datasets/data/t").await.links("Diff").is_empty());

    let compared = page(&server, "/datasets/data/t?tab=versions&old=1&new=2").await;
    compared.has("Changes from version 1 to version 2").has("added 1").has("changed 1").has("removed 1");
    compared.has("unchanged 1").has("1 file unchanged. Show unchanged files").has_not("a.csv");
    let order = ["b.csv", "old.csv", "new.csv"].map(|name| compared.text.find(name).unwrap());
    assert!(order.is_sorted(), "changed files first: {order:?}");
    page(&server, &compared.link("Show unchanged files")).await.has("a.csv").has_not("b.csv");
    // Links to the tab that it has replaced.
    page(&server, "/datasets/data/t?tab=diff").await.has("Changes from version 1 to version 2");
}

#[tokio::test]
async fn changes_since_yesterday_of_a_younger_dataset_are_those_since_its_first_version() {
    let server = two_versions().await;
    let since = page(&server, "/datasets/data/t?tab=versions&since=24").await;
    since.has("There was no version 24 hours ago. Compared with the first version.").has("added 1");
    page(&server, "/datasets/data/t?tab=versions&since=0").await.has("Select two different versions.");
    publish(&server, "/data/u", &[("a.csv", "a\n1\n")]).await;
    page(&server, "/datasets/data/u?tab=versions&since=24").await.has("The dataset has one version");
    for nonsense in ["old=7&new=9", "old=0&new=1", "since=99999999999", "old=x", "since=-1"] {
        let address = format!("/datasets/data/t?tab=versions&{nonsense}");
        let status = page_as(&server, Some(&server.key), &address).await.status;
        assert!([200, 404].contains(&status), "{nonsense}: {status}");
    }
}

#[tokio::test]
async fn a_version_shows_its_files_and_the_code_to_read_it_and_can_be_pinned() {
    let server = two_versions().await;
    let version = page(&server, "/versions/data/t?version=1").await;
    version.has("old.csv").has("lakeshore get '/data/t' ./copy --version 1");
    if bucket::is_wanted() {
        version.has_not("lakeshore snapshot");
    } else {
        version.has("lakeshore snapshot --exec '/data/t'");
    }
    version.has("curl --fail ").has_not("/proc/self/fd");
    let file = server.client.get(format!("{}{}", server.url, version.link("old.csv"))).send().await.unwrap();
    assert_eq!(file.text().await.unwrap(), "a\n3\n");
    let current = page(&server, "/versions/data/t?version=2").await;
    if !bucket::is_wanted() {
        current.has("/proc/self/fd").has("os.O_PATH");
    }

    let mut pin = version.form("/fn/pin-version");
    pin.extend(fields(&[("note", "closing of the year")]));
    assert_eq!(
        send(&server, "/versions/data/t?version=1", "/fn/pin-version", &pin).await,
        "/versions/data/t?version=1"
    );
    let pinned = page(&server, "/versions/data/t?version=1").await;
    pinned.has("Pinned by test").has("closing of the year");
    page(&server, "/datasets/data/t?tab=versions").await.has("Version 1 Pinned");
    send(&server, "/versions/data/t?version=1", "/fn/pin-version", &pinned.form("/fn/pin-version")).await;
    page(&server, "/versions/data/t?version=1").await.has_not("Pinned by").has("Pin this version…");
}

#[tokio::test]
async fn a_reader_sees_versions_and_is_offered_no_restore() {
    let server = two_versions().await;
    let reader = server.new_key(&["--role", "read"]);
    let list = page_as(&server, Some(&reader), "/datasets/data/t?tab=versions").await;
    list.has("Version 1").has_not("Restore…");
    let version = page_as(&server, Some(&reader), "/versions/data/t?version=1").await;
    version.has("old.csv").has_not("Restore…").has_not("Pin this version…");
    let elsewhere = server.new_key(&["--role", "write", "--path-prefix", "/data/u"]);
    for address in ["/versions/data/t?version=1", "/restore/data/t?version=1"] {
        let seen = page_as(&server, Some(&elsewhere), address).await;
        let absent = page_as(&server, Some(&elsewhere), &address.replace("/data/t", "/data/nothing")).await;
        assert_eq!((seen.status, absent.status), (404, 404), "{address}");
        seen.has_not("old.csv").has_not("Try again");
    }
}

#[tokio::test]
async fn a_key_with_a_prefix_opens_the_lake_in_its_prefix() {
    let server = two_versions().await;
    publish(&server, "/other/x", &[("secret.csv", "a\n")]).await;
    let key = server.new_key(&["--role", "read", "--path-prefix", "/data"]);
    let lake = page_as(&server, Some(&key), "/lake").await;
    assert_eq!(lake.status, 200, "{}", lake.text);
    assert_eq!(lake.link("t"), "/lake/data/t");
    lake.has_not("other").has_not("Try again");
    let outside = page_as(&server, Some(&key), "/lake/other").await;
    assert_eq!(outside.status, 404);
    outside.has_not("secret").has_not("Try again");
    let empty = server.new_key(&["--role", "write", "--path-prefix", "/nothing/yet"]);
    assert_eq!(page_as(&server, Some(&empty), "/lake").await.status, 200, "a prefix that is empty still");
}

#[tokio::test]
async fn a_finished_full_sync_shows_what_it_changed() {
    let server = TestServer::start().await;
    let first = publish(&server, T, &[("a.csv", "a\n1\n")]).await;
    page(&server, &format!("/syncs/{first}")).await.has("This is the first version of the dataset.");
    let second = publish(&server, T, &[("a.csv", "a\n2\n"), ("b.csv", "a\n3\n")]).await;
    let made = page(&server, &format!("/syncs/{second}")).await;
    made.has("Created version 2").has("added 1").has("changed 1").has("removed 0");
    assert_eq!(made.link("View files"), "/datasets/data/t?tab=versions&old=1&new=2");
    let aborted = server.start_sync(T, "FullSync").await;
    server.upload(aborted, "c.csv", b"a\n").await;
    assert_eq!(server.try_abort(aborted).await, (200, json!({ "success": true })));
    page(&server, &format!("/syncs/{aborted}")).await.has_not("Created version");
}
