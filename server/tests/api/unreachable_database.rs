//! PostgreSQL that does not answer: what callers are told.

use crate::server::round_robin::RoundRobin;
use crate::server::{Stopped, answer, metadata, postgres, skipped};
use sqlx::{Connection, Executor, PgConnection};

#[tokio::test]
async fn a_database_that_cannot_be_reached_is_named_as_the_cause() {
    let Some(database) = postgres::Database::new().await else {
        return skipped("PostgreSQL is not installed; run \"make postgres\"");
    };
    let (_, place) = database.address.split_once('@').unwrap();
    let (host, _) = place.split_once('/').unwrap();
    let front = RoundRobin::start(&[&format!("http://{host}")]);
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().to_owned();
    metadata::assign(&data_dir, &database.address.replace(host, front.url.strip_prefix("http://").unwrap()));
    let server = Stopped::new(folder, data_dir, &[]).with_key().start().await;
    assert_eq!(answer(server.get("/api/ingestion/file/sync/list")).await.0, 200);
    drop(front);
    let mut connection = PgConnection::connect(&database.address).await.unwrap();
    let end_sessions = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    connection.execute(end_sessions).await.unwrap();
    let (status, said) = answer(server.get("/api/ingestion/file/sync/list")).await;
    assert_eq!((status, said["code"].as_u64()), (503, Some(50309)), "{said}");
    assert!(said["msg"].as_str().unwrap().contains("check PostgreSQL"), "{said}");
    let (status, said) = answer(server.get("/readyz")).await;
    assert_eq!(status, 503, "{said}");
}
