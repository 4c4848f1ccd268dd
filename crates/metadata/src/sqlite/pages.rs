//! Tests of the plans of pages: of the history, and of the syncs.

use super::SqliteState;
use super::connection::open_writing;
use crate::history;
use crate::query::Select;
use crate::syncs;
use lakeshore::model::id::{SyncId, UploadId};
use lakeshore::model::page::{Order, Page, SyncQuery, UploadQuery};
use lakeshore::model::path::LakePath;
use lakeshore::model::sync::status::{Status, SyncType};
use sqlx::{Executor, SqliteConnection};

/// Some rows of each kind, inserted by SQL: the query plans do not depend on their number.
const ROWS: &str = "
    INSERT INTO syncs (name, path, sync_type, start_time, started_by, last_activity)
    VALUES ('n', '/data/a', 'IncrementalSync', 1, 'me', 1), ('n', '/data/b', 'FullSync', 1, 'me', 1);
    INSERT INTO folders (path) VALUES ('/data/a/dt=1'), ('/data/b'), ('/data/a'), ('/data');
    INSERT INTO folders_above VALUES (1, 1), (1, 3), (1, 4), (2, 2), (2, 4), (3, 3), (3, 4), (4, 4);
    INSERT INTO uploads (sync_id, ordinal, file_name, target, folder_id, status, start_time)
    VALUES (1, 1, 'x', '/data/a/dt=1/x', 1, 'Finished', 1), (1, 2, 'y', '/data/a/dt=1/y', 1, 'Failed', 1),
        (2, 1, 'z', '/data/b/z', 2, 'Syncing', 1);
    INSERT INTO upload_counts
    SELECT scope, scope_id, span, position >> span, count(*), sum(status = 'Finished'), sum(status = 'Failed')
    FROM upload_positions JOIN (SELECT 10 AS span UNION ALL SELECT 20) GROUP BY scope, scope_id, span, 4;";

async fn with_rows() -> (SqliteConnection, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lakeshore.db");
    SqliteState::open(&file).await.unwrap().close().await;
    let mut connection = open_writing(&file).await.unwrap();
    connection.execute(ROWS).await.unwrap();
    (connection, folder)
}

async fn assert_no_scan(what: &str, select: Select, connection: &mut SqliteConnection) {
    let plan = select.plan(connection).await;
    assert!(!plan.is_empty() && !plan.iter().any(|step| step.starts_with("SCAN")), "{what}: {plan:?}");
}

#[tokio::test]
async fn every_filter_of_the_history_finds_its_page_by_an_index() {
    let (mut connection, _folder) = with_rows().await;
    let path = |text: &str| Some(LakePath::parse(text).unwrap());
    for order in [Order::Asc, Order::Desc] {
        for sync_id in [None, Some(SyncId(1))] {
            for status in [None, Some(Status::Syncing), Some(Status::Finished), Some(Status::Failed)] {
                for place in [None, path("/data"), path("/data/a"), path("/data/a/dt=1"), path("/data/a/dt=1/x")] {
                    let page = Page { from: 0, size: 10, order };
                    let wanted = UploadQuery { page, sync_id, status, path: place, text: None, scope: None };
                    let Some(select) = history::select(&mut connection, &wanted).await.unwrap() else { continue };
                    if sync_id.is_some() {
                        // Not by the status, which very many rows of other syncs have.
                        let plan = select.clone().plan(&mut connection).await.join("; ");
                        assert!(plan.contains("sync_id=?") || plan.contains("target=?"), "{wanted:?}: {plan}");
                    }
                    assert_no_scan(&format!("{wanted:?}"), select, &mut connection).await;
                }
            }
        }
    }
}

#[tokio::test]
async fn stretches_of_a_sync_and_its_first_failures_are_found_by_an_index() {
    let (mut connection, _folder) = with_rows().await;
    let scope = LakePath::parse("/data/a").unwrap();
    for scope in [None, Some(&scope)] {
        let stretches = history::stretches(SyncId(1), &[(0, 1), (5, 2)], scope).unwrap();
        let plan = stretches.plan(&mut connection).await.join("; ");
        assert!(plan.contains("sync_id=? AND ordinal>? AND ordinal<?"), "{plan}");
        let failed = history::first_failed(SyncId(1), 9, scope).plan(&mut connection).await.join("; ");
        assert!(failed.contains("uploads_failed (sync_id=?"), "{failed}");
    }
}

#[tokio::test]
async fn uploads_that_landed_at_paths_are_found_by_their_paths() {
    let (mut connection, _folder) = with_rows().await;
    let places = ["/data/a/dt=1/x", "/data/a/dt=1/y"].map(|text| LakePath::parse(text).unwrap());
    let select = history::landed_at::<sqlx::Sqlite>(SyncId(1), &places, UploadId(0)).unwrap();
    let plan = select.plan(&mut connection).await.join("; ");
    assert!(plan.contains("uploads_by_target (target=? AND history_id>?)"), "{plan}");
}

#[tokio::test]
async fn every_filter_of_the_syncs_finds_its_page_by_an_index() {
    let (mut connection, _folder) = with_rows().await;
    let statuses = [None, Some(Status::Syncing), Some(Status::Finished), Some(Status::Failed)];
    for order in [Order::Asc, Order::Desc] {
        for sync_type in [None, Some(SyncType::FullSync), Some(SyncType::IncrementalSync)] {
            for status in statuses {
                for place in [None, Some(LakePath::parse("/data").unwrap())] {
                    let page = Page { from: 0, size: 10, order };
                    let wanted = SyncQuery { page, status, sync_type, path: place, text: None, scope: None };
                    if let Some(select) = syncs::select(&mut connection, &wanted).await.unwrap() {
                        assert_no_scan(&format!("{wanted:?}"), select, &mut connection).await;
                    }
                }
            }
        }
    }
}
