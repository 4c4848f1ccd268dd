//! Versions of datasets, by the tables from `trees` on. They are made where datasets change: [`landed`] and [`moved`]; [`files`]
//! lists what one holds, [`counting`] adds the rows of files that were looked at later, [`backfill`] makes those of before.

pub(super) mod counting;
mod files;
mod heads;
pub(super) mod landed;
pub(super) mod moved;
mod pins;
mod snapshots;

pub(super) use heads::at_and_above;
pub(super) use pins::{PINNED, pinned_path};

use super::PostgresState;
use super::query::{Row, Select, Value, changed, clamp, found, values};
use super::writing::Durability::Written;
use super::writing::transaction;
use crate::row::{bytes, id, number, number_if_any, parsed, path, time};
use async_trait::async_trait;
use heads::all_above;
use lakeshore::model::access::actor::Actor;
use lakeshore::model::id::KeyId;
use lakeshore::model::id::SyncId;
use lakeshore::model::id::TrashId;
use lakeshore::model::id::VersionNumber;
use lakeshore::model::path::LakePath;
use lakeshore::model::snapshot::{NewSnapshot, Snapshot, SnapshotState, SnapshotToken};
use lakeshore::model::version::{Pin, Version, VersionFile, VersionKind, WhichVersion};
use lakeshore::ports::VersionStore;
use lakeshore::ports::metadata::version::VersionFilesQuery;
use lakeshore::ports::storage::Touched;
use lakeshore::{Error, Timestamp};
use sqlx::{PgConnection, Row as _};

#[async_trait]
impl VersionStore for PostgresState {
    async fn dataset_of(&self, place: &LakePath) -> Result<Option<LakePath>, Error> {
        let places = all_above([place.as_str()]);
        let asked = vec![Value::texts(places.iter().copied())];
        found(&mut *self.look().await?, DATASET_OF, asked, |row| path(row, "path")).await
    }

    async fn list_versions(&self, dataset: &LakePath, from: u64, size: u64) -> Result<Vec<Version>, Error> {
        let mut connection = self.look().await?;
        let Some((folder_id, last)) = last_of(&mut connection, dataset).await? else { return Ok(Vec::new()) };
        let newest = last.saturating_sub(clamp(from));
        let oldest = newest.saturating_sub(clamp(size)).max(0);
        versions(&mut connection, dataset, folder_id, last, oldest, newest).await
    }

    async fn find_version(&self, dataset: &LakePath, which: WhichVersion) -> Result<Option<Version>, Error> {
        let mut connection = self.look().await?;
        let Some((folder_id, last)) = last_of(&mut connection, dataset).await? else { return Ok(None) };
        let number = match which {
            WhichVersion::Current => last,
            WhichVersion::Number(number) => id(number.0),
            WhichVersion::AsOf(at) => {
                let number = found(&mut connection, AS_OF, values![folder_id, at.0], |row| row.try_get(0)).await?;
                let Some(number) = number else { return Ok(None) };
                number
            }
        };
        let one = versions(&mut connection, dataset, folder_id, last, number.saturating_sub(1), number).await?;
        Ok(one.into_iter().next())
    }

    async fn current_version(&self, dataset: &LakePath) -> Result<Option<VersionNumber>, Error> {
        let last = last_of(&mut *self.look().await?, dataset).await?;
        Ok(last.map(|(_, last)| VersionNumber(last.cast_unsigned())))
    }

    async fn version_files(&self, wanted: &VersionFilesQuery) -> Result<Vec<VersionFile>, Error> {
        files::list(&mut *self.list().await?, wanted).await
    }

    async fn version_file(
        &self,
        dataset: &LakePath,
        version: VersionNumber,
        file: &LakePath,
    ) -> Result<Option<VersionFile>, Error> {
        files::one(&mut *self.look().await?, dataset, version, file).await
    }

    async fn trash_of_version(&self, dataset: &LakePath, version: VersionNumber) -> Result<Option<TrashId>, Error> {
        files::whole_piece(&mut *self.look().await?, dataset, version).await
    }

    async fn restoring_syncs(&self) -> Result<Vec<SyncId>, Error> {
        let select = Select::new(
            "SELECT sync_id FROM syncs WHERE phase <> 'Ended' AND phase = 'Open' AND restores_version IS NOT NULL",
        );
        select.rows(&mut *self.look().await?, |row| Ok(SyncId(number(row, "sync_id")?))).await
    }

