//! Delta tables of datasets of Parquet, and manifests of the others: bytes in, bytes out, no IO.
//!
//! [`footer`] reads what a file's footer says: its columns in Delta's types ([`types`]) and its statistics ([`stats`]).
//! [`plan`] decides, for a version of a dataset, which of its files can be in the table ([`schema`]) and what the commit holds
//! ([`commit`]). [`checkpoint`] writes the state of a table, so that readers need not read the log from its start, and
//! [`checkpoint_interval`] decides when a checkpoint is due.
//!
//! Equal input gives equal bytes: any node may write them, twice.

pub mod checkpoint;
pub mod checkpoint_interval;
pub mod commit;
pub mod footer;
pub mod manifest;
pub mod partition;
pub mod path;
pub mod plan;
pub mod protocol;
pub mod schema;
pub mod stats;
pub mod types;
pub mod unfit;
