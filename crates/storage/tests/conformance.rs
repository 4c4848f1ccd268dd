//! The folder keeps the promises that every file store keeps.

#![allow(clippy::unwrap_used)]

fn run(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future);
}

mod files {
    use lakeshore_storage::local::LocalFiles;
    use tempfile::TempDir;

    async fn fresh() -> (LocalFiles, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (LocalFiles::open(folder.path()).unwrap(), folder)
    }

    lakeshore::files_promises!(super::run, fresh());
}
