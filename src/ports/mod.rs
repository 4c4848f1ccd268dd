//! Ports: traits for the machine's services, in terms of the lake. The server implements them; tests use
//! [`memory`](crate::ports::memory).

pub mod clock;
#[cfg(feature = "testing")]
pub mod conformance;
pub mod formats;
pub mod inspection;
#[cfg(feature = "testing")]
pub mod memory;
pub mod metadata;
pub mod namespace;
pub mod space;
pub mod storage;
pub mod table_fit;
pub mod table_log;

pub use clock::{Clock, ClockState, Randomness, random_bytes};
pub use formats::Formats;
pub use inspection::{FilesInspection, StateInspection};
pub use metadata::State;
pub use metadata::dataset::DatasetState;
pub use metadata::overview::OverviewState;
pub use metadata::resumable::ResumableState;
pub use metadata::schema::SchemaState;
pub use metadata::search::SearchState;
pub use metadata::session::SessionState;
pub use metadata::table::TableStore;
pub use metadata::version::VersionStore;
pub use namespace::Namespace;
pub use space::Space;
pub use storage::{Files, Partial, WrittenGroup};
pub use table_fit::TableFit;
pub use table_log::TableLog;
