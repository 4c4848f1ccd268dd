//! Migrations of the tables: `crates/metadata/migrations/sqlite/`, run by sqlx's migrator. Each program works with one
//! version.
//!
//! The table `_sqlx_migrations` records which have run, and `PRAGMA user_version` repeats the number: programs from
//! before sqlx recognise a database that is too new by it, and this program recognises theirs.

use sqlx::migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, Connection, Executor, SqlSafeStr, SqliteConnection};
use std::borrow::Cow;

macro_rules! migrations {
    ($($file:literal),* $(,)?) => {
        &[$(($file, include_str!(concat!("../../migrations/sqlite/", $file, ".sql")))),*]
    };
}

/// Numbered from 1, each by its name.
const MIGRATIONS: &[(&str, &str)] = migrations![
    "0001_lake",
    "0002_history_at_scale",
    "0003_trash_emptied",
    "0004_resumables",
    "0005_batches",
    "0006_taken_over",
    "0007_datasets",
    "0008_schemas",
    "0009_activity",
    "0010_sha512_of_resumables",
    "0011_search",
    "0012_pages_of_syncs_and_trash",
    "0013_inspections",
    "0014_owners",
    "0015_sessions_and_duplicates",
    "0016_lake_identity",
    "0017_clock",
    "0018_versions",
    "0019_fewer_pages",
    "0020_versions_later",
    "0021_namespace",
    "0022_tables",
    "0023_table_log_cleaning",
    "0024_open_syncs",
];

/// Version that this program works with.
pub(super) fn newest() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

fn migrator() -> Migrator {
    let migration = |(version, (file, sql)): (i64, &(&'static str, &'static str))| {
        let description = file.split_once('_').map_or(*file, |(_, description)| description).replace('_', " ");
        Migration::new(version, Cow::Owned(description), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations((1..).zip(MIGRATIONS).map(migration).collect())
}

/// Version of the database; 0 without tables. Only reads.
pub(super) async fn version(connection: &mut SqliteConnection) -> sqlx::Result<i64> {
    let counted: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *connection).await?;
    if !has_table(connection).await? {
        return Ok(counted);
    }
    let sql = "SELECT coalesce(max(version), 0) FROM _sqlx_migrations WHERE success";
    let migrated: i64 = sqlx::query_scalar(sql).fetch_one(connection).await?;
    Ok(migrated.max(counted))
}

async fn has_table(connection: &mut SqliteConnection) -> sqlx::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = '_sqlx_migrations')";
    sqlx::query_scalar(sql).fetch_one(connection).await
}

/// Whether every migration has run. Only reads, so that a full disk prevents no opening of an up-to-date database.
pub(super) async fn is_done(connection: &mut SqliteConnection) -> sqlx::Result<bool> {
    // The pragma is set after all migrations have run.
    let counted: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *connection).await?;
    Ok(counted == newest() && has_table(connection).await?)
}

/// Migrates the database to the newest version. Requires exclusive access.
pub(super) async fn run(connection: &mut SqliteConnection) -> Result<(), MigrateError> {
    run_to(connection, newest()).await
}

async fn run_to(connection: &mut SqliteConnection, version: i64) -> Result<(), MigrateError> {
    let migrator = migrator();
    adopt(connection, &migrator).await?;
    migrator.run_to(version, &mut *connection).await?;
    connection.execute(AssertSqlSafe(format!("PRAGMA user_version = {version}"))).await?;
    Ok(())
}

/// Records the migrations of a database from before sqlx. Such databases were counted by `PRAGMA user_version` alone;
/// the very first ones by the table alone, of which only the number is valid, since the text of their first migration
/// differs. By that text they differ from a new database whose making was cut short.
async fn adopt(connection: &mut SqliteConnection, migrator: &Migrator) -> Result<(), MigrateError> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let mut counted: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *transaction).await?;
    let mut has_table = has_table(&mut transaction).await?;
    if has_table && counted == 0 && is_of_another_first(&mut transaction, migrator).await? {
        transaction.execute("DROP TABLE _sqlx_migrations").await?;
        (counted, has_table) = (1, false);
    }
    if !has_table {
        transaction.ensure_migrations_table(&migrator.table_name).await?;
        for migration in migrator.iter().filter(|migration| migration.version <= counted) {
            transaction.skip(&migrator.table_name, migration).await?;
        }
        transaction.execute(AssertSqlSafe(format!("PRAGMA user_version = {counted}"))).await?;
    }
    transaction.commit().await?;
    Ok(())
}

