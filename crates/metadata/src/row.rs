//! Decodes rows of either database into the engine's types. Both have the same columns.

use lakeshore::Timestamp;
use lakeshore::model::access::actor::{Actor, AuthMethod, Origin, Trace};
use lakeshore::model::access::key::Key;
use lakeshore::model::access::role::Role;
use lakeshore::model::audit::{Activity, AuditAction, AuditEntry, AuditId, AuditOutcome};
use lakeshore::model::dataset::schema::{Schema, SchemaDifference};
use lakeshore::model::id::KeyId;
use lakeshore::model::id::SyncId;
use lakeshore::model::id::TrashId;
use lakeshore::model::id::UploadId;
use lakeshore::model::id::VersionNumber;
use lakeshore::model::path::LakePath;
use lakeshore::model::storage_path::Identity;
use lakeshore::model::sync::comparison::ExpectedTotals;
use lakeshore::model::sync::hold::Hold;
use lakeshore::model::sync::job::{Closing, Phase, SyncJob, SyncRecord};
use lakeshore::model::sync::status::{Status, SyncType};
use lakeshore::model::totals::Totals;
use lakeshore::model::trash::{TrashEntry, TrashGroup, TrashKind, TrashReason};
use lakeshore::model::upload::row::Upload;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{Database, Decode, Error, Postgres, Result, Row as _, Sqlite, Type, ValueRef};

/// Value that a column of either database can hold.
pub(crate) trait Column: Sized + InDatabase<Sqlite> + InDatabase<Postgres> {}

impl<T: InDatabase<Sqlite> + InDatabase<Postgres>> Column for T {}

pub(crate) trait InDatabase<D: Database>: Type<D> + for<'r> Decode<'r, D> {}

impl<D: Database, T: Type<D> + for<'r> Decode<'r, D>> InDatabase<D> for T {}

/// Row of either database.
pub(crate) trait DbRow {
    fn get<T: Column>(&self, column: &str) -> Result<T>;
    /// Value of a column by its place, for columns without a name.
    fn at<T: Column>(&self, place: usize) -> Result<T>;
    fn text(&self, column: &str) -> Result<&str>;
    fn blob(&self, column: &str) -> Result<&[u8]>;
    fn is_null(&self, column: &str) -> Result<bool>;
}

macro_rules! row_of {
    ($row:ty, $database:ty) => {
        impl DbRow for $row {
            fn get<T: Column>(&self, column: &str) -> Result<T> {
                decoded::<$database, T>(self, column)
            }

            fn at<T: Column>(&self, place: usize) -> Result<T> {
                decoded::<$database, T>(self, place)
            }

            fn text(&self, column: &str) -> Result<&str> {
                self.try_get(column)
            }

            fn blob(&self, column: &str) -> Result<&[u8]> {
                self.try_get(column)
            }

            fn is_null(&self, column: &str) -> Result<bool> {
                Ok(self.try_get_raw(column)?.is_null())
            }
        }
    };
}

row_of!(SqliteRow, Sqlite);
row_of!(PgRow, Postgres);

fn decoded<D: Database, T: InDatabase<D>>(row: &D::Row, column: impl sqlx::ColumnIndex<D::Row>) -> Result<T> {
    row.try_get(column)
}

