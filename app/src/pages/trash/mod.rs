//! Pages of the trash.

pub(super) mod flash_message;
pub(super) mod item;
pub(super) mod of_sync;
pub(super) mod page;
pub(super) mod parts;
pub(super) mod restore;