async fn is_of_another_first(connection: &mut SqliteConnection, migrator: &Migrator) -> sqlx::Result<bool> {
    let sql = "SELECT checksum FROM _sqlx_migrations WHERE version = 1";
    let found: Option<Vec<u8>> = sqlx::query_scalar(sql).fetch_optional(connection).await?;
    let first = migrator.iter().next().map(|first| &first.checksum[..]);
    Ok(found.is_some_and(|found| first != Some(&found[..])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::connection::open_writing;
    use std::path::Path;

    /// Runs one or several statements without values.
    async fn execute(connection: &mut SqliteConnection, sql: &'static str) {
        connection.execute(sql).await.unwrap();
    }

    async fn texts(connection: &mut SqliteConnection, sql: &'static str) -> Vec<String> {
        sqlx::query_scalar(sql).fetch_all(connection).await.unwrap()
    }

    async fn empty(folder: &Path) -> SqliteConnection {
        let file = folder.join("lakeshore.db");
        std::fs::File::create(&file).unwrap();
        open_writing(&file).await.unwrap()
    }

    /// Sets the database up as programs from before sqlx left it.
    async fn counted_by_pragma(connection: &mut SqliteConnection, version: i64) {
        run_to(connection, version).await.unwrap();
        execute(connection, "DROP TABLE _sqlx_migrations").await;
    }

    #[tokio::test]
    async fn the_making_of_a_database_that_was_cut_short_behind_any_step_is_finished() {
        for done in 0..=newest() {
            let folder = tempfile::tempdir().unwrap();
            let mut connection = empty(folder.path()).await;
            adopt(&mut connection, &migrator()).await.unwrap();
            migrator().run_to(done, &mut connection).await.unwrap();
            assert_eq!(version(&mut connection).await.unwrap(), done);
            run(&mut connection).await.unwrap_or_else(|error| panic!("behind {done}: {error}"));
            assert!(is_done(&mut connection).await.unwrap());
        }
    }

    #[tokio::test]
    async fn a_database_of_any_version_and_either_count_becomes_the_newest_once() {
        let mut tables: Option<Vec<String>> = None;
        for before in 0..=newest() {
            let folder = tempfile::tempdir().unwrap();
            let mut connection = empty(folder.path()).await;
            if before > 0 {
                counted_by_pragma(&mut connection, before).await;
            }
            assert_eq!(version(&mut connection).await.unwrap(), before);
            for _ in 0..2 {
                run(&mut connection).await.unwrap();
                assert_eq!(version(&mut connection).await.unwrap(), newest());
            }
            let counted = format!("{}", newest());
            assert_eq!(texts(&mut connection, "SELECT user_version || '' FROM pragma_user_version").await, [&*counted]);
            assert_eq!(texts(&mut connection, "SELECT count(*) || '' FROM _sqlx_migrations").await, [&*counted]);
            let made = texts(&mut connection, "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY sql").await;
            assert_eq!(*tables.get_or_insert_with(|| made.clone()), made, "from version {before}");
        }
    }

    #[tokio::test]
    async fn a_database_of_the_first_version_keeps_its_rows_and_counts_them() {
        let folder = tempfile::tempdir().unwrap();
        let mut connection = empty(folder.path()).await;
        execute(&mut connection, MIGRATIONS[0].1).await;
        execute(
            &mut connection,
            "CREATE TABLE _sqlx_migrations (version BIGINT, success BOOLEAN, checksum BLOB);
             INSERT INTO _sqlx_migrations VALUES (1, true, x'0123');
             INSERT INTO syncs (name, path, sync_type, start_time, started_by, last_activity, total_files)
             VALUES ('n', '/a', 'IncrementalSync', 1, 'me', 1, 2);
             INSERT INTO uploads (sync_id, ordinal, file_name, target, status, start_time)
             VALUES (1, 1, 'x', '/a/dt=1/x', 'Finished', 1), (1, 2, 'y', '/a/dt=1/y', 'Failed', 1);",
        )
        .await;
        run(&mut connection).await.unwrap();
        run(&mut connection).await.unwrap();
        let above = "SELECT above.path FROM uploads JOIN folders_above USING (folder_id) \
                     JOIN folders above ON above.folder_id = above_id WHERE history_id = 1 ORDER BY above.path";
        assert_eq!(texts(&mut connection, above).await, ["/a", "/a/dt=1"]);
        let counts = "SELECT DISTINCT scope || ': ' || total || ' ' || finished || ' ' || failed FROM upload_counts \
                      WHERE span = 10 ORDER BY 1";
        assert_eq!(texts(&mut connection, counts).await, ["0: 2 1 1", "1: 2 1 1", "2: 2 1 1"]);
    }

    #[tokio::test]
    async fn what_was_owned_by_a_name_is_owned_by_the_one_key_of_that_name_or_by_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let mut connection = empty(folder.path()).await;
        let owners = MIGRATIONS.iter().position(|(file, _)| file.ends_with("_owners")).unwrap();
        counted_by_pragma(&mut connection, i64::try_from(owners).unwrap()).await;
        execute(
            &mut connection,
            "INSERT INTO api_keys (key_id, name, role, hint, hash, created_at, revoked_at) VALUES
                 (1, 'once', 'write', '', x'01', 1, NULL), (2, 'twice', 'write', '', x'02', 1, 5),
                 (3, 'twice', 'write', '', x'03', 6, NULL), (4, 'revoked', 'write', '', x'04', 1, 5);
             INSERT INTO syncs (name, path, sync_type, start_time, started_by, last_activity)
             VALUES ('n', '/a', 'IncrementalSync', 1, 'once', 1);
             INSERT INTO idempotency_keys (caller, key, fingerprint, sync_id, at)
             VALUES ('once', 'k', x'00', 1, 7), ('twice', 'k', x'00', 1, 7), ('first sign-in', 'k', x'00', 1, 7);
             INSERT INTO resumables (token, file_name, partial, identity, durable_bytes, hash_state, metadata, is_told, parts,
                 started_by, begun_at, expires_at)
             SELECT key, '', '', '', 0, x'', '', 1, '', value, 1, 9
             FROM json_each('[\"once\", \"twice\", \"revoked\", \"\", \"first sign-in\", \"gone\"]');",
        )
        .await;
        run(&mut connection).await.unwrap();
        assert_eq!(
            texts(&mut connection, "SELECT owner FROM resumables ORDER BY resumable_id").await,
            ["key-1", "unknown", "key-4", "guest", "first-sign-in", "unknown"]
        );
        let owners = texts(&mut connection, "SELECT owner FROM idempotency_keys ORDER BY owner").await;
        assert_eq!(owners, ["first-sign-in", "key-1"]);
    }
}
