//! Reads files in separate processes, so that a malicious file cannot harm the server.
//!
//! ```text
//! server                                           lakeshore inspect-worker
//! [`pool`]: threads, each with one [`process`]  -- [`protocol`] -->  [`child`], limited by [`confinement`]
//!            request and open file, by a socket    <-- answer --
//! ```
//!
//! A reader that dies, hangs, grows or gives no usable answer costs the answer of its file; the next file gets a new
//! reader.

pub mod child;
mod confinement;
mod pool;
mod process;
pub mod protocol;

pub(super) use pool::{Lane, Pool};
pub(super) use process::ReaderFailure;
