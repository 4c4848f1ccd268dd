//! The trash: looked into, restored, and removed for good.

pub(super) mod contents;
pub(super) mod listing;
pub(super) mod purge;
pub(super) mod restoring;
