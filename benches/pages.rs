//! Pages of the history over many rows: the first, the middle and the last, by SQLite as the server asks it.
//!
//! The ratio to the first page counts: it tells whether a page costs the same wherever it starts. `BENCH_ROWS` says how
//! many rows there are (a million, where it is silent).

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)]

use lakeshore::list::{Order, Page, UploadQuery};
use lakeshore::ports::state::UploadState;
use lakeshore::sync::{Status, SyncId};
use server::state::sqlite::SqliteState;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};
use std::path::Path;
use std::time::Instant;

const ROUNDS: usize = 500;
const PAGE_ROWS: u64 = 50;
/// One row in so many has failed.
const FAILED_EVERY: u64 = 50;
const ROWS_OF_A_SYNC: u64 = 1000;

#[tokio::main]
async fn main() {
    let rows: u64 = std::env::var("BENCH_ROWS").map_or(1_000_000, |rows| rows.parse().unwrap());
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let file = folder.path().join("lakeshore.db");
    SqliteState::open(&file).await.unwrap().close().await;
    fill(&file, rows).await;
    let state = SqliteState::open(&file).await.unwrap();
    let all = UploadQuery {
        page: Page { from: 0, size: PAGE_ROWS, order: Order::Asc },
        sync_id: None,
        status: None,
        path: None,
        text: None,
        scope: None,
    };
    let of_sync = UploadQuery { sync_id: Some(SyncId(rows / ROWS_OF_A_SYNC / 2 + 1)), ..all.clone() };
    let failed = UploadQuery { status: Some(Status::Failed), ..all.clone() };
    println!("{rows} rows, pages of {PAGE_ROWS}, microseconds: median (p99)");
    println!("{:24} {:>16} {:>16} {:>16} {:>14}", "history", "first", "middle", "last", "last / first");
    for (name, query, count) in
        [("all", &all, rows), ("of one sync", &of_sync, ROWS_OF_A_SYNC), ("failed", &failed, rows / FAILED_EVERY)]
    {
        for order in [Order::Asc, Order::Desc] {
            let starts = [0, count / 2, count - PAGE_ROWS];
            let mut times = [const { Vec::new() }; 3];
            for _ in 0..ROUNDS {
                for (from, times) in starts.into_iter().zip(&mut times) {
                    let query = UploadQuery { page: Page { from, size: PAGE_ROWS, order }, ..query.clone() };
                    let start = Instant::now();
                    let page = state.uploads(&query).await.unwrap();
                    times.push(start.elapsed().as_micros() as u64);
                    assert_eq!(page.len() as u64, PAGE_ROWS);
                }
            }
            let [first, middle, last] = times.map(|mut times| {
                times.sort_unstable();
                (times[ROUNDS / 2], times[ROUNDS * 99 / 100])
            });
            let cell = |(median, p99): (u64, u64)| format!("{median} ({p99})");
            println!(
                "{:24} {:>16} {:>16} {:>16} {:>14.2}",
                format!("{name}, {}", if order == Order::Asc { "ascending" } else { "newest first" }),
                cell(first),
                cell(middle),
                cell(last),
                last.0 as f64 / first.0 as f64,
            );
        }
    }
    state.close().await;
}

async fn fill(file: &Path, rows: u64) {
    let mut connection: SqliteConnection = SqliteConnectOptions::new().filename(file).connect().await.unwrap();
    let rows = rows.cast_signed();
    let size = ROWS_OF_A_SYNC.cast_signed();
    sqlx::query("PRAGMA synchronous = OFF").execute(&mut connection).await.unwrap();
    sqlx::query(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1) \
         INSERT INTO syncs (sync_id, name, path, sync_type, status, phase, start_time, end_time, total_files, started_by, \
         last_activity) SELECT i, 'sync ' || i, '/data/t' || (i % 100), 'IncrementalSync', 'Finished', 'Ended', i, i, ?2, \
         'bench', i FROM n",
    )
    .bind(rows / size)
    .bind(size)
    .execute(&mut connection)
    .await
    .unwrap();
    sqlx::query(
        "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ?1 - 1) \
         INSERT INTO uploads (history_id, sync_id, ordinal, file_name, target, status, start_time, end_time, size_bytes) \
         SELECT i + 1, i / ?2 + 1, i % ?2 + 1, 'part-' || i || '.parquet', \
         '/data/t' || ((i / ?2 + 1) % 100) || '/part-' || i || '.parquet', \
         iif((i + 1) % ?3 = 0, 'Failed', 'Finished'), i, i + 5, 1000000 FROM n",
    )
    .bind(rows)
    .bind(size)
    .bind(FAILED_EVERY.cast_signed())
    .execute(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();
}
