//! The commands of `lakeshore`, but for the server itself.

mod backup;
mod check;
mod keys;

pub use backup::run as run_backup;
pub use check::{COULD_NOT, run as run_check};
pub use keys::run as run_key_action;
