//! Looking into files that cannot be read for now.

use crate::bench::{self, Database, block_on, caller};
use async_trait::async_trait;
use lakeshore::model::dataset::schema::SchemaPolicy;
use lakeshore::model::dataset::schema_policy::SetSchemaPolicy;
use lakeshore::model::id::{SyncId, UploadId};
use lakeshore::model::preview::Inspected;
use lakeshore::model::preview::Preview;
use lakeshore::model::settings::Limits;
use lakeshore::model::sync::end::EndSync;
use lakeshore::model::sync::start::StartSync;
use lakeshore::model::sync::status::SyncType;
use lakeshore::model::upload::request::UploadRequest;
use lakeshore::ports::memory::{CountingRandomness, ManualClock, MemoryFiles, MemoryFormats};
use lakeshore::ports::storage::OpenFile;
use lakeshore::ports::{Clock, Formats};
use lakeshore::service::Lake;
use lakeshore::{Error, Timestamp};
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

/// Errors of reading `bad`, one each time; the last is repeated.
/// Where there is a clock, each takes ten seconds.
struct Unsteady(Mutex<Vec<Error>>, Mutex<u32>, Mutex<Option<Arc<ManualClock>>>);

#[async_trait]
impl Formats for Unsteady {
    async fn preview(&self, file: Arc<dyn OpenFile>, name: &str, rows: u64) -> Result<Preview, Error> {
        MemoryFormats.preview(file, name, rows).await
    }

    async fn inspect(&self, file: Arc<dyn OpenFile>, name: &str) -> Result<Inspected, Error> {
        if let Some(clock) = &*self.2.lock().unwrap() {
            clock.set(clock.now().plus(Duration::from_secs(10)));
        }
        if name != "bad" {
            return MemoryFormats.inspect(file, name).await;
        }
        *self.1.lock().unwrap() += 1;
        let mut faults = self.0.lock().unwrap();
        let fault = if faults.len() > 1 { faults.remove(0) } else { faults[0].repeated() };
        Err(fault)
    }
}

struct Lakes {
    lake: Lake,
    clock: Arc<ManualClock>,
    formats: Arc<Unsteady>,
    database: Database,
}

async fn lake(faults: Vec<Error>) -> Lakes {
    let clock = Arc::new(ManualClock::at(Timestamp(1000)));
    let formats = Arc::new(Unsteady(Mutex::new(faults), Mutex::default(), Mutex::default()));
    let (files, database) = (MemoryFiles::default(), Database::new().await);
    let randomness = Arc::new(CountingRandomness::default());
    let lake = bench::lake(&database.state, &files, formats.clone(), clock.clone(), randomness, Limits::default());
    Lakes { lake, clock, formats, database }
}

async fn sync_of(lake: &Lake, sync_type: SyncType, names: &[&str]) -> SyncId {
    let start = StartSync { name: "n".into(), path: "/a".into(), sync_type, expected: None };
    let id = lake.start_sync(&caller(), &start).await.unwrap();
    for name in names {
        let mut upload =
            lake.destination(&caller(), id, None).await.unwrap().begin(UploadRequest::named(name)).await.unwrap();
        upload.write(b"x:int64".to_vec().into()).await.unwrap();
        upload.land().await.unwrap();
    }
    id
}

async fn looked_at(lake: &Lake, id: u64) -> (Option<u64>, Option<String>) {
    let upload = lake.upload(&caller(), UploadId(id)).await.unwrap();
    (upload.row_count, upload.inspection_problem)
}

fn failing_disk() -> Error {
    Error::internal(std::io::Error::other("the disk failed"))
}

#[test]
fn a_file_that_cannot_be_read_for_now_is_tried_again_with_growing_pauses_and_is_in_nobodys_way() {
    block_on(async {
        let Lakes { lake, clock, formats, database: _database } = lake(vec![failing_disk()]).await;
        sync_of(&lake, SyncType::IncrementalSync, &["bad", "good"]).await;
        let mut tried_at = Vec::new();
        for second in 0..1000 {
            clock.set(Timestamp(1000 + second * 1000));
            let before = *formats.1.lock().unwrap();
            while lake.inspect_some().await.unwrap().tried > 0 {}
            if *formats.1.lock().unwrap() > before {
                tried_at.push(second);
            }
            assert_eq!(looked_at(&lake, 2).await, (Some(0), None));
        }
        assert_eq!(tried_at, [0, 1, 11, 71, 371]);
        let problem = looked_at(&lake, 1).await.1.unwrap();
        assert!(problem.starts_with("reading failed 5 times"), "{problem}");
    });
}

#[test]
fn files_that_take_long_are_read_one_at_a_time_so_that_others_have_their_turn() {
    block_on(async {
        let Lakes { lake, clock, formats, database } = lake(vec![failing_disk()]).await;
        *formats.2.lock().unwrap() = Some(clock);
        let id = sync_of(&lake, SyncType::IncrementalSync, &["one", "two", "three"]).await;
        for number in 1..=3 {
            assert_eq!(lake.inspect_some().await.unwrap().tried, 1);
            assert_eq!(looked_at(&lake, number).await, (Some(0), None));
            assert_eq!(database.state.count_uninspected(id).await.unwrap(), 3 - number);
        }
    });
}

#[test]
fn a_stop_amid_the_reading_counts_as_no_attempt() {
    block_on(async {
        let faults = [Error::ShuttingDown, Error::ShuttingDown, Error::ShuttingDown, Error::ShuttingDown];
        let faults = faults.into_iter().chain([failing_disk()]).collect();
        let Lakes { lake, database: _database, .. } = lake(faults).await;
        sync_of(&lake, SyncType::IncrementalSync, &["good", "bad", "late"]).await;
        for _ in 0..4 {
            assert!(matches!(lake.inspect_some().await, Err(Error::ShuttingDown)));
            assert_eq!(looked_at(&lake, 1).await, (Some(0), None), "what was read before is kept");
        }
        while lake.inspect_some().await.unwrap().tried > 0 {}
        assert_eq!((looked_at(&lake, 2).await, looked_at(&lake, 3).await.0), ((None, None), Some(0)));
    });
}

#[test]
fn a_full_sync_whose_columns_cannot_be_read_for_now_is_not_published_where_the_policy_is_hold() {
    block_on(async {
        let Lakes { lake, clock, database: _database, .. } = lake(vec![failing_disk()]).await;
        let hold = SetSchemaPolicy { path: "/a".into(), policy: SchemaPolicy::Hold };
        lake.set_schema_policy(&caller(), &hold).await.unwrap();
        let id = sync_of(&lake, SyncType::FullSync, &["bad", "good"]).await;
        let end = EndSync { sync_id: id, ..serde_json::from_str(r#"{"sync_id":1}"#).unwrap() };
        for seconds in [0, 1, 11, 71] {
            clock.set(Timestamp(1000 + seconds * 1000));
            let refused = lake.end_sync(&caller(), &end).await.unwrap_err();
            assert!(matches!(refused, Error::ColumnsUnread { files: 1, .. }), "{refused}");
        }
        clock.set(Timestamp(1000 + 371_000));
        lake.end_sync(&caller(), &end).await.unwrap();
    });
}
