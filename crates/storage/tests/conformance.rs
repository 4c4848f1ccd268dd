//! The folder and the object storage keep the promises that every file store keeps.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

fn run(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future);
}

#[path = "support/object_storage.rs"]
mod object_storage;
#[path = "../../metadata/tests/support/postgres.rs"]
mod postgres;

mod folder {
    use lakeshore_storage::local::LocalFiles;
    use tempfile::TempDir;

    async fn fresh() -> (LocalFiles, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (LocalFiles::open(folder.path()).unwrap(), folder)
    }

    lakeshore::files_promises!(super::run, fresh());
}

mod object {
    use crate::object_storage::{ACCESS_KEY, MISSING, ObjectStorage, REGION, SECRET_KEY, object_storage};
    use crate::postgres::Database;
    use lakeshore::ports::Namespace;
    use lakeshore_metadata::sqlite::SqliteState;
    use lakeshore_storage::object::{BucketSettings, LakeUrl, ObjectFiles};
    use lakeshore_system::clock::{SystemClock, SystemRandomness};
    use std::sync::Arc;
    use tempfile::TempDir;

    /// `None`, with a message, where there is no object storage to test with.
    #[expect(
        clippy::explicit_write,
        clippy::disallowed_methods,
        reason = "the message is the test's own, and is not captured"
    )]
    fn storage() -> Option<&'static ObjectStorage> {
        use std::io::Write;
        let storage = object_storage();
        if storage.is_none() {
            let name = std::thread::current().name().unwrap_or_default().to_owned();
            writeln!(std::io::stderr(), "SKIPPED {name}: {MISSING}").unwrap();
        }
        storage
    }

    fn files(storage: &ObjectStorage, namespace: Arc<dyn Namespace>) -> ObjectFiles {
        let lake = LakeUrl::parse(&format!("s3://{}/a/lake", storage.new_bucket())).unwrap();
        let settings = BucketSettings {
            endpoint: Some(storage.endpoint()),
            region: Some(REGION.into()),
            ..BucketSettings::new(lake)
        }
        .with_credentials(ACCESS_KEY, SECRET_KEY);
        ObjectFiles::new(&settings, namespace, Arc::new(SystemClock), Arc::new(SystemRandomness)).unwrap()
    }

    async fn on_sqlite() -> Option<(ObjectFiles, TempDir)> {
        let storage = storage()?;
        let folder = tempfile::tempdir().unwrap();
        let state = SqliteState::open(&folder.path().join("lakeshore.db")).await.unwrap();
        Some((files(storage, Arc::new(state)), folder))
    }

    async fn on_postgres() -> Option<(ObjectFiles, Database)> {
        let storage = storage()?;
        let database = Database::new().await?;
        let state = database.open().await;
        Some((files(storage, Arc::new(state)), database))
    }

    mod with_sqlite {
        lakeshore::files_promises!(crate::run, super::on_sqlite());
    }

    mod with_postgres {
        lakeshore::files_promises!(crate::run, super::on_postgres());
    }
}
