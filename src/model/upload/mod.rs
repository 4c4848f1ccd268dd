//! Uploads: the rows of the history, uploads in flight, and resumable ones.

pub mod in_flight;
pub mod landed;
pub mod offer;
pub mod request;
pub mod resumable;
pub mod row;
