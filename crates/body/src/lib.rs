//! What a request says of its body, and `multipart/form-data`. No server and no pages: fuzzing compiles it within seconds.

#![deny(clippy::print_stderr)]

pub mod content_fields;
pub mod digest_fields;
pub mod multipart;
