//! Trash: contents, lists, restores and purges.

pub(super) mod contents;
pub(super) mod listing;
pub(super) mod purge;
pub(super) mod restore_preview;
pub(super) mod restoring;
