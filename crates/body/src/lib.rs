//! Multipart parser, and header fields that describe a body. Depends on neither server nor pages, so that fuzzing
//! compiles it within seconds.

#![deny(clippy::print_stderr)]

pub mod content_disposition;
pub mod content_fields;
pub mod digest_fields;
pub mod multipart;
