//! Builds SELECTs from the filters of a list, with all values bound, and has short forms for common statements.
//!
//! A statement is one round trip to the thread of its connection. So a group of rows is read by one statement: its ids
//! are passed as a JSON array ([`Value::rows`]), which `json_each` takes apart, and statements that belong together go
//! in one text (`A; B`), in which `$N` means the same in all. (`?N` does not work: where a statement leaves out a
//! smaller number, sqlx 0.9 leaves places unbound, which are then NULL.)

use super::fault;
use super::writing::Writing;
use futures_util::TryStreamExt;
use lakeshore::Error;
use lakeshore::model::page::Order;
use lakeshore::model::path::LakePath;
use serde::Serialize;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteQueryResult, SqliteRow};
use sqlx::{AssertSqlSafe, Either, Executor, Row as _, SqlSafeStr, Sqlite, SqliteConnection};

pub(super) type Row = SqliteRow;

/// Value bound to a place of a statement.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Integer(i64),
    Text(String),
    Blob(Vec<u8>),
}

impl Value {
    /// JSON array for `json_each`, with an element for each row. A blob is passed as hexadecimal text, for `unhex`.
    pub(super) fn rows<T: Serialize>(rows: &[T]) -> Result<Self, Error> {
        serde_json::to_string(rows).map(Self::Text).map_err(Error::internal)
    }
}

/// Types that can be bound by reference: see [`values!`].
pub(super) trait AsValue {
    fn as_value(&self) -> Value;
}

impl AsValue for Value {
    fn as_value(&self) -> Value {
        self.clone()
    }
}

impl AsValue for i64 {
    fn as_value(&self) -> Value {
        Value::Integer(*self)
    }
}

impl AsValue for u32 {
    fn as_value(&self) -> Value {
        Value::Integer((*self).into())
    }
}

impl AsValue for bool {
    fn as_value(&self) -> Value {
        Value::Integer((*self).into())
    }
}

impl AsValue for str {
    fn as_value(&self) -> Value {
        Value::Text(self.to_owned())
    }
}

impl AsValue for String {
    fn as_value(&self) -> Value {
        Value::Text(self.clone())
    }
}

impl AsValue for [u8] {
    fn as_value(&self) -> Value {
        Value::Blob(self.to_vec())
    }
}

impl AsValue for Vec<u8> {
    fn as_value(&self) -> Value {
        Value::Blob(self.clone())
    }
}

impl<const N: usize> AsValue for [u8; N] {
    fn as_value(&self) -> Value {
        Value::Blob(self.to_vec())
    }
}

impl<T: AsValue> AsValue for Option<T> {
    fn as_value(&self) -> Value {
        self.as_ref().map_or(Value::Null, AsValue::as_value)
    }
}

impl<T: AsValue + ?Sized> AsValue for &T {
    fn as_value(&self) -> Value {
        (**self).as_value()
    }
}

/// Values of a statement, in the order of its places.
macro_rules! values {
    ($($value:expr),* $(,)?) => { vec![$($crate::sqlite::query::AsValue::as_value(&$value)),*] };
}
pub(super) use values;

pub(super) fn query(sql: impl SqlSafeStr, values: Vec<Value>) -> Query<'static, Sqlite, SqliteArguments> {
    values.into_iter().fold(sqlx::query(sql), |query, value| match value {
        Value::Null => query.bind(None::<i64>),
        Value::Integer(number) => query.bind(number),
        Value::Text(text) => query.bind(text),
        Value::Blob(bytes) => query.bind(bytes),
    })
}

#[derive(Debug, Clone)]
pub(super) struct Select {
    sql: String,
    values: Vec<Value>,
}

