//! Rows and the engine's types: decoding, and the pieces of SQL that several queries share.

use lakeshore::Timestamp;
use lakeshore::key::{Key, KeyId, Role};
use lakeshore::list::{Order, Page};
use lakeshore::path::LakePath;
use lakeshore::sync::{Closing, Phase, Status, Sync, SyncId, SyncRecord, SyncType};
use lakeshore::trash::{Totals, TrashEntry, TrashId, TrashKind, TrashReason};
use lakeshore::upload::{Identity, Upload, UploadId, hexadecimal};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite};

type Decoded<T> = Result<T, sqlx::Error>;

/// A text that the lake wrote itself, read back.
fn parsed<T>(row: &SqliteRow, column: &'static str, parse: impl Fn(&str) -> Option<T>) -> Decoded<T> {
    let text: &str = row.try_get(column)?;
    parse(text).ok_or_else(|| sqlx::Error::Decode(format!("the column {column} holds {text:?}").into()))
}

fn number(row: &SqliteRow, column: &'static str) -> Decoded<u64> {
    Ok(row.try_get::<i64, _>(column)?.cast_unsigned())
}

fn time(row: &SqliteRow, column: &'static str) -> Decoded<Timestamp> {
    Ok(Timestamp(row.try_get(column)?))
}

fn time_if_any(row: &SqliteRow, column: &'static str) -> Decoded<Option<Timestamp>> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(Timestamp))
}

pub(super) fn path(row: &SqliteRow, column: &'static str) -> Decoded<LakePath> {
    parsed(row, column, |text| LakePath::parse(text).ok())
}

pub(super) const SYNC_COLUMNS: &str = "sync_id, org_id, name, path, sync_type, status, phase, start_time, end_time, \
     total_files, num_failed, num_in_flight, size_bytes, message, started_by, closing_staging, closing_allow_empty, \
     closing_reason, closing_message, closing_by";

pub(super) fn sync(row: &SqliteRow) -> Decoded<Sync> {
    Ok(Sync {
        org_id: number(row, "org_id")?,
        sync_id: SyncId(number(row, "sync_id")?),
        name: row.try_get("name")?,
        path: path(row, "path")?,
        sync_type: parsed(row, "sync_type", SyncType::parse)?,
        sync_status: parsed(row, "status", Status::parse)?,
        start_time: time(row, "start_time")?,
        end_time: time(row, "end_time")?,
        total_files: number(row, "total_files")?,
        num_failed: number(row, "num_failed")?,
        num_in_flight: number(row, "num_in_flight")?,
        size_bytes: number(row, "size_bytes")?,
        message: row.try_get("message")?,
        started_by: row.try_get("started_by")?,
    })
}

pub(super) fn sync_record(row: &SqliteRow) -> Decoded<SyncRecord> {
    let phase = parsed(row, "phase", Phase::parse)?;
    let closing = match phase {
        Phase::Open | Phase::Ended => None,
        Phase::Publishing => Some(Closing::Publish {
            staging: Identity(row.try_get("closing_staging")?),
            allow_empty: row.try_get("closing_allow_empty")?,
            by: row.try_get("closing_by")?,
        }),
        Phase::Aborting => Some(Closing::Abort {
            reason: parsed(row, "closing_reason", TrashReason::parse)?,
            message: row.try_get("closing_message")?,
            by: row.try_get("closing_by")?,
        }),
    };
    Ok(SyncRecord { sync: sync(row)?, phase, closing })
}

pub(super) const UPLOAD_COLUMNS: &str = "u.history_id, u.sync_id, u.file_name, u.target, u.status, u.start_time, \
     u.end_time, u.message, u.size_bytes, u.sha256";

pub(super) fn upload(row: &SqliteRow) -> Decoded<Upload> {
    let status = parsed(row, "status", Status::parse)?;
    let landed = status == Status::Finished;
    let sha256: Option<Vec<u8>> = row.try_get("sha256")?;
    Ok(Upload {
        org_id: 0,
        history_id: UploadId(number(row, "history_id")?),
        sync_id: SyncId(number(row, "sync_id")?),
        file_name: row.try_get("file_name")?,
        start_time: time(row, "start_time")?,
        end_time: time(row, "end_time")?,
        sync_status: status,
        message: row.try_get("message")?,
        size_bytes: number(row, "size_bytes")?,
        landed_path: if landed { Some(path(row, "target")?) } else { None },
        sha256: sha256.map(|bytes| hexadecimal(&bytes)),
    })
}

