//! Reads every row and recounts, for `lakeshore check`, while no server runs.

use super::SqliteState;
use super::job::Durability::Synced;
use super::query::{Row, Select, Value, changed, clamp, found, rows, values};
use super::row::{UPLOAD_COLUMNS, id, is_null, number, path, time, upload};
use super::trash::insert_trash;
use crate::versions::moved;
use async_trait::async_trait;
use lakeshore::model::digest::Digest;
use lakeshore::model::id::TrashId;
use lakeshore::model::id::UploadId;
use lakeshore::model::path::LakePath;
use lakeshore::model::storage_path::TrashKey;
use lakeshore::model::trash::NewTrash;
use lakeshore::model::upload::row::Upload;
use lakeshore::ports::StateInspection;
use lakeshore::ports::inspection::{Miscount, TrashSlot};
use lakeshore::{Error, Timestamp};
use sqlx::{Row as _, SqliteConnection};

#[async_trait]
impl StateInspection for SqliteState {
    async fn damage(&self) -> Result<Vec<String>, Error> {
        damage(&mut *self.readers.list().await?).await
    }

    async fn miscounts(&self) -> Result<Vec<Miscount>, Error> {
        miscounts(&mut *self.readers.list().await?).await
    }

    async fn recount(&self) -> Result<(), Error> {
        self.writer
            .write(Synced, |writing| Box::pin(async move { changed(writing, RECOUNT, values![]).await.map(drop) }))
            .await
    }

    async fn landed(&self, after: Option<&(LakePath, UploadId)>, size: u64) -> Result<Vec<Upload>, Error> {
        let mut select = Select::new(format!("SELECT {UPLOAD_COLUMNS} FROM uploads u WHERE status = 'Finished'"));
        if let Some((target, upload_id)) = after {
            select.push(" AND (target, history_id) > (").bind(target.as_str());
            select.push(", ").bind(id(upload_id.0)).push(")");
        }
        select.push(" ORDER BY target, history_id LIMIT ").bind(clamp(size));
        select.rows(&mut *self.readers.list().await?, upload).await
    }

    async fn never_landed(&self, files: &[LakePath]) -> Result<Vec<LakePath>, Error> {
        // The plus keeps SQLite from using the index of statuses.
        let sql = "SELECT key AS number FROM json_each(?) WHERE NOT EXISTS \
                   (SELECT 1 FROM uploads WHERE target = value AND +status = 'Finished') ORDER BY key";
        let asked = Value::rows(&files.iter().map(LakePath::as_str).collect::<Vec<_>>())?;
        let mut connection = self.readers.list().await?;
        let never = rows(&mut connection, sql, vec![asked], |row| number(row, "number")).await?;
        let file = |number| usize::try_from(number).ok().and_then(|number| files.get(number)).cloned();
        Ok(never.into_iter().filter_map(file).collect())
    }

    async fn landed_as(&self, content: &Digest, leaf: &str, size: u64) -> Result<Vec<LakePath>, Error> {
        let mut select = Select::new("SELECT DISTINCT target FROM uploads WHERE status = 'Finished' AND size_bytes = ");
        select.bind(id(content.size_bytes)).push(" AND sha256 = ").bind(content.sha256);
        let leaf = format!("/{leaf}");
        select.push(" AND substr(target, -length(").bind(&leaf).push(")) = ").bind(&leaf);
        select.push(" ORDER BY target LIMIT ").bind(clamp(size));
        select.rows(&mut *self.readers.list().await?, |row| path(row, "target")).await
    }

    async fn restored(&self) -> Result<Vec<(LakePath, Timestamp)>, Error> {
        let select = Select::new(
            "SELECT origin, max(restored_at) AS at FROM trash WHERE restored_at IS NOT NULL GROUP BY origin",
        );
        let one = |row: &Row| Ok((path(row, "origin")?, time(row, "at")?));
        select.rows(&mut *self.readers.list().await?, one).await
    }

