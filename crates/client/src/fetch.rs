//! `get`: downloads a file, or a folder with all files below it.

use super::call::Client;
use super::download::{Fetched, Source, fetch};
use super::error::ClientError;
use super::listing::Listing;
use super::progress::Progress;
use super::scan::{PROBLEMS_NAMED_MAX, Problems};
use super::target::{Folder, Records, Target};
use super::versions::{self, OfVersion, VersionListing};
use futures_util::{StreamExt, stream};
use lakeshore::model::dataset::browsing::LakeEntry;
use lakeshore::model::dataset::record::{Dataset, DatasetParameters};
use lakeshore::model::limits::LIST_SIZE_MAX;
use lakeshore::{ErrorCode, LakePath};
use serde::Serialize;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Counts of the files, by outcome.
#[derive(Debug, Default, Serialize)]
pub struct FetchReport {
    pub files: u64,
    pub bytes: u64,
    /// Local files that had the digest already.
    pub unchanged: u64,
    pub failed: Problems,
}

impl FetchReport {
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

/// A file of a folder, and its target.
struct Wanted {
    source: Source,
    target: Target,
    size_bytes: u64,
}

/// Limit of the folders that remain to be listed: beyond it, the server's listing is taken as endless.
const FOLDERS_MAX: usize = 1_000_000;

/// Downloads to this machine, several files at a time.
pub struct Fetcher<'a> {
    pub client: &'a Client,
    /// Records of interrupted downloads. Without them, the next command starts from the beginning.
    pub records: Option<&'a Records>,
    /// Files at a time.
    pub jobs: usize,
    pub progress: &'a Arc<Progress>,
}

