//! An object storage that takes long for one object.

use crate::server::{Stopped, TestServer, bucket, cluster, skipped};
use crate::tables::faulty_proxy::{self, FaultyProxy};
use serde_json::json;
use std::time::Duration;
use tokio::time::timeout;

/// A way to the object storage for a server that was not started yet.
fn proxy(stopped: &Stopped) -> FaultyProxy {
    let upstream = bucket::object_storage::object_storage().unwrap().endpoint();
    let proxy = faulty_proxy::start(&upstream, faulty_proxy::NONE);
    bucket::go_by(stopped.data_dir(), Some(proxy.address.clone()));
    proxy
}

async fn assert_other_files_land_while_one_is_held(server: &TestServer, proxy: &FaultyProxy) {
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    *proxy.held.lock().unwrap() = Some(".slow".into());
    let slow = server.upload(id, "first.slow", b"slow");
    let others = async {
        // One after the other: each would wait in a group of its own.
        for number in 0..5 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            server.upload(id, &format!("{number}.csv"), b"a,b\n").await;
        }
        assert_eq!(server.sync(id).await["total_files"], json!(5), "the slow one has not landed");
        *proxy.held.lock().unwrap() = None;
    };
    let both = async { tokio::join!(slow, others) };
    // Less than the time after which the server gives up a request.
    timeout(Duration::from_secs(20), both).await.expect("a slow write holds up the others");
    server.end_sync(id).await;
    assert_eq!(server.sync(id).await["total_files"], json!(6));
    assert_eq!(server.files("data/t")["first.slow"], b"slow");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_write_to_the_object_storage_delays_no_other_upload() {
    if bucket::object_storage::object_storage().is_none() {
        return skipped(bucket::object_storage::MISSING);
    }
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().to_owned();
    let stopped = Stopped::new(folder, data_dir, &[]).on_bucket().with_key();
    let proxy = proxy(&stopped);
    assert_other_files_land_while_one_is_held(&stopped.start().await, &proxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_write_delays_no_other_upload_of_a_server_of_several() {
    let Some(([stopped], _database)) = cluster::new().await else { return };
    let proxy = proxy(&stopped);
    assert_other_files_land_while_one_is_held(&cluster::start(&stopped).await, &proxy).await;
}
