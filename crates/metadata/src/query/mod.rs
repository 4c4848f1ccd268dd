//! Statements of either database: the connections that run them, and the words in which the two differ.
//!
//! Most statements are one text for both. PostgreSQL has the functions of SQLite that they use (its migration
//! `0003_functions`): `json_each`, `unhex`, and `max` and `min` of two numbers. The other common words are those of the
//! standard: `CAST(… AS BIGINT)`, `TRUE`, an alias for each subquery, `CROSS JOIN` with its condition in WHERE (in SQLite,
//! the tables are then read in the order in which they are written). [`Dialect`] has the rest.
//!
//! Places are written `?`, or `$N` where a value is used more than once. Statements that belong together may be one text
//! (`A; B`), in which `$N` means the same in all. (`?N` does not work: where a statement leaves out a smaller number, sqlx
//! 0.9 leaves places unbound, which are then NULL.)

mod select;
pub(crate) mod value;

pub(crate) use select::{Select, clamp, direction};
pub(crate) use value::{AsValue, Value, values};

use crate::row::DbRow;
use lakeshore::Error;
use sqlx::Database;
use std::borrow::Cow;
use std::sync::OnceLock;

/// Text of a statement.
pub(crate) type Sql = Cow<'static, str>;

/// Row that a connection reads.
pub(crate) type RowOf<C> = <<C as Connection>::Db as Database>::Row;

/// Database, with the words that it has for itself.
pub(crate) trait Dialect: Database<Row: DbRow, Connection: Connection<Db = Self>> {
    /// Follows a flag in a condition: the partial indexes of SQLite compare it with 1.
    const SET: &'static str;
    /// Comparison with a pattern, in ASCII letters of either case.
    const LIKE: &'static str;
    /// Follows the pattern: a backslash escapes.
    const LIKE_END: &'static str;
    /// Precedes a column whose index is not to be used.
    const UNINDEXED: &'static str;
    /// Follows a statement that reads nodes `n`, to lock them.
    const LOCKING_NODES: &'static str;

    /// Whether `datasets` has the flag `is_uncounted`, by which its index finds those to count.
    const HAS_UNCOUNTED_FLAG: bool;

    /// An element of a JSON array as a number. Only for statements of which SQLite runs very many; others use CAST.
    fn number(element: &str) -> String;

    /// Follows a table: the index by which SQLite is to read it.
    fn indexed_by(index: &str) -> String;

    /// Equality of long texts. PostgreSQL finds them by their hash.
    fn equal_texts(column: &str, text: &str) -> String;

    /// Whether a path has few enough rows to look them up by it, where the database is told which index to read.
    fn is_small(connection: &mut Self::Connection, place: Select) -> impl Future<Output = Result<bool, Error>> + Send;

    fn text_of(text: &Text) -> &OnceLock<String>;

    fn fetch_all<T: Send>(
        connection: &mut Self::Connection,
        sql: Sql,
        values: Vec<Value>,
        decode: impl FnMut(&Self::Row) -> sqlx::Result<T> + Send,
    ) -> impl Future<Output = Result<Vec<T>, Error>> + Send;

    fn fetch_optional<T: Send>(
        connection: &mut Self::Connection,
        sql: Sql,
        values: Vec<Value>,
        decode: impl FnOnce(&Self::Row) -> sqlx::Result<T> + Send,
    ) -> impl Future<Output = Result<Option<T>, Error>> + Send;

    /// Descriptions of the damage that only this database may have.
    fn damage(connection: &mut Self::Connection) -> impl Future<Output = Result<Vec<String>, Error>> + Send;

    fn execute(
        connection: &mut Self::Connection,
        sql: Sql,
        values: Vec<Value>,
    ) -> impl Future<Output = Result<u64, Error>> + Send;
}

/// Connection that reads.
pub(crate) trait Connection: Send {
    type Db: Dialect;

    fn raw(&mut self) -> &mut <Self::Db as Database>::Connection;
}

/// Connection that writes too.
pub(crate) trait WritingConnection: Connection {
    /// The connection, once it may write.
    fn writable(&mut self) -> impl Future<Output = Result<&mut <Self::Db as Database>::Connection, Error>> + Send;

    /// The connection, for a statement that reads what was written before.
    fn settled(&mut self) -> impl Future<Output = Result<&mut <Self::Db as Database>::Connection, Error>> + Send;
}

/// Text of a statement that both databases run, each in its words. It is put together once.
pub(crate) struct Text {
    pub(crate) sqlite: OnceLock<String>,
    pub(crate) postgres: OnceLock<String>,
}

impl Text {
    pub(crate) const fn new() -> Self {
        Self { sqlite: OnceLock::new(), postgres: OnceLock::new() }
    }

    pub(crate) fn of<D: Dialect>(&'static self, build: impl FnOnce() -> String) -> &'static str {
        D::text_of(self).get_or_init(build)
    }
}

/// Implements [`Connection`] for types that dereference to one.
macro_rules! connections {
    ($database:ty: $($connection:ty),* $(,)?) => {$(
        impl $crate::query::Connection for $connection {
            type Db = $database;

            fn raw(&mut self) -> &mut <$database as sqlx::Database>::Connection {
                self
            }
        }
    )*};
}
pub(crate) use connections;

/// All rows of a statement, or of several.
pub(crate) async fn fetch_all<C: Connection, T: Send>(
    connection: &mut C,
    sql: impl Into<Sql> + Send,
    values: Vec<Value>,
    decode: impl FnMut(&RowOf<C>) -> sqlx::Result<T> + Send,
) -> Result<Vec<T>, Error> {
    C::Db::fetch_all(connection.raw(), sql.into(), values, decode).await
}

/// The first row of a statement.
pub(crate) async fn fetch_optional<C: Connection, T: Send>(
    connection: &mut C,
    sql: impl Into<Sql> + Send,
    values: Vec<Value>,
    decode: impl FnOnce(&RowOf<C>) -> sqlx::Result<T> + Send,
) -> Result<Option<T>, Error> {
    C::Db::fetch_optional(connection.raw(), sql.into(), values, decode).await
}

/// Runs one or several statements that write; returns the number of rows that the last one changed.
pub(crate) async fn execute<W: WritingConnection>(
    writing: &mut W,
    sql: impl Into<Sql> + Send,
    values: Vec<Value>,
) -> Result<u64, Error> {
    W::Db::execute(writing.writable().await?, sql.into(), values).await
}

/// All rows of a statement that writes (`RETURNING`).
pub(crate) async fn execute_returning<W: WritingConnection, T: Send>(
    writing: &mut W,
    sql: impl Into<Sql> + Send,
    values: Vec<Value>,
    decode: impl FnMut(&RowOf<W>) -> sqlx::Result<T> + Send,
) -> Result<Vec<T>, Error> {
    W::Db::fetch_all(writing.writable().await?, sql.into(), values, decode).await
}
