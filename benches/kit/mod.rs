//! What the benches that drive a real server share: a client that costs little, and processes with what they use.

// Each bench takes what it needs of this.
#![allow(dead_code)]

pub mod client;
pub mod lakeshore;
pub mod process;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;

/// A number from the environment, or what holds when it is silent.
pub fn number(name: &str, otherwise: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is a whole number, not {text:?}")),
        Err(_) => otherwise,
    }
}

/// Whether a name is among those that a variable lists, parted by commas. All are when it is silent.
pub fn chosen(variable: &str, name: &str) -> bool {
    std::env::var(variable).is_ok_and(|list| list.split(',').any(|one| one.trim() == name))
        || std::env::var(variable).is_err()
}

/// The folder on disk to measure in.
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

/// The value that so many of a hundred do not exceed. `values` are sorted.
pub fn percentile<T: Copy>(values: &[T], percent: usize) -> T {
    values[((values.len() - 1) * percent).div_ceil(100)]
}
