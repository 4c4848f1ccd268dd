//! Engine of Lakeshore: the model, its rules, and the service that applies them.
//!
//! This crate has no HTTP, SQL, disk or async runtime. It compiles to WebAssembly, so that the pages use the same types
//! as the server. Access to the machine comes in through [`ports`].

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
