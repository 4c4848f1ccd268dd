//! Start page.

pub(super) mod attention;
pub(super) mod page;
