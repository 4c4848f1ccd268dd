//! Files are read in processes of their own, so that whatever a file does to its reader, it does not do to the server.
//!
//! ```text
//! server                                           lakeshore inspect-worker
//! [`pool`]: threads, each with one [`process`]  -- [`protocol`] -->  [`child`], limited by [`confinement`]
//!            request and open file, by a socket    <-- answer --
//! ```
//!
//! A reader that dies, hangs, grows or gives no usable answer costs the answer of its file; the next file gets a new one.

pub mod child;
mod confinement;
mod pool;
mod process;
pub mod protocol;

pub(super) use pool::{Lane, Pool};
pub(super) use process::NoAnswer;
