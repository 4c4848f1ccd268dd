//! Builds SELECTs from the filters of a list, with all values bound.

use super::{AsValue, Connection, Dialect, RowOf, Value, fetch_all, fetch_optional};
use lakeshore::Error;
use lakeshore::model::page::Order;
use lakeshore::model::path::LakePath;

#[derive(Debug, Clone)]
pub(crate) struct Select {
    sql: String,
    values: Vec<Value>,
}

impl Select {
    pub(crate) fn new(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), values: Vec::new() }
    }

    pub(crate) fn push(&mut self, sql: &str) -> &mut Self {
        self.sql.push_str(sql);
        self
    }

    pub(crate) fn bind(&mut self, value: impl AsValue) -> &mut Self {
        self.sql.push('?');
        self.values.push(value.as_value());
        self
    }

    /// Adds ` AND` and the condition that `column` is `place` or below it.
    pub(crate) fn within(&mut self, column: &str, place: Option<&LakePath>) -> &mut Self {
        if let Some(place) = place {
            let (first, last) = place.range_below();
            self.push(" AND (").push(column).push(" = ").bind(place.as_str());
            self.push(" OR (").push(column).push(" >= ").bind(first);
            self.push(" AND ").push(column).push(" < ").bind(last).push("))");
        }
        self
    }

    /// Like [`Self::within`], with the range first, so that an index is searched by it.
    pub(crate) fn within_range(&mut self, column: &str, place: Option<&LakePath>) -> &mut Self {
        if let Some(place) = place {
            let (_, last) = place.range_below();
            self.push(" AND ").push(column).push(" >= ").bind(place.as_str());
            self.push(" AND ").push(column).push(" < ").bind(last);
        }
        self.within(column, place)
    }

    /// Adds ` AND` and the condition that one of two columns contains `text`, in ASCII letters of either case.
    pub(crate) fn holding<D: Dialect>(&mut self, columns: [&str; 2], text: Option<&str>) -> &mut Self {
        if let Some(text) = text {
            let pattern = format!("%{}%", text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"));
            let is_one = columns[0] == columns[1];
            for (number, column) in columns.into_iter().take(if is_one { 1 } else { 2 }).enumerate() {
                self.push(if number == 0 { " AND (" } else { " OR " }).push(column).push(" ").push(D::LIKE);
                self.push(" ").bind(&pattern).push(D::LIKE_END);
            }
            self.push(")");
        }
        self
    }

    /// Adds the order, and `size` rows after `skipped` ones.
    pub(crate) fn page(&mut self, column: &str, order: Order, size: u64, skipped: u64) -> &mut Self {
        self.push(" ORDER BY ").push(column).push(direction(order));
        self.push(" LIMIT ").bind(clamp(size)).push(" OFFSET ").bind(clamp(skipped))
    }

    /// Wraps a query of ids to return whole rows, so that rows before a page are skipped in an index.
    pub(crate) fn whole_rows(self, columns: &str, table: &str, id: &str, order: Order) -> Self {
        let Self { sql, values } = self;
        let direction = direction(order);
        Self { sql: format!("SELECT {columns} FROM {table} WHERE {id} IN ({sql}) ORDER BY {id}{direction}"), values }
    }

    /// Whether the query has at most that many rows; it reads no more.
    pub(crate) async fn has_at_most<C: Connection>(self, rows_max: u64, connection: &mut C) -> Result<bool, Error> {
        let Self { sql, mut values } = self;
        values.push(Value::Integer(clamp(rows_max + 1)));
        let sql = format!("SELECT count(*) AS counted FROM ({sql} LIMIT ?) AS few");
        let counted = |row: &RowOf<C>| crate::row::number(row, "counted");
        Ok(fetch_optional(connection, sql, values, counted).await?.unwrap_or(0) <= rows_max)
    }

    pub(crate) async fn fetch_all<C: Connection, T: Send>(
        self,
        connection: &mut C,
        decode: impl FnMut(&RowOf<C>) -> sqlx::Result<T> + Send,
    ) -> Result<Vec<T>, Error> {
        fetch_all(connection, self.sql, self.values, decode).await
    }

    /// SQLite's query plan, a line for each step.
    #[cfg(test)]
    pub(crate) async fn plan(self, connection: &mut sqlx::SqliteConnection) -> Vec<String> {
        use sqlx::Row as _;
        let sql = format!("EXPLAIN QUERY PLAN {}", self.sql);
        fetch_all(connection, sql, self.values, |row| row.try_get("detail")).await.unwrap()
    }
}

pub(crate) fn direction(order: Order) -> &'static str {
    match order {
        Order::Asc => " ASC",
        Order::Desc => " DESC",
    }
}

pub(crate) fn clamp(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
