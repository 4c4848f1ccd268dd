//! The lake of Lakeshore: its words, its rules, and the service that applies them.
//!
//! This crate knows no HTTP, no SQL, no disk and no runtime; it compiles to WebAssembly whole, so that the pages
//! speak with the very types that the server keeps. What touches the machine comes in through [`ports`].

pub mod model;
pub mod ports;
pub mod service;

pub use model::access::key::{Caller, Grant};
pub use model::access::role::Role;
pub use model::error::Error;
pub use model::error_code::ErrorCode;
pub use model::path::LakePath;
pub use model::time::Timestamp;
pub use service::Lake;
