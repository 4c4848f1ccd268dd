//! Pages of the history: the choice of the index for every filter.

use super::counts::{dense_page, page_of_slice, slice};
use super::query::{Select, clamp, found, values};
use super::row::{UPLOAD_COLUMNS, id, number};
use lakeshore::Error;
use lakeshore::model::id::SyncId;
use lakeshore::model::page::{Page, UploadQuery};
use lakeshore::model::path::LakePath;
use lakeshore::model::sync::status::Status;
use sqlx::{Row, SqliteConnection};

/// Limit up to which the folders below a path are counted; more count as many.
const FOLDERS_MAX: u64 = 1024;
/// Cost of looking up a slice in one more folder, in rows that could be read instead.
const ROWS_OF_A_LOOK_UP: u64 = 4;
/// Cost of a look-up for each counted folder, in rows, where the limit was reached and more folders exist.
const ROWS_OF_MANY_LOOK_UPS: u64 = 128;

/// Query of a page; `None` if no row can match.
pub(super) async fn select(connection: &mut SqliteConnection, wanted: &UploadQuery) -> Result<Option<Select>, Error> {
    let place = match (&wanted.path, &wanted.scope) {
        (Some(path), Some(scope)) if path.contains(scope) => Some(scope),
        (Some(path), Some(scope)) if !scope.contains(path) => return Ok(None),
        (path, scope) => path.as_ref().or(scope.as_ref()),
    };
    let place = match (wanted.sync_id, place) {
        // Every file of a sync lies within the path of the sync.
        (Some(sync_id), Some(place)) => {
            let path = path_of(connection, sync_id).await?;
            if path.is_some_and(|path| place.contains(&path)) { None } else { Some(place) }
        }
        (_, place) => place,
    };
    if wanted.text.is_some() || wanted.status == Some(Status::Syncing) {
        return Ok(Some(stepping(wanted, place)));
    }
    match (wanted.sync_id, place, wanted.status) {
        (None, None, None) => {
            let mut select = matching(wanted, None);
            dense_page(&mut select, "u.history_id", "(SELECT max(history_id) FROM uploads)", &wanted.page);
            Ok(Some(select))
        }
        (Some(sync_id), None, None) => {
            let mut select = matching(wanted, None);
            let last = format!("(SELECT total_files - num_unlisted FROM syncs s WHERE s.sync_id = {sync_id})");
            dense_page(&mut select, "u.ordinal", &last, &wanted.page);
            Ok(Some(select))
        }
        (None, None, Some(_)) => counted(connection, wanted, "u.history_id", (0, 0)).await,
        (Some(sync_id), None, Some(_)) => counted(connection, wanted, "u.ordinal", (1, id(sync_id.0))).await,
        (None, Some(place), _) => of_folder(connection, wanted, place).await,
        (Some(_), Some(_), _) => Ok(Some(stepping(wanted, place))),
    }
}

/// Rows that match the filter, without order and page.
fn matching(wanted: &UploadQuery, place: Option<&LakePath>) -> Select {
    let mut select = Select::new(format!("SELECT {UPLOAD_COLUMNS} FROM uploads u WHERE 1"));
    if let Some(sync_id) = wanted.sync_id {
        select.push(" AND u.sync_id = ").bind(id(sync_id.0));
    }
    if let Some(status) = wanted.status {
        // Written into the text, so that the partial indexes of one status are used.
        select.push(" AND u.status = '").push(status.as_str()).push("'");
    }
    select.within("u.target", place);
    select.holding(["u.file_name", "u.target"], wanted.text.as_deref());
    select
}

/// Query for few rows, or rows that are not counted: it steps over the rows before the page.
fn stepping(wanted: &UploadQuery, place: Option<&LakePath>) -> Select {
    let mut select = matching(wanted, place);
    let Page { from, size, order } = wanted.page;
    select.page("u.history_id", order, size, from);
    select
}

fn push_sum(counts: &mut Select, status: Option<Status>, (scope, scope_id): (i64, i64)) {
    counts.push(match status {
        Some(Status::Finished) => "SELECT block, sum(finished) FROM upload_counts WHERE scope = ",
        Some(Status::Failed) => "SELECT block, sum(failed) FROM upload_counts WHERE scope = ",
        Some(Status::Syncing) | None => "SELECT block, sum(total) FROM upload_counts WHERE scope = ",
    });
    counts.bind(scope).push(" AND scope_id = ").bind(scope_id);
}