pub(super) fn trash_entry(row: &SqliteRow) -> Decoded<TrashEntry> {
    let files: Option<i64> = row.try_get("files")?;
    let bytes: Option<i64> = row.try_get("bytes")?;
    let sync_id: Option<i64> = row.try_get("sync_id")?;
    Ok(TrashEntry {
        trash_id: TrashId(number(row, "trash_id")?),
        origin: path(row, "origin")?,
        kind: parsed(row, "kind", TrashKind::parse)?,
        reason: parsed(row, "reason", TrashReason::parse)?,
        sync_id: sync_id.map(|id| SyncId(id.cast_unsigned())),
        trashed_by: row.try_get("trashed_by")?,
        trashed_at: time(row, "trashed_at")?,
        totals: files
            .zip(bytes)
            .map(|(files, bytes)| Totals { files: files.cast_unsigned(), bytes: bytes.cast_unsigned() }),
    })
}

pub(super) fn key(row: &SqliteRow) -> Decoded<Key> {
    let prefix: Option<&str> = row.try_get("path_prefix")?;
    Ok(Key {
        key_id: KeyId(number(row, "key_id")?),
        name: row.try_get("name")?,
        role: parsed(row, "role", Role::parse)?,
        path_prefix: if prefix.is_some() { Some(path(row, "path_prefix")?) } else { None },
        hint: row.try_get("hint")?,
        created_at: time(row, "created_at")?,
        expires_at: time_if_any(row, "expires_at")?,
        last_used_at: time_if_any(row, "last_used_at")?,
        revoked_at: time_if_any(row, "revoked_at")?,
    })
}

/// Ids as SQLite keeps them. They count from 1, so they never reach the sign.
pub(super) fn id(id: u64) -> i64 {
    id.cast_signed()
}

/// ` AND` what limits `column` to `place` and what is below it.
pub(super) fn within(query: &mut QueryBuilder<Sqlite>, column: &'static str, place: Option<&LakePath>) {
    if let Some(place) = place {
        let (first, last) = place.range_below();
        query.push(" AND (").push(column).push(" = ").push_bind(place.as_str().to_owned());
        query.push(" OR (").push(column).push(" >= ").push_bind(first);
        query.push(" AND ").push(column).push(" < ").push_bind(last).push("))");
    }
}

/// ` AND` what limits to rows that hold `text` in one of two columns, letters of either case.
pub(super) fn holding(query: &mut QueryBuilder<Sqlite>, columns: [&'static str; 2], text: Option<&str>) {
    if let Some(text) = text {
        let pattern = format!("%{}%", text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"));
        query.push(" AND (").push(columns[0]).push(" LIKE ").push_bind(pattern.clone()).push(" ESCAPE '\\'");
        query.push(" OR ").push(columns[1]).push(" LIKE ").push_bind(pattern).push(" ESCAPE '\\')");
    }
}

/// The order and the page where rows have to be counted to be skipped.
pub(super) fn ordered_page(query: &mut QueryBuilder<Sqlite>, column: &'static str, page: &Page) {
    query.push(" ORDER BY ").push(column).push(direction(page.order));
    query.push(" LIMIT ").push_bind(id(page.size)).push(" OFFSET ").push_bind(clamp(page.from));
}

/// The order and the page by a column that counts from 1 without gaps up to `last` (a subquery): skipping is comparing.
pub(super) fn dense_page(query: &mut QueryBuilder<Sqlite>, column: &'static str, last: &'static str, page: &Page) {
    query.push(" AND ").push(column);
    match page.order {
        Order::Asc => query.push(" > ").push_bind(clamp(page.from)),
        Order::Desc => query.push(" <= ").push(last).push(" - ").push_bind(clamp(page.from)),
    };
    query.push(" ORDER BY ").push(column).push(direction(page.order)).push(" LIMIT ").push_bind(id(page.size));
}

fn direction(order: Order) -> &'static str {
    match order {
        Order::Asc => " ASC",
        Order::Desc => " DESC",
    }
}

fn clamp(from: u64) -> i64 {
    i64::try_from(from).unwrap_or(i64::MAX)
}
