//! Shared code of the benchmarks that drive a real server: a client, processes and their resource use.

// Each benchmark uses some of this.
#![allow(dead_code)]

pub mod client;
pub mod lakeshore;
pub mod process;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;

/// Number from the environment, or `otherwise` if the variable is not set.
pub fn number(name: &str, otherwise: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is a whole number, not {text:?}")),
        Err(_) => otherwise,
    }
}

/// Whether a variable's list, separated by commas, contains a name. An unset variable contains all.
pub fn chosen(variable: &str, name: &str) -> bool {
    std::env::var(variable).is_ok_and(|list| list.split(',').any(|one| one.trim() == name))
        || std::env::var(variable).is_err()
}

/// Folder for measurements on disk.
pub fn folder_on_disk(bench: &str) -> PathBuf {
    let base = std::env::var_os("BENCH_DIR").map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    std::path::absolute(base.join(bench)).unwrap()
}

pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}

/// Percentile of sorted `values`.
pub fn percentile<T: Copy>(values: &[T], percent: usize) -> T {
    values[((values.len() - 1) * percent).div_ceil(100)]
}
