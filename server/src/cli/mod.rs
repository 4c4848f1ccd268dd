//! The commands of `lakeshore`, but for the server itself.

mod keys;

pub use keys::run as run_key_action;
