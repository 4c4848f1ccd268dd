//! File store: backends of the engine's storage port.

#![deny(clippy::print_stderr)]

pub mod local;
pub mod object;
