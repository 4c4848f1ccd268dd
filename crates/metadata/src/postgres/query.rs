//! How PostgreSQL runs statements.
//!
//! Several statements of one text are sent one after the other. A group of rows is passed as a JSON array
//! ([`Value::rows`]), which the function `json_each` takes apart, or as an array of ids or texts.

use super::List;
use super::answers::answer;
use super::connection::fault;
use super::damage;
use super::writing::Writing;
use crate::query::value::without_nul;
use crate::query::{Dialect, Sql, Text, WritingConnection, connections};
use futures_util::TryStreamExt;
use lakeshore::Error;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::pool::PoolConnection;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgArguments, PgRow, PgTypeInfo};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Encode, PgConnection, Postgres, Transaction, Type};
use std::sync::OnceLock;

pub(super) use crate::query::{Select, Value, clamp, execute, fetch_all, fetch_optional, values};

pub(super) type Row = PgRow;

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
        Value::Text(text) => query.bind(without_nul(text)),
        Value::Blob(bytes) => query.bind(bytes),
        Value::Integers(numbers) => query.bind(numbers),
        Value::Texts(texts) => query.bind(texts.into_iter().map(without_nul).collect::<Vec<_>>()),
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
    for (number, segment) in sql.split('?').enumerate() {
        if number > 0 {
            numbered.push_str(&format!("${number}"));
        }
        numbered.push_str(segment);
    }
    vec![bound(numbered, values)]
}

/// One statement of several, with its places numbered from 1.
fn with_its_own(statement: &str, values: &[Value]) -> Prepared {
    let (mut numbered, mut of_places): (String, Vec<usize>) = (String::with_capacity(statement.len()), Vec::new());
    let mut segments = statement.split('$');
    numbered.push_str(segments.next().unwrap_or_default());
    for segment in segments {
        let digits = segment.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(segment.len());
        let (number, rest) = segment.split_at(digits);
        let Ok(number) = number.parse::<usize>() else {
            numbered.push('$');
            numbered.push_str(segment);
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
        answer(bound(sql, self.values).execute(connection)).await.map_err(fault).map(drop)
    }
}

/// Adds a statement with `$N` as `$(N + shift)`.
fn push_shifted(sql: &mut String, statement: &str, shift: usize) {
    let mut segments = statement.split('$');
    sql.push_str(segments.next().unwrap_or_default());
    for segment in segments {
        let digits = segment.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(segment.len());
        let (number, rest) = segment.split_at(digits);
        let number = number.parse::<usize>().unwrap_or_default();
        sql.push_str(&format!("${}{rest}", number + shift));
    }
}

impl Dialect for Postgres {
    const SET: &'static str = "";
    const LIKE: &'static str = "ILIKE";
    const LIKE_END: &'static str = "";
    const UNINDEXED: &'static str = "";
    const LOCKING_NODES: &'static str = " FOR NO KEY UPDATE OF n";
    const HAS_UNCOUNTED_FLAG: bool = false;

    fn number(element: &str) -> String {
        format!("CAST({element} AS BIGINT)")
    }

    fn indexed_by(_: &str) -> String {
        String::new()
    }

    fn equal_texts(column: &str, text: &str) -> String {
        format!("md5({column}) = md5({text}) AND {column} = {text}")
    }

    async fn is_small(_: &mut PgConnection, _: Select) -> Result<bool, Error> {
        // PostgreSQL chooses the index.
        Ok(false)
    }

    fn text_of(text: &Text) -> &OnceLock<String> {
        &text.postgres
    }

    async fn fetch_all<T: Send>(
        connection: &mut PgConnection,
        sql: Sql,
        values: Vec<Value>,
        mut decode: impl FnMut(&PgRow) -> sqlx::Result<T> + Send,
    ) -> Result<Vec<T>, Error> {
        let mut all = Vec::new();
        for query in queries(&sql, values) {
            let mut found = query.fetch(&mut *connection);
            while let Some(row) = answer(found.try_next()).await.map_err(fault)? {
                all.push(decode(&row).map_err(fault)?);
            }
        }
        Ok(all)
    }

    async fn fetch_optional<T: Send>(
        connection: &mut PgConnection,
        sql: Sql,
        values: Vec<Value>,
        decode: impl FnOnce(&PgRow) -> sqlx::Result<T> + Send,
    ) -> Result<Option<T>, Error> {
        for query in queries(&sql, values) {
            if let Some(row) = answer(query.fetch_optional(&mut *connection)).await.map_err(fault)? {
                return decode(&row).map(Some).map_err(fault);
            }
        }
        Ok(None)
    }

    async fn damage(connection: &mut PgConnection) -> Result<Vec<String>, Error> {
        damage::damage(connection).await
    }

    async fn execute(connection: &mut PgConnection, sql: Sql, values: Vec<Value>) -> Result<u64, Error> {
        let mut count = 0;
        for query in queries(&sql, values) {
            count = answer(query.execute(&mut *connection)).await.map_err(fault)?.rows_affected();
        }
        Ok(count)
    }
}

connections!(Postgres: PgConnection, PoolConnection<Postgres>, Transaction<'_, Postgres>, List<'_>, Writing);

impl WritingConnection for PgConnection {
    async fn writable(&mut self) -> Result<&mut PgConnection, Error> {
        Ok(self)
    }

    async fn settled(&mut self) -> Result<&mut PgConnection, Error> {
        Ok(self)
    }
}

impl WritingConnection for Writing {
    async fn writable(&mut self) -> Result<&mut PgConnection, Error> {
        Ok(self)
    }

    async fn settled(&mut self) -> Result<&mut PgConnection, Error> {
        Ok(self)
    }
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
}
