//! What touches the machine: HTTP, the database, the disk, configuration, and the `lakeshore` command.

// Lines for people go by `terminal`.
#![deny(clippy::print_stderr)]

pub mod beneath;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod crash;
pub mod disk_reserve;
pub mod files;
pub mod formats;
pub mod housekeeping;
pub mod http;
pub mod lock;
pub mod logging;
pub mod opening;
pub mod placement;
pub mod readiness;
pub mod serve;
pub mod site;
pub mod space;
pub mod state;
pub mod terminal;
