//! The pages, one module each; a large one has modules of its own beside it.

mod attention;
mod dataset;
mod dataset_diff;
mod dataset_files;
mod dataset_rhythm;
mod datasets;
mod history;
mod key_create;
mod keys;
mod not_found;
mod overview;
mod sign_in;
mod sync;
mod sync_batch;
mod sync_close;
#[cfg(feature = "ssr")]
pub mod sync_drawing;
mod sync_files;
mod sync_hold;
mod sync_running;
pub mod sync_timeline;
mod syncs;
mod tour;
mod trash;
mod trash_empty;
mod upload;
mod upload_queue;
mod upload_rows;
mod upload_standing;
mod upload_target;
mod upload_unfinished;

pub use dataset::DatasetDetail;
pub use datasets::Datasets;
pub use history::History;
pub use keys::Keys;
pub use not_found::NotFound;
pub use overview::OverviewPage;
pub use sign_in::SignIn;
pub use sync::SyncDetail;
pub use syncs::Syncs;
pub use trash::Trash;
pub use upload::Upload;
