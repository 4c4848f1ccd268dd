//! Metadata store: backends of the engine's metadata port, the lock of the data folder, and the reserve for a full
//! disk.

#![deny(clippy::print_stderr)]

mod counts;
mod days;
mod deed_log;
pub mod disk_reserve;
pub mod lock;
mod namespace;
pub mod postgres;
mod row;
pub mod sqlite;
pub mod store;
