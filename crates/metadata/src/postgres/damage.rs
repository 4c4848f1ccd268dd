//! Damage that only PostgreSQL may have: counters that do not match their tables.

use super::query::{Row, fetch_optional, values};
use lakeshore::Error;
use sqlx::{PgConnection, Row as _};

pub(super) async fn damage(connection: &mut PgConnection) -> Result<Vec<String>, Error> {
    let mut damage = Vec::new();
    // The counter allocates the next id.
    for (table, key) in [("syncs", "sync_id"), ("uploads", "history_id")] {
        let sql =
            format!("SELECT coalesce(max({key}), 0), (SELECT last FROM counters WHERE name = '{table}') FROM {table}");
        let last = |row: &Row| Ok((row.try_get::<i64, _>(0)?, row.try_get::<i64, _>(1)?));
        if let Some((last, counter)) = fetch_optional(connection, sql, values![], last).await?
            && counter != last
        {
            damage.push(format!("the last {key} is {last}, but its counter is {counter}"));
        }
    }
    Ok(damage)
}
