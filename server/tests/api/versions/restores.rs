//! Restores of versions, and pins.

use super::*;

#[tokio::test]
async fn a_restore_of_a_version_matches_its_dry_run_and_can_be_undone() {
    let server = TestServer::start().await;
    publish(&server, T, &[("a.csv", b"a1"), ("b.csv", b"b1")]).await;
    add(&server, T, &[("b.csv", b"b2"), ("c.csv", b"c2")]).await;
    publish(&server, T, &[("d.csv", b"d4")]).await;
    // Complete in the trash: exchanged with the dataset.
    let (status, told) = restore(&server, T, 3, json!({ "dry_run": true })).await;
    assert_eq!((status, &told["is_shrinking"], &told["new_version"]), (200, &json!(false), &Value::Null), "{told}");
    assert_eq!(
        (&told["difference"]["added"]["files"], &told["difference"]["removed"]["files"]),
        (&json!(3), &json!(1))
    );
    assert_eq!(server.file_names("data/t"), ["d.csv"]);
    let (status, done) = restore(&server, T, 3, json!({})).await;
    assert_eq!((status, &done["replaced_version"], &done["new_version"]), (200, &json!(4), &json!(5)), "{done}");
    assert_eq!(server.file_names("data/t"), ["a.csv", "b.csv", "c.csv"]);
    let newest = versions(&server, T).await[0].clone();
    assert_eq!((&newest["kind"], &newest["restored_version"]), (&json!("restore"), &json!(3)));
    // Not complete in any place: its files are copied.
    let (status, done) = restore(&server, T, 1, json!({})).await;
    assert_eq!((status, &done["new_version"]), (200, &json!(6)), "{done}");
    assert!(are(&files(&server, T, 6).await, &[("a.csv", "a1"), ("b.csv", "b1")]));
    let newest = versions(&server, T).await[0].clone();
    assert_eq!((&newest["kind"], &newest["restored_version"]), (&json!("restore"), &json!(1)), "{newest}");
    // Undone, and undone again.
    assert_eq!(restore(&server, T, 5, json!({})).await.0, 200);
    assert_eq!(server.file_names("data/t"), ["a.csv", "b.csv", "c.csv"]);
    assert_eq!(restore(&server, T, 4, json!({})).await.0, 200);
    assert_eq!(server.file_names("data/t"), ["d.csv"]);
    for (number, expected) in [
        (1, &[("a.csv", "a1"), ("b.csv", "b1")][..]),
        (2, &[("a.csv", "a1"), ("b.csv", "b2")]),
        (3, &[("a.csv", "a1"), ("b.csv", "b2"), ("c.csv", "c2")]),
        (4, &[("d.csv", "d4")]),
        (5, &[("a.csv", "a1"), ("b.csv", "b2"), ("c.csv", "c2")]),
        (6, &[("a.csv", "a1"), ("b.csv", "b1")]),
        (8, &[("d.csv", "d4")]),
    ] {
        let found = files(&server, T, number).await;
        assert!(are(&found, expected), "version {number}: {found:?}");
    }
    assert_eq!(restore(&server, T, 8, json!({})).await.1["new_version"], Value::Null, "nothing to do");
    assert_refused(restore(&server, T, 99, json!({})).await, 40409, "version 99 of /data/t not found");
}

#[tokio::test]
async fn a_shrinking_restore_is_held_and_one_of_purged_files_is_refused() {
    let server = TestServer::start_with(&["--shrink-guard", "0.5"]).await;
    publish(&server, T, &[("a.csv", b"1")]).await;
    publish(&server, T, &[("a.csv", &[b'x'; 1000])]).await;
    assert_refused(restore(&server, T, 1, json!({})).await, 40911, "confirm");
    assert_eq!(server.files("data/t")["a.csv"].len(), 1000);
    assert_eq!(restore(&server, T, 1, json!({ "confirm": true })).await.0, 200);
    assert_eq!(server.files("data/t")["a.csv"], b"1");
    assert_eq!(empty(&server, json!({ "all": true })).await.0, 200);
    let told = restore(&server, T, 2, json!({ "dry_run": true })).await.1;
    assert_eq!(told["num_gone"], json!(1));
    assert_refused(restore(&server, T, 2, json!({})).await, 41001, "removed for good");
    let gone = version(&server, &format!("path={T}&version=2")).await;
    assert_eq!((&gone["list"][0]["is_gone"], &gone["list"][0]["address"]), (&json!(true), &Value::Null));
    let refused = answer(server.get(&format!("/api/lake/file/download?path={T}/a.csv&version=2"))).await;
    assert_refused(refused, 41001, "/data/t/a.csv");
}

