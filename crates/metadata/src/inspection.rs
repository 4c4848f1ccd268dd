//! Reads every row and recounts, for `lakeshore check`, while no server runs.

use crate::backend::{Backend, MetadataStore};
use crate::query::{Connection, Dialect, RowOf, Select, Value, clamp, execute, fetch_all, fetch_optional, values};
use crate::row::{DbRow, UPLOAD_COLUMNS, id, index, is_null, number, path, time, upload};
use crate::transaction::Durability::Synced;
use crate::transaction::WriteTransaction;
use crate::trash::insert_trash;
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

#[async_trait]
impl<B: Backend> StateInspection for MetadataStore<B> {
    async fn damage(&self) -> Result<Vec<String>, Error> {
        damage(&mut self.0.list().await?).await
    }

    async fn miscounts(&self) -> Result<Vec<Miscount>, Error> {
        miscounts(&mut self.0.list().await?).await
    }

    async fn recount(&self) -> Result<(), Error> {
        self.0.write(Synced, (), |writing, ()| Box::pin(recount(writing))).await
    }

    async fn landed(&self, after: Option<&(LakePath, UploadId)>, size: u64) -> Result<Vec<Upload>, Error> {
        let mut select = Select::new(format!("SELECT {UPLOAD_COLUMNS} FROM uploads u WHERE status = 'Finished'"));
        if let Some((target, upload_id)) = after {
            select.push(" AND (target, history_id) > (").bind(target.as_str());
            select.push(", ").bind(id(upload_id.0)).push(")");
        }
        select.push(" ORDER BY target, history_id LIMIT ").bind(clamp(size));
        select.fetch_all(&mut self.0.list().await?, upload).await
    }

    async fn never_landed(&self, files: &[LakePath]) -> Result<Vec<LakePath>, Error> {
        // The index of statuses is of no use.
        let sql = format!(
            "SELECT asked.key AS number FROM json_each(?) AS asked WHERE NOT EXISTS (SELECT 1 FROM uploads \
             WHERE target = asked.value ->> 0 AND {}status = 'Finished') ORDER BY asked.key",
            B::Db::UNINDEXED
        );
        let asked = Value::column(files.iter().map(LakePath::as_str))?;
        let mut connection = self.0.list().await?;
        let never = fetch_all(&mut connection, sql, vec![asked], |row| index(row, "number")).await?;
        Ok(never.into_iter().filter_map(|file| files.get(file)).cloned().collect())
    }

    async fn landed_as(&self, content: &Digest, leaf: &str, size: u64) -> Result<Vec<LakePath>, Error> {
        let mut select = Select::new("SELECT DISTINCT target FROM uploads WHERE status = 'Finished' AND size_bytes = ");
        select.bind(id(content.size_bytes)).push(" AND sha256 = ").bind(content.sha256);
        let leaf = format!("/{leaf}");
        select.push(" AND substr(target, length(target) - length(").bind(&leaf).push(") + 1) = ").bind(&leaf);
        select.push(" ORDER BY target LIMIT ").bind(clamp(size));
        select.fetch_all(&mut self.0.list().await?, |row| path(row, "target")).await
    }

    async fn restored(&self) -> Result<Vec<(LakePath, Timestamp)>, Error> {
        let select = Select::new(
            "SELECT origin, max(restored_at) AS at FROM trash WHERE restored_at IS NOT NULL GROUP BY origin",
        );
        select.fetch_all(&mut self.0.list().await?, |row| Ok((path(row, "origin")?, time(row, "at")?))).await
    }

    async fn trash_slots(&self, after: TrashId, size: u64) -> Result<Vec<TrashSlot>, Error> {
        let mut select = Select::new("SELECT trash_id, trash_key, origin, emptying_at FROM trash");
        select.push(" WHERE restored_at IS NULL AND emptied_at IS NULL AND trash_id > ").bind(id(after.0));
        select.push(" ORDER BY trash_id LIMIT ").bind(clamp(size));
        select.fetch_all(&mut self.0.list().await?, trash_slot).await
    }

    async fn adopt_trash(&self, adopted: &NewTrash) -> Result<(), Error> {
        self.0.write(Synced, adopted.clone(), |writing, adopted| Box::pin(adopt_trash(writing, adopted))).await
    }
}

fn trash_slot(row: &impl DbRow) -> sqlx::Result<TrashSlot> {
    Ok(TrashSlot {
        trash_id: TrashId(number(row, "trash_id")?),
        key: TrashKey::from_stored(row.get("trash_key")?),
        origin: path(row, "origin")?,
        is_emptying: !is_null(row, "emptying_at")?,
    })
}

async fn adopt_trash(writing: &mut impl WriteTransaction, adopted: &NewTrash) -> Result<(), Error> {
    writing.lock_history().await?;
    insert_trash(writing, std::slice::from_ref(adopted)).await?;
    match adopted.sync_id {
        Some(sync_id) => moved::dropped(writing, sync_id, adopted.key.as_str()).await,
        None => Ok(()),
    }
}

async fn recount(writing: &mut impl WriteTransaction) -> Result<(), Error> {
    writing.lock_all_syncs().await?;
    writing.lock_history().await?;
    execute(writing, RECOUNT, values![]).await.map(drop)
}

