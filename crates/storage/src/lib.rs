//! File store: backends of the engine's storage port.

#![deny(clippy::print_stderr)]

mod lake_state;
pub mod local;
pub mod object;

pub use lake_state::LakeState;
