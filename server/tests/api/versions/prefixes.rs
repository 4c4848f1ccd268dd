//! Versions beside the prefixes of keys.

use super::*;

#[tokio::test]
async fn versions_outside_the_prefix_of_a_key_are_hidden() {
    let server = TestServer::start().await;
    publish(&server, T, &[("a.csv", b"a1")]).await;
    let other = server.new_key(&["--role", "admin", "--path-prefix", "/other"]);
    let below = server.new_key(&["--role", "admin", "--path-prefix", "/data/t/dt=1"]);
    let ask = async |path: String, key: &str| {
        let response = server.get(&path).bearer_auth(key).send().await.unwrap();
        assert!(!response.headers().contains_key("lakeshore-version"), "{path}");
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    for address in
        ["versions?path=", "version?version=1&path=", "version?path=", "version/difference?old=1&new=1&path="]
    {
        let there = ask(format!("/api/lake/dataset/{address}{T}"), &other).await;
        let not_there = ask(format!("/api/lake/dataset/{address}/data/x"), &other).await;
        assert_eq!(there.0, 404, "{address}: {}", there.1);
        assert_eq!(there.1.to_string().replace(T, "/data/x"), not_there.1.to_string());
        assert_eq!(ask(format!("/api/lake/dataset/{address}{T}/dt=1"), &below).await.0, 404, "a dataset above it");
    }
    let download = ask(format!("/api/lake/file/download?version=1&path={T}/a.csv"), &other).await;
    let not_there = ask("/api/lake/file/download?version=1&path=/data/x/a.csv".into(), &other).await;
    assert_eq!((download.0, download.1.to_string().replace(T, "/data/x")), (404, not_there.1.to_string()));
    for call in ["restore", "pin", "unpin"] {
        let body = json!({ "path": T, "version": 1, "api_key": other });
        let (status, said) = answer(server.post(&format!("/api/lake/dataset/{call}"), &body)).await;
        assert_eq!((status, said["code"].as_u64()), (404, Some(40406)), "{call}: {said}");
        let without = json!({ "path": T, "version": 1 });
        assert_eq!(answer(server.post(&format!("/api/lake/dataset/{call}"), &without)).await.0, 401, "{call}");
    }
}

#[tokio::test]
async fn a_version_made_by_a_sync_above_the_prefix_of_a_key_does_not_name_it() {
    let server = TestServer::start().await;
    publish(&server, "/data/t/n", &[("x.csv", b"1")]).await;
    let above =
        json!({ "name": "secret project", "path": "/data/t", "sync_type": "IncrementalSync", "api_key": server.key });
    let id = answer(server.post("/api/ingestion/file/sync/start", &above)).await.1["sync_id"].as_u64().unwrap();
    let (status, body) = server.try_upload(&format!("sync_id={id}&path=/data/t/n"), &[("y.csv", b"2")]).await;
    assert_eq!(status, 200, "{body}");
    server.end_sync(id).await;
    let key = server.new_key(&["--role", "write", "--path-prefix", "/data/t/n"]);
    let list = server.get("/api/lake/dataset/versions?path=/data/t/n").bearer_auth(&key);
    let listed = answer(list).await.1;
    assert_eq!(listed.as_array().unwrap().len(), 2, "{listed}");
    for hidden in ["sync_id", "sync_name", "key_id"] {
        assert_eq!(listed[0][hidden], Value::Null, "{listed}");
    }
    assert_eq!(listed[0]["made_by"], json!(""));
    assert!(listed[1]["sync_id"].is_u64(), "its own sync is named: {listed}");
    let one = answer(server.get("/api/lake/dataset/version?path=/data/t/n").bearer_auth(&key)).await.1;
    assert_eq!((&one["sync_id"], &one["made_by"]), (&Value::Null, &json!("")));
    assert!(versions(&server, "/data/t/n").await[0]["sync_id"].is_u64(), "other keys see it");
}

#[tokio::test]
async fn a_purge_refused_for_a_pin_above_the_prefix_of_a_key_does_not_name_the_dataset() {
    let server = TestServer::start().await;
    publish(&server, "/data/t/n", &[("x.csv", b"1")]).await;
    add(&server, "/data/t", &[("a.csv", b"1")]).await;
    let pin = json!({ "path": "/data/t", "version": 1, "note": "secret", "api_key": server.key });
    assert_eq!(answer(server.post("/api/lake/dataset/pin", &pin)).await.0, 200);
    publish(&server, "/data/t/n", &[("x.csv", b"2")]).await;
    let item = server.rows("/api/lake/trash").await[0]["trash_id"].clone();
    let key = server.new_key(&["--role", "admin", "--path-prefix", "/data/t/n"]);
    let body = json!({ "trash_id": item, "api_key": key });
    let refused = answer(server.post("/api/lake/trash/empty", &body)).await;
    assert!(!refused.1["msg"].as_str().unwrap().contains("versions?path="), "{refused:?}");
    assert_refused(refused, 40913, "a dataset that this key does not cover");
    assert_refused(empty(&server, json!({ "trash_id": item })).await, 40913, "versions?path=/data/t");
}
