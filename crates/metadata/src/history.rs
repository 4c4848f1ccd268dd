//! Pages of the history: the choice of the index for every filter.

use crate::counts::{dense_page, page_of_slice, slice};
use crate::query::{Connection, Dialect, Select, Value, clamp, fetch_optional, values};
use crate::row::{self, DbRow as _, UPLOAD_COLUMNS, id, number};
use lakeshore::Error;
use lakeshore::model::id::{SyncId, UploadId};
use lakeshore::model::page::{Order, Page, UploadQuery};
use lakeshore::model::path::LakePath;
use lakeshore::model::sync::status::Status;

/// Limit up to which the folders below a path are counted; more count as many.
const FOLDERS_MAX: u64 = 1024;
/// Cost of looking up a slice in one more folder, in rows that could be read instead.
const ROWS_OF_A_LOOK_UP: u64 = 4;
/// Cost of a look-up for each counted folder, in rows, where the limit was reached and more folders exist.
const ROWS_OF_MANY_LOOK_UPS: u64 = 128;

/// Query of a page; `None` if no row can match.
pub(crate) async fn select<C: Connection>(connection: &mut C, wanted: &UploadQuery) -> Result<Option<Select>, Error> {
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
        return Ok(Some(stepping::<C::Db>(wanted, place)));
    }
    match (wanted.sync_id, place, wanted.status) {
        (None, None, None) => {
            let mut select = matching::<C::Db>(wanted, None, FoundBy::Any);
            dense_page(&mut select, "u.history_id", "(SELECT max(history_id) FROM uploads)", &wanted.page);
            Ok(Some(select))
        }
        (Some(sync_id), None, None) => {
            let mut select = matching::<C::Db>(wanted, None, FoundBy::Any);
            let last = format!("(SELECT total_files - num_unlisted FROM syncs s WHERE s.sync_id = {sync_id})");
            dense_page(&mut select, "u.ordinal", &last, &wanted.page);
            Ok(Some(select))
        }
        (None, None, Some(_)) => counted(connection, wanted, "u.history_id", (0, 0)).await,
        (Some(sync_id), None, Some(_)) => counted(connection, wanted, "u.ordinal", (1, id(sync_id.0))).await,
        (None, Some(place), _) => of_folder(connection, wanted, place).await,
        (Some(_), Some(place), _) if folder_of(connection, place).await?.is_none() => {
            Ok(Some(of_file::<C::Db>(wanted, place)))
        }
        (Some(_), Some(_), _) => Ok(Some(stepping::<C::Db>(wanted, place))),
    }
}

async fn folder_of(connection: &mut impl Connection, place: &LakePath) -> Result<Option<i64>, Error> {
    let sql = "SELECT folder_id FROM folders WHERE path = ?";
    fetch_optional(connection, sql, values![place.as_str()], |row| row.at(0)).await
}

/// Columns by which rows are to be found. SQLite would take the index of a status for its order, and step over the rows of
/// all syncs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FoundBy {
    Any,
    Sync,
    Target,
}

/// Rows that match the filter, without order and page.
fn matching<D: Dialect>(wanted: &UploadQuery, place: Option<&LakePath>, by: FoundBy) -> Select {
    let unindexed = |is_unindexed: bool| if is_unindexed { D::UNINDEXED } else { "" };
    let mut select = Select::new(format!("SELECT {UPLOAD_COLUMNS} FROM uploads u WHERE true"));
    if let Some(sync_id) = wanted.sync_id {
        select.push(" AND ").push(unindexed(by == FoundBy::Target)).push("u.sync_id = ").bind(id(sync_id.0));
    }
    if let Some(status) = wanted.status {
        // Written into the text, so that the partial indexes of one status are used.
        select.push(" AND ").push(unindexed(by != FoundBy::Any)).push("u.status = '").push(status.as_str()).push("'");
    }
    match place {
        Some(file) if by == FoundBy::Target => _ = select.push(" AND u.target = ").bind(file.as_str()),
        _ => _ = select.within("u.target", place),
    }
    select.holding::<D>(["u.file_name", "u.target"], wanted.text.as_deref());
    select
}

/// Query for few rows, or rows that are not counted: it steps over the rows before the page.
fn stepping<D: Dialect>(wanted: &UploadQuery, place: Option<&LakePath>) -> Select {
    let Page { from, size, order } = wanted.page;
    // Of uploads in flight, the index of the status is the shortest.
    let is_of_sync = wanted.sync_id.is_some() && wanted.status != Some(Status::Syncing);
    let (by, position) = if is_of_sync { (FoundBy::Sync, "u.ordinal") } else { (FoundBy::Any, "u.history_id") };
    let mut select = matching::<D>(wanted, place, by);
    select.page(position, order, size, from);
    select
}

/// Query of the rows of one file.
fn of_file<D: Dialect>(wanted: &UploadQuery, file: &LakePath) -> Select {
    let Page { from, size, order } = wanted.page;
    let mut select = matching::<D>(wanted, Some(file), FoundBy::Target);
    select.page("u.history_id", order, size, from);
    select
}

const TIMELINE_COLUMNS: &str = "u.history_id, u.file_name, u.start_time, u.end_time, u.status, u.size_bytes";

