//! Migrations of the tables: `crates/metadata/migrations/postgres/`, run by sqlx's migrator, which lets one node at a time
//! migrate.

use super::connection::is_missing;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{Executor, PgConnection, SqlSafeStr};
use std::borrow::Cow;

macro_rules! migrations {
    ($($file:literal),* $(,)?) => {
        &[$(($file, include_str!(concat!("../../migrations/postgres/", $file, ".sql")))),*]
    };
}

/// Numbered from 1, each by its name.
const MIGRATIONS: &[(&str, &str)] = migrations![
    "0001_lake",
    "0002_namespace",
    "0003_functions",
    "0004_tables",
    "0005_serving_nodes",
    "0006_event_log",
    "0007_table_log_cleaning",
    "0008_open_syncs"
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
pub(super) async fn version(connection: &mut PgConnection) -> sqlx::Result<i64> {
    let sql = "SELECT coalesce(max(version), 0) FROM _sqlx_migrations WHERE success";
    match sqlx::query_scalar(sql).fetch_one(connection).await {
        Err(error) if is_missing(&error) => Ok(0),
        version => version,
    }
}

pub(super) async fn run(connection: &mut PgConnection) -> Result<(), MigrateError> {
    // A migration takes as long as it takes.
    connection.execute("SET statement_timeout = 0").await?;
    migrator().run(connection).await
}

/// Makes the indexes for text searches. Where the extension cannot be made, searches visit every row.
pub(super) async fn index_texts(connection: &mut PgConnection) {
    const INDEXES: &str = "
        CREATE EXTENSION IF NOT EXISTS pg_trgm;
        CREATE INDEX IF NOT EXISTS datasets_by_text ON datasets USING gin (path gin_trgm_ops);
        CREATE INDEX IF NOT EXISTS syncs_by_text ON syncs USING gin (name gin_trgm_ops, path gin_trgm_ops);";
    if let Err(error) = connection.execute(INDEXES).await {
        tracing::warn!(
            %error,
            "no trigram indexes, so searches visit every dataset and sync; let a superuser run \"CREATE EXTENSION pg_trgm\" in the database, then start again"
        );
    }
}
