//! Lists a folder of the lake, page by page.

use super::call::Client;
use super::error::ClientError;
use lakeshore::ErrorCode;
use lakeshore::model::dataset::browsing::LakeEntry;
use lakeshore::model::limits::LIST_SIZE_MAX;

/// Entries of a page.
const PAGE_SIZE: u64 = LIST_SIZE_MAX;

/// Limit of the entries of a folder: beyond it, the server's listing is taken as endless.
const ENTRIES_MAX: u64 = 100_000_000;

/// A folder that is read page by page.
pub struct Listing<'a> {
    client: &'a Client,
    path: String,
    from: u64,
    is_over: bool,
}

impl<'a> Listing<'a> {
    /// Lists a lake path, or `/`, the whole lake.
    pub fn of(client: &'a Client, path: &str) -> Self {
        Self { client, path: path.to_owned(), from: 0, is_over: false }
    }

    /// The next page; empty after the last one.
    pub async fn next_page(&mut self) -> Result<Vec<LakeEntry>, ClientError> {
        if self.is_over {
            return Ok(Vec::new());
        }
        let query = [("path", self.path.clone()), ("from", self.from.to_string()), ("size", PAGE_SIZE.to_string())];
        let entries: Vec<LakeEntry> = self.client.get("/api/lake/file/list", &query).await?;
        if entries.len() as u64 > PAGE_SIZE || self.from >= ENTRIES_MAX {
            let server = self.client.server();
            return Err(ClientError::Unexpected(format!(
                "{server} lists more entries than requested, or than a folder can have; check that it is a Lakeshore server"
            )));
        }
        self.from += entries.len() as u64;
        self.is_over = (entries.len() as u64) < PAGE_SIZE;
        Ok(entries)
    }

    /// Like [`Self::next_page`], for a folder that may be missing, which counts as empty.
    pub async fn next_page_if_there(&mut self) -> Result<Vec<LakeEntry>, ClientError> {
        match self.next_page().await {
            Err(error) if is_not_there(&error) => {
                self.is_over = true;
                Ok(Vec::new())
            }
            result => result,
        }
    }
}

/// Whether the lake has no such folder or file.
pub fn is_not_there(error: &ClientError) -> bool {
    error.is_refusal(ErrorCode::NoSuchFile)
}
