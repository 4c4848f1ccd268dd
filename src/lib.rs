//! The lake of Lakeshore: its words, its rules, and the service that applies them.
//!
//! This crate knows no HTTP, no SQL, no disk and no runtime; it compiles to WebAssembly whole, so that the pages
//! speak with the very types that the server keeps. What touches the machine comes in through [`ports`].

pub mod activity;
mod bounded_list;
pub mod clock_watch;
pub mod dataset;
pub mod day;
pub mod difference;
pub mod error;
pub mod event;
pub mod expected;
pub mod fault;
pub mod guard;
pub mod idempotency;
pub mod in_flight;
pub mod key;
pub mod limits;
pub mod list;
pub mod overview;
pub mod path;
pub mod place;
pub mod ports;
pub mod preview;
pub mod principal;
pub mod resumable;
pub mod rhythm;
pub mod schema;
pub mod search;
pub mod service;
pub mod session;
pub mod shares;
pub mod sync;
pub mod time;
pub mod trash;
pub mod upload;

pub use error::{Error, ErrorCode};
pub use key::{Caller, Grant, Role};
pub use path::LakePath;
pub use service::Lake;
pub use time::Timestamp;
