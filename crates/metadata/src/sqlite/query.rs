//! How SQLite runs statements.
//!
//! A statement is one round trip to the thread of its connection. So a group of rows is read by one statement, and
//! statements that belong together go in one text.

use super::damage;
use super::fault;
use super::readers::{List, Look};
use super::writing::Writing;
use crate::query::{Dialect, Sql, Text, WritingConnection, connections};
use futures_util::TryStreamExt;
use lakeshore::Error;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteQueryResult, SqliteRow};
use sqlx::{AssertSqlSafe, Either, Executor, Sqlite, SqliteConnection, Transaction};
use std::sync::OnceLock;

pub(super) use crate::query::{Select, Value, clamp, execute, fetch_all, fetch_optional, values};

pub(super) type Row = SqliteRow;

pub(super) fn query(sql: impl Into<Sql>, values: Vec<Value>) -> Query<'static, Sqlite, SqliteArguments> {
    values.into_iter().fold(sqlx::query(AssertSqlSafe(sql.into())), |query, value| match value {
        Value::Null => query.bind(None::<i64>),
        Value::Bool(value) => query.bind(value),
        Value::Integer(number) => query.bind(number),
        Value::Text(text) => query.bind(text),
        Value::Blob(bytes) => query.bind(bytes),
        Value::Integers(numbers) => query.bind(serde_json::json!(numbers).to_string()),
        Value::Texts(texts) => query.bind(serde_json::json!(texts).to_string()),
    })
}

impl Dialect for Sqlite {
    const SET: &'static str = " = 1";
    const LIKE: &'static str = "LIKE";
    const LIKE_END: &'static str = " ESCAPE '\\'";
    const UNINDEXED: &'static str = "+";
    const LOCKING_NODES: &'static str = "";
    const HAS_UNCOUNTED_FLAG: bool = true;

    fn number(element: &str) -> String {
        element.to_owned()
    }

    fn indexed_by(index: &str) -> String {
        format!(" INDEXED BY {index}")
    }

    fn equal_texts(column: &str, text: &str) -> String {
        format!("{column} = {text}")
    }

    async fn is_small(connection: &mut SqliteConnection, place: Select) -> Result<bool, Error> {
        place.has_at_most(ROWS_IN_ORDER_MAX, connection).await
    }

    fn text_of(text: &Text) -> &OnceLock<String> {
        &text.sqlite
    }

    async fn fetch_all<T: Send>(
        connection: &mut SqliteConnection,
        sql: Sql,
        values: Vec<Value>,
        mut decode: impl FnMut(&SqliteRow) -> sqlx::Result<T> + Send,
    ) -> Result<Vec<T>, Error> {
        let mut found = query(sql, values).fetch(connection);
        let mut rows = Vec::new();
        while let Some(row) = found.try_next().await.map_err(fault)? {
            rows.push(decode(&row).map_err(fault)?);
        }
        Ok(rows)
    }

    async fn fetch_optional<T: Send>(
        connection: &mut SqliteConnection,
        sql: Sql,
        values: Vec<Value>,
        decode: impl FnOnce(&SqliteRow) -> sqlx::Result<T> + Send,
    ) -> Result<Option<T>, Error> {
        let row = query(sql, values).fetch_optional(connection).await.map_err(fault)?;
        row.as_ref().map(decode).transpose().map_err(fault)
    }

    async fn damage(connection: &mut SqliteConnection) -> Result<Vec<String>, Error> {
        damage::damage(connection).await
    }

    async fn execute(connection: &mut SqliteConnection, sql: Sql, values: Vec<Value>) -> Result<u64, Error> {
        let ran = query(sql, values).execute(connection).await.map_err(fault)?;
        Ok(ran.rows_affected())
    }
}

connections!(Sqlite: SqliteConnection, Transaction<'_, Sqlite>, Look, List, Writing);

impl WritingConnection for Writing {
    async fn writable(&mut self) -> Result<&mut SqliteConnection, Error> {
        self.ready_to_write().await
    }

    async fn settled(&mut self) -> Result<&mut SqliteConnection, Error> {
        Self::settled(self).await
    }
}

/// Number of rows up to which the rows of a path are looked up and sorted. With more, the list is read in its order,
/// where matching rows are then frequent.
const ROWS_IN_ORDER_MAX: u64 = 8000;

/// Runs a single statement, and returns when it is done. Waiting until the connection has put it away would take
/// another message, and another switch of threads.
pub(super) async fn run(
    connection: &mut SqliteConnection,
    query: Query<'static, Sqlite, SqliteArguments>,
) -> sqlx::Result<SqliteQueryResult> {
    let mut steps = connection.fetch_many(query);
    while let Some(step) = steps.try_next().await? {
        if let Either::Left(done) = step {
            return Ok(done);
        }
    }
    Ok(SqliteQueryResult::default())
}