#[tokio::test]
async fn a_pinned_version_survives_every_purge_until_it_is_unpinned() {
    let server = TestServer::start().await;
    publish(&server, T, &[("a.csv", b"a1"), ("b.csv", b"b1")]).await;
    add(&server, T, &[("b.csv", b"b2")]).await;
    publish(&server, T, &[("a.csv", b"a3")]).await;
    publish(&server, T, &[("a.csv", b"a4")]).await;
    let pin = json!({ "path": T, "version": 1, "note": "the audit of May", "api_key": server.key });
    assert_eq!(answer(server.post("/api/lake/dataset/pin", &pin)).await.0, 200);
    let listed = versions(&server, T).await;
    assert_eq!(listed[3]["pin"]["note"], json!("the audit of May"));
    assert_eq!(listed[0]["pin"], Value::Null);
    assert_eq!(empty(&server, json!({ "all": true })).await.0, 200);
    // The item of b1, and the tree with a1; the tree of version 3 is purged.
    let trash = server.rows("/api/lake/trash").await;
    assert_eq!(trash.len(), 2, "{trash:?}");
    assert!(are(&files(&server, T, 1).await, &[("a.csv", "a1"), ("b.csv", "b1")]));
    for item in &trash {
        assert_refused(empty(&server, json!({ "trash_id": item["trash_id"] })).await, 40913, "unpin");
    }
    assert_eq!(answer(server.post("/api/lake/dataset/unpin", &pin)).await.0, 200);
    assert_eq!(empty(&server, json!({ "all": true })).await.0, 200);
    assert!(server.rows("/api/lake/trash").await.is_empty());
    let reader = server.new_key(&["--role", "read"]);
    let body = json!({ "path": T, "version": 1, "api_key": reader });
    assert_refused(answer(server.post("/api/lake/dataset/pin", &body)).await, 40300, "role");
    assert_refused(answer(server.post("/api/lake/dataset/restore", &body)).await, 40300, "role");
}

#[tokio::test]
async fn separately_restored_files_are_part_of_the_versions_before_and_after() {
    let server = TestServer::start().await;
    add(&server, T, &[("a.csv", b"a1"), ("a.csv", b"a2"), ("a.csv", b"a3")]).await;
    let trash = server.rows("/api/lake/trash").await;
    let put_back = async |trash_id: &Value| {
        let body = json!({ "trash_id": trash_id, "api_key": server.key });
        assert_eq!(answer(server.post("/api/lake/trash/restore", &body)).await.0, 200);
    };
    put_back(&trash[0]["trash_id"]).await;
    put_back(&trash[1]["trash_id"]).await;
    for (number, bytes) in [(1, "a1"), (2, "a2"), (3, "a3"), (4, "a1"), (5, "a2")] {
        assert!(are(&files(&server, T, number).await, &[("a.csv", bytes)]), "version {number}");
    }
    let all = versions(&server, T).await;
    assert_eq!(all[0]["list_digest"], all[3]["list_digest"]);
    assert_eq!((&all[0]["kind"], all.len()), (&json!("restore"), 5));
}

#[tokio::test]
async fn files_restored_beside_uploads_to_their_path_are_those_of_their_versions() {
    const RESTORES: usize = 30;
    let server = TestServer::start().await;
    let sync = server.start_sync(T, "IncrementalSync").await;
    server.upload(sync, "a.csv", b"first").await;
    server.upload(sync, "a.csv", b"second").await;
    // Both move files first, and write their rows afterwards.
    let upload = async {
        for number in 0..2 * RESTORES {
            server.upload(sync, "a.csv", format!("upload {number}").as_bytes()).await;
        }
    };
    let restore = async {
        for _ in 0..RESTORES {
            let newest = &server.rows("/api/lake/trash?order=desc&size=1").await[0];
            let body = json!({ "trash_id": newest["trash_id"], "api_key": server.key });
            assert_eq!(answer(server.post("/api/lake/trash/restore", &body)).await.0, 200);
        }
    };
    tokio::join!(upload, restore);
    server.end_sync(sync).await;
    let newest = current(&server, T).await;
    let there = String::from_utf8(server.files("data/t")["a.csv"].clone()).unwrap();
    assert!(are(&files(&server, T, newest).await, &[("a.csv", &there)]), "the newest version is what is there");
    for number in 1..newest {
        assert_eq!(files(&server, T, number).await.len(), 1, "version {number} is readable");
    }
}

#[tokio::test]
async fn a_kill_amid_a_restore_leaves_the_files_of_all_versions_at_its_path() {
    let server = TestServer::start().await;
    let sync = server.start_sync(T, "IncrementalSync").await;
    server.upload(sync, "a.csv", b"a1").await;
    server.upload(sync, "a.csv", b"a2").await;
    let trash_id = server.rows("/api/lake/trash").await[0]["trash_id"].clone();
    let stopped = server.kill();
    // The files have changed places, and the rows have not.
    let mut dying = stopped.try_start(&[("LAKESHORE_CRASH_AT", "exchange.done")]).await.unwrap();
    let body = json!({ "trash_id": trash_id, "api_key": dying.key });
    assert!(dying.post("/api/lake/trash/restore", &body).send().await.is_err(), "it was killed amid the restore");
    dying.eventually_ended();
    let server = stopped.start().await;
    server.upload(sync, "a.csv", b"a3").await;
    server.end_sync(sync).await;
    for (number, bytes) in [(1, "a1"), (2, "a2"), (3, "a1"), (4, "a3")] {
        assert!(are(&files(&server, T, number).await, &[("a.csv", bytes)]), "version {number}");
    }
    assert_eq!(server.files("data/t")["a.csv"], b"a3");
}
