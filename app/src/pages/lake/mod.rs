//! Pages of the lake: folders, files, and code to read them.

pub(super) mod file;
pub(super) mod folder;
pub(super) mod page;
pub(super) mod rows;
pub(super) mod schema;
pub(super) mod usage;
