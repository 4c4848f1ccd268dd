//! What is remembered: the backends of the engine's `state` port.

pub mod sqlite;