/// Query of stretches of the uploads of a sync, in the columns of a timeline.
pub(crate) fn stretches(sync_id: SyncId, stretches: &[(u64, u64)], scope: Option<&LakePath>) -> Result<Select, Error> {
    let rows: Vec<_> = stretches.iter().map(|(from, size)| (id(*from), id(from + size))).collect();
    let mut select = Select::new(format!("SELECT {TIMELINE_COLUMNS} FROM json_each("));
    select.bind(Value::rows(&rows)?).push(") AS stretch CROSS JOIN uploads u WHERE u.sync_id = ").bind(id(sync_id.0));
    select.push(" AND u.ordinal > CAST(stretch.value ->> 0 AS BIGINT)");
    select.push(" AND u.ordinal <= CAST(stretch.value ->> 1 AS BIGINT)").within("u.target", scope);
    Ok(select)
}

/// Query of the first failed uploads of a sync, in the columns of a timeline.
pub(crate) fn first_failed(sync_id: SyncId, size: u64, scope: Option<&LakePath>) -> Select {
    let mut select = Select::new(format!("SELECT {TIMELINE_COLUMNS} FROM uploads u WHERE u.sync_id = "));
    select.bind(id(sync_id.0)).push(" AND u.status = 'Failed'").within("u.target", scope);
    select.page("u.ordinal", Order::Asc, size, 0);
    select
}

/// Query of the uploads of a sync that landed at these paths after an upload.
pub(crate) fn landed_at<D: Dialect>(sync_id: SyncId, places: &[LakePath], after: UploadId) -> Result<Select, Error> {
    let mut select = Select::new("SELECT DISTINCT u.target, u.file_name FROM json_each(");
    select.bind(Value::column(places.iter().map(LakePath::as_str))?);
    select.push(") AS asked CROSS JOIN uploads u WHERE u.target = asked.value ->> 0");
    select.push(" AND u.history_id > ").bind(id(after.0));
    select.push(" AND ").push(D::UNINDEXED).push("u.sync_id = ").bind(id(sync_id.0));
    select.push(" AND ").push(D::UNINDEXED).push("u.status = 'Finished'");
    Ok(select)
}

fn push_sum(counts: &mut Select, status: Option<Status>, (scope, scope_id): (i64, i64)) {
    counts.push(match status {
        Some(Status::Finished) => "SELECT block, CAST(sum(finished) AS BIGINT) FROM upload_counts WHERE scope = ",
        Some(Status::Failed) => "SELECT block, CAST(sum(failed) AS BIGINT) FROM upload_counts WHERE scope = ",
        Some(Status::Syncing) | None => "SELECT block, CAST(sum(total) AS BIGINT) FROM upload_counts WHERE scope = ",
    });
    counts.bind(scope).push(" AND scope_id = ").bind(scope_id);
}

async fn counted<C: Connection>(
    connection: &mut C,
    wanted: &UploadQuery,
    position: &str,
    scope: (i64, i64),
) -> Result<Option<Select>, Error> {
    let slice = slice(connection, &wanted.page, |counts| push_sum(counts, wanted.status, scope)).await?;
    Ok(slice.map(|slice| {
        let mut select = matching::<C::Db>(wanted, None, FoundBy::Any);
        page_of_slice(&mut select, position, &wanted.page, &slice);
        select
    }))
}

async fn of_folder<C: Connection>(
    connection: &mut C,
    wanted: &UploadQuery,
    place: &LakePath,
) -> Result<Option<Select>, Error> {
    let Some(folder_id) = folder_of(connection, place).await? else { return Ok(Some(of_file::<C::Db>(wanted, place))) };
    let folders = |select: &mut Select, column: &str| {
        select.push(column).push(" IN (SELECT folder_id FROM folders WHERE true").within("path", Some(place)).push(")");
    };
    let mut file_too = Select::new("SELECT 1 FROM uploads u WHERE u.target = ");
    file_too.bind(place.as_str()).push(" AND NOT ");
    folders(&mut file_too, "u.folder_id");
    file_too.push(" LIMIT 1");
    // A name that was a file once and a folder later means both.
    if !file_too.fetch_all(connection, |_| Ok(())).await?.is_empty() {
        return Ok(Some(stepping::<C::Db>(wanted, Some(place))));
    }
    let of_folder = (2, folder_id);
    let slice = slice(connection, &wanted.page, |counts| push_sum(counts, wanted.status, of_folder)).await?;
    let Some(slice) = slice else { return Ok(None) };
    let mut count = Select::new("SELECT count(*) AS folders FROM (SELECT 1 FROM folders WHERE true");
    count.within("path", Some(place)).push(" LIMIT ").bind(clamp(FOLDERS_MAX)).push(") AS few");
    let folders_below: u64 = count.fetch_all(connection, |row| number(row, "folders")).await?.into_iter().sum();
    // Compares the cost of reading the rows of the slice with that of looking up the slice in each folder.
    let rows_of_a_look_up = if folders_below < FOLDERS_MAX { ROWS_OF_A_LOOK_UP } else { ROWS_OF_MANY_LOOK_UPS };
    let rows_in_slice = slice.positions.end.abs_diff(slice.positions.start);
    let mut select = if rows_in_slice <= folders_below * rows_of_a_look_up {
        // The index of targets would need a sort.
        let mut select = matching::<C::Db>(wanted, None, FoundBy::Any);
        select.within(&format!("{}u.target", C::Db::UNINDEXED), Some(place));
        select
    } else {
        let mut select = matching::<C::Db>(wanted, None, FoundBy::Any);
        select.push(" AND ");
        folders(&mut select, "u.folder_id");
        select
    };
    page_of_slice(&mut select, "u.history_id", &wanted.page, &slice);
    Ok(Some(select))
}

async fn path_of(connection: &mut impl Connection, sync_id: SyncId) -> Result<Option<LakePath>, Error> {
    let sql = "SELECT path FROM syncs WHERE sync_id = ?";
    fetch_optional(connection, sql, values![id(sync_id.0)], |row| row::path(row, "path")).await
}
