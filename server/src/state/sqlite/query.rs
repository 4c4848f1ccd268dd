//! A SELECT put together from what a list asks for; values are always bound, never written into the text. And short
//! forms for what most statements are.

use super::fault;
use lakeshore::Error;
use lakeshore::list::Order;
use lakeshore::path::LakePath;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Params, Row, params_from_iter};

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

    pub(super) fn bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.sql.push('?');
        self.values.push(value.into());
        self
    }

    /// ` AND` what limits `column` to `place` and what is below it.
    pub(super) fn within(&mut self, column: &str, place: Option<&LakePath>) -> &mut Self {
        if let Some(place) = place {
            let (first, last) = place.range_below();
            self.push(" AND (").push(column).push(" = ").bind(place.as_str().to_owned());
            self.push(" OR (").push(column).push(" >= ").bind(first);
            self.push(" AND ").push(column).push(" < ").bind(last).push("))");
        }
        self
    }

    /// The same, of one range first, which an index is searched by.
    pub(super) fn within_range(&mut self, column: &str, place: Option<&LakePath>) -> &mut Self {
        if let Some(place) = place {
            let (_, last) = place.range_below();
            self.push(" AND ").push(column).push(" >= ").bind(place.as_str().to_owned());
            self.push(" AND ").push(column).push(" < ").bind(last);
        }
        self.within(column, place)
    }

    /// ` AND` what limits to rows that hold `text` in one of two columns, letters of either case.
    pub(super) fn holding(&mut self, columns: [&str; 2], text: Option<&str>) -> &mut Self {
        if let Some(text) = text {
            let pattern = format!("%{}%", text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"));
            self.push(" AND (").push(columns[0]).push(" LIKE ").bind(pattern.clone()).push(" ESCAPE '\\'");
            self.push(" OR ").push(columns[1]).push(" LIKE ").bind(pattern).push(" ESCAPE '\\')");
        }
        self
    }

    /// The order, `size` rows, `skipped` of them left out by counting.
    pub(super) fn page(&mut self, column: &str, order: Order, size: u64, skipped: u64) -> &mut Self {
        self.push(" ORDER BY ").push(column).push(direction(order));
        self.push(" LIMIT ").bind(clamp(size)).push(" OFFSET ").bind(clamp(skipped))
    }

    /// Whole rows of a table, of the ids that this query finds: what lies before a page is then stepped over in an index.
    pub(super) fn whole_rows(self, columns: &str, table: &str, id: &str, order: Order) -> Self {
        let Self { sql, values } = self;
        let direction = direction(order);
        Self { sql: format!("SELECT {columns} FROM {table} WHERE {id} IN ({sql}) ORDER BY {id}{direction}"), values }
    }

    pub(super) fn rows<T>(
        &self,
        connection: &Connection,
        decode: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Error> {
        let mut statement = connection.prepare_cached(&self.sql).map_err(fault)?;
        let rows = statement.query_map(params_from_iter(&self.values), decode).map_err(fault)?;
        rows.collect::<rusqlite::Result<_>>().map_err(fault)
    }

    /// How SQLite would go about it, a line a step.
    #[cfg(test)]
    pub(super) fn plan(&self, connection: &Connection) -> Vec<String> {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {}", self.sql)).unwrap();
        let steps = statement.query_map(params_from_iter(&self.values), |row| row.get("detail")).unwrap();
        steps.map(Result::unwrap).collect()
    }
}

/// Rows of a place that are looked up by it and then brought in order; where there are more, the list is gone through in its order,
/// as there they are many in it.
const ROWS_IN_ORDER_MAX: u64 = 8000;

/// Whether a place has so few rows that a list of them is best found by it.
pub(super) fn is_small(connection: &Connection, mut place: Select) -> Result<bool, Error> {
    place.push(" LIMIT ").bind(clamp(ROWS_IN_ORDER_MAX + 1));
    Ok(place.rows(connection, |_| Ok(()))?.len() as u64 <= ROWS_IN_ORDER_MAX)
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

/// The first row that the query finds.
pub(super) fn found<T>(
    connection: &Connection,
    sql: &str,
    values: impl Params,
    decode: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>, Error> {
    let mut statement = connection.prepare_cached(sql).map_err(fault)?;
    statement.query_row(values, decode).optional().map_err(fault)
}

/// Runs a statement; how many rows it changed.
pub(super) fn changed(connection: &Connection, sql: &str, values: impl Params) -> Result<usize, Error> {
    connection.prepare_cached(sql).and_then(|mut statement| statement.execute(values)).map_err(fault)
}
