//! Pages of datasets.

pub(super) mod files;
pub(super) mod list;
pub(super) mod page;
pub(super) mod schedule;
pub(super) mod table;
