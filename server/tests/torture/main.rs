//! Guarantees under faults: the real binary is killed, runs out of disk space, receives garbage, and races with itself.
//!
//! All tests use public interfaces: HTTP, the command, and the lake's folder.

#![allow(clippy::unwrap_used, reason = "a panic fails the test, in helper functions too")]

mod answers;
mod bodies;
mod bursts;
mod chaos;
mod clients;
#[cfg(feature = "failpoints")]
mod clock_steps;
mod copy_on_write;
// Failpoints are compiled in for tests only: `cargo test --features server/failpoints`.
#[cfg(feature = "failpoints")]
mod crash_points;
#[path = "../support/database.rs"]
mod database;
#[path = "../support/disk.rs"]
mod disk;
mod disk_full;
mod faulty_disk;
#[path = "../../../crates/storage/tests/support/faulty_proxy.rs"]
mod faulty_proxy;
mod hostile_names;
mod kills;
mod mounts;
mod openings;
mod order_of_syncs;
mod passing_faults;
mod planted;
mod power_cuts;
mod races;
mod reflinks;
mod resumers;
#[path = "../support/server.rs"]
mod server;
mod slow_senders;
mod strace;
mod two_servers;
mod verify;
mod versions;
mod volatile_cuts;
mod volatile_disk;
mod volatile_faults;
