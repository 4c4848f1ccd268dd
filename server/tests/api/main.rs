//! The API as its callers see it: the real binary, real HTTP, real files.

#![allow(clippy::unwrap_used)]

mod authorisation;
mod backup;
mod check;
mod command;
mod contract;
#[path = "../support/disk.rs"]
mod disk;
mod emptying;
mod recovery;
mod reserve;
mod resumable;
#[path = "../support/server.rs"]
mod server;
mod syncs;
mod trash;
mod tus;
mod tus_extensions;
mod uploads;
