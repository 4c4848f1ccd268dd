//! Restores from the pages: each asks for confirmation first, and is undone by one form.

use super::{fields, live, names, page, page_as, publish, send};
use crate::server::TestServer;
use serde_json::json;

const T: &str = "/data/t";
const TAB: &str = "/datasets/data/t?tab=versions";

#[tokio::test]
async fn a_version_is_restored_after_confirmation_and_back_by_undo() {
    let server = TestServer::start().await;
    publish(&server, T, &[("a.csv", "1"), ("old.csv", "2")]).await;
    publish(&server, T, &[("a.csv", "3"), ("new.csv", "4")]).await;
    let before = live(&server, "data/t");
    let asked = page(&server, "/restore/data/t?version=1").await;
    asked.has("Restore version 1 of /data/t?").has("Restored 1 file").has("Reverted 1 file");
    asked.has("Moved to trash 1 file").has("The shrink guard allows this: 2 files");
    assert_eq!(live(&server, "data/t"), before, "nothing happens before it is confirmed");

    let at =
        send(&server, "/restore/data/t?version=1", "/fn/restore-version", &asked.form("/fn/restore-version")).await;
    assert_eq!(at, format!("{TAB}&restored=3"));
    assert_eq!(names(&server, "data/t"), ["a.csv", "old.csv"]);
    let restored = page(&server, &at).await;
    restored.has("Restored as version 3.").has("Restore of version 1");
    let undone = send(&server, &at, "/fn/restore-version", &restored.form("/fn/restore-version")).await;
    assert_eq!(undone, format!("{TAB}&restored=4"));
    assert_eq!(live(&server, "data/t"), before);
    // The address of the first restore claims nothing any more, and offers no undo.
    page(&server, &at).await.has_not("Restored as version").has_not("Undo");
}

#[tokio::test]
async fn a_restore_is_asked_again_when_the_dataset_has_changed_since() {
    let server = TestServer::start().await;
    publish(&server, T, &[("a.csv", "1")]).await;
    publish(&server, T, &[("a.csv", "2")]).await;
    let form = page(&server, "/restore/data/t?version=1").await.form("/fn/restore-version");
    publish(&server, T, &[("a.csv", "3")]).await;
    let at = send(&server, "/restore/data/t?version=1", "/fn/restore-version", &form).await;
    assert_eq!(at, "/restore/data/t?version=1&moved=1");
    assert_eq!(live(&server, "data/t")["a.csv"], "3");
    page(&server, &at).await.has("The dataset changed in the meantime").has("Replaces version 3");
}

#[tokio::test]
async fn a_restore_that_the_guard_holds_needs_its_checkbox() {
    let server = TestServer::start_with(&["--shrink-guard", "0.5"]).await;
    publish(&server, T, &[("a.csv", "1")]).await;
    publish(&server, T, &[("a.csv", "1"), ("b.csv", "2"), ("c.csv", "3"), ("d.csv", "4")]).await;
    let asked = page(&server, "/restore/data/t?version=1").await;
    asked.has("The shrink guard holds this restore.").has("Restore it anyway");
    let mut form = asked.form("/fn/restore-version");
    let refused = send(&server, "/restore/data/t?version=1", "/fn/restore-version", &form).await;
    assert!(refused.starts_with("/restore/data/t?version=1&refused=40911"), "{refused}");
    page(&server, &refused).await.has("shrink");
    assert_eq!(names(&server, "data/t").len(), 4);
    form.extend(fields(&[("confirm", "true")]));
    send(&server, "/restore/data/t?version=1", "/fn/restore-version", &form).await;
    assert_eq!(names(&server, "data/t"), ["a.csv"]);
}

/// Ten good files, and an aborted full sync of one.
async fn with_an_aborted_sync(server: &TestServer) -> u64 {
    let files: Vec<_> = (0..10).map(|n| format!("{n}.csv")).collect();
    publish(server, T, &files.iter().map(|name| (name.as_str(), "good")).collect::<Vec<_>>()).await;
    let aborted = server.start_sync(T, "FullSync").await;
    server.upload(aborted, "bad.csv", b"bad").await;
    assert_eq!(server.try_abort(aborted).await, (200, json!({ "success": true })));
    aborted
}

