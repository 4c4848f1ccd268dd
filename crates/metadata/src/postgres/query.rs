//! Builds SELECTs from the filters of a list, with all values bound, and has short forms for common statements.
//!
//! Places are written `?`, or `$N` where a value is used more than once. Statements that belong together may be one text
//! (`A; B`), in which `$N` means the same in all; they are sent one after the other. A group of rows is passed as a JSON
//! array ([`Value::rows`]), which the function `json_rows` takes apart, or as an array of ids or texts.

use super::connection::fault;
use futures_util::TryStreamExt;
use lakeshore::Error;
use lakeshore::model::page::Order;
use lakeshore::model::path::LakePath;
use serde::Serialize;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgArguments, PgRow, PgTypeInfo};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Encode, PgConnection, Postgres, Type};
use std::io;

pub(super) type Row = PgRow;

/// Value bound to a place of a statement.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Integer(i64),
    Text(String),
    Blob(Vec<u8>),
    Integers(Vec<i64>),
    Texts(Vec<String>),
}

impl Value {
    /// JSON array for `json_rows`, with an element for each row. A blob is passed as hexadecimal text, for `decode`.
    pub(super) fn rows<T: Serialize>(rows: &[T]) -> Result<Self, Error> {
        let mut json = Vec::new();
        let mut serializer = serde_json::Serializer::with_formatter(&mut json, WithoutNul(CompactFormatter));
        rows.serialize(&mut serializer).map_err(Error::internal)?;
        String::from_utf8(json).map(Self::Text).map_err(Error::internal)
    }

    pub(super) fn texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        Self::Texts(texts.into_iter().map(without_nul).collect())
    }
}

/// PostgreSQL's texts hold every character but NUL, which becomes the replacement character.
fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

struct WithoutNul(CompactFormatter);

impl Formatter for WithoutNul {
    fn write_char_escape<W: ?Sized + io::Write>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        match escape {
            CharEscape::AsciiControl(0) => writer.write_all("\u{fffd}".as_bytes()),
            escape => self.0.write_char_escape(writer, escape),
        }
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
        Value::Bool(*self)
    }
}

impl AsValue for str {
    fn as_value(&self) -> Value {
        Value::Text(without_nul(self))
    }
}

impl AsValue for String {
    fn as_value(&self) -> Value {
        self.as_str().as_value()
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

impl AsValue for Vec<i64> {
    fn as_value(&self) -> Value {
        Value::Integers(self.clone())
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
    ($($value:expr),* $(,)?) => { vec![$($crate::postgres::query::AsValue::as_value(&$value)),*] };
}
pub(super) use values;

/// A NULL whose type PostgreSQL infers from its place.
struct Null;

impl Type<Postgres> for Null {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(0))
    }
}

impl Encode<'_, Postgres> for Null {
    fn encode_by_ref(&self, _: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Ok(IsNull::Yes)
    }
}

type Prepared = Query<'static, Postgres, PgArguments>;

fn bound(sql: String, values: Vec<Value>) -> Prepared {
    values.into_iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, value| match value {
        Value::Null => query.bind(Null),
        Value::Bool(value) => query.bind(value),
        Value::Integer(number) => query.bind(number),
        Value::Text(text) => query.bind(text),
        Value::Blob(bytes) => query.bind(bytes),
        Value::Integers(numbers) => query.bind(numbers),
        Value::Texts(texts) => query.bind(texts),
    })
}

/// The statements of a text, each with the values that it uses.
fn queries(sql: &str, values: Vec<Value>) -> Vec<Prepared> {
    if sql.contains("; ") {
        return sql.split("; ").map(|statement| with_its_own(statement, &values)).collect();
    }
    if !sql.contains('?') {
        return vec![bound(sql.to_owned(), values)];
    }
    let mut numbered = String::with_capacity(sql.len() + values.len());
    for (number, piece) in sql.split('?').enumerate() {
        if number > 0 {
            numbered.push_str(&format!("${number}"));
        }
        numbered.push_str(piece);
    }
    vec![bound(numbered, values)]
}

/// One statement of several, with its places numbered from 1.
fn with_its_own(statement: &str, values: &[Value]) -> Prepared {
    let (mut numbered, mut of_places): (String, Vec<usize>) = (String::with_capacity(statement.len()), Vec::new());
    let mut pieces = statement.split('$');
    numbered.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let digits = piece.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(piece.len());
        let (number, rest) = piece.split_at(digits);
        let Ok(number) = number.parse::<usize>() else {
            numbered.push('$');
            numbered.push_str(piece);
            continue;
        };
        let known = of_places.iter().position(|place| *place == number);
        let place = known.unwrap_or_else(|| {
            of_places.push(number);
            of_places.len() - 1
        });
        numbered.push_str(&format!("${}{rest}", place + 1));
    }
    let own = of_places.iter().filter_map(|number| values.get(number - 1).cloned()).collect();
    bound(numbered, own)
}

/// Statements that write to different rows, sent as one: none of them sees what another has written.
#[derive(Debug, Default)]
pub(super) struct Batch {
    sql: String,
    values: Vec<Value>,
}

