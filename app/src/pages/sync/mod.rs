//! Pages of syncs.

pub(super) mod batch;
pub(super) mod close;
pub(super) mod facts;
pub(super) mod failures;
pub(super) mod files;
pub(super) mod hold;
pub(super) mod list;
pub(super) mod page;
pub(super) mod published_version;
pub(super) mod running;
pub(super) mod timeline;
