//! Program `lakeshore`: configuration, command line, wiring and background jobs.

// Lines for people are printed by `lakeshore_system::terminal`.
#![deny(clippy::print_stderr)]

pub mod cli;
mod commit_thread;
pub mod config;
pub mod control;
pub mod housekeeping;
pub mod logging;
pub mod opening;
pub mod placement;
pub mod readiness;
pub mod serve;
pub mod site;
mod tables;
