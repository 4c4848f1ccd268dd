//! Lists over many rows, as the server reads them: the first page, the middle and the last, in both orders. Over SQLite, and
//! with `BENCH_POSTGRES=1` also over PostgreSQL, which gets the same rows by `lakeshore migrate`'s copy.
//!
//! Results are ratios to the first page: they show whether a page costs the same wherever it starts. A sync has a
//! hundred rows of the history on average. `BENCH_ROWS` sets the number of rows (default: a million; the goal is about
//! ten million). `BENCH_DATABASE` names a file in which the database is kept and reused.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)]

#[path = "../kit/mod.rs"]
mod kit;

// Each benchmark uses some of this.
#[allow(dead_code)]
mod fill;
mod glances;
mod lists;
#[path = "../../crates/metadata/tests/support/postgres.rs"]
#[allow(dead_code)]
mod postgres;

use lakeshore::model::page::{Order, Page};
use lakeshore::ports::metadata::State;
use lakeshore_metadata::postgres::PostgresState;
use lakeshore_metadata::sqlite::SqliteState;
use lists::List;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const PAGE_ROWS: u64 = 50;
/// Limit of the calls of each page; a time limit may end them earlier.
const ASKS: usize = 300;
const ASKING: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() {
    let rows = kit::number("BENCH_ROWS", 1_000_000);
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let kept = std::env::var_os("BENCH_DATABASE").map(PathBuf::from);
    let file = kept.unwrap_or_else(|| folder.path().join("lakeshore.db"));
    let is_filled = file.exists();
    SqliteState::open(&file).await.unwrap().close().await;
    let start = Instant::now();
    if !is_filled {
        fill::fill(&file, rows).await;
    }
    let counter = fill::Counter::open(&file).await;
    let filled = counter.count("uploads", "1").await;
    println!("{filled} rows, filled in {} s", start.elapsed().as_secs());
    let lists = lists::all(&counter).await;
    let state = SqliteState::open(&file).await.unwrap();
    compare("SQLite", &state, &lists).await;
    if kit::number("BENCH_POSTGRES", 0) > 0 {
        postgres::own_cluster();
        let database =
            postgres::Database::new().await.unwrap_or_else(|| panic!("PostgreSQL is not installed: make postgres"));
        let copy = PostgresState::open(&database.options()).await.unwrap();
        let start = Instant::now();
        let rows = copy.copy_from(&state).await.unwrap();
        println!("\n{rows} rows of all tables, copied in {} s", start.elapsed().as_secs());
        compare("PostgreSQL", &copy, &lists).await;
        copy.close().await;
    }
    state.close().await;
}

async fn compare<S: State + Clone + 'static>(database: &str, state: &S, lists: &[List]) {
    println!("\n{database}: pages of {PAGE_ROWS}, in microseconds: median (p99)\n");
    print_row(&["list", "order", "rows", "first", "middle", "last", "last / first"].map(str::to_owned));
    print_row(&["---", "---", "--:", "--:", "--:", "--:", "--:"].map(str::to_owned));
    for list in lists {
        for order in [Order::Asc, Order::Desc] {
            measure(state, list, order).await;
        }
    }
    lists::others(state).await;
    glances::measure(state).await;
}

async fn measure(state: &dyn State, list: &List, order: Order) {
    let starts = [0, list.rows / 2, list.rows.saturating_sub(PAGE_ROWS)];
    let mut columns = Vec::new();
    let mut medians = Vec::new();
    for from in starts {
        let page = Page { from, size: PAGE_ROWS, order };
        let mut times = Vec::new();
        let begin = Instant::now();
        let mut is_ended = false;
        while times.len() < ASKS && begin.elapsed() < ASKING {
            let start = Instant::now();
            let given = list.ask(state, page).await;
            times.push(start.elapsed());
            match given {
                Some(given) => {
                    assert_eq!(given as u64, PAGE_ROWS.min(list.rows - from), "{}: rows from {from}", list.name);
                }
                None => is_ended = true,
            }
        }
        let (median, p99) = summary(times);
        columns.push(if is_ended { "ended".to_owned() } else { format!("{median} ({p99})") });
        medians.push(if is_ended { f64::NAN } else { median as f64 });
    }
    let order = if order == Order::Asc { "oldest first" } else { "newest first" };
    let mut row = vec![list.name.to_owned(), order.to_owned(), list.rows.to_string()];
    row.append(&mut columns);
    row.push(format!("{:.2}", medians[2] / medians[0]));
    print_row(&row);
}

/// Median and 99th percentile, in microseconds.
fn summary(mut times: Vec<Duration>) -> (u128, u128) {
    times.sort_unstable();
    (kit::percentile(&times, 50).as_micros(), kit::percentile(&times, 99).as_micros())
}

fn print_row(cells: &[String]) {
    let widths = [36, 12, 9, 17, 17, 17, 12];
    let cells = cells.iter().zip(widths).enumerate().map(|(at, (cell, width))| match at {
        0 | 1 => format!(" {cell:<width$} |"),
        _ => format!(" {cell:>width$} |"),
    });
    println!("|{}", cells.collect::<String>());
}
