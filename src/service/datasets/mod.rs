//! Datasets: their size, their columns, and the files in them.

pub(super) mod browsing;
pub(super) mod content;
pub(super) mod lateness;
pub(super) mod listing;
pub(super) mod preview;
pub(super) mod reading;
pub(super) mod schemas;
pub(super) mod table;
