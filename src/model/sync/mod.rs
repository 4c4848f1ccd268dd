//! Syncs: start, end, declarations and changes.

pub mod comparison;
pub mod difference;
pub mod end;
pub mod failure_report;
pub mod guard;
pub mod hold;
pub mod idempotency;
pub mod job;
pub mod manifest;
pub mod start;
pub mod status;
pub mod timeline;
