//! Metadata store: backends of the engine's metadata port, the lock of the data folder, and the reserve for a full
//! disk.

#![deny(clippy::print_stderr)]

mod audit;
mod audit_log;
mod backend;
mod batches;
mod content;
mod counts;
mod datasets;
mod days;
pub mod disk_reserve;
mod history;
mod idempotency;
mod inspected;
mod inspection;
mod keys;
mod landing_facts;
mod landings;
pub mod lock;
mod lookups;
mod namespace;
pub mod postgres;
mod query;
mod replaced;
mod restoring;
mod resumables;
mod row;
mod schemas;
mod sessions;
pub mod sqlite;
pub mod store;
mod syncs;
mod tables;
mod transaction;
mod trash;
mod uploads;
mod versions;
