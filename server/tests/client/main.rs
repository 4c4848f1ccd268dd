//! `lakeshore push`, `status`, `ls` and `get` as their users run them: the real command against a real server.

#![allow(clippy::unwrap_used)]

mod gate;
mod interruptions;
mod machine;
mod push;
mod reading;
#[path = "../support/server.rs"]
mod server;
mod settings;