impl Batch {
    /// Adds one or several statements, in which `$N` means the same in all.
    pub(super) fn add(&mut self, sql: &str, values: Vec<Value>) {
        for statement in sql.split("; ") {
            self.sql.push_str(if self.sql.is_empty() { "WITH " } else { ", " });
            self.sql.push_str(&format!("s{} AS (", self.sql.len()));
            push_shifted(&mut self.sql, statement, self.values.len());
            self.sql.push(')');
        }
        self.values.extend(values);
    }

    pub(super) async fn run(self, connection: &mut PgConnection) -> Result<(), Error> {
        if self.sql.is_empty() {
            return Ok(());
        }
        let sql = format!("{} SELECT 1", self.sql);
        bound(sql, self.values).execute(connection).await.map_err(fault).map(drop)
    }
}

/// Adds a statement with `$N` as `$(N + shift)`.
fn push_shifted(sql: &mut String, statement: &str, shift: usize) {
    let mut pieces = statement.split('$');
    sql.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let digits = piece.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(piece.len());
        let (number, rest) = piece.split_at(digits);
        let number = number.parse::<usize>().unwrap_or_default();
        sql.push_str(&format!("${}{rest}", number + shift));
    }
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

    /// Adds ` AND` and the condition that one of two columns contains `text`, in ASCII letters of either case.
    pub(super) fn holding(&mut self, columns: [&str; 2], text: Option<&str>) -> &mut Self {
        if let Some(text) = text {
            let pattern = format!("%{}%", text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"));
            self.push(" AND (").push(columns[0]).push(" ILIKE ").bind(&pattern);
            if columns[1] != columns[0] {
                self.push(" OR ").push(columns[1]).push(" ILIKE ").bind(pattern);
            }
            self.push(")");
        }
        self
    }

    /// Adds the order, and `size` rows after `skipped` ones.
    pub(super) fn page(&mut self, column: &str, order: Order, size: u64, skipped: u64) -> &mut Self {
        self.push(" ORDER BY ").push(column).push(direction(order));
        self.push(" LIMIT ").bind(clamp(size)).push(" OFFSET ").bind(clamp(skipped))
    }

    pub(super) async fn rows<T: Send>(
        self,
        connection: &mut PgConnection,
        decode: impl FnMut(&Row) -> sqlx::Result<T> + Send,
    ) -> Result<Vec<T>, Error> {
        rows(connection, &self.sql, self.values, decode).await
    }
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
    connection: &mut PgConnection,
    sql: &str,
    values: Vec<Value>,
    mut decode: impl FnMut(&Row) -> sqlx::Result<T> + Send,
) -> Result<Vec<T>, Error> {
    let mut all = Vec::new();
    for query in queries(sql, values) {
        let mut found = query.fetch(&mut *connection);
        while let Some(row) = found.try_next().await.map_err(fault)? {
            all.push(decode(&row).map_err(fault)?);
        }
    }
    Ok(all)
}

/// The first row of a statement.
pub(super) async fn found<T>(
    connection: &mut PgConnection,
    sql: &str,
    values: Vec<Value>,
    decode: impl FnOnce(&Row) -> sqlx::Result<T> + Send,
) -> Result<Option<T>, Error> {
    for query in queries(sql, values) {
        if let Some(row) = query.fetch_optional(&mut *connection).await.map_err(fault)? {
            return decode(&row).map(Some).map_err(fault);
        }
    }
    Ok(None)
}

/// Runs one or several statements that write; returns the number of rows that the last one changed.
pub(super) async fn changed(connection: &mut PgConnection, sql: &str, values: Vec<Value>) -> Result<u64, Error> {
    let mut count = 0;
    for query in queries(sql, values) {
        count = query.execute(&mut *connection).await.map_err(fault)?.rows_affected();
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::Execute;

    fn texts(sql: &str, count: i64) -> Vec<String> {
        let values = (1..=count).map(Value::Integer).collect();
        queries(sql, values).into_iter().map(|query| query.sql().as_str().to_owned()).collect()
    }

    #[test]
    fn places_are_numbered_in_each_statement() {
        assert_eq!(texts("SELECT ?, ?", 2), ["SELECT $1, $2"]);
        assert_eq!(texts("SELECT $2, $1", 2), ["SELECT $2, $1"]);
        assert_eq!(texts("A $2 $1 $2; B $3; C", 3), ["A $1 $2 $1", "B $1", "C"]);
        assert_eq!(texts("A $11 + $1; B $1", 11), ["A $1 + $2", "B $1"]);
    }

    #[test]
    fn statements_of_a_batch_keep_their_values() {
        let mut batch = Batch::default();
        batch.add("A $1 $2; B $1", vec![Value::Integer(1), Value::Integer(2)]);
        batch.add("C $1", vec![Value::Integer(3)]);
        assert_eq!(batch.values, [Value::Integer(1), Value::Integer(2), Value::Integer(3)]);
        assert_eq!(batch.sql, "WITH s5 AS (A $1 $2), s22 AS (B $1), s37 AS (C $3)");
    }

    #[test]
    fn a_nul_in_a_text_is_replaced_wherever_it_is() {
        let Value::Text(json) = Value::rows(&["a\0b", "\\u0000"]).unwrap() else { panic!() };
        assert_eq!(serde_json::from_str::<Vec<String>>(&json).unwrap(), ["a\u{fffd}b", "\\u0000"]);
        assert_eq!("a\0b".as_value(), Value::Text("a\u{fffd}b".into()));
    }
}
