//! API tests with the real binary, real HTTP and real files.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic fails the test, in helper functions too")]

mod activity;
mod authorisation;
mod backup;
mod check;
mod client_matrix;
mod command;
mod commands;
mod contract;
#[path = "../support/database.rs"]
mod database;
mod datasets;
mod digests;
#[path = "../support/disk.rs"]
mod disk;
mod downloads;
mod duplicates;
mod emptying;
mod events;
mod existence;
mod guard;
mod hostile_files;
mod hostile_parquet;
mod hosts;
mod idempotency;
mod identity;
mod inert;
mod lake_identity;
mod list;
mod log;
mod log_secrets;
mod long_bodies;
mod missing;
#[path = "../support/nginx.rs"]
mod nginx;
mod pages;
mod permissions;
mod previews;
mod proxies;
mod readiness;
mod recovery;
mod refusals_heard;
mod refused;
mod reserve;
mod restores;
mod resumable;
mod schemas;
mod sealed;
mod search;
#[path = "../support/server.rs"]
mod server;
mod sessions;
mod several_nodes;
mod shares;
mod slow_clients;
mod slow_storage;
mod snapshots;
mod supersede;
mod syncs;
mod tables;
mod trash;
mod tus;
mod tus_client;
mod tus_extensions;
mod unreachable_database;
mod uploads;
mod versions;
mod whole_files;