impl Fetcher<'_> {
    pub async fn fetch_file(&self, source: &Source, target: &Target) -> Result<FetchReport, ClientError> {
        self.progress.begin("fetching", Some(1), None);
        let mut got = FetchReport::default();
        let of_file = self.progress.of_file(source.path.leaf(), 0);
        let fetched = fetch(self.client, self.records, source, target, &of_file).await?;
        self.progress.end();
        got.add(fetched);
        Ok(got)
    }

    /// Downloads the files of one version below `path` to `to`, several at a time: all of them, or it fails.
    pub async fn fetch_version(
        &self,
        of: &OfVersion,
        path: &LakePath,
        to: &Folder,
    ) -> Result<FetchReport, ClientError> {
        self.progress.begin("fetching", None, None);
        let mut got = FetchReport::default();
        self.add_version(of, path, to, &mut got).await?;
        self.progress.end();
        Ok(got)
    }

    async fn add_version(
        &self,
        of: &OfVersion,
        path: &LakePath,
        to: &Folder,
        got: &mut FetchReport,
    ) -> Result<(), ClientError> {
        let mut listing = VersionListing::of(self.client, of, path);
        loop {
            let page = listing.next_page().await?;
            if page.is_empty() {
                return Ok(());
            }
            let mut files = Vec::with_capacity(page.len());
            // Neighbours share their folder.
            let mut known: Option<(String, Folder)> = None;
            for file in page {
                let Some(relative) = path.relative(&file.path).map(str::to_owned) else {
                    let server = self.client.server();
                    return Err(ClientError::Unexpected(format!(
                        "{server} lists {}, which is not below {path}",
                        file.path
                    )));
                };
                let (folder, name) = relative.rsplit_once('/').unwrap_or(("", &relative));
                let below = match &known {
                    Some((same, below)) if same == folder => Ok(below.clone()),
                    _ => to.below(folder.split('/').filter(|name| !name.is_empty())),
                };
                match below {
                    Ok(below) => {
                        let source = Source { of: Some(of.clone()), sha256: Some(file.sha256), path: file.path };
                        files.push(Wanted { source, target: below.file(name), size_bytes: file.size_bytes });
                        known = Some((folder.to_owned(), below));
                    }
                    Err(error) => self.fail(got, file.path.as_str(), error.to_string()),
                }
            }
            self.fetch_all(files, got).await?;
        }
    }

    /// Downloads all files below `path` to `to`, several at a time: one version of each dataset there, and the current files
    /// outside of datasets. Holds a page of the listing for each level.
    pub async fn fetch_folder(&self, path: &LakePath, to: &Folder) -> Result<FetchReport, ClientError> {
        self.progress.begin("fetching", None, None);
        let mut got = FetchReport::default();
        let datasets = datasets_below(self.client, path).await?;
        let mut folders = vec![path.clone()];
        while let Some(folder) = folders.pop() {
            let below = path.relative(&folder).unwrap_or_default();
            let to = match to.below(below.split('/').filter(|name| !name.is_empty())) {
                Ok(to) => to,
                Err(error) => {
                    self.fail(&mut got, folder.as_str(), error.to_string());
                    continue;
                }
            };
            if datasets.contains(&folder)
                && let Some((of, _)) = versions::find(self.client, &folder, &versions::Wanted::default()).await?
            {
                self.add_version(&of, &folder, &to, &mut got).await?;
                continue;
            }
            let mut listing = Listing::of(self.client, folder.as_str());
            loop {
                let page = listing.next_page().await?;
                if page.is_empty() {
                    break;
                }
                let mut files = Vec::new();
                for entry in page {
                    match name(&folder, &entry) {
                        Ok(path) if entry.is_folder => folders.push(path),
                        Ok(path) => {
                            let target = to.file(&*entry.name);
                            files.push(Wanted { source: Source::live(&path), target, size_bytes: entry.size_bytes });
                        }
                        Err(why) => self.fail(&mut got, &format!("{folder}/{}", entry.name), why),
                    }
                }
                if folders.len() > FOLDERS_MAX {
                    let server = self.client.server();
                    return Err(ClientError::Unexpected(format!(
                        "{server} lists more than {FOLDERS_MAX} folders; fetch them one by one"
                    )));
                }
                self.fetch_all(files, &mut got).await?;
            }
        }
        self.progress.end();
        Ok(got)
    }

    async fn fetch_all(&self, files: Vec<Wanted>, got: &mut FetchReport) -> Result<(), ClientError> {
        let fetches = stream::iter(files).map(|wanted| async move {
            let of_file = self.progress.of_file(wanted.source.path.as_str(), wanted.size_bytes);
            (fetch(self.client, self.records, &wanted.source, &wanted.target, &of_file).await, wanted.source.path)
        });
        let mut fetches = fetches.buffer_unordered(self.jobs);
        while let Some((result, path)) = fetches.next().await {
            match result {
                Ok(fetched) => got.add(fetched),
                // Only this file failed: it was removed meanwhile, or cannot be written here.
                Err(ClientError::Local(why)) => self.fail(got, path.as_str(), why),
                Err(ClientError::Refused { code, msg, .. }) if !matches!(code / 100, 401 | 403) => {
                    self.fail(got, path.as_str(), msg)
                }
                Err(error) => return Err(error),
            }
            self.progress.add_files(1);
        }
        Ok(())
    }

    fn fail(&self, got: &mut FetchReport, path: &str, why: String) {
        if got.failed.count < PROBLEMS_NAMED_MAX as u64 {
            self.progress.tell(&format!("failed: {path}: {why}"));
        }
        got.failed.add(path, why);
    }
}

/// The datasets that lie below a folder.
async fn datasets_below(client: &Client, path: &LakePath) -> Result<BTreeSet<LakePath>, ClientError> {
    let mut datasets = BTreeSet::new();
    loop {
        let from = datasets.len() as u64;
        let wanted = DatasetParameters {
            from: Some(from),
            size: Some(LIST_SIZE_MAX),
            path: Some(path.clone()),
            ..DatasetParameters::default()
        };
        let page: Vec<Dataset> = match client.get("/api/lake/datasets", &wanted).await {
            // A server of before there were any.
            Err(error) if error.is_refusal(ErrorCode::NoSuchRoute) => return Ok(datasets),
            page => page?,
        };
        let is_last = (page.len() as u64) < LIST_SIZE_MAX;
        datasets.extend(page.into_iter().map(|dataset| dataset.path));
        if is_last || datasets.len() as u64 == from || datasets.len() > FOLDERS_MAX {
            return Ok(datasets);
        }
    }
}

/// Lake path of an entry. A name that the lake would not accept is refused, since it becomes a local name.
fn name(folder: &LakePath, entry: &LakeEntry) -> Result<LakePath, String> {
    if entry.name.contains('/') {
        return Err("its name is not valid on this machine".into());
    }
    folder.file(&entry.name).map_err(|error| error.to_string())
}
