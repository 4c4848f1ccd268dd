//! Conformance: the columns of files and datasets.

use super::*;
use crate::model::dataset::schema::{Column, Format, Schema, SchemaPolicy};
use crate::model::preview::Inspected;
use crate::model::sync::end::Settlement;
use crate::model::sync::job::Closing;
use crate::ports::metadata::schema::{Attempts, InspectedUpload, LandedRows, Uninspected};

fn schema(columns: &[&str]) -> Schema {
    let column = |name: &&str| Column { name: (*name).to_owned(), kind: "int64".into(), nullable: false };
    Schema::of(Format::Parquet, columns.iter().map(column))
}

async fn inspect(state: &dyn State, upload_id: UploadId, columns: &[&str]) {
    let inspected =
        Inspected { format: Format::Parquet, row_count: Some(7), schema: Some(schema(columns)), problem: None };
    state.remember_inspected(&[InspectedUpload { upload_id, inspected }]).await.unwrap();
}

async fn difference(state: &dyn State, id: UploadId) -> String {
    let difference = state.upload(id).await.unwrap().unwrap().schema_difference;
    difference.map(|difference| difference.in_words()).unwrap_or_default()
}

/// Lands a file with these columns in a new sync, and finishes the sync.
async fn sync_of(state: &dyn State, columns: &[&str]) -> UploadId {
    let sync_id = start(state, "/a", SyncType::IncrementalSync).await;
    let upload_id = finish(state, sync_id, "/a/1").await;
    inspect(state, upload_id, columns).await;
    state.close_sync(sync_id, &finishing(), false, Timestamp(50)).await.unwrap();
    upload_id
}

pub async fn landed_files_are_uninspected_until_they_are_read(state: &dyn State) {
    let one = start(state, "/a", SyncType::IncrementalSync).await;
    let other = start(state, "/b", SyncType::FullSync).await;
    let begun = begin(state, one, "/a/0").await;
    let first = finish(state, one, "/a/1").await;
    land_upload(state, whole(None, other, "/b/1"), None, 30).await;
    let of = async |sync| -> Vec<u64> {
        state.uninspected(sync, Timestamp(99), 9).await.unwrap().iter().map(|file| file.upload_id.0).collect()
    };
    assert_eq!((of(None).await, of(Some(other)).await), (vec![2, 3], vec![3]));
    land_upload(state, whole(Some(begun), one, "/a/0"), None, 31).await;
    assert_eq!(of(None).await, [1, 2, 3]);
    let identity = Some(Identity("1".into()));
    let (target, attempts) = (Some(path("/a/0")), Attempts::default());
    let expected = Uninspected { upload_id: begun, sync_id: one, target, identity, attempts };
    assert_eq!(state.uninspected(None, Timestamp(99), 1).await.unwrap(), [expected]);
    inspect(state, first, &["x"]).await;
    inspect(state, first, &["y"]).await;
    assert_eq!(of(None).await, [1, 3]);
    let upload = state.upload(first).await.unwrap().unwrap();
    assert_eq!((upload.row_count, upload.schema_difference), (Some(7), None));
}

pub async fn attempts_to_read_a_file_are_counted_and_failed_ones_are_retried_when_due(state: &dyn State) {
    let id = start(state, "/a", SyncType::IncrementalSync).await;
    let uploads = [finish(state, id, "/a/1").await, finish(state, id, "/a/2").await, finish(state, id, "/a/3").await];
    let attempts = async |at| -> Vec<(u64, u32, u32)> {
        let files = state.uninspected(None, Timestamp(at), 2).await.unwrap();
        files.iter().map(|file| (file.upload_id.0, file.attempts.begun, file.attempts.failed)).collect()
    };
    assert_eq!(attempts(0).await, [(1, 0, 0), (2, 0, 0)]);
    state.begin_inspections(&uploads[..2]).await.unwrap();
    assert_eq!(attempts(0).await, [(3, 0, 0), (1, 1, 0)], "one that was tried besides those that were not");
    state.fail_inspection(uploads[0], Timestamp(70)).await.unwrap();
    state.begin_inspections(&uploads[1..2]).await.unwrap();
    assert_eq!(attempts(69).await, [(3, 0, 0), (2, 2, 0)]);
    state.release_inspections(&uploads[1..2]).await.unwrap();
    inspect(state, uploads[2], &["x"]).await;
    assert_eq!(attempts(69).await, [(2, 1, 0)]);
    inspect(state, uploads[1], &["x"]).await;
    assert_eq!((attempts(69).await, attempts(70).await), (vec![], vec![(1, 0, 1)]));
    assert_eq!(state.count_uninspected(id).await.unwrap(), 1);
    inspect(state, uploads[0], &["x"]).await;
    assert_eq!((attempts(99).await, state.count_uninspected(id).await.unwrap()), (vec![], 0));
}

