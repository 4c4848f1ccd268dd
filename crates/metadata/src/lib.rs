//! The metadata store: the backends of the engine's `state` port, the lock of their folder, and the space set aside for a
//! full disk.

#![deny(clippy::print_stderr)]

pub mod disk_reserve;
pub mod lock;
pub mod sqlite;
