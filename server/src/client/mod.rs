//! The client of a Lakeshore: what `lakeshore push`, `status`, `ls` and `get` do, by the API that everybody has.
//!
//! - [`settings`]: which server, and with which key; [`error`]: what can go wrong, and the exit code that says so;
//! - [`call`]: one call and its answer; [`retry`]: calls that outlast a restart of the server;
//! - [`walk`], [`pick`], [`digest`], [`scan`]: from a folder to a [`plan`], which [`manifest`] may contradict;
//! - [`remembered`]: what lets the same command go on where the last one ended;
//! - [`progress`]: how far it has come.

pub mod call;
pub mod digest;
pub mod error;
pub mod manifest;
pub mod pick;
pub mod plan;
pub mod progress;
pub mod remembered;
pub mod retry;
pub mod scan;
pub mod settings;
pub mod walk;
