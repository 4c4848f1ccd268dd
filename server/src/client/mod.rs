//! The client of a Lakeshore: what `lakeshore push`, `status`, `ls` and `get` do, by the API that everybody has.
//!
//! - [`settings`]: which server, and with which key;
//! - [`call`]: one call and its answer; [`retry`]: calls that outlast a restart of the server;
//! - [`error`]: what can go wrong, and the exit code that says so.

pub mod call;
pub mod error;
pub mod retry;
pub mod settings;
