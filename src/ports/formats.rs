//! File formats: rows, columns and text of a file. Implemented outside, where the libraries are.

use crate::model::error::Error;
use crate::model::preview::{Inspected, Preview};
use crate::ports::storage::OpenFile;
use async_trait::async_trait;
use std::sync::Arc;

/// Reads untrusted files. No content causes an error, a panic, or large memory use; an unreadable part is reported in
/// the result. Errors come from the disk or the server.
#[async_trait]
pub trait Formats: Send + Sync {
    /// Preview of a file with at most `rows` rows. Reads little, however large the file is. `name` is the file's name,
    /// which hints at its format.
    async fn preview(&self, file: Arc<dyn OpenFile>, name: &str, rows: u64) -> Result<Preview, Error>;

    /// Columns of a file, and its number of rows if recorded in it. Reads less than a preview.
    async fn inspect(&self, file: Arc<dyn OpenFile>, name: &str) -> Result<Inspected, Error>;
}
