//! Fills a database with a history of several years by plain SQL, since the server would take hours.
//!
//! All knowledge of the tables is in this file, which has to follow `crates/metadata/migrations/`. Values that the
//! engine derives from rows (the counters of a sync, the datasets) are derived at the end, by a statement each.
//!
//! The history has some 400 datasets, two to four folders deep; a few of them get half of the syncs. A sync has 1 to
//! 400 files, 100 on average; a quarter are full ones; one in a hundred has failed. A day's full syncs of a dataset
//! write the same names below `dt=…`. Of a hundred uploads two have failed. The last sync is open, with uploads in
//! flight.

use futures_util::TryStreamExt;
use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, FromRow, SqliteConnection};
use std::path::Path;
use tokio::sync::Mutex;

/// Files of ten consecutive syncs, a thousand in all.
const FILES_OF_SYNCS: [u64; 10] = [1, 2, 7, 20, 40, 60, 100, 120, 250, 400];
const FILES_OF_TEN_SYNCS: u64 = 1000;

/// Files of ten syncs: the index of the sync, and the number within it.
const CYCLE: &str = "CREATE TEMP TABLE cycle (position INTEGER PRIMARY KEY, sync INTEGER, ordinal INTEGER)";

/// Syncs `i`, each in dataset `d` of 400. The last one begins now.
const SYNCS: &str = "
    WITH RECURSIVE
        now (began) AS (SELECT unixepoch() * 1000 - ?1 * 600000),
        n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1),
        chosen (i, d) AS (SELECT i, iif(i % 2 = 0, (i / 2) % 20, (i / 2) % 400) FROM n),
        placed (i, path) AS (
            SELECT i, CASE d % 3
                WHEN 0 THEN '/data/table_' || d
                WHEN 1 THEN '/data/' || CASE d % 4 WHEN 0 THEN 'raw' WHEN 1 THEN 'clean' ELSE 'marts' END || '/table_' || d
                ELSE '/data/teams/team_' || (d % 17) || '/table_' || d
            END FROM chosen
        )
    INSERT INTO syncs (sync_id, name, path, sync_type, status, phase, start_time, end_time, started_by, last_activity, message)
    SELECT i, iif(i % 3 = 0, 'nightly ', 'hourly ') || i, path, iif(i % 8 IN (0, 3), 'FullSync', 'IncrementalSync'),
        iif(i % 101 = 57, 'Failed', 'Finished'), 'Ended', began + i * 600000, began + i * 600000 + 45000,
        'key ' || (i % 9), began + i * 600000 + 40000, iif(i % 101 = 57, 'aborted by key 3', '')
    FROM placed, now";

/// Folders of the syncs' files, and those above them.
const FOLDERS: [&str; 2] = [
    "INSERT INTO folders (path)
     WITH RECURSIVE up (path) AS (
         SELECT path || '/dt=' || date('2024-01-01', '+' || (sync_id / 400) || ' days') FROM syncs
         UNION SELECT path FROM syncs
         UNION
         SELECT substr(path, 1, length(rtrim(path, replace(path, '/', ''))) - 1) FROM up
         WHERE instr(substr(path, 2), '/') > 0
     ) SELECT path FROM up",
    "INSERT INTO folders_above
     WITH RECURSIVE up (folder_id, path) AS (
         SELECT folder_id, path FROM folders
         UNION ALL
         SELECT folder_id, substr(path, 1, length(rtrim(path, replace(path, '/', ''))) - 1) FROM up
         WHERE instr(substr(path, 2), '/') > 0
     ) SELECT up.folder_id, folders.folder_id FROM up JOIN folders USING (path)",
];

const UPLOADS: &str = "
    WITH RECURSIVE
        n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ?1 - 1),
        -- Multiplying by a large prime and taking bits from the middle is chance enough.
        of_sync (i, sync_id, ordinal, chance) AS (
            SELECT i, i / 1000 * 10 + sync, ordinal, (i * 2654435761 >> 12) % 1000 FROM n JOIN cycle ON position = i % 1000
        ),
        named (i, sync_id, ordinal, chance, file_name) AS (
            SELECT i, sync_id, ordinal, chance,
                printf('part-%05d', ordinal) || iif(sync_id % 8 IN (0, 3), '', printf('-%08x', i)) || iif(chance % 7 = 0, '.csv', '.parquet')
            FROM of_sync
        )
    INSERT INTO uploads (history_id, sync_id, ordinal, file_name, target, folder_id, status, start_time, end_time, size_bytes, sha256, message)
    SELECT i + 1, sync_id, ordinal, file_name, folders.path || '/' || file_name, folder_id,
        iif(chance < 20, 'Failed', 'Finished'), start_time + ordinal * 100, start_time + ordinal * 100 + 40,
        1000000 + chance * 1000, iif(chance < 20, NULL, randomblob(32)), iif(chance < 20, 'the connection broke off', '')
    FROM named JOIN syncs USING (sync_id)
        JOIN folders ON folders.path = syncs.path || '/dt=' || date('2024-01-01', '+' || (sync_id / 400) || ' days')
    ORDER BY i";

