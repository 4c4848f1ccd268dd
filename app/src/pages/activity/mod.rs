//! Activity page: the audit log.

pub(super) mod filters;
pub(super) mod page;
pub(super) mod words;
