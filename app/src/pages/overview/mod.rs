//! The first page.

pub(super) mod attention;
pub(super) mod page;
