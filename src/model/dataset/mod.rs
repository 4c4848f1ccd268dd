//! Datasets: their records, their columns, and when their files are expected.

pub mod browsing;
pub mod day;
pub mod record;
pub mod schedule;
pub mod schema;
pub mod schema_policy;
