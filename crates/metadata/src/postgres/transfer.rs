//! Copies a database of SQLite into an empty one of PostgreSQL, in one transaction, and checks it before the commit.

use super::answers;
use super::connection::fault;
use super::query::{Value, execute, fetch_optional, values};
use super::{PostgresState, query};
use crate::inspection;
use crate::sqlite::SqliteState;
use futures_util::TryStreamExt;
use lakeshore::Error;
use serde_json::Value as Json;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, PgConnection, Row as _, SqliteConnection};

/// Rows inserted by one statement.
const ROWS_AT_ONCE: usize = 2000;

/// In an order in which references are satisfied.
const TABLES: [&str; 48] = [
    "folders",
    "folders_above",
    "syncs",
    "uploads",
    "upload_counts",
    "sync_counts",
    "landings",
    "expected_files",
    "idempotency_keys",
    "datasets",
    "day_counts",
    "arrivals",
    "trash",
    "api_keys",
    "sessions",
    "sign_in_link",
    "resumables",
    "schemas",
    "file_schemas",
    "sync_schemas",
    "dataset_schemas",
    "schema_policies",
    "differing_files",
    "uninspected",
    "inspection_attempts",
    "activity",
    "activity_places",
    "lake_identity",
    "clock",
    "trees",
    "tree_spans",
    "version_files",
    "versions",
    "version_state",
    "version_rows",
    "version_pins",
    "snapshots",
    "objects",
    "object_parts",
    "object_checkpoints",
    "nodes",
    "dataset_tables",
    "table_schemas",
    "table_files",
    "table_outside",
    "table_checkpoints",
    "table_entries",
    "table_drafts",
];

/// Each counter, and the column whose highest value it has.
const COUNTERS: [(&str, &str, &str); 11] = [
    ("resumables", "resumables", "resumable_id"),
    ("uploads", "uploads", "history_id"),
    ("syncs", "syncs", "sync_id"),
    ("landings", "landings", "landings_id"),
    ("trash", "trash", "trash_id"),
    ("folders", "folders", "folder_id"),
    ("schemas", "schemas", "schema_id"),
    ("api_keys", "api_keys", "key_id"),
    ("sessions", "sessions", "session_id"),
    ("snapshots", "snapshots", "snapshot_id"),
    ("activity", "activity", "activity_id"),
];

#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    #[error("the database in PostgreSQL is in use already; choose an empty one")]
    InUse,
    #[error(
        "the copy does not agree with itself, so nothing was migrated: {0}; run \"lakeshore check --repair\" on the SQLite database first"
    )]
    Findings(String),
    #[error("{table} has {copied} rows in PostgreSQL, but {there} in SQLite, so nothing was migrated; report this")]
    Missing { table: &'static str, there: i64, copied: i64 },
    #[error("cannot read the SQLite database: {0}")]
    Read(sqlx::Error),
    #[error("cannot write to PostgreSQL: {0}")]
    Write(Error),
}

impl From<Error> for TransferError {
    fn from(error: Error) -> Self {
        Self::Write(error)
    }
}

impl PostgresState {
    /// Copies everything of a lake; the number of rows. The database has to be new, and nobody may use either.
    pub async fn copy_from(&self, sqlite: &SqliteState) -> Result<u64, TransferError> {
        sqlite.write_all_versions().await?;
        let mut reading = sqlite.reading().await?;
        answers::allow(None);
        let mut transaction = self.pool.begin().await.map_err(fault)?;
        let to = &mut *transaction;
        execute(to, "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0", vec![])
            .await?;
        let in_use =
            "SELECT EXISTS (SELECT 1 FROM syncs) OR EXISTS (SELECT 1 FROM activity) OR EXISTS (SELECT 1 FROM api_keys)";
        if fetch_optional(to, in_use, vec![], |row| row.try_get(0)).await? != Some(false) {
            return Err(TransferError::InUse);
        }
        execute(to, "DELETE FROM version_state; DELETE FROM nodes", vec![]).await?;
        let mut rows = 0;
        for table in TABLES {
            rows += copy(&mut reading, to, table).await?;
        }
        for (counter, table, id) in COUNTERS {
            let sql = format!(
                "UPDATE counters SET last = (SELECT coalesce(max({id}), 0) FROM {table}) WHERE name = '{counter}'"
            );
            execute(to, sql, vec![]).await?;
        }
        // These ids are never given twice, also where the row is gone.
        let last = last_id(&mut reading, "sessions").await?;
        execute(to, "UPDATE counters SET last = greatest(last, ?) WHERE name = 'sessions'", values![last]).await?;
        for (table, id) in [("objects", "object_id"), ("nodes", "node_id"), ("table_schemas", "schema_id")] {
            let last = last_id(&mut reading, table).await?;
            let sql = format!("SELECT setval(pg_get_serial_sequence('{table}', '{id}'), $1, TRUE)");
            if last > 0 {
                execute(to, sql, values![last]).await?;
            }
        }
        let mut findings = inspection::damage(to).await?;
        let miscounts = inspection::miscounts(to).await?;
        findings.extend(miscounts.into_iter().map(|miscount| format!("{}: {}", miscount.of, miscount.difference)));
        if !findings.is_empty() {
            return Err(TransferError::Findings(findings.join("; ")));
        }
        transaction.commit().await.map_err(fault)?;
        sqlx::query("ANALYZE").execute(&self.pool).await.map_err(fault)?;
        Ok(rows)
    }
}

