//! Damage that SQLite finds in its file.

use super::query::{fetch_all, values};
use lakeshore::Error;
use sqlx::{Row as _, SqliteConnection};

pub(super) async fn damage(connection: &mut SqliteConnection) -> Result<Vec<String>, Error> {
    let mut damage: Vec<String> =
        fetch_all(connection, "PRAGMA integrity_check(100)", values![], |row| row.try_get(0)).await?;
    damage.retain(|line| line != "ok");
    let dangling = fetch_all(connection, "PRAGMA foreign_key_check", values![], |row| {
        let (table, of): (String, String) = (row.try_get(0)?, row.try_get(2)?);
        let row: Option<i64> = row.try_get(1)?;
        Ok(format!("row {} of {table} refers to a missing row of {of}", row.unwrap_or_default()))
    });
    damage.extend(dangling.await?);
    Ok(damage)
}