#[tokio::test]
async fn an_aborted_sync_is_named_in_the_trash_and_restored_only_after_a_warning() {
    let server = TestServer::start_with(&["--shrink-guard", "0.5"]).await;
    let aborted = with_an_aborted_sync(&server).await;
    let list = page(&server, "/trash?q=data&path=%2Fdata").await;
    list.has(&format!("Aborted full sync {aborted}")).has("By test");
    let question = list.link("Restore…");
    let asked = page(&server, &question).await;
    asked.has(&format!("Aborted full sync {aborted}.")).has("Readers have never seen these files");
    asked.has("The shrink guard holds this restore.").has("Moved to trash 10 files");
    assert_eq!(names(&server, "data/t").len(), 10);

    let mut form = asked.form("/fn/restore-trash");
    let refused = send(&server, &question, "/fn/restore-trash", &form).await;
    assert!(refused.contains("refused=40911"), "{refused}");
    assert_eq!(names(&server, "data/t").len(), 10, "the guard holds it");
    form.extend(fields(&[("confirm", "true")]));
    let at = send(&server, &question, "/fn/restore-trash", &form).await;
    assert!(at.starts_with("/trash?") && at.contains("q=data") && at.contains("path="), "filters survive: {at}");
    assert_eq!(names(&server, "data/t"), ["bad.csv"]);
    let restored = page(&server, &at).await;
    restored.has("1 item restored.");
    let undone = send(&server, &at, "/fn/undo-restore", &restored.form("/fn/undo-restore")).await;
    assert!(undone.contains("q=data"), "{undone}");
    assert_eq!(names(&server, "data/t").len(), 10);
    page(&server, &at).await.has_not("Undo");
}

#[tokio::test]
async fn undo_restores_nothing_but_what_a_restore_has_displaced() {
    let server = TestServer::start().await;
    with_an_aborted_sync(&server).await;
    let id = server.rows("/api/lake/trash").await[0]["trash_id"].to_string();
    // An address cannot offer it, and a form cannot do it.
    page(&server, &format!("/trash?restored=1&undo={id}")).await.has("1 item restored.").has_not("Undo");
    let refused =
        send(&server, "/trash", "/fn/undo-restore", &fields(&[("trash_ids[]", &id), ("back", "/trash")])).await;
    assert!(refused.contains("refused=40402"), "{refused}");
    assert_eq!(names(&server, "data/t").len(), 10);
}

#[tokio::test]
async fn a_restore_leads_back_to_pages_of_the_trash_alone() {
    let server = TestServer::start().await;
    for back in [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "/trash/../../x",
        "/keys",
        "/trash?q=ö",
        "/trashed",
    ] {
        publish(&server, T, &[("a.csv", "1")]).await;
        publish(&server, T, &[("a.csv", "2")]).await;
        let id = server.rows("/api/lake/trash").await[0]["trash_id"].to_string();
        let form = fields(&[("trash_id", &id), ("back", back)]);
        let at = send(&server, "/trash", "/fn/restore-trash", &form).await;
        assert!(at.starts_with("/trash") && at.is_ascii() && !at.contains("evil"), "{back} leads to {at}");
    }
}

#[tokio::test]
async fn the_trash_is_ordered_by_when_its_items_came_and_names_them() {
    let server = TestServer::start().await;
    let hourly = server.start_sync("/data/h", "IncrementalSync").await;
    server.upload(hourly, "x.csv", b"1").await;
    publish(&server, T, &[("a.csv", "1")]).await;
    publish(&server, T, &[("a.csv", "2")]).await;
    // The older sync adds to the trash later.
    server.upload(hourly, "x.csv", b"2").await;
    let list = page(&server, "/trash").await;
    list.has("Overwritten file").has("Replaced version 1");
    assert!(list.text.find("Overwritten file") < list.text.find("Replaced version 1"), "{}", list.text);

    // A restore of an old item makes a new one: it stands first.
    let replaced = list.links("Restore…").pop().unwrap();
    let form = page(&server, &replaced).await.form("/fn/restore-trash");
    send(&server, &replaced, "/fn/restore-trash", &form).await;
    let list = page(&server, "/trash").await;
    assert!(list.text.find("Replaced by restores") < list.text.find("Overwritten file"), "{}", list.text);
}

#[tokio::test]
async fn a_reader_is_offered_no_restore_and_an_empty_selection_says_what_to_do() {
    let server = TestServer::start().await;
    with_an_aborted_sync(&server).await;
    let reader = server.new_key(&["--role", "read"]);
    page_as(&server, Some(&reader), "/trash").await.has("Aborted full sync").has_not("Restore…");
    let asked = page_as(&server, Some(&reader), "/trash/restore?trash_id=1").await;
    asked.has_not("The shrink guard allows");
    page(&server, "/trash/restore").await.has("No items are selected");
    page(&server, "/trash/restore?trash_ids=x").await.has("No items are selected");
    assert_eq!(page_as(&server, Some(&server.key), "/trash/restore?trash_id=99").await.status, 404);
}
