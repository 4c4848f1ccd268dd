//! An object storage that takes long for one object.

use crate::server::{Stopped, TestServer, bucket, cluster, skipped};
use crate::tables::faulty_proxy::{self, FaultyProxy};
use serde_json::json;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::timeout;

/// A way to the object storage for a server that was not started yet.
pub fn proxy(stopped: &Stopped) -> FaultyProxy {
    let upstream = bucket::object_storage::object_storage().unwrap().endpoint();
    let proxy = faulty_proxy::start(&upstream, faulty_proxy::NONE);
    bucket::go_by(stopped.data_dir(), Some(proxy.address.clone()));
    proxy
}

/// Holds the next request to write an object with this ending.
pub fn hold(proxy: &FaultyProxy, ending: &str) {
    *proxy.held.lock().unwrap() = Some(ending.to_owned());
}

pub fn let_go(proxy: &FaultyProxy) {
    *proxy.held.lock().unwrap() = None;
}

pub async fn until_held(proxy: &FaultyProxy) {
    while !proxy.has_held.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Less than the time after which the server gives up a request.
async fn in_time(test: impl Future<Output = ()>) {
    timeout(Duration::from_secs(20), test).await.expect("a slow write holds up the others");
}

async fn assert_other_files_land_while_one_is_held(server: &TestServer, proxy: &FaultyProxy) {
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    hold(proxy, ".slow");
    let slow = server.upload(id, "first.slow", b"slow");
    let others = async {
        until_held(proxy).await;
        // One after the other: each would wait in a group of its own.
        for number in 0..5 {
            server.upload(id, &format!("{number}.csv"), b"a,b\n").await;
        }
        assert_eq!(server.sync(id).await["total_files"], json!(5), "the slow one has not landed");
        let_go(proxy);
    };
    in_time(async { _ = tokio::join!(slow, others) }).await;
    server.end_sync(id).await;
    assert_eq!(server.sync(id).await["total_files"], json!(6));
    assert_eq!(server.files("data/t")["first.slow"], b"slow");
}

/// A lake on object storage, whose metadata is where the tests of this run have it.
fn stopped() -> Option<Stopped> {
    if bucket::object_storage::object_storage().is_none() {
        skipped(bucket::object_storage::MISSING);
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().to_owned();
    Some(Stopped::new(folder, data_dir, &[]).on_bucket().with_key())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_write_to_the_object_storage_delays_no_other_upload() {
    let Some(stopped) = stopped() else { return };
    let proxy = proxy(&stopped);
    assert_other_files_land_while_one_is_held(&stopped.start().await, &proxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_write_delays_no_other_upload_of_a_server_of_several() {
    let Some(([stopped], _database)) = cluster::new().await else { return };
    let proxy = proxy(&stopped);
    assert_other_files_land_while_one_is_held(&cluster::start(&stopped).await, &proxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_uploads_of_one_name_the_last_stays_although_the_first_is_written_late() {
    let Some(stopped) = stopped() else { return };
    let proxy = proxy(&stopped);
    let server = stopped.start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    hold(&proxy, ".slow");
    let first = server.upload(id, "a.slow", b"first");
    let rest = async {
        until_held(&proxy).await;
        let second = server.upload(id, "a.slow", b"second");
        let release = async {
            // Time for the second to land, if it does not wait.
            tokio::time::sleep(Duration::from_millis(500)).await;
            let_go(&proxy);
        };
        tokio::join!(second, release);
    };
    in_time(async { _ = tokio::join!(first, rest) }).await;
    server.end_sync(id).await;
    assert_eq!(server.files("data/t")["a.slow"], b"second");
    let replaced = server.rows("/api/lake/trash").await;
    assert_eq!(replaced.len(), 1, "{replaced:?}");
}
