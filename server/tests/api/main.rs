//! The API as its callers see it: the real binary, real HTTP, real files.

#![allow(clippy::unwrap_used)]

mod authorisation;
mod command;
mod contract;
mod emptying;
mod recovery;
#[path = "../support/server.rs"]
mod server;
mod syncs;
mod trash;
mod uploads;
