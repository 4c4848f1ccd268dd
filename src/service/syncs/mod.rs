//! Syncs: from the start to the end, and what one would change.

pub(super) mod difference;
pub(super) mod end;
pub(super) mod gate;
pub(super) mod guard;
pub(super) mod manifest;
pub(super) mod measures;
pub(super) mod row_tally;
pub(super) mod start;
pub(super) mod timeline;