    async fn pin_version(
        &self,
        dataset: &LakePath,
        version: VersionNumber,
        note: Option<&str>,
        by: &Actor,
        at: Timestamp,
    ) -> Result<bool, Error> {
        pins::set(self, dataset, version, note, by, at).await
    }

    async fn set_touched(&self, touched: &[(LakePath, Touched)]) -> Result<(), Error> {
        let row = |(target, touched): &(LakePath, Touched)| {
            (target.as_str().to_owned(), touched.identity.0.clone(), touched.before.0, touched.after.0)
        };
        let touched = Value::rows(&touched.iter().map(row).collect::<Vec<_>>())?;
        transaction!(self, Written, |writing| changed(writing, TOUCH, values![touched]).await.map(drop))
    }

    async fn begin_snapshot(&self, new: &NewSnapshot) -> Result<(), Error> {
        snapshots::begin(self, new).await
    }

    async fn snapshot(&self, token: &SnapshotToken) -> Result<Option<Snapshot>, Error> {
        snapshots::find(self, token).await
    }

    async fn snapshots(&self) -> Result<Vec<Snapshot>, Error> {
        snapshots::list(self).await
    }

    async fn set_snapshot(
        &self,
        token: &SnapshotToken,
        state: SnapshotState,
        expires_at: Timestamp,
    ) -> Result<(), Error> {
        snapshots::set(self, token, state, expires_at).await
    }

    async fn delete_snapshot(&self, token: &SnapshotToken) -> Result<(), Error> {
        snapshots::delete(self, token).await
    }
}

/// Records that the lake changed files. Row of a file: path, identity, and change time before and after. The recorded time
/// never decreases, as two records of one file may arrive in any order.
const TOUCH: &str = "\
    UPDATE uploads SET touched_at = greatest(touched_at, (w.value ->> 3)::bigint) FROM json_rows($1) w WHERE uploads.history_id = ( \
        SELECT history_id FROM (SELECT history_id, identity FROM uploads l WHERE l.target = w.value ->> 0 \
            AND l.status = 'Finished' ORDER BY history_id DESC LIMIT 100) AS last WHERE identity = w.value ->> 1 \
            ORDER BY history_id DESC LIMIT 1) \
    AND greatest(uploads.end_time, uploads.touched_at) >= (w.value ->> 2)::bigint";

/// The lowest of the places that has a version.
const DATASET_OF: &str = "\
    SELECT f.path FROM folders f WHERE f.path = ANY(?) \
    AND EXISTS (SELECT 1 FROM versions v WHERE v.folder_id = f.folder_id) ORDER BY length(f.path) DESC LIMIT 1";

/// The newest version of a time or earlier: times ascend with the numbers, so the number is found by halving. An index by time
/// would be written by each landing.
const AS_OF: &str = "\
    WITH RECURSIVE halving (low, high) AS ( \
        SELECT 0::bigint, (SELECT max(number) FROM versions WHERE folder_id = $1) UNION ALL \
        SELECT CASE WHEN v.at <= $2 THEN v.number ELSE low END, CASE WHEN v.at <= $2 THEN high ELSE v.number - 1 END \
        FROM halving JOIN versions v ON v.folder_id = $1 AND v.number = (low + high + 1) / 2 WHERE low < high) \
    SELECT low FROM halving WHERE low = high AND low > 0";

const LAST: &str = "\
    SELECT f.folder_id, (SELECT max(number) FROM versions v WHERE v.folder_id = f.folder_id) AS number \
    FROM folders f WHERE f.path = ?";

/// The folder of a dataset, and the number of its newest version.
async fn last_of(connection: &mut PgConnection, dataset: &LakePath) -> Result<Option<(i64, i64)>, Error> {
    let last = |row: &Row| Ok((row.try_get::<i64, _>("folder_id")?, row.try_get::<Option<i64>, _>("number")?));
    let last = found(connection, LAST, values![dataset.as_str()], last).await?;
    Ok(last.and_then(|(folder_id, number)| Some((folder_id, number?))))
}

/// The rows of the versions up to a number, by blocks: of 2^20 versions, of 2^10, and one by one.
const ROWS_BEFORE: &str = "\
    SELECT coalesce(sum(row_count), 0)::bigint AS row_count, coalesce(sum(counted), 0)::bigint AS counted FROM ( \
    SELECT row_count, counted FROM version_rows WHERE folder_id = $1 AND span = 20 AND block < $2 >> 20 \
    UNION ALL SELECT row_count, counted FROM version_rows WHERE folder_id = $1 AND span = 10 \
        AND block >= ($2 >> 20) << 10 AND block < $2 >> 10 \
    UNION ALL SELECT row_count, counted FROM version_rows WHERE folder_id = $1 AND span = 0 \
        AND block >= ($2 >> 10) << 10 AND block <= $2) AS blocks";

