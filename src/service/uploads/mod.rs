//! Uploads: received, landed in groups, and resumed.

pub(super) mod batch_queue;
pub(super) mod commit_queue;
pub(super) mod destination;
pub(super) mod failures;
pub(super) mod in_flight;
pub(super) mod landing_group;
pub(super) mod landing_step;
pub(super) mod landing_together;
pub(super) mod leftovers;
pub(super) mod missing;
pub(super) mod receive;
pub(super) mod resumable;
pub(super) mod retries;
pub(super) mod reuse_unchanged;
mod target_order;
pub(super) mod unsettled;
