//! Several servers of one lake, on PostgreSQL and object storage.

use super::{CLUSTER, Stopped, TestServer, bucket, metadata, postgres, skipped};

/// Servers that do not run yet, with data folders of their own, on one database and one bucket. `None` where one of the two
/// is missing.
pub async fn new<const N: usize>() -> Option<([Stopped; N], postgres::Database)> {
    let Some(database) = postgres::Database::new().await else {
        skipped("PostgreSQL is not installed; run \"make postgres\"");
        return None;
    };
    if bucket::object_storage::object_storage().is_none() {
        skipped(bucket::object_storage::MISSING);
        return None;
    }
    let new = || {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().to_owned();
        metadata::assign(&data_dir, &database.address);
        Stopped::new(folder, data_dir, &["--stalled-after", "5s"])
    };
    let first = new().on_bucket().with_key();
    let shared = first.bucket.clone().unwrap();
    let servers = std::array::from_fn(|number| match number {
        0 => first.clone(),
        _ => {
            let other = new();
            bucket::share(other.data_dir(), &shared);
            let mut other = other.on_bucket();
            other.key = first.key.clone();
            other
        }
    });
    Some((servers, database))
}

/// Starts a server as one of several.
pub async fn start(server: &Stopped) -> TestServer {
    server.try_start(&[CLUSTER]).await.unwrap_or_else(|ended| panic!("the server ended: {}", ended.said))
}
