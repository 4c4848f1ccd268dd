//! Uploads of one node while another one ends, compares or declares their sync.

use super::{Database, new_sync, with_database};
use lakeshore::Error;
use lakeshore::model::access::key::{Caller, Grant};
use lakeshore::model::access::role::Role;
use lakeshore::model::id::SyncId;
use lakeshore::model::settings::Limits;
use lakeshore::model::sync::end::EndSync;
use lakeshore::model::sync::status::SyncType;
use lakeshore::model::time::Timestamp;
use lakeshore::model::upload::request::{ResumableRequest, UploadRequest};
use lakeshore::ports::Clock;
use lakeshore::ports::memory::{CountingRandomness, ManualClock, MemoryFiles, MemoryFormats};
use lakeshore::ports::metadata::node::NodeState;
use lakeshore::ports::metadata::sync::SyncState;
use lakeshore::service::{Destination, IncomingUpload, Lake, Parts};
use lakeshore_metadata::postgres::PostgresState;
use lakeshore_system::clock::SystemClock;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Has a row before it lands.
const LARGE: usize = 256 * 1024;

async fn two_nodes(database: &Database) -> [PostgresState; 2] {
    let first = database.open().await.serve_with_others("first").await.unwrap();
    first.mark_ready().await.unwrap();
    [first, database.open().await.serve_with_others("second").await.unwrap()]
}

fn lake(state: &PostgresState, clock: Arc<dyn Clock>) -> Lake {
    Lake::new(Parts {
        state: Arc::new(state.clone()),
        files: Arc::new(MemoryFiles::default()),
        formats: Arc::new(MemoryFormats),
        clock,
        randomness: Arc::new(CountingRandomness::default()),
        limits: Limits::default(),
    })
}

fn caller() -> Caller {
    Caller::Known(Grant::new("etl", Role::Admin, None))
}

async fn start(state: &PostgresState, path: &str) -> SyncId {
    state.start_sync(&new_sync(path, SyncType::IncrementalSync)).await.unwrap()
}

async fn begun(destination: &Destination, name: &str, size: usize) -> (IncomingUpload, Result<(), Error>) {
    let mut upload = destination.begin(UploadRequest::named(name)).await.unwrap();
    let written = upload.write(vec![b'x'; size].into()).await;
    (upload, written)
}

fn resumable() -> ResumableRequest {
    ResumableRequest { upload: UploadRequest::named("resumable"), ..ResumableRequest::default() }
}

#[test]
fn uploads_begin_when_another_node_has_ended_its_work_on_their_sync() {
    with_database(async |database| {
        let [first, second] = two_nodes(&database).await;
        let lake = lake(&second, Arc::new(SystemClock));
        let sync_id = start(&first, "/a").await;
        let destination = lake.destination(&caller(), sync_id, None).await.unwrap();
        let gate = first.take_gate(sync_id).await.unwrap();
        let large = begun(&destination, "large", LARGE);
        let mut both = pin!(async { tokio::join!(large, destination.begin_resumable(resumable())) });
        assert!(timeout(Duration::from_secs(1), both.as_mut()).await.is_err(), "both wait");
        drop(gate);
        let ((large, written), resumable) = both.await;
        written.unwrap();
        large.land().await.unwrap();
        resumable.unwrap();
        let sync = second.sync(sync_id).await.unwrap().unwrap().sync;
        assert_eq!((sync.num_landed(), sync.num_in_flight), (1, 1));
    });
}

#[test]
fn an_upload_is_told_to_try_again_where_another_node_works_on_its_sync_for_too_long() {
    with_database(async |database| {
        let [first, second] = two_nodes(&database).await;
        // Its pauses take no time.
        let lake = lake(&second, Arc::new(ManualClock::at(Timestamp(1000))));
        let sync_id = start(&first, "/a").await;
        let destination = lake.destination(&caller(), sync_id, None).await.unwrap();
        let _gate = first.take_gate(sync_id).await.unwrap();
        let ((large, written), resumable) =
            tokio::join!(begun(&destination, "large", LARGE), destination.begin_resumable(resumable()));
        for refused in [written.unwrap_err(), resumable.err().unwrap()] {
            assert!(matches!(refused, Error::SyncBusy(id) if id == sync_id), "{refused:?}");
        }
        large.fail(&Error::SyncBusy(sync_id)).await.unwrap();
    });
}

#[test]
fn a_failure_in_a_sync_of_another_node_waits_and_keeps_no_other_sync_from_its_end() {
    with_database(async |database| {
        let [first, second] = two_nodes(&database).await;
        let lake = lake(&second, Arc::new(SystemClock));
        let [held, freed, own] = [start(&first, "/a").await, start(&first, "/b").await, start(&second, "/c").await];
        let mut gates = Vec::new();
        for sync_id in [freed, held] {
            let destination = lake.destination(&caller(), sync_id, None).await.unwrap();
            gates.push(first.take_gate(sync_id).await.unwrap());
            let (upload, _) = begun(&destination, "f", 1).await;
            upload.fail(&Error::IncompleteUpload("broke off".into())).await.unwrap();
        }
        lake.end_sync(&caller(), &EndSync::new(own)).await.unwrap();
        let num_failed = async |sync_id| second.sync(sync_id).await.unwrap().unwrap().sync.num_failed;
        drop(gates.remove(0));
        while num_failed(freed).await == 0 {
            lake.remember_failures().await.unwrap();
            sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(num_failed(held).await, 0);
        drop(gates);
        // Takes the gate itself, and records the failure first.
        lake.end_sync(&caller(), &EndSync::new(held)).await.unwrap();
        assert_eq!((num_failed(held).await, num_failed(freed).await), (1, 1));
    });
}
