//! Log of published events: the tables `event_log` and `events`.

use super::PostgresState;
use super::query::{Row, Select, Value, clamp, execute, fetch_all, fetch_optional, values};
use super::writing::Durability::Synced;
use super::writing::{Writing, transaction};
use crate::backend::Backend as _;
use crate::row::{SYNC_COLUMNS, id, number, number_if_any, path, sync};
use async_trait::async_trait;
use lakeshore::Error;
use lakeshore::model::id::{SyncId, UploadId};
use lakeshore::model::sync::job::SyncJob;
use lakeshore::ports::metadata::event_log::{Describe, EventLog, LoggedEvent, NewEvent, Progress, ReportedUpload};
use sqlx::Row as _;
use std::collections::BTreeMap;

const INSERT: &str = "\
    INSERT INTO events (number, kind, json, sync_id, path) \
    SELECT $2 + 1 + key, value ->> 0, value ->> 1, (value ->> 2)::bigint, value ->> 3 FROM json_each($1)";

const TELL: &str = "\
    INSERT INTO uploads_told (history_id, serving_node, json, has_request) \
    SELECT (value ->> 0)::bigint, serving_node(), value ->> 1, (value ->> 2)::boolean FROM json_each($1) \
    ON CONFLICT (history_id) DO UPDATE SET serving_node = excluded.serving_node, json = excluded.json, \
        has_request = excluded.has_request \
        WHERE excluded.has_request OR NOT (uploads_told.has_request AND is_of_another(uploads_told.serving_node))";

/// Progress of uploads, for the list of all nodes.
async fn tell(writing: &mut Writing, new: &[NewEvent]) -> Result<(), Error> {
    let (mut sends, mut left) = (Vec::new(), Vec::new());
    for event in new {
        match event.upload {
            Some((upload_id, Progress::Sends { has_request })) => {
                sends.push((id(upload_id.0), &event.json, has_request))
            }
            Some((upload_id, Progress::Left)) => left.push(id(upload_id.0)),
            None => {}
        }
    }
    if !sends.is_empty() {
        execute(writing, TELL, vec![Value::rows(&sends)?]).await?;
    }
    if !left.is_empty() {
        execute(writing, "DELETE FROM uploads_told WHERE history_id = ANY(?)", values![left]).await?;
    }
    Ok(())
}

/// Begins another log: events before it are unknown, as a process that served the lake alone has logged none.
pub(super) async fn begin(writing: &mut Writing, start: i64) -> Result<(), Error> {
    execute(writing, "DELETE FROM events", vec![]).await?;
    execute(writing, "DELETE FROM uploads_told", vec![]).await?;
    execute(writing, "UPDATE event_log SET start = ?, last = 0", values![start]).await.map(drop)
}

/// Syncs in their current state.
async fn states(writing: &mut Writing, syncs: &[SyncId]) -> Result<BTreeMap<SyncId, SyncJob>, Error> {
    if syncs.is_empty() {
        return Ok(BTreeMap::new());
    }
    let sql = format!("SELECT {SYNC_COLUMNS} FROM syncs WHERE sync_id = ANY(?)");
    let ids: Vec<_> = syncs.iter().map(|sync_id| id(sync_id.0)).collect();
    let found = fetch_all(writing, sql, values![ids], sync).await?;
    Ok(found.into_iter().map(|sync| (sync.sync_id, sync)).collect())
}

#[async_trait]
impl EventLog for PostgresState {
    async fn event_log_position(&self) -> Result<(u64, u64), Error> {
        let position = |row: &Row| Ok((row.try_get::<i64, _>("start")?.cast_unsigned(), number(row, "last")?));
        let found =
            fetch_optional(&mut *self.look().await?, "SELECT start, last FROM event_log", vec![], position).await?;
        Ok(found.unwrap_or_default())
    }

    async fn append_events(&self, syncs: &[SyncId], describe: &Describe<'_>, kept: u64) -> Result<(), Error> {
        transaction!(self, Synced, |writing| {
            let last = fetch_optional(writing, "SELECT last FROM event_log FOR UPDATE", vec![], |row| {
                row.try_get::<i64, _>(0)
            })
            .await?;
            let last = last.unwrap_or_default();
            let known = states(writing, syncs).await?;
            let new = describe(&known);
            let row = |event: &NewEvent| {
                let path = event.path.as_ref().map(|path| path.as_str().to_owned());
                (event.kind, event.json.clone(), event.sync_id.map(|sync_id| id(sync_id.0)), path)
            };
            let count = clamp(new.len() as u64);
            if count > 0 {
                let rows = Value::rows(&new.iter().map(row).collect::<Vec<_>>())?;
                execute(writing, INSERT, vec![rows, Value::Integer(last)]).await?;
                execute(writing, "UPDATE event_log SET last = ?", values![last + count]).await?;
                let oldest = last + count - clamp(kept);
                execute(writing, "DELETE FROM events WHERE number <= ?", values![oldest]).await?;
                tell(writing, &new).await?;
            }
            Ok(())
        })
    }

    async fn events_after(&self, after: u64, size: u64) -> Result<Vec<LoggedEvent>, Error> {
        let sql = "SELECT number, kind, json, sync_id, path FROM events WHERE number > ? ORDER BY number LIMIT ?";
        let event = |row: &Row| {
            let has_path = row.try_get::<Option<String>, _>("path")?.is_some();
            Ok(LoggedEvent {
                number: number(row, "number")?,
                kind: row.try_get("kind")?,
                json: row.try_get("json")?,
                sync_id: number_if_any(row, "sync_id")?.map(SyncId),
                path: if has_path { Some(path(row, "path")?) } else { None },
            })
        };
        fetch_all(&mut *self.look().await?, sql, values![clamp(after), clamp(size)], event).await
    }

    async fn uploads_in_flight(&self, sync_id: Option<SyncId>, size: u64) -> Result<Vec<ReportedUpload>, Error> {
        let own = self.node();
        let mut select = Select::new(
            "SELECT u.history_id, t.json, coalesce(t.has_request, FALSE) AS has_request, is_at_work(t.serving_node, ",
        );
        select.bind(own).push("::bigint) AS is_elsewhere FROM uploads u LEFT JOIN uploads_told t USING (history_id) WHERE u.status = 'Syncing'");
        if let Some(sync_id) = sync_id {
            select.push(" AND u.sync_id = ").bind(id(sync_id.0));
        }
        select.push(" ORDER BY u.history_id LIMIT ").bind(clamp(size));
        let told = |row: &Row| {
            Ok(ReportedUpload {
                upload_id: UploadId(number(row, "history_id")?),
                json: row.try_get("json")?,
                is_elsewhere: row.try_get("is_elsewhere")?,
                has_request: row.try_get("has_request")?,
            })
        };
        select.fetch_all(&mut *self.look().await?, told).await
    }
}