    async fn trash_slots(&self, after: TrashId, size: u64) -> Result<Vec<TrashSlot>, Error> {
        let mut select = Select::new("SELECT trash_id, trash_key, origin, emptying_at FROM trash");
        select.push(" WHERE restored_at IS NULL AND emptied_at IS NULL AND trash_id > ").bind(id(after.0));
        select.push(" ORDER BY trash_id LIMIT ").bind(clamp(size));
        let slot = |row: &Row| {
            Ok(TrashSlot {
                trash_id: TrashId(number(row, "trash_id")?),
                key: TrashKey::remembered(row.try_get("trash_key")?),
                origin: path(row, "origin")?,
                is_emptying: !is_null(row, "emptying_at")?,
            })
        };
        select.rows(&mut *self.readers.list().await?, slot).await
    }

    async fn adopt_trash(&self, adopted: &NewTrash) -> Result<(), Error> {
        let adopted = [adopted.clone()];
        self.writer
            .write(Synced, move |writing| {
                Box::pin(async move {
                    insert_trash(writing, &adopted).await?;
                    for NewTrash { sync_id, key, .. } in &adopted {
                        if let Some(sync_id) = sync_id {
                            moved::dropped(writing, *sync_id, key.as_str()).await?;
                        }
                    }
                    Ok(())
                })
            })
            .await
    }
}

async fn damage(connection: &mut SqliteConnection) -> Result<Vec<String>, Error> {
    let mut damage: Vec<String> =
        rows(connection, "PRAGMA integrity_check(100)", values![], |row| row.try_get(0)).await?;
    damage.retain(|line| line != "ok");
    let dangling = rows(connection, "PRAGMA foreign_key_check", values![], |row| {
        let (table, of): (String, String) = (row.try_get(0)?, row.try_get(2)?);
        let row: Option<i64> = row.try_get(1)?;
        Ok(format!("row {} of {table} refers to a missing row of {of}", row.unwrap_or_default()))
    });
    damage.extend(dangling.await?);
    // "Skip N rows" is "id > N": see 0001_lake.sql.
    for (table, key) in [("syncs", "sync_id"), ("uploads", "history_id")] {
        let sql = format!("SELECT count(*), coalesce(max({key}), 0) FROM {table}");
        let counts = |row: &Row| Ok((row.try_get::<i64, _>(0)?, row.try_get::<i64, _>(1)?));
        if let Some((count, last)) = found(connection, sql, values![], counts).await?
            && count != last
        {
            damage.push(format!("{table} has {count} rows, but the last {key} is {last}: some rows are missing"));
        }
    }
    Ok(damage)
}

/// Correct values of each sync, computed from its uploads.
const OF_SYNCS: &str = "SELECT s.sync_id, s.total_files, s.num_failed, s.num_in_flight, s.size_bytes, \
     coalesce(u.total, 0) + s.num_unlisted, coalesce(u.failed, 0) + s.num_unlisted, coalesce(u.in_flight, 0), coalesce(u.bytes, 0) \
     FROM syncs s LEFT JOIN (SELECT sync_id, count(*) AS total, sum(status = 'Failed') AS failed, \
     sum(status = 'Syncing') AS in_flight, sum(CASE status WHEN 'Finished' THEN size_bytes ELSE 0 END) AS bytes \
     FROM uploads GROUP BY sync_id) u USING (sync_id) \
     WHERE s.total_files - s.num_unlisted <> coalesce(u.total, 0) \
     OR s.num_failed - s.num_unlisted <> coalesce(u.failed, 0) \
     OR s.num_in_flight <> coalesce(u.in_flight, 0) OR s.size_bytes <> coalesce(u.bytes, 0) ORDER BY s.sync_id";

macro_rules! upload_counts {
    () => {
        "SELECT scope, scope_id, span, position >> span, count(*), sum(status = 'Finished'), sum(status = 'Failed')
         FROM upload_positions JOIN (SELECT 10 AS span UNION ALL SELECT 20) GROUP BY scope, scope_id, span, position >> span"
    };
}

