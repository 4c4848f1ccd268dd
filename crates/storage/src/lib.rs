//! The file store: the backends of the engine's `files` port.

#![deny(clippy::print_stderr)]

pub mod local;
