//! Machine access for the packages above the engine: time and randomness, lines for a terminal, names resolved beneath
//! a folder's handle, the space of a file system, and failpoints.

// Lines for people are printed through `terminal`.
#![deny(clippy::print_stderr)]

pub mod beneath;
pub mod clock;
pub mod failpoints;
pub mod space;
pub mod terminal;
