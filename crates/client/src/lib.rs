//! The client of a Lakeshore: what `lakeshore push`, `status`, `ls` and `get` do, by the API that everybody has.
//!
//! - [`settings`]: which server, and with which key; [`error`]: what can go wrong, and the exit code that says so;
//! - [`call`]: one call and its answer; [`retry`]: calls that outlast a restart of the server;
//! - [`walk`], [`pick`], [`digest`], [`scan`]: from a folder to a [`plan`], which a [`manifest`] may contradict;
//! - [`push`]: from the plan to a sync that has ended, which is [`opening`], and [`closing`] it. [`missing`] asks,
//!   [`deliver`] sends many files at a time, [`send`] and [`tus`] one, [`body`] its bytes; [`difference`] only looks;
//! - [`listing`], [`fetch`], [`download`]: folders and files of the lake, to a [`target`] on this machine;
//! - [`remembered`]: what lets the same command go on where the last one ended, in a [`private`] folder;
//! - [`progress`]: how far it has come.

#![deny(clippy::print_stderr)]

pub mod body;
pub mod call;
pub mod closing;
pub mod deliver;
pub mod difference;
pub mod digest;
pub mod download;
pub mod error;
pub mod fetch;
pub mod listing;
pub mod manifest;
pub mod missing;
pub mod opening;
pub mod pick;
pub mod plan;
pub mod private;
pub mod progress;
pub mod push;
pub mod remembered;
pub mod retry;
pub mod scan;
pub mod send;
pub mod settings;
pub mod target;
pub mod tus;
pub mod walk;
