//! Commands of `lakeshore` other than the server.

pub mod administration;
mod adopt;
mod backup;
mod check;
mod client;
mod get;
mod keys;
mod ls;
mod migrate;
mod moment;
mod push;
mod sessions;
mod snapshot;
mod status;
mod table;

pub use adopt::run as run_adopt;
pub use backup::run as run_backup;
pub use check::{COULD_NOT, run as run_check};
pub use get::run as run_get;
pub use keys::run as run_key_action;
pub use ls::run as run_ls;
pub use migrate::run as run_migrate;
pub use push::run as run_push;
pub use sessions::run as run_session_action;
pub use snapshot::run as run_snapshot;
pub use status::run as run_status;
