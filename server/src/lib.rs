//! What touches the machine: HTTP, the database, the disk, configuration, and the `lakeshore` command.

pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod crash;
pub mod files;
pub mod formats;
pub mod housekeeping;
pub mod http;
pub mod lock;
pub mod serve;
pub mod site;
pub mod space;
pub mod state;