/// The last sync is open, with its last files in flight.
const IN_FLIGHT: [&str; 2] = [
    "UPDATE syncs SET status = 'Syncing', phase = 'Open', end_time = 0, sync_type = 'IncrementalSync', message = ''
     WHERE sync_id = (SELECT max(sync_id) FROM syncs)",
    "UPDATE uploads SET status = 'Syncing', end_time = 0, size_bytes = 0, sha256 = NULL, message = '',
         partial = printf('%016x', history_id), identity = '1'
     WHERE history_id > (SELECT max(history_id) - 60 FROM uploads)",
];

const TRASH: [&str; 2] = [
    "INSERT INTO trash (trash_key, origin, kind, reason, sync_id, trashed_by, trashed_at, files, bytes)
     SELECT 'sync-' || sync_id, path, 'Dataset', iif(status = 'Failed', 'Aborted', 'Replaced'), sync_id, started_by, end_time, 9, 9000000
     FROM syncs WHERE sync_type = 'FullSync' AND phase = 'Ended' ORDER BY sync_id",
    "INSERT INTO trash (trash_key, origin, kind, reason, sync_id, trashed_by, trashed_at, files, bytes)
     SELECT 'upload-' || history_id, target, 'File', 'Overwritten', sync_id, 'key 1', end_time, 1, size_bytes
     FROM uploads WHERE history_id % 100 = 0 AND status = 'Finished' ORDER BY history_id",
];

/// Tables that the engine keeps up to date as rows arrive.
const DERIVED: [&str; 6] = [
    // Otherwise the first look at a version would derive one of each landing: half an hour for ten million rows.
    "UPDATE version_state SET last_landed = (SELECT max(history_id) FROM uploads)",
    "UPDATE syncs SET total_files = counted.total, num_failed = counted.failed, num_in_flight = counted.in_flight,
         size_bytes = counted.bytes
     FROM (
         SELECT sync_id, count(*) AS total, sum(status = 'Failed') AS failed, sum(status = 'Syncing') AS in_flight,
             sum(iif(status = 'Finished', size_bytes, 0)) AS bytes
         FROM uploads GROUP BY sync_id
     ) AS counted WHERE counted.sync_id = syncs.sync_id",
    "INSERT INTO day_counts
     SELECT folder_id, at / 86400000, sync_type, sum(files), sum(bytes), sum(failed), sum(syncs), sum(failed_syncs)
     FROM day_facts JOIN folders USING (path) GROUP BY 1, 2, 3
     UNION ALL SELECT 0, at / 86400000, sync_type, sum(files), sum(bytes), sum(failed), sum(syncs), sum(failed_syncs)
     FROM day_facts GROUP BY 2, 3",
    "INSERT INTO arrivals
     SELECT folder_id, at / 900000, sum(files), sum(bytes) FROM arrival_facts JOIN folders USING (path) GROUP BY 1, 2",
    "INSERT INTO datasets (path, last_sync_id, first_landed, last_landed, rhythm)
     SELECT path, max(sync_id), min(end_time), max(end_time), '{\"every\":\"day\",\"by\":\"07:00\",\"files_min\":10}'
     FROM syncs WHERE end_time > 0 GROUP BY path",
    "INSERT INTO upload_counts
     SELECT scope, scope_id, span, position >> span, count(*), sum(status = 'Finished'), sum(status = 'Failed')
     FROM upload_positions JOIN (SELECT 10 AS span UNION ALL SELECT 20) GROUP BY scope, scope_id, span, position >> span",
];

/// Versions of the first dataset, one for each of its files that landed, up to a million.
const VERSIONS_MAX: u64 = 1_000_000;
const VERSIONS: [&str; 2] = [
    "INSERT INTO versions (folder_id, number, seq, at, kind, sync_id, made_by, files, bytes, digest)
     WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1),
         of (folder_id, syncs) AS (
             SELECT (SELECT folder_id FROM folders WHERE path = (SELECT min(path) FROM datasets)), max(sync_id) FROM syncs
         )
     SELECT folder_id, i, i, 1700000000000 + i * 1000, 'landing', 1 + i % syncs, 'key 1', i, i * 1000000, randomblob(32)
     FROM of JOIN n",
    "INSERT INTO version_rows
     SELECT folder_id, span, number >> span, count(*) * 100, count(*)
     FROM versions JOIN (SELECT 0 AS span UNION ALL SELECT 10 UNION ALL SELECT 20) WHERE number <= ?1 GROUP BY 1, 2, 3",
];

