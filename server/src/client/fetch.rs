//! `get`: a file of the lake, or a folder with all that is below it.

use super::call::Client;
use super::download::{Fetched, fetch};
use super::error::ClientError;
use super::listing::Listing;
use super::progress::Progress;
use super::scan::Problems;
use futures_util::{StreamExt, stream};
use lakeshore::LakePath;
use lakeshore::service::LakeEntry;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What was fetched.
#[derive(Debug, Default, Serialize)]
pub struct Got {
    pub files: u64,
    pub bytes: u64,
    /// Files of this machine that had the digest already.
    pub unchanged: u64,
    pub failed: Problems,
}

impl Got {
    pub fn add(&mut self, fetched: Fetched) {
        match fetched {
            Fetched::New { bytes } => {
                self.files += 1;
                self.bytes += bytes;
            }
            Fetched::Unchanged => self.unchanged += 1,
        }
    }
}

/// A file of a folder, and where it goes.
struct Wanted {
    path: LakePath,
    target: PathBuf,
    size_bytes: u64,
}

/// Fetches all that is below `path` to below `to`, many files at a time. Holds a page of the list for each level.
pub async fn fetch_folder(
    client: &Client,
    path: &LakePath,
    to: &Path,
    jobs: usize,
    progress: &Arc<Progress>,
) -> Result<Got, ClientError> {
    progress.begin("fetching", None, None);
    let mut got = Got::default();
    let mut folders = vec![(path.clone(), to.to_owned())];
    while let Some((folder, to)) = folders.pop() {
        let mut listing = Listing::of(client, folder.as_str());
        loop {
            let page = listing.next_page().await?;
            if page.is_empty() {
                break;
            }
            let mut files = Vec::new();
            for entry in page {
                match place(&folder, &to, &entry) {
                    Ok((path, target)) if entry.is_folder => folders.push((path, target)),
                    Ok((path, target)) => {
                        files.push(Wanted { path, target, size_bytes: entry.size_bytes });
                    }
                    Err(why) => got.failed.add(entry.path.as_str(), why),
                }
            }
            fetch_all(client, files, jobs, progress, &mut got).await?;
        }
    }
    progress.end();
    Ok(got)
}

/// Never outside `to`, whatever the server names.
fn place(folder: &LakePath, to: &Path, entry: &LakeEntry) -> Result<(LakePath, PathBuf), String> {
    if entry.name.contains('/') {
        return Err("its name is no name".into());
    }
    let path = folder.file(&entry.name).map_err(|error| error.to_string())?;
    Ok((path, to.join(&entry.name)))
}

async fn fetch_all(
    client: &Client,
    files: Vec<Wanted>,
    jobs: usize,
    progress: &Arc<Progress>,
    got: &mut Got,
) -> Result<(), ClientError> {
    let fetches = stream::iter(files).map(|wanted| async move {
        let of_file = progress.of_file(wanted.path.as_str(), wanted.size_bytes);
        (fetch(client, &wanted.path, &wanted.target, &of_file).await, wanted.path)
    });
    let mut fetches = fetches.buffer_unordered(jobs);
    while let Some((result, path)) = fetches.next().await {
        match result {
            Ok(fetched) => got.add(fetched),
            // This file: it was removed meanwhile, or cannot be written here.
            Err(ClientError::Local(why)) => fail(got, progress, &path, why),
            Err(ClientError::Refused { code, msg, .. }) if !matches!(code / 100, 401 | 403) => {
                fail(got, progress, &path, msg)
            }
            Err(error) => return Err(error),
        }
        progress.add_files(1);
    }
    Ok(())
}

fn fail(got: &mut Got, progress: &Progress, path: &LakePath, why: String) {
    progress.tell(&format!("failed: {path}: {why}"));
    got.failed.add(path.as_str(), why);
}