async fn counted(
    connection: &mut SqliteConnection,
    wanted: &UploadQuery,
    position: &str,
    scope: (i64, i64),
) -> Result<Option<Select>, Error> {
    let slice = slice(connection, &wanted.page, |counts| push_sum(counts, wanted.status, scope)).await?;
    Ok(slice.map(|slice| {
        let mut select = matching(wanted, None);
        page_of_slice(&mut select, position, &wanted.page, &slice);
        select
    }))
}

async fn of_folder(
    connection: &mut SqliteConnection,
    wanted: &UploadQuery,
    place: &LakePath,
) -> Result<Option<Select>, Error> {
    let Page { from, size, order } = wanted.page;
    let sql = "SELECT folder_id FROM folders WHERE path = ?";
    let folder_id = found(connection, sql, values![place.as_str()], |row| row.try_get::<i64, _>(0)).await?;
    let Some(folder_id) = folder_id else {
        // The path is a file: its rows are found by the target.
        let mut select = matching(wanted, None);
        select.push(" AND u.target = ").bind(place.as_str());
        select.page("u.history_id", order, size, from);
        return Ok(Some(select));
    };
    let folders = |select: &mut Select, column: &str| {
        select.push(column).push(" IN (SELECT folder_id FROM folders WHERE 1").within("path", Some(place)).push(")");
    };
    let mut file_too = Select::new("SELECT 1 FROM uploads u WHERE u.target = ");
    file_too.bind(place.as_str()).push(" AND NOT ");
    folders(&mut file_too, "u.folder_id");
    file_too.push(" LIMIT 1");
    // A name that was a file once and a folder later means both.
    if !file_too.rows(connection, |_| Ok(())).await?.is_empty() {
        return Ok(Some(stepping(wanted, Some(place))));
    }
    let of_folder = (2, folder_id);
    let slice = slice(connection, &wanted.page, |counts| push_sum(counts, wanted.status, of_folder)).await?;
    let Some(slice) = slice else { return Ok(None) };
    let mut count = Select::new("SELECT count(*) AS folders FROM (SELECT 1 FROM folders WHERE 1");
    count.within("path", Some(place)).push(" LIMIT ").bind(clamp(FOLDERS_MAX)).push(")");
    let folders_below: u64 = count.rows(connection, |row| number(row, "folders")).await?.into_iter().sum();
    // Compares the cost of reading the rows of the slice with that of looking up the slice in each folder.
    let rows_of_a_look_up = if folders_below < FOLDERS_MAX { ROWS_OF_A_LOOK_UP } else { ROWS_OF_MANY_LOOK_UPS };
    let rows_in_slice = slice.positions.end.abs_diff(slice.positions.start);
    let mut select = if rows_in_slice <= folders_below * rows_of_a_look_up {
        // The plus keeps SQLite from using the index of targets, which would need a sort.
        let mut select = matching(wanted, None);
        select.within("+u.target", Some(place));
        select
    } else {
        let mut select = matching(wanted, None);
        select.push(" AND ");
        folders(&mut select, "u.folder_id");
        select
    };
    page_of_slice(&mut select, "u.history_id", &wanted.page, &slice);
    Ok(Some(select))
}

async fn path_of(connection: &mut SqliteConnection, sync_id: SyncId) -> Result<Option<LakePath>, Error> {
    let sql = "SELECT path FROM syncs WHERE sync_id = ?";
    found(connection, sql, values![id(sync_id.0)], |row| super::row::path(row, "path")).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::SqliteState;
    use crate::sqlite::connection::open_writing;
    use crate::sqlite::syncs;
    use lakeshore::model::page::{Order, SyncQuery};
    use lakeshore::model::sync::status::SyncType;
    use sqlx::Executor;

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
                        if let Some(select) = select(&mut connection, &wanted).await.unwrap() {
                            assert_no_scan(&format!("{wanted:?}"), select, &mut connection).await;
                        }
                    }
                }
            }
        }
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
}
