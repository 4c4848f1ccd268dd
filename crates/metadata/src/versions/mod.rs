//! Versions of datasets, by the tables from `trees` on. Publishes and restores make them in their transactions ([`moved`]);
//! when landings do ([`landing`]) is a matter of each database. [`files`] lists the files of one, [`counting`] adds the rows
//! of files that are read later.

pub(crate) mod counting;
mod files;
pub(crate) mod heads;
pub(crate) mod landing;
pub(crate) mod moved;
mod pins;
mod snapshots;

pub(crate) use pins::{pinned, pinned_path};

use crate::backend::{Backend, MetadataStore};
use crate::query::{Connection, Dialect, RowOf, Select, Text, Value, clamp, execute, fetch_optional, values};
use crate::row::{DbRow, bytes, id, number, number_if_any, parsed, path, time};
use crate::transaction::Durability::Passing;
use async_trait::async_trait;
use heads::all_above;
use lakeshore::model::access::actor::Actor;
use lakeshore::model::audit::AuditEntry;
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
#[async_trait]
impl<B: Backend> VersionStore for MetadataStore<B> {
    async fn dataset_of(&self, place: &LakePath) -> Result<Option<LakePath>, Error> {
        let places = all_above([place.as_str()]);
        let asked = vec![Value::column(places)?];
        fetch_optional(&mut versioned(&self.0).await?.look().await?, DATASET_OF, asked, |row| path(row, "path")).await
    }

    async fn list_versions(&self, dataset: &LakePath, from: u64, size: u64) -> Result<Vec<Version>, Error> {
        let mut connection = versioned(&self.0).await?.look().await?;
        let Some((folder_id, last)) = last_of(&mut connection, dataset).await? else { return Ok(Vec::new()) };
        let newest = last.saturating_sub(clamp(from));
        let oldest = newest.saturating_sub(clamp(size)).max(0);
        versions(&mut connection, dataset, folder_id, last, oldest, newest).await
    }

    async fn find_version(&self, dataset: &LakePath, which: WhichVersion) -> Result<Option<Version>, Error> {
        let mut connection = versioned(&self.0).await?.look().await?;
        let Some((folder_id, last)) = last_of(&mut connection, dataset).await? else { return Ok(None) };
        let number = match which {
            WhichVersion::Current => last,
            WhichVersion::Number(number) => id(number.0),
            WhichVersion::AsOf(at) => {
                let number = fetch_optional(&mut connection, AS_OF, values![folder_id, at.0], |row| row.at(0)).await?;
                let Some(number) = number else { return Ok(None) };
                number
            }
        };
        let one = versions(&mut connection, dataset, folder_id, last, number.saturating_sub(1), number).await?;
        Ok(one.into_iter().next())
    }

    async fn current_version(&self, dataset: &LakePath) -> Result<Option<VersionNumber>, Error> {
        let last = last_of(&mut versioned(&self.0).await?.look().await?, dataset).await?;
        Ok(last.map(|(_, last)| VersionNumber(last.cast_unsigned())))
    }

    async fn version_files(&self, wanted: &VersionFilesQuery) -> Result<Vec<VersionFile>, Error> {
        files::list(&mut versioned(&self.0).await?.list().await?, wanted).await
    }

    async fn version_file(
        &self,
        dataset: &LakePath,
        version: VersionNumber,
        file: &LakePath,
    ) -> Result<Option<VersionFile>, Error> {
        files::one(&mut versioned(&self.0).await?.look().await?, dataset, version, file).await
    }

    async fn trash_of_version(&self, dataset: &LakePath, version: VersionNumber) -> Result<Option<TrashId>, Error> {
        files::whole_item(&mut versioned(&self.0).await?.look().await?, dataset, version).await
    }

    async fn restoring_syncs(&self) -> Result<Vec<SyncId>, Error> {
        let select = Select::new(
            "SELECT sync_id FROM syncs WHERE phase <> 'Ended' AND phase = 'Open' AND restores_version IS NOT NULL",
        );
        select.fetch_all(&mut self.0.look().await?, |row| Ok(SyncId(number(row, "sync_id")?))).await
    }

