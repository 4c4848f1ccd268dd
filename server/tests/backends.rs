//! SQLite and the folder keep the promises that every backend keeps.

#![allow(clippy::unwrap_used)]

fn run(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future);
}

mod state {
    use server::state::sqlite::SqliteState;
    use tempfile::TempDir;

    async fn fresh() -> (SqliteState, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (SqliteState::open(&folder.path().join("lakeshore.db")).await.unwrap(), folder)
    }

    lakeshore::state_promises!(super::run, fresh());
}

mod files {
    use server::files::local::LocalFiles;
    use tempfile::TempDir;

    async fn fresh() -> (LocalFiles, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (LocalFiles::open(folder.path()).unwrap(), folder)
    }

    lakeshore::files_promises!(super::run, fresh());
}
