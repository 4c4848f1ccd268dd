//! The folder and the object storage keep the promises that every file store keeps.

#![allow(clippy::unwrap_used)]

fn run(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future);
}

#[path = "support/seaweedfs.rs"]
mod seaweedfs;

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
    use crate::seaweedfs::{ACCESS_KEY, REGION, SECRET_KEY, seaweedfs};
    use lakeshore_metadata::sqlite::SqliteState;
    use lakeshore_storage::object::{BucketSettings, LakeUrl, ObjectFiles};
    use lakeshore_system::clock::{SystemClock, SystemRandomness};
    use std::sync::Arc;
    use tempfile::TempDir;

    /// Runs a promise, unless there is no object storage to run it on.
    #[allow(clippy::explicit_write, clippy::disallowed_methods)]
    fn run(future: impl Future<Output = ()>) {
        use std::io::Write;
        if seaweedfs().is_some() {
            super::run(future);
        } else {
            let name = std::thread::current().name().unwrap_or_default().to_owned();
            writeln!(std::io::stderr(), "SKIPPED {name}: SeaweedFS is not installed; run \"make seaweedfs\"").unwrap();
        }
    }

    async fn fresh() -> (ObjectFiles, TempDir) {
        let seaweedfs = seaweedfs().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let state = SqliteState::open(&folder.path().join("lakeshore.db")).await.unwrap();
        let lake = LakeUrl::parse(&format!("s3://{}/a/lake", seaweedfs.new_bucket())).unwrap();
        let settings = BucketSettings {
            endpoint: Some(seaweedfs.endpoint()),
            region: Some(REGION.into()),
            ..BucketSettings::new(lake)
        }
        .with_credentials(ACCESS_KEY, SECRET_KEY);
        let files =
            ObjectFiles::new(&settings, Arc::new(state), Arc::new(SystemClock), Arc::new(SystemRandomness)).unwrap();
        (files, folder)
    }

    lakeshore::files_promises!(run, fresh());
}