    async fn pin_version(
        &self,
        dataset: &LakePath,
        version: VersionNumber,
        note: Option<&str>,
        by: &Actor,
        at: Timestamp,
    ) -> Result<bool, Error> {
        pins::set(&self.0, dataset, version, note, AuditEntry::version_pinned(dataset, version, note, by, at)).await
    }

    async fn set_touched(&self, touched: &[(LakePath, Touched)]) -> Result<(), Error> {
        let row = |(target, touched): &(LakePath, Touched)| {
            (target.as_str().to_owned(), touched.identity.0.clone(), touched.before.0, touched.after.0)
        };
        let touched = Value::rows(&touched.iter().map(row).collect::<Vec<_>>())?;
        self.0
            .write(Passing, touched, |writing, touched| {
                Box::pin(async move { execute(writing, touch(writing), vec![touched.clone()]).await.map(drop) })
            })
            .await
    }

    async fn begin_snapshot(&self, new: &NewSnapshot) -> Result<(), Error> {
        snapshots::begin(&self.0, new).await
    }

    async fn snapshot(&self, token: &SnapshotToken) -> Result<Option<Snapshot>, Error> {
        snapshots::find(&self.0, token).await
    }

    async fn snapshots(&self) -> Result<Vec<Snapshot>, Error> {
        snapshots::list(&self.0).await
    }

    async fn set_snapshot(
        &self,
        token: &SnapshotToken,
        state: SnapshotState,
        expires_at: Timestamp,
    ) -> Result<(), Error> {
        snapshots::set(&self.0, token, state, expires_at).await
    }

    async fn delete_snapshot(&self, token: &SnapshotToken) -> Result<(), Error> {
        snapshots::delete(&self.0, token).await
    }
}

/// The database, once the versions of all landings whose uploads were answered can be read.
async fn versioned<B: Backend>(backend: &B) -> Result<&B, Error> {
    backend.write_versions().await?;
    Ok(backend)
}

/// Records that the lake changed files. Row of a file: path, identity, and change time before and after. The recorded time
/// never decreases, as two records of one file may arrive in any order.
fn touch<C: Connection>(_: &C) -> &'static str {
    static TOUCH: Text = Text::new();
    TOUCH.of::<C::Db>(|| {
        format!(
            "UPDATE uploads SET touched_at = max(coalesce(touched_at, 0), CAST(w.value ->> 3 AS BIGINT)) \
             FROM json_each($1) AS w WHERE uploads.history_id = ( \
                 SELECT history_id FROM (SELECT history_id, identity FROM uploads l WHERE l.target = w.value ->> 0 \
                     AND {}l.status = 'Finished' ORDER BY history_id DESC LIMIT 100) AS last \
                 WHERE identity = w.value ->> 1 LIMIT 1) \
             AND max(uploads.end_time, coalesce(uploads.touched_at, 0)) >= CAST(w.value ->> 2 AS BIGINT)",
            C::Db::UNINDEXED
        )
    })
}

/// The lowest of the places that has a version.
const DATASET_OF: &str = "\
    SELECT f.path FROM json_each($1) CROSS JOIN folders f WHERE f.path = value ->> 0 \
    AND EXISTS (SELECT 1 FROM versions v WHERE v.folder_id = f.folder_id) ORDER BY length(f.path) DESC LIMIT 1";

/// The newest version of a time or earlier: times ascend with the numbers, so the number is found by halving. An index by time
/// would be written by each landing.
const AS_OF: &str = "\
    WITH RECURSIVE halving (low, high) AS ( \
        SELECT CAST(0 AS BIGINT), (SELECT max(number) FROM versions WHERE folder_id = $1) UNION ALL \
        SELECT CASE WHEN v.at <= $2 THEN v.number ELSE low END, CASE WHEN v.at <= $2 THEN high ELSE v.number - 1 END \
        FROM halving CROSS JOIN versions v WHERE v.folder_id = $1 AND v.number = (low + high + 1) / 2 AND low < high) \
    SELECT low FROM halving WHERE low = high AND low > 0";

