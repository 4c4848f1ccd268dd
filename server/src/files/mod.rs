//! Where the bytes are: the backends of the engine's `files` port.

pub mod local;