pub(crate) async fn damage<C: Connection>(connection: &mut C) -> Result<Vec<String>, Error> {
    let mut damage = C::Db::damage(connection.raw()).await?;
    // "Skip N rows" is "id > N": see 0001_lake.sql.
    for (table, key) in [("syncs", "sync_id"), ("uploads", "history_id")] {
        let sql = format!("SELECT count(*), coalesce(max({key}), 0) FROM {table}");
        let counts = |row: &RowOf<C>| Ok((row.at::<i64>(0)?, row.at::<i64>(1)?));
        if let Some((count, last)) = fetch_optional(connection, sql, values![], counts).await?
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
     FROM syncs s LEFT JOIN (SELECT sync_id, count(*) AS total, count(*) FILTER (WHERE status = 'Failed') AS failed, \
     count(*) FILTER (WHERE status = 'Syncing') AS in_flight, \
     CAST(sum(CASE status WHEN 'Finished' THEN size_bytes ELSE 0 END) AS BIGINT) AS bytes \
     FROM uploads GROUP BY sync_id) AS u USING (sync_id) \
     WHERE s.total_files - s.num_unlisted <> coalesce(u.total, 0) \
     OR s.num_failed - s.num_unlisted <> coalesce(u.failed, 0) \
     OR s.num_in_flight <> coalesce(u.in_flight, 0) OR s.size_bytes <> coalesce(u.bytes, 0) ORDER BY s.sync_id";

macro_rules! upload_counts {
    () => {
        "SELECT scope, scope_id, span, position >> span, count(*), count(*) FILTER (WHERE status = 'Finished'), \
         count(*) FILTER (WHERE status = 'Failed') \
         FROM upload_positions CROSS JOIN (SELECT 10 AS span UNION ALL SELECT 20) AS spans GROUP BY 1, 2, 3, 4"
    };
}

macro_rules! sync_counts {
    () => {
        "SELECT sync_type, status, span, sync_id >> span, count(*) \
         FROM syncs CROSS JOIN (SELECT 10 AS span UNION ALL SELECT 20) AS spans GROUP BY 1, 2, 3, 4"
    };
}

macro_rules! sums_of_days {
    () => {
        "at / 86400000, sync_type, CAST(sum(files) AS BIGINT), CAST(sum(bytes) AS BIGINT), CAST(sum(failed) AS BIGINT), \
         CAST(sum(syncs) AS BIGINT), CAST(sum(failed_syncs) AS BIGINT) FROM day_facts"
    };
}

macro_rules! day_counts {
    () => {
        concat!(
            "SELECT folder_id, ",
            sums_of_days!(),
            " JOIN folders USING (path) GROUP BY 1, 2, 3 UNION ALL SELECT 0, ",
            sums_of_days!(),
            " GROUP BY 2, 3"
        )
    };
}

macro_rules! arrivals {
    () => {
        "SELECT folder_id, at / 900000, CAST(sum(files) AS BIGINT), CAST(sum(bytes) AS BIGINT) \
         FROM arrival_facts JOIN folders USING (path) GROUP BY 1, 2"
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
    "UPDATE syncs SET (total_files, num_failed, num_in_flight, size_bytes) = ( \
         SELECT count(*) + num_unlisted, count(*) FILTER (WHERE status = 'Failed') + num_unlisted, \
                count(*) FILTER (WHERE status = 'Syncing'), \
                CAST(coalesce(sum(CASE status WHEN 'Finished' THEN size_bytes END), 0) AS BIGINT) \
         FROM uploads WHERE uploads.sync_id = syncs.sync_id); \
     DELETE FROM upload_counts; \
     INSERT INTO upload_counts ",
    upload_counts!(),
    "; DELETE FROM sync_counts; INSERT INTO sync_counts ",
    sync_counts!(),
    "; DELETE FROM day_counts; INSERT INTO day_counts ",
    day_counts!(),
    "; DELETE FROM arrivals; INSERT INTO arrivals ",
    arrivals!()
);

pub(crate) async fn miscounts<C: Connection>(connection: &mut C) -> Result<Vec<Miscount>, Error> {
    let of_sync = |row: &RowOf<C>| {
        let mut differences = Vec::new();
        for (column, name) in ["total_files", "num_failed", "num_in_flight", "size_bytes"].into_iter().enumerate() {
            let (says, is): (i64, i64) = (row.at(column + 1)?, row.at(column + 5)?);
            if says != is {
                differences.push(format!("{name} is {says}, but the history has {is}"));
            }
        }
        let sync_id: i64 = row.at(0)?;
        Ok(Miscount { of: format!("sync {sync_id}"), difference: differences.join("; ") })
    };
    let mut miscounts = fetch_all(connection, OF_SYNCS, values![], of_sync).await?;
    for (table, should_be, is, consequence) in COUNTS {
        let sql = format!(
            "SELECT (SELECT count(*) FROM (SELECT * FROM ({should_be}) AS a EXCEPT {is}) AS more) + \
             (SELECT count(*) FROM (SELECT * FROM ({is}) AS a EXCEPT SELECT * FROM ({should_be}) AS b) AS less)"
        );
        let wrong = fetch_optional(connection, sql, values![], |row| row.at::<i64>(0)).await?;
        if let Some(wrong) = wrong.filter(|wrong| *wrong > 0) {
            let difference = format!("{wrong} {consequence}");
            miscounts.push(Miscount { of: table.to_owned(), difference });
        }
    }
    Ok(miscounts)
}