const LAST: &str = "\
    SELECT f.folder_id, (SELECT max(number) FROM versions v WHERE v.folder_id = f.folder_id) AS number \
    FROM folders f WHERE f.path = ?";

/// The folder of a dataset, and the number of its newest version.
async fn last_of(connection: &mut impl Connection, dataset: &LakePath) -> Result<Option<(i64, i64)>, Error> {
    let last = fetch_optional(connection, LAST, values![dataset.as_str()], |row| {
        Ok((row.get::<i64>("folder_id")?, row.get::<Option<i64>>("number")?))
    });
    let last = last.await?;
    Ok(last.and_then(|(folder_id, number)| Some((folder_id, number?))))
}

/// The rows of the versions up to a number, by blocks: of 2^20 versions, of 2^10, and one by one.
const ROWS_BEFORE: &str = "\
    SELECT CAST(coalesce(sum(row_count), 0) AS BIGINT) AS row_count, CAST(coalesce(sum(counted), 0) AS BIGINT) AS counted FROM ( \
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
async fn versions<C: Connection>(
    connection: &mut C,
    dataset: &LakePath,
    folder_id: i64,
    last: i64,
    after: i64,
    upto: i64,
) -> Result<Vec<Version>, Error> {
    let before = fetch_optional(connection, ROWS_BEFORE, values![folder_id, after.max(0)], |row| {
        Ok((row.get::<i64>("row_count")?, row.get::<i64>("counted")?))
    });
    let (mut row_count, mut counted) = before.await?.unwrap_or_default();
    let decode = |row: &RowOf<C>| {
        row_count += row.get::<Option<i64>>("more_rows")?.unwrap_or(0);
        counted += row.get::<Option<i64>>("more_counted")?.unwrap_or(0);
        version(row, dataset, last, row_count, counted)
    };
    let mut versions = page(folder_id, after, upto).fetch_all(connection, decode).await?;
    versions.reverse();
    Ok(versions)
}

fn version(row: &impl DbRow, dataset: &LakePath, last: i64, row_count: i64, counted: i64) -> sqlx::Result<Version> {
    let version = number(row, "number")?;
    let files = number(row, "files")?;
    let pin = match row.get::<Option<String>>("note")? {
        Some(note) => Some(Pin { note, pinned_by: row.get("pinned_by")?, pinned_at: time(row, "pinned_at")? }),
        None => None,
    };
    Ok(Version {
        version: VersionNumber(version),
        path: dataset.clone(),
        at: time(row, "at")?,
        kind: parsed(row, "kind", VersionKind::parse)?,
        is_current: version == last.cast_unsigned(),
        sync_id: number_if_any(row, "sync_id")?.map(SyncId),
        sync_name: row.get("sync_name")?,
        sync_path: match row.get::<Option<String>>("sync_path")? {
            Some(_) => Some(path(row, "sync_path")?),
            None => None,
        },
        restored_version: number_if_any(row, "restored_from")?.map(VersionNumber),
        key_id: number_if_any(row, "by_key")?.map(KeyId),
        made_by: row.get("made_by")?,
        files,
        size_bytes: number(row, "bytes")?,
        rows: row_count.max(0).cast_unsigned(),
        num_rows_unknown: files.saturating_sub(counted.max(0).cast_unsigned()),
        list_digest: hex::encode(bytes::<32>(row, "digest")?),
        schema_id: number_if_any(row, "schema_id")?,
        is_complete: row.get("is_complete")?,
        pin,
    })
}

/// The change of a version.
async fn seq_of(
    connection: &mut impl Connection,
    dataset: &LakePath,
    version: VersionNumber,
) -> Result<Option<i64>, Error> {
    let sql = "SELECT v.seq FROM folders f CROSS JOIN versions v \
               WHERE v.folder_id = f.folder_id AND f.path = ? AND v.number = ?";
    fetch_optional(connection, sql, values![dataset.as_str(), id(version.0)], |row| row.at(0)).await
}
