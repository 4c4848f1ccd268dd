//! What is in a file: rows, columns, text. The formats are known outside, where their libraries are.

use crate::model::error::Error;
use crate::model::preview::{Inspected, Preview};
use crate::ports::storage::OpenFile;
use async_trait::async_trait;
use std::sync::Arc;

/// Reads files of strangers: nothing in a file is an error, a panic, or much memory. What cannot be read is said in the
/// answer. An error is one of the disk or of the server.
#[async_trait]
pub trait Formats: Send + Sync {
    /// What is shown of a file: at most `rows` rows, and little is read for it, however large it is. `name` is what it is
    /// called, which says what it may be.
    async fn preview(&self, file: Arc<dyn OpenFile>, name: &str, rows: u64) -> Result<Preview, Error>;

    /// Its columns, and how many rows it has where it says so. Reads less than a preview.
    async fn inspect(&self, file: Arc<dyn OpenFile>, name: &str) -> Result<Inspected, Error>;
}
