//! What every package above the engine needs of the machine: time and randomness, lines for a terminal, names resolved
//! beneath a folder's handle, the space of a file system, and the points at which a test ends the process.

// Lines for people go by `terminal`.
#![deny(clippy::print_stderr)]

pub mod beneath;
pub mod clock;
pub mod crash;
pub mod space;
pub mod terminal;
