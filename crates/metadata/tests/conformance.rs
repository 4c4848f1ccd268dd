//! Both databases keep the promises that every metadata store keeps.

#![allow(clippy::unwrap_used)]

fn run(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future);
}

#[path = "support/postgres.rs"]
mod postgres_support;
#[path = "conformance/sequences.rs"]
mod sequences;

mod sqlite {
    use lakeshore_metadata::sqlite::SqliteState;
    use tempfile::TempDir;

    async fn fresh() -> (SqliteState, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (SqliteState::open(&folder.path().join("lakeshore.db")).await.unwrap(), folder)
    }

    lakeshore::state_promises!(super::run, fresh());
    lakeshore::version_promises!(super::run, fresh());
}

mod postgres {
    use crate::postgres_support::Database;
    use lakeshore_metadata::postgres::PostgresState;

    async fn fresh() -> Option<(PostgresState, Database)> {
        let database = Database::new().await?;
        Some((database.open().await, database))
    }

    lakeshore::state_promises!(super::run, fresh());
    lakeshore::version_promises!(super::run, fresh());
}
