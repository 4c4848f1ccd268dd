//! Syncs: start, end and changes.

pub(super) mod dataset_size_cache;
pub(super) mod difference;
pub(super) mod end;
pub(super) mod failure_report;
pub(super) mod guard;
pub(super) mod manifest;
pub(super) mod row_tally;
pub(super) mod start;
pub(super) mod sync_lock;
pub(super) mod timeline;
