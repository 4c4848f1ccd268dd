//! Client commands `lakeshore push`, `status`, `ls` and `get`: the real command against a real server.

#![allow(clippy::unwrap_used, reason = "a panic fails the test, in helper functions too")]

mod gate;
mod hostile;
mod interruptions;
mod machine;
mod planted;
mod push;
mod reading;
#[path = "../support/server.rs"]
mod server;
mod settings;
mod terminal;
mod trying_again;
mod versions;