macro_rules! sync_counts {
    () => {
        "SELECT sync_type, status, span, sync_id >> span, count(*)
         FROM syncs JOIN (SELECT 10 AS span UNION ALL SELECT 20) GROUP BY 1, 2, 3, 4"
    };
}

macro_rules! day_counts {
    () => {
        "SELECT folder_id, at / 86400000, sync_type, sum(files), sum(bytes), sum(failed), sum(syncs), sum(failed_syncs)
         FROM day_facts JOIN folders USING (path) GROUP BY 1, 2, 3
         UNION ALL
         SELECT 0, at / 86400000, sync_type, sum(files), sum(bytes), sum(failed), sum(syncs), sum(failed_syncs)
         FROM day_facts GROUP BY 2, 3"
    };
}

macro_rules! arrivals {
    () => {
        "SELECT folder_id, at / 900000, sum(files), sum(bytes) FROM arrival_facts JOIN folders USING (path) GROUP BY 1, 2"
    };
}

/// For each kind of count: its name, the correct values, the stored values, and the effect of a difference.
const COUNTS: [(&str, &str, &str, &str); 4] = [
    ("upload_counts", upload_counts!(), "SELECT * FROM upload_counts", WRONG_PAGES),
    // A block without rows may stay with zero counts.
    ("sync_counts", sync_counts!(), "SELECT * FROM sync_counts WHERE total <> 0", WRONG_PAGES),
    ("day_counts", day_counts!(), "SELECT * FROM day_counts", "days disagree with the rows, so charts are wrong"),
    (
        "arrivals",
        arrivals!(),
        "SELECT * FROM arrivals",
        "quarter hours disagree with the rows, so datasets may look late",
    ),
];

const WRONG_PAGES: &str = "blocks disagree with the rows, so pages of lists start at the wrong row";

const RECOUNT: &str = concat!(
    "UPDATE syncs SET (total_files, num_failed, num_in_flight, size_bytes) = (
         SELECT count(*) + num_unlisted, coalesce(sum(status = 'Failed'), 0) + num_unlisted, coalesce(sum(status = 'Syncing'), 0),
                coalesce(sum(CASE status WHEN 'Finished' THEN size_bytes END), 0)
         FROM uploads WHERE uploads.sync_id = syncs.sync_id);
     DELETE FROM upload_counts;
     INSERT INTO upload_counts ",
    upload_counts!(),
    ";
     DELETE FROM sync_counts;
     INSERT INTO sync_counts ",
    sync_counts!(),
    ";
     DELETE FROM day_counts;
     INSERT INTO day_counts ",
    day_counts!(),
    ";
     DELETE FROM arrivals;
     INSERT INTO arrivals ",
    arrivals!()
);

async fn miscounts(connection: &mut SqliteConnection) -> Result<Vec<Miscount>, Error> {
    let of_sync = |row: &Row| {
        let mut differences = Vec::new();
        for (column, name) in ["total_files", "num_failed", "num_in_flight", "size_bytes"].into_iter().enumerate() {
            let (says, is): (i64, i64) = (row.try_get(column + 1)?, row.try_get(column + 5)?);
            if says != is {
                differences.push(format!("{name} is {says}, but the history has {is}"));
            }
        }
        let sync_id: i64 = row.try_get(0)?;
        Ok(Miscount { of: format!("sync {sync_id}"), difference: differences.join("; ") })
    };
    let mut miscounts = rows(connection, OF_SYNCS, values![], of_sync).await?;
    for (table, should_be, is, consequence) in COUNTS {
        let sql = format!(
            "SELECT (SELECT count(*) FROM (SELECT * FROM ({should_be}) EXCEPT {is})) + \
             (SELECT count(*) FROM (SELECT * FROM ({is}) EXCEPT SELECT * FROM ({should_be})))"
        );
        let wrong = found(connection, sql, values![], |row| row.try_get::<i64, _>(0)).await?;
        if let Some(wrong) = wrong.filter(|wrong| *wrong > 0) {
            let difference = format!("{wrong} {consequence}");
            miscounts.push(Miscount { of: table.to_owned(), difference });
        }
    }
    Ok(miscounts)
}
