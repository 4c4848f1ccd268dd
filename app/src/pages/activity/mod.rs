//! The page of what was done.

pub(super) mod filters;
pub(super) mod page;
pub(super) mod words;