fn page(folder_id: i64, after: i64, upto: i64) -> Select {
    let mut select = Select::new(
        "SELECT v.*, s.name AS sync_name, s.path AS sync_path, r.row_count AS more_rows, r.counted AS more_counted, \
         coalesce(v.key_id, (SELECT a.key_id FROM activity a WHERE a.sync_id = v.sync_id AND v.kind = 'landing' \
             ORDER BY a.activity_id LIMIT 1)) AS by_key, \
         (SELECT c.schema_id FROM sync_schemas c WHERE c.sync_id = v.sync_id ORDER BY c.files DESC, c.first_id LIMIT 1) \
             AS schema_id, p.note, p.pinned_by, p.pinned_at \
         FROM versions v LEFT JOIN syncs s ON s.sync_id = v.sync_id \
         LEFT JOIN version_rows r ON r.folder_id = v.folder_id AND r.span = 0 AND r.block = v.number \
         LEFT JOIN version_pins p ON p.folder_id = v.folder_id AND p.number = v.number WHERE v.folder_id = ",
    );
    select.bind(folder_id).push(" AND v.number > ").bind(after).push(" AND v.number <= ").bind(upto);
    select.push(" ORDER BY v.number");
    select
}

/// Those behind one number, up to another; the newest first.
async fn versions(
    connection: &mut PgConnection,
    dataset: &LakePath,
    folder_id: i64,
    last: i64,
    after: i64,
    upto: i64,
) -> Result<Vec<Version>, Error> {
    let sums = |row: &Row| Ok((row.try_get::<i64, _>("row_count")?, row.try_get::<i64, _>("counted")?));
    let before = found(connection, ROWS_BEFORE, values![folder_id, after.max(0)], sums).await?;
    let (mut row_count, mut counted) = before.unwrap_or_default();
    let decode = |row: &Row| {
        row_count += row.try_get::<Option<i64>, _>("more_rows")?.unwrap_or(0);
        counted += row.try_get::<Option<i64>, _>("more_counted")?.unwrap_or(0);
        version(row, dataset, last, row_count, counted)
    };
    let mut versions = page(folder_id, after, upto).rows(connection, decode).await?;
    versions.reverse();
    Ok(versions)
}

fn version(row: &Row, dataset: &LakePath, last: i64, row_count: i64, counted: i64) -> sqlx::Result<Version> {
    let version = number(row, "number")?;
    let files = number(row, "files")?;
    let pin = match row.try_get::<Option<String>, _>("note")? {
        Some(note) => Some(Pin { note, pinned_by: row.try_get("pinned_by")?, pinned_at: time(row, "pinned_at")? }),
        None => None,
    };
    Ok(Version {
        version: VersionNumber(version),
        path: dataset.clone(),
        at: time(row, "at")?,
        kind: parsed(row, "kind", VersionKind::parse)?,
        is_current: version == last.cast_unsigned(),
        sync_id: number_if_any(row, "sync_id")?.map(SyncId),
        sync_name: row.try_get("sync_name")?,
        sync_path: match row.try_get::<Option<String>, _>("sync_path")? {
            Some(_) => Some(path(row, "sync_path")?),
            None => None,
        },
        restored_version: number_if_any(row, "restored_from")?.map(VersionNumber),
        key_id: number_if_any(row, "by_key")?.map(KeyId),
        made_by: row.try_get("made_by")?,
        files,
        size_bytes: number(row, "bytes")?,
        rows: row_count.max(0).cast_unsigned(),
        num_rows_unknown: files.saturating_sub(counted.max(0).cast_unsigned()),
        list_digest: hex::encode(bytes::<32>(row, "digest")?),
        schema_id: number_if_any(row, "schema_id")?,
        is_complete: row.try_get("is_complete")?,
        pin,
    })
}

/// The change of a version.
async fn seq_of(
    connection: &mut PgConnection,
    dataset: &LakePath,
    version: VersionNumber,
) -> Result<Option<i64>, Error> {
    let sql = "SELECT v.seq FROM folders f JOIN versions v ON v.folder_id = f.folder_id \
               WHERE f.path = ? AND v.number = ?";
    found(connection, sql, values![dataset.as_str(), id(version.0)], |row| row.try_get(0)).await
}