async fn open(file: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(file).disable_statement_logging().connect().await.unwrap()
}

/// Runs statements without values.
async fn execute(connection: &mut SqliteConnection, sql: impl Into<String>) {
    sqlx::raw_sql(AssertSqlSafe(sql.into())).execute(connection).await.unwrap();
}

/// Fills a database with empty tables with about `rows` rows of history.
pub async fn fill(file: &Path, rows: u64) {
    let rows = rows.div_ceil(FILES_OF_TEN_SYNCS) * FILES_OF_TEN_SYNCS;
    let connection = &mut open(file).await;
    let pragmas = "PRAGMA synchronous = OFF; PRAGMA cache_size = -1000000; PRAGMA temp_store = MEMORY; BEGIN";
    execute(connection, pragmas).await;
    execute(connection, CYCLE).await;
    let mut position = 0;
    for (files, sync) in FILES_OF_SYNCS.into_iter().zip(1_u32..) {
        let sql = format!(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {files})
             INSERT INTO cycle SELECT {position} + i - 1, {sync}, i FROM n"
        );
        execute(connection, sql).await;
        position += files;
    }
    sqlx::query(SYNCS).bind((rows / 100).cast_signed()).execute(&mut *connection).await.unwrap();
    for sql in FOLDERS {
        execute(connection, sql).await;
    }
    sqlx::query(UPLOADS).bind(rows.cast_signed()).execute(&mut *connection).await.unwrap();
    for sql in IN_FLIGHT.into_iter().chain(TRASH).chain(DERIVED) {
        execute(connection, sql).await;
    }
    for sql in VERSIONS {
        sqlx::query(sql).bind(rows.min(VERSIONS_MAX).cast_signed()).execute(&mut *connection).await.unwrap();
    }
    // Without statistics, as in the server's own databases.
    execute(connection, "COMMIT; PRAGMA wal_checkpoint(TRUNCATE)").await;
}

/// Values for the filters.
pub struct Examples {
    /// A sync with many files.
    pub sync_id: u64,
    pub dataset: String,
    /// The dataset with versions.
    pub versioned: String,
    /// Folder above the file.
    pub folder: String,
    /// A file that several syncs have written.
    pub file: String,
    /// A text in the name of one file.
    pub rare_text: String,
}

/// Counts the rows that a list should return.
pub struct Counter {
    connection: Mutex<SqliteConnection>,
}

impl Counter {
    pub async fn open(file: &Path) -> Self {
        Self { connection: Mutex::new(open(file).await) }
    }

    pub async fn close(self) {
        self.connection.into_inner().close().await.unwrap();
    }

    /// Number of rows of a table that match a condition.
    pub async fn count(&self, table: &str, condition: &str) -> u64 {
        let (count,): (i64,) = self.row(format!("SELECT count(*) FROM {table} WHERE {condition}")).await;
        count.cast_unsigned()
    }

    /// Highest number in a column of the rows that match a condition.
    pub async fn highest(&self, column: &str, table: &str, condition: &str) -> u64 {
        let (highest,): (i64,) = self.row(format!("SELECT max({column}) FROM {table} WHERE {condition}")).await;
        highest.cast_unsigned()
    }

    pub async fn examples(&self) -> Examples {
        // The largest of ten syncs, from the middle, and a full one before it, whose names others share.
        let sync_id = (self.count("syncs", "1").await / 20 * 10).max(10);
        let sql = format!(
            "SELECT path, file_name FROM syncs JOIN uploads USING (sync_id) WHERE sync_id = {sync_id} ORDER BY history_id LIMIT 1"
        );
        let (dataset, rare_text): (String, String) = self.row(sql).await;
        let folder = dataset.rsplit_once('/').unwrap().0.to_owned();
        let (file,) = self.row(format!("SELECT target FROM uploads WHERE sync_id = {sync_id} / 8 * 8 LIMIT 1")).await;
        let (versioned,) = self.row("SELECT min(path) FROM datasets").await;
        Examples { sync_id, dataset, versioned, folder, file, rare_text }
    }

    /// First row of a query, as a tuple.
    pub async fn row<T: for<'r> FromRow<'r, SqliteRow> + Send + Unpin>(&self, sql: impl Into<String>) -> T {
        let mut connection = self.connection.lock().await;
        sqlx::query_as(AssertSqlSafe(sql.into())).fetch_one(&mut *connection).await.unwrap()
    }

    /// Calls `look` with the first column of each row.
    pub async fn each(&self, sql: &'static str, mut look: impl FnMut(String)) {
        let mut connection = self.connection.lock().await;
        let mut rows = sqlx::query_scalar(sql).fetch(&mut *connection);
        while let Some(text) = rows.try_next().await.unwrap() {
            look(text);
        }
    }
}
