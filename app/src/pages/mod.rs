//! Pages, with a folder for each subject.

mod activity;
mod dataset;
mod history;
mod keys;
mod lake;
mod not_found;
mod overview;
mod search;
mod sign_in;
mod sync;
mod trash;
mod upload;
mod versions;

pub use activity::page::Activity;
pub use dataset::list::Datasets;
pub use dataset::page::DatasetDetail;
pub use history::History;
pub use keys::page::Keys;
pub use lake::page::Lake;
pub use not_found::NotFound;
pub use overview::page::OverviewPage;
pub use search::Search;
pub use sign_in::SignIn;
pub use sync::list::Syncs;
pub use sync::page::SyncDetail;
pub use trash::item::TrashItem;
pub use trash::of_sync::TrashSync;
pub use trash::page::Trash;
pub use trash::restore::RestoreTrashPage;
pub use upload::page::Upload;
pub use versions::detail::VersionDetailPage;
pub use versions::restore::RestoreVersionPage;
