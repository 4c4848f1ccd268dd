//! Cost of an upload's rows: the intent and the rows of a group that lands, by its size. It runs in a memory file
//! system where there is one, so that no disk is measured.

use criterion::{BenchmarkId, Criterion, Throughput};
use lakeshore::Timestamp;
use lakeshore::model::access::actor::Actor;
use lakeshore::model::digest::Digest;
use lakeshore::model::id::SyncId;
use lakeshore::model::path::LakePath;
use lakeshore::model::storage_path::{Identity, PartialName};
use lakeshore::model::sync::start::NewSync;
use lakeshore::model::sync::status::SyncType;
use lakeshore::ports::metadata::sync::SyncState;
use lakeshore::ports::metadata::upload::{CompletedUpload, FinishedLandings, LandedUpload, UploadState};
use lakeshore_metadata::sqlite::SqliteState;
use std::path::Path;
use tokio::runtime::{Builder, Runtime};

/// Runtime of the same kind as the server's thread of the landings.
fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn upload(sync_id: SyncId, number: u64) -> CompletedUpload {
    let file_name = format!("part-{number:08}.parquet");
    CompletedUpload {
        upload_id: None,
        sync_id,
        target: LakePath::parse(&format!("/data/t/{file_name}")).unwrap(),
        file_name,
        partial: PartialName::from_stored(format!("{number:032x}")),
        identity: Identity(format!("{number:x}-1700000000000000000")),
        digest: Digest { size_bytes: 16_384, sha256: [number.to_le_bytes()[0]; 32] },
        begun_at: Timestamp(1_700_000_000_000),
        by: "bench".into(),
        taken_over: false,
    }
}

pub fn rows(criterion: &mut Criterion) {
    let runtime = runtime();
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { memory } else { Path::new(env!("CARGO_TARGET_TMPDIR")) };
    let folder = tempfile::tempdir_in(folder).unwrap();
    let file = folder.path().join("lakeshore.db");
    let (state, sync_id) = runtime.block_on(async {
        let state = SqliteState::open(&file).await.unwrap();
        let new = NewSync {
            name: "bench".into(),
            path: LakePath::parse("/data/t").unwrap(),
            sync_type: SyncType::IncrementalSync,
            started_by: Actor::from("bench"),
            expected: None,
            once: None,
            restores_version: None,
            at: Timestamp(1_700_000_000_000),
        };
        let sync_id = state.start_sync(&new).await.unwrap();
        (state, sync_id)
    });
    let mut group = criterion.benchmark_group("rows of a landing");
    let mut number = 0;
    for size in [1_u64, 8, 32, 128] {
        group.throughput(Throughput::Elements(size));
        group.bench_with_input(BenchmarkId::from_parameter(size), &size, |bencher, size| {
            bencher.iter(|| {
                let uploads: Vec<_> = (number..number + size).map(|number| upload(sync_id, number)).collect();
                number += size;
                runtime.block_on(async {
                    let (id, _) = state.write_intents(None, &uploads).await.unwrap();
                    let landed: Vec<_> =
                        uploads.into_iter().map(|upload| LandedUpload { upload, trash: None }).collect();
                    let at = Timestamp(1_700_000_000_000);
                    state.finish_landings(&FinishedLandings { id, landed, left: Vec::new(), at }).await.unwrap();
                });
            });
        });
    }
    group.finish();
    runtime.block_on(state.close());
}
