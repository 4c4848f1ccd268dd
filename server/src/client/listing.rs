//! What lies in a folder of the lake, page by page.

use super::call::Client;
use super::error::ClientError;
use lakeshore::{ErrorCode, Timestamp};
use reqwest::Method;
use serde::{Deserialize, Serialize};

/// Entries of one page.
const PAGE_SIZE: u64 = 1000;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub name: String,
    pub path: String,
    pub is_folder: bool,
    #[serde(default)]
    pub size_bytes: Option<u64>,
    #[serde(default)]
    pub modified_time: Option<Timestamp>,
    /// In hexadecimal, where the lake knows it.
    #[serde(default)]
    pub sha256: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Entry>,
}

/// A folder that is read page by page.
pub struct Listing<'a> {
    client: &'a Client,
    path: String,
    from: u64,
    is_over: bool,
}

impl<'a> Listing<'a> {
    /// Of a lake path, or of `/`, the lake itself.
    pub fn of(client: &'a Client, path: &str) -> Self {
        Self { client, path: path.to_owned(), from: 0, is_over: false }
    }

    /// The next entries; none when there are no more.
    pub async fn next_page(&mut self) -> Result<Vec<Entry>, ClientError> {
        if self.is_over {
            return Ok(Vec::new());
        }
        let query = [("path", self.path.clone()), ("from", self.from.to_string()), ("size", PAGE_SIZE.to_string())];
        let request = async || {
            let request = self.client.request(Method::GET, "/api/lake/file/list").query(&query);
            self.client.call::<Answer>(request).await
        };
        let entries = self.client.persistently(request).await?.data;
        self.from += entries.len() as u64;
        self.is_over = (entries.len() as u64) < PAGE_SIZE;
        Ok(entries)
    }

    /// The same, where a folder that is not there is an empty one.
    pub async fn next_page_if_there(&mut self) -> Result<Vec<Entry>, ClientError> {
        match self.next_page().await {
            Err(error) if is_not_there(&error) => {
                self.is_over = true;
                Ok(Vec::new())
            }
            result => result,
        }
    }
}

/// There is nothing at that place of the lake. (An address that the server does not know is something else.)
pub fn is_not_there(error: &ClientError) -> bool {
    matches!(error, ClientError::Refused { code, .. } if code / 100 == 404 && *code != ErrorCode::NoSuchRoute.number())
}
