//! The trash: looked into, restored, and removed for good.

pub(super) mod contents;
pub(super) mod emptying;
pub(super) mod listing;
pub(super) mod restoring;
