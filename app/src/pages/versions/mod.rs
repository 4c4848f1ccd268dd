//! The pages of versions: the list of a dataset's, two compared, one with its files, and the confirmation of a restore.

mod compare;
pub(super) mod detail;
pub(super) mod list;
pub(super) mod restore;
mod summary;
mod usage;
