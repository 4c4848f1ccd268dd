//! Upload page.

pub(super) mod confirm;
pub(super) mod page;
pub(super) mod queue;
pub(super) mod rows;
pub(super) mod target;
pub(super) mod unfinished;
pub(super) mod upload_status;
