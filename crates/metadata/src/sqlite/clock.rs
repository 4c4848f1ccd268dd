//! Record of the clock: the table `clock`.

use super::SqliteState;
use super::job::Durability::{Synced, Written};
use super::query::{execute, fetch_optional, values};
use super::row::time;
use async_trait::async_trait;
use lakeshore::Error;
use lakeshore::model::clock_watch::ClockRecord;
use lakeshore::ports::ClockState;
use sqlx::Row;

#[async_trait]
impl ClockState for SqliteState {
    async fn clock_record(&self) -> Result<Option<ClockRecord>, Error> {
        let mut connection = self.readers.look().await?;
        let sql = "SELECT seen_ms, wall_at, steps, repeated FROM clock";
        let recorded = fetch_optional(&mut connection, sql, vec![], |row| {
            let (seen_ms, wall): (i64, _) = (row.try_get("seen_ms")?, time(row, "wall_at")?);
            Ok((seen_ms, wall, row.try_get::<String, _>("steps")?, row.try_get::<String, _>("repeated")?))
        });
        if let Some((seen_ms, wall, steps, repeated)) = recorded.await? {
            let steps = serde_json::from_str(&steps).map_err(Error::internal)?;
            let repeated = serde_json::from_str(&repeated).map_err(Error::internal)?;
            return Ok(Some(ClockRecord { seen_ms, wall, steps, repeated }));
        }
        // A database of a version that recorded no clock.
        let sql = "SELECT max(end_time) AS wall_at FROM (SELECT end_time FROM uploads ORDER BY history_id DESC LIMIT 100) \
                   HAVING count(*) > 0";
        let wall = fetch_optional(&mut connection, sql, vec![], |row| time(row, "wall_at")).await?;
        Ok(wall.map(|wall| ClockRecord { wall, ..ClockRecord::default() }))
    }

    async fn record_clock(&self, record: &ClockRecord) -> Result<(), Error> {
        let sql = "INSERT INTO clock (only_row, seen_ms, wall_at, steps, repeated) VALUES (1, ?, ?, ?, ?) \
                   ON CONFLICT (only_row) DO UPDATE SET seen_ms = excluded.seen_ms, wall_at = excluded.wall_at, \
                   steps = excluded.steps, repeated = excluded.repeated";
        let steps = serde_json::to_string(&record.steps).map_err(Error::internal)?;
        let repeated = serde_json::to_string(&record.repeated).map_err(Error::internal)?;
        let values = values![record.seen_ms, record.wall.0, steps, repeated];
        // A record lost in a power cut does no harm: the time since the record before then counts as a step.
        let durability = if record.steps.is_empty() { Written } else { Synced };
        self.writer
            .write_aside(durability, move |writing| {
                Box::pin(async move { execute(writing, sql, values).await.map(drop) })
            })
            .await
    }
}
