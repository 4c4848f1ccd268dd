//! What the lake needs of the machine, said in its own words. The server implements these; tests use
//! [`memory`](crate::ports::memory).

pub mod clock;
pub mod datasets;
pub mod files;
pub mod formats;
pub mod inspection;
#[cfg(feature = "testing")]
pub mod memory;
#[cfg(feature = "testing")]
pub mod promises;
pub mod resumables;
pub mod schemas;
pub mod search;
pub mod sessions;
pub mod space;
pub mod state;

pub use clock::{Clock, ClockState, Randomness};
pub use datasets::DatasetState;
pub use files::{Files, Partial, WrittenGroup};
pub use formats::Formats;
pub use inspection::{FilesInspection, StateInspection};
pub use resumables::ResumableState;
pub use schemas::SchemaState;
pub use search::SearchState;
pub use sessions::SessionState;
pub use space::Space;
pub use state::State;