pub async fn inspected_rows_are_found_by_path_and_identity(state: &dyn State) {
    let id = start(state, "/a", SyncType::IncrementalSync).await;
    let read = finish(state, id, "/a/1").await;
    inspect(state, read, &["x"]).await;
    finish(state, id, "/a/2").await;
    let identity = Identity("1".into());
    let asked = [
        (path("/a/1"), identity.clone()),
        (path("/a/2"), identity.clone()),
        (path("/a/1"), Identity("2".into())),
        (path("/a/3"), identity),
    ];
    let known = state.landed_rows(&asked).await.unwrap();
    let unread = LandedRows { size_bytes: DIGEST.size_bytes, landed_at: Timestamp(30), row_count: None, schema: None };
    let schema_id = known[0].as_ref().and_then(|known| known.schema);
    assert_eq!(state.schema(schema_id.unwrap()).await.unwrap(), Some(schema(&["x"])));
    let of_first = LandedRows { row_count: Some(7), schema: schema_id, ..unread.clone() };
    assert_eq!(known, [Some(of_first), Some(unread), None, None]);
    let changes = state.landed_changes(id, 0, 9).await.unwrap();
    assert_eq!(changes.iter().map(|change| change.row_count).collect::<Vec<_>>(), [Some(7), None]);
}

pub async fn a_file_is_compared_with_the_columns_of_the_last_finished_sync(state: &dyn State) {
    let first = sync_of(state, &["x", "y"]).await;
    assert_eq!(difference(state, first).await, "");
    let good = state.baseline_schema(&path("/a")).await.unwrap().unwrap();
    assert_eq!((good.sync_id, good.schema), (SyncId(1), schema(&["x", "y"])));
    let second = start(state, "/a", SyncType::IncrementalSync).await;
    let (same, other) = (finish(state, second, "/a/2").await, finish(state, second, "/a/3").await);
    let late = finish(state, second, "/a/4").await;
    inspect(state, same, &["x", "y"]).await;
    inspect(state, other, &["x", "z"]).await;
    assert_eq!(difference(state, same).await, "");
    assert_eq!(difference(state, other).await, "added z (int64); removed y (int64)");
    assert_eq!(record(state, second).await.sync.num_schema_differences, 1);
    state.close_sync(second, &finishing(), false, Timestamp(60)).await.unwrap();
    // On a tie the first schema is the baseline, until a third file decides. A file read late still counts for its own
    // sync.
    assert_eq!(state.baseline_schema(&path("/a")).await.unwrap().unwrap().schema, schema(&["x", "y"]));
    inspect(state, late, &["x", "z"]).await;
    assert_eq!(difference(state, late).await, "added z (int64); removed y (int64)");
    assert_eq!(state.baseline_schema(&path("/a")).await.unwrap().unwrap().schema, schema(&["x", "z"]));
    let named: Vec<_> = state.differing_uploads(second, 9).await.unwrap().iter().map(|row| row.history_id).collect();
    assert_eq!(named, [other, late]);
    let third = sync_of(state, &["x", "z"]).await;
    assert_eq!(difference(state, third).await, "");
}

pub async fn files_of_a_new_dataset_are_compared_with_its_first_file(state: &dyn State) {
    let id = start(state, "/a", SyncType::FullSync).await;
    let (one, other) = (finish(state, id, "/a/1").await, finish(state, id, "/a/2").await);
    inspect(state, one, &["x"]).await;
    inspect(state, other, &["y"]).await;
    assert_eq!(difference(state, one).await, "");
    assert_eq!(difference(state, other).await, "added y (int64); removed x (int64)");
    assert_eq!(state.baseline_schema(&path("/a")).await.unwrap(), None, "it is not finished");
    let abort = Closing::Abort { reason: TrashReason::Aborted, message: "aborted".into(), by: "".into() };
    state.close_sync(id, &abort, false, Timestamp(60)).await.unwrap();
    let settlement =
        Settlement { sync_id: id, status: Status::Failed, message: String::new(), trash: None, at: Timestamp(61) };
    state.settle_sync(&settlement).await.unwrap();
    assert_eq!(state.baseline_schema(&path("/a")).await.unwrap(), None, "what was aborted is no measure");
}

pub async fn the_ignore_policy_marks_no_file_and_the_default_is_to_warn(state: &dyn State) {
    let dataset = path("/a");
    assert_eq!(state.schema_policy(&dataset).await.unwrap(), SchemaPolicy::Warn);
    for policy in [SchemaPolicy::Hold, SchemaPolicy::Ignore] {
        state.set_schema_policy(&dataset, policy, &"me".into(), Timestamp(5)).await.unwrap();
        assert_eq!(state.schema_policy(&dataset).await.unwrap(), policy);
    }
    assert_eq!(state.schema_policy(&path("/a/b")).await.unwrap(), SchemaPolicy::Warn);
    sync_of(state, &["x"]).await;
    let other = sync_of(state, &["y"]).await;
    assert_eq!(difference(state, other).await, "");
    assert_eq!(state.baseline_schema(&dataset).await.unwrap().unwrap().schema, schema(&["y"]));
}
