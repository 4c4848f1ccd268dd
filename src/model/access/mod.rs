//! Keys, roles, sessions and owners.

pub mod actor;
pub mod key;
pub mod network;
pub mod principal;
pub mod role;
pub mod session;
pub mod shares;
