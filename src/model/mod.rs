//! Model: values and rules, without ports. A value knows only values below it; `tests/layers.rs` checks that `use`
//! lines have no circle.

pub mod access;
pub mod audit;
pub mod bounded_list;
pub mod clock_watch;
pub mod dataset;
pub mod digest;
pub mod error;
pub mod error_code;
pub mod event;
pub mod fault;
pub mod id;
pub mod limits;
pub mod memory_pool;
pub mod object_key;
pub mod overview;
pub mod page;
pub mod partition;
pub mod path;
pub mod preview;
pub mod search;
pub mod settings;
pub mod snapshot;
pub mod snapshot_requests;
pub mod storage_path;
pub mod sync;
pub mod table;
pub mod text;
pub mod time;
pub mod totals;
pub mod trash;
pub mod upload;
pub mod version;
pub mod version_requests;
