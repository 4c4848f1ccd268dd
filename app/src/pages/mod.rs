//! The pages, one module each; a large one has modules of its own beside it.

mod history;
mod key_create;
mod keys;
mod lake;
mod lake_file;
mod lake_folder;
mod lake_rows;
mod lake_schema;
mod lake_use;
mod not_found;
mod sign_in;
mod sync;
mod sync_batch;
mod sync_close;
mod sync_files;
mod sync_hold;
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

pub use history::History;
pub use keys::Keys;
pub use lake::Lake;
pub use not_found::NotFound;
pub use sign_in::SignIn;
pub use sync::SyncDetail;
pub use syncs::Syncs;
pub use trash::Trash;
pub use upload::Upload;