/// Last id that SQLite has given in a table whose ids are never given twice.
async fn last_id(from: &mut SqliteConnection, table: &'static str) -> Result<i64, TransferError> {
    let sql = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = ?";
    sqlx::query_scalar(sql).bind(table).fetch_one(from).await.map_err(TransferError::Read)
}

struct Column {
    name: String,
    data_type: String,
}

async fn copy(from: &mut SqliteConnection, to: &mut PgConnection, table: &'static str) -> Result<u64, TransferError> {
    // Processes that serve a lake together are PostgreSQL's alone.
    let columns = "SELECT column_name::text AS name, data_type::text AS type FROM information_schema.columns \
                   WHERE table_schema = current_schema() AND table_name = ? AND column_name NOT LIKE 'serving%' \
                   ORDER BY ordinal_position";
    let column = |row: &query::Row| Ok(Column { name: row.try_get("name")?, data_type: row.try_get("type")? });
    let columns = query::fetch_all(to, columns, values![table], column).await?;
    let names = columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ");
    let places: Vec<_> = columns.iter().enumerate().map(|(number, column)| column.place(number)).collect();
    let insert = format!("INSERT INTO {table} ({names}) SELECT {} FROM json_each($1)", places.join(", "));
    let select = AssertSqlSafe(format!("SELECT {names} FROM {table}"));
    let (mut some, mut copied) = (Vec::new(), 0);
    let mut found = sqlx::query(select).fetch(&mut *from);
    while let Some(row) = found.try_next().await.map_err(TransferError::Read)? {
        let values = columns.iter().enumerate().map(|(number, column)| column.value(&row, number));
        some.push(values.collect::<sqlx::Result<Vec<_>>>().map_err(TransferError::Read)?);
        if some.len() == ROWS_AT_ONCE {
            copied += execute(to, insert.clone(), vec![Value::rows(&some)?]).await?;
            some.clear();
        }
    }
    copied += execute(to, insert, vec![Value::rows(&some)?]).await?;
    drop(found);
    let count = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
    let there: i64 = sqlx::query_scalar(count).fetch_one(from).await.map_err(TransferError::Read)?;
    let copied = i64::try_from(copied).unwrap_or(i64::MAX);
    if copied != there {
        return Err(TransferError::Missing { table, there, copied });
    }
    Ok(copied.cast_unsigned())
}

impl Column {
    /// The value of a row of `json_each`.
    fn place(&self, number: usize) -> String {
        match self.data_type.as_str() {
            "bytea" => format!("decode(value ->> {number}, 'hex')"),
            "text" => format!("value ->> {number}"),
            other => format!("(value ->> {number})::{other}"),
        }
    }

    fn value(&self, row: &SqliteRow, number: usize) -> sqlx::Result<Json> {
        Ok(match self.data_type.as_str() {
            "bytea" => row.try_get::<Option<Vec<u8>>, _>(number)?.map(hex::encode).into(),
            "text" => row.try_get::<Option<String>, _>(number)?.into(),
            "boolean" => row.try_get::<Option<bool>, _>(number)?.into(),
            _ => row.try_get::<Option<i64>, _>(number)?.into(),
        })
    }
}
