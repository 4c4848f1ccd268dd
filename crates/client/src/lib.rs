//! Client of a Lakeshore server: the commands `push`, `get`, `ls` and `status`, over the public HTTP API.
//!
//! - [`settings`]: server and key; [`error`]: errors and exit codes;
//! - [`call`]: one call and its answer; [`retry`]: calls that outlast a restart of the server;
//! - [`walk`], [`pick`], [`digest`], [`scan`]: from a folder to a [`plan`], which is compared with a [`manifest`];
//! - [`push`]: from the plan to a sync that has ended. [`opening`] starts the sync, [`closing`] ends it; [`missing`] asks
//!   which files to send, [`deliver`] sends them concurrently, [`send`] and [`tus`] one each, [`body`] its bytes;
//! - [`difference`]: the dry run;
//! - [`listing`], [`fetch`], [`download`]: folders and files of the lake, to a [`target`] on this machine;
//! - [`push_state`]: state by which the same command continues, in a [`private`] folder;
//! - [`progress`]: progress bars and lines.

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
pub mod push_state;
pub mod repr_digest;
pub mod retry;
pub mod scan;
pub mod send;
pub mod settings;
pub mod target;
pub mod tus;
pub mod versions;
pub mod walk;