/// Decodes a text that the lake wrote itself.
pub(crate) fn parsed<T>(row: &impl DbRow, column: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T> {
    let text = row.text(column)?;
    parse(text).ok_or_else(|| unexpected(column, &format!("{text:?}")))
}

/// Error for an impossible value in a column.
pub(crate) fn unexpected(column: &str, what: &str) -> Error {
    let source = format!("the column {column} holds {what}").into();
    Error::ColumnDecode { index: column.to_owned(), source }
}

/// Decodes a digest, or other bytes of fixed length.
pub(crate) fn bytes<const N: usize>(row: &impl DbRow, column: &str) -> Result<[u8; N]> {
    let bytes = row.blob(column)?;
    bytes.try_into().map_err(|_| unexpected(column, &format!("{} bytes", bytes.len())))
}

/// Like [`bytes`]; `None` for NULL.
pub(crate) fn bytes_if_any<const N: usize>(row: &impl DbRow, column: &str) -> Result<Option<[u8; N]>> {
    if is_null(row, column)? { Ok(None) } else { bytes(row, column).map(Some) }
}

pub(crate) fn is_null(row: &impl DbRow, column: &str) -> Result<bool> {
    row.is_null(column)
}

pub(crate) fn number(row: &impl DbRow, column: &str) -> Result<u64> {
    Ok(row.get::<i64>(column)?.cast_unsigned())
}

/// Index of the asked value that a row answers: the key of a row of `json_each`.
pub(crate) fn index(row: &impl DbRow, column: &str) -> Result<usize> {
    usize::try_from(row.get::<i64>(column)?).map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

pub(crate) fn number_if_any(row: &impl DbRow, column: &str) -> Result<Option<u64>> {
    Ok(row.get::<Option<i64>>(column)?.map(i64::cast_unsigned))
}

pub(crate) fn time(row: &impl DbRow, column: &str) -> Result<Timestamp> {
    Ok(Timestamp(row.get(column)?))
}

pub(crate) fn time_if_any(row: &impl DbRow, column: &str) -> Result<Option<Timestamp>> {
    Ok(row.get::<Option<i64>>(column)?.map(Timestamp))
}

pub(crate) fn path(row: &impl DbRow, column: &str) -> Result<LakePath> {
    parsed(row, column, |text| LakePath::parse(text).ok())
}

pub(crate) const SYNC_COLUMNS: &str = "sync_id, org_id, name, path, sync_type, status, phase, start_time, end_time, \
     total_files, num_failed, num_in_flight, size_bytes, message, started_by, closing_staging, closing_allow_empty, \
     closing_reason, closing_message, closing_by, closing_actor, expected_count, expected_bytes, expected_named, \
     held_since, held_replaced_files, held_replaced_bytes, held_published_files, held_published_bytes, held_differing, num_differing, \
     num_unlisted, num_duplicates, duplicate_names, restores_version";

pub(crate) fn sync(row: &impl DbRow) -> Result<SyncJob> {
    Ok(SyncJob {
        org_id: number(row, "org_id")?,
        sync_id: SyncId(number(row, "sync_id")?),
        name: row.get("name")?,
        path: path(row, "path")?,
        sync_type: parsed(row, "sync_type", SyncType::parse)?,
        sync_status: parsed(row, "status", Status::parse)?,
        start_time: time(row, "start_time")?,
        end_time: time(row, "end_time")?,
        total_files: number(row, "total_files")?,
        num_failed: number(row, "num_failed")?,
        num_in_flight: number(row, "num_in_flight")?,
        num_unlisted: number(row, "num_unlisted")?,
        size_bytes: number(row, "size_bytes")?,
        message: row.get("message")?,
        started_by: row.get("started_by")?,
        expected: expected(row)?,
        held: held(row)?,
        num_schema_differences: number(row, "num_differing")?,
        num_duplicates: number(row, "num_duplicates")?,
        duplicate_names: duplicate_names(row)?,
    })
}

/// Decodes a JSON array.
pub(crate) fn duplicate_names(row: &impl DbRow) -> Result<Vec<String>> {
    let names: Option<String> = row.get("duplicate_names")?;
    Ok(names.and_then(|names| serde_json::from_str(&names).ok()).unwrap_or_default())
}

fn held(row: &impl DbRow) -> Result<Option<Hold>> {
    let Some(since) = time_if_any(row, "held_since")? else { return Ok(None) };
    let replaced = Totals { files: number(row, "held_replaced_files")?, bytes: number(row, "held_replaced_bytes")? };
    let published = Totals { files: number(row, "held_published_files")?, bytes: number(row, "held_published_bytes")? };
    Ok(Some(Hold { since, replaced, published, differing_files: number(row, "held_differing")? }))
}

fn expected(row: &impl DbRow) -> Result<Option<ExpectedTotals>> {
    let count = number_if_any(row, "expected_count")?;
    let size_bytes = number_if_any(row, "expected_bytes")?;
    let is_declared = count.is_some() || size_bytes.is_some();
    Ok(is_declared.then_some(ExpectedTotals { count, size_bytes, is_named: row.get("expected_named")? }))
}

pub(crate) fn sync_record(row: &impl DbRow) -> Result<SyncRecord> {
    let phase = parsed(row, "phase", Phase::parse)?;
    let closing = match phase {
        Phase::Open | Phase::Ended => None,
        Phase::Publishing => Some(Closing::Publish {
            staging: Identity(row.get("closing_staging")?),
            allow_empty: row.get("closing_allow_empty")?,
            by: actor(row, "closing_actor", "closing_by")?,
        }),
        Phase::Aborting => Some(Closing::Abort {
            reason: parsed(row, "closing_reason", TrashReason::parse)?,
            message: row.get("closing_message")?,
            by: actor(row, "closing_actor", "closing_by")?,
        }),
    };
    let restores_version = number_if_any(row, "restores_version")?.map(VersionNumber);
    Ok(SyncRecord { sync: sync(row)?, phase, closing, restores_version })
}

pub(crate) const UPLOAD_COLUMNS: &str = "u.history_id, u.sync_id, u.file_name, u.target, u.status, u.start_time, \
     u.end_time, u.message, u.size_bytes, u.sha256, u.taken_over, \
     (SELECT row_count FROM file_schemas f WHERE f.history_id = u.history_id) AS row_count, \
     (SELECT problem FROM file_schemas f WHERE f.history_id = u.history_id) AS problem, \
     (SELECT difference FROM file_schemas f WHERE f.history_id = u.history_id) AS difference, \
     (SELECT content FROM file_schemas f JOIN schemas s ON s.schema_id = f.schema_id \
      WHERE f.history_id = u.history_id AND f.baseline_id IS NOT NULL AND f.difference IS NULL) AS new_schema, \
     (SELECT content FROM file_schemas f JOIN schemas s ON s.schema_id = f.baseline_id \
      WHERE f.history_id = u.history_id AND f.difference IS NULL) AS old_schema";

pub(crate) fn upload(row: &impl DbRow) -> Result<Upload> {
    let status = parsed(row, "status", Status::parse)?;
    let landed = status == Status::Finished;
    let sha256: Option<Vec<u8>> = row.get("sha256")?;
    Ok(Upload {
        org_id: 0,
        history_id: UploadId(number(row, "history_id")?),
        sync_id: SyncId(number(row, "sync_id")?),
        file_name: row.get("file_name")?,
        start_time: time(row, "start_time")?,
        end_time: time(row, "end_time")?,
        sync_status: status,
        message: row.get("message")?,
        size_bytes: number(row, "size_bytes")?,
        landed_path: if landed { Some(path(row, "target")?) } else { None },
        target_path: Some(path(row, "target")?),
        sha256: sha256.map(hex::encode),
        taken_over: row.get("taken_over")?,
        row_count: number_if_any(row, "row_count")?,
        inspection_problem: row.get("problem")?,
        schema_difference: schema_difference(row)?,
    })
}

fn schema_difference(row: &impl DbRow) -> Result<Option<Box<SchemaDifference>>> {
    let kept: Option<String> = row.get("difference")?;
    if let Some(kept) = kept {
        return Ok(serde_json::from_str(&kept).ok());
    }
    // The row keeps no difference: it is computed from the two schemas.
    let schema = |column| -> Result<Option<Schema>> {
        let content: Option<String> = row.get(column)?;
        Ok(content.and_then(|content| serde_json::from_str::<Schema>(&content).ok()))
    };
    let (new, old) = (schema("new_schema")?, schema("old_schema")?);
    let difference = new.zip(old).and_then(|(new, old)| new.differs_from(&old));
    Ok(difference.map(|difference| Box::new(difference.in_short())))
}

pub(crate) fn trash_entry(row: &impl DbRow) -> Result<TrashEntry> {
    let files: Option<i64> = row.get("files")?;
    let bytes: Option<i64> = row.get("bytes")?;
    let sync_id: Option<i64> = row.get("sync_id")?;
    Ok(TrashEntry {
        trash_id: TrashId(number(row, "trash_id")?),
        origin: path(row, "origin")?,
        kind: parsed(row, "kind", TrashKind::parse)?,
        reason: parsed(row, "reason", TrashReason::parse)?,
        sync_id: sync_id.map(|id| SyncId(id.cast_unsigned())),
        trashed_by: row.get("trashed_by")?,
        trashed_at: time(row, "trashed_at")?,
        totals: files
            .zip(bytes)
            .map(|(files, bytes)| Totals { files: files.cast_unsigned(), bytes: bytes.cast_unsigned() }),
        expires_at: None,
    })
}

pub(crate) fn trash_group(row: &impl DbRow) -> Result<TrashGroup> {
    let has_path = row.get::<Option<String>>("sync_path")?.is_some();
    Ok(TrashGroup {
        sync_id: SyncId(number_if_any(row, "sync_id")?.unwrap_or(0)),
        sync_name: row.get::<Option<String>>("sync_name")?.unwrap_or_default(),
        path: if has_path { Some(path(row, "sync_path")?) } else { None },
        reason: parsed(row, "reason", TrashReason::parse)?,
        items: number(row, "items")?,
        totals: Totals { files: number(row, "files")?, bytes: number(row, "bytes")? },
        num_uncounted: number(row, "uncounted")?,
        first_at: time(row, "first_at")?,
        last_at: time(row, "last_at")?,
        expires_at: None,
    })
}

/// Decodes the recorded actor, or a name where only that is recorded.
pub(crate) fn actor(row: &impl DbRow, column: &str, name: &str) -> Result<Actor> {
    let kept: Option<String> = row.get(column)?;
    match kept.and_then(|kept| serde_json::from_str(&kept).ok()) {
        Some(actor) => Ok(actor),
        None => Ok(Actor::from(row.get::<Option<String>>(name)?.unwrap_or_default().as_str())),
    }
}

pub(crate) fn activity(row: &impl DbRow) -> Result<Activity> {
    let if_any = |column| is_null(row, column).map(|is_null| !is_null);
    let origin =
        Origin { address: row.get("address")?, forwarded_for: row.get("forwarded_for")?, program: row.get("program")? };
    let means = parsed(row, "means", AuthMethod::parse)?;
    let trace = Trace { means, key_id: number_if_any(row, "key_id")?.map(KeyId), origin, ..Trace::default() };
    let role = if if_any("role")? { Some(parsed(row, "role", Role::parse)?) } else { None };
    let counted = number_if_any(row, "files")?.zip(number_if_any(row, "bytes")?);
    let entry = AuditEntry {
        at: time(row, "at")?,
        what: parsed(row, "what", AuditAction::parse)?,
        outcome: parsed(row, "outcome", AuditOutcome::parse)?,
        by: Actor { name: row.get("who")?, role, trace },
        path: if if_any("path")? { Some(path(row, "path")?) } else { None },
        sync_id: number_if_any(row, "sync_id")?.map(SyncId),
        subject: row.get("subject")?,
        message: row.get("message")?,
        totals: counted.map(|(files, bytes)| Totals { files, bytes }),
    };
    Ok(Activity { activity_id: AuditId(number(row, "activity_id")?), entry })
}

pub(crate) fn key(row: &impl DbRow) -> Result<Key> {
    let prefixed = row.get::<Option<String>>("path_prefix")?.is_some();
    Ok(Key {
        key_id: KeyId(number(row, "key_id")?),
        name: row.get("name")?,
        role: parsed(row, "role", Role::parse)?,
        path_prefix: if prefixed { Some(path(row, "path_prefix")?) } else { None },
        hint: row.get("hint")?,
        created_at: time(row, "created_at")?,
        expires_at: time_if_any(row, "expires_at")?,
        last_used_at: time_if_any(row, "last_used_at")?,
        revoked_at: time_if_any(row, "revoked_at")?,
        created_by: row.get("created_by")?,
    })
}

/// Id as SQLite stores it. Ids count from 1, so they never reach the sign bit.
pub(crate) fn id(id: u64) -> i64 {
    id.cast_signed()
}
