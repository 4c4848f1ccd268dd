//! Page of keys and sessions.

pub(super) mod create;
pub(super) mod page;
pub(super) mod sessions;