impl Select {
    pub(super) fn new(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), values: Vec::new() }
    }

    pub(super) fn push(&mut self, sql: &str) -> &mut Self {
        self.sql.push_str(sql);
        self
    }

    pub(super) fn bind(&mut self, value: impl AsValue) -> &mut Self {
        self.sql.push('?');
        self.values.push(value.as_value());
        self
    }

    /// Adds ` AND` and the condition that `column` is `place` or below it.
    pub(super) fn within(&mut self, column: &str, place: Option<&LakePath>) -> &mut Self {
        if let Some(place) = place {
            let (first, last) = place.range_below();
            self.push(" AND (").push(column).push(" = ").bind(place.as_str());
            self.push(" OR (").push(column).push(" >= ").bind(first);
            self.push(" AND ").push(column).push(" < ").bind(last).push("))");
        }
        self
    }

    /// Like [`Self::within`], with the range first, so that an index is searched by it.
    pub(super) fn within_range(&mut self, column: &str, place: Option<&LakePath>) -> &mut Self {
        if let Some(place) = place {
            let (_, last) = place.range_below();
            self.push(" AND ").push(column).push(" >= ").bind(place.as_str());
            self.push(" AND ").push(column).push(" < ").bind(last);
        }
        self.within(column, place)
    }

    /// Adds ` AND` and the condition that one of two columns contains `text`, in letters of either case.
    pub(super) fn holding(&mut self, columns: [&str; 2], text: Option<&str>) -> &mut Self {
        if let Some(text) = text {
            let pattern = format!("%{}%", text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"));
            self.push(" AND (").push(columns[0]).push(" LIKE ").bind(&pattern).push(" ESCAPE '\\'");
            self.push(" OR ").push(columns[1]).push(" LIKE ").bind(pattern).push(" ESCAPE '\\')");
        }
        self
    }

    /// Adds the order, and `size` rows after `skipped` ones.
    pub(super) fn page(&mut self, column: &str, order: Order, size: u64, skipped: u64) -> &mut Self {
        self.push(" ORDER BY ").push(column).push(direction(order));
        self.push(" LIMIT ").bind(clamp(size)).push(" OFFSET ").bind(clamp(skipped))
    }

    /// Wraps a query of ids to return whole rows, so that rows before a page are skipped in an index.
    pub(super) fn whole_rows(self, columns: &str, table: &str, id: &str, order: Order) -> Self {
        let Self { sql, values } = self;
        let direction = direction(order);
        Self { sql: format!("SELECT {columns} FROM {table} WHERE {id} IN ({sql}) ORDER BY {id}{direction}"), values }
    }

    pub(super) async fn rows<T: Send>(
        self,
        connection: &mut SqliteConnection,
        decode: impl FnMut(&Row) -> sqlx::Result<T> + Send,
    ) -> Result<Vec<T>, Error> {
        rows(connection, AssertSqlSafe(self.sql), self.values, decode).await
    }

    /// SQLite's query plan, a line for each step.
    #[cfg(test)]
    pub(super) async fn plan(self, connection: &mut SqliteConnection) -> Vec<String> {
        let sql = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", self.sql));
        rows(connection, sql, self.values, |row| row.try_get("detail")).await.unwrap()
    }
}

/// Number of rows up to which the rows of a path are looked up and sorted. With more, the list is read in its order,
/// where matching rows are then frequent.
const ROWS_IN_ORDER_MAX: u64 = 8000;

/// Whether a path has few enough rows to look them up by it.
pub(super) async fn is_small(connection: &mut SqliteConnection, place: Select) -> Result<bool, Error> {
    let Select { sql, mut values } = place;
    values.push(Value::Integer(clamp(ROWS_IN_ORDER_MAX + 1)));
    let sql = AssertSqlSafe(format!("SELECT count(*) FROM ({sql} LIMIT ?)"));
    let count: i64 = found(connection, sql, values, |row| row.try_get(0)).await?.unwrap_or(0);
    Ok(count.cast_unsigned() <= ROWS_IN_ORDER_MAX)
}

pub(super) fn direction(order: Order) -> &'static str {
    match order {
        Order::Asc => " ASC",
        Order::Desc => " DESC",
    }
}

pub(super) fn clamp(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// All rows of a statement, or of several.
pub(super) async fn rows<T: Send>(
    connection: &mut SqliteConnection,
    sql: impl SqlSafeStr + Send,
    values: Vec<Value>,
    mut decode: impl FnMut(&Row) -> sqlx::Result<T> + Send,
) -> Result<Vec<T>, Error> {
    let mut found = query(sql, values).fetch(connection);
    let mut rows = Vec::new();
    while let Some(row) = found.try_next().await.map_err(fault)? {
        rows.push(decode(&row).map_err(fault)?);
    }
    Ok(rows)
}

/// The first row of a statement.
pub(super) async fn found<T>(
    connection: &mut SqliteConnection,
    sql: impl SqlSafeStr + Send,
    values: Vec<Value>,
    decode: impl FnOnce(&Row) -> sqlx::Result<T> + Send,
) -> Result<Option<T>, Error> {
    let row = query(sql, values).fetch_optional(connection).await.map_err(fault)?;
    row.as_ref().map(decode).transpose().map_err(fault)
}

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

/// Runs one or several statements that write; returns the number of changed rows.
pub(super) async fn changed(
    writing: &mut Writing,
    sql: impl SqlSafeStr + Send,
    values: Vec<Value>,
) -> Result<u64, Error> {
    let ran = query(sql, values).execute(writing.ready_to_write().await?).await.map_err(fault)?;
    Ok(ran.rows_affected())
}

/// Runs an INSERT, and statements before it; returns the id of its row.
pub(super) async fn inserted(
    writing: &mut Writing,
    sql: impl SqlSafeStr + Send,
    values: Vec<Value>,
) -> Result<i64, Error> {
    let ran = query(sql, values).execute(writing.ready_to_write().await?).await.map_err(fault)?;
    Ok(ran.last_insert_rowid())
}

/// All rows of a statement that writes (`RETURNING`).
pub(super) async fn returned<T: Send>(
    writing: &mut Writing,
    sql: impl SqlSafeStr + Send,
    values: Vec<Value>,
    decode: impl FnMut(&Row) -> sqlx::Result<T> + Send,
) -> Result<Vec<T>, Error> {
    rows(writing.ready_to_write().await?, sql, values, decode).await
}
