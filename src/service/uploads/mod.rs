//! Uploads: received, landed in groups, and gone on with.

pub(super) mod failures;
pub(super) mod in_flight;
pub(super) mod landings;
pub(super) mod led_queue;
pub(super) mod leftovers;
pub(super) mod missing;
pub(super) mod patience;
pub(super) mod receive;
pub(super) mod resumable;
pub(super) mod take_over;
pub(super) mod unsettled;
