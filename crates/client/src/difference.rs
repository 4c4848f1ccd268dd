//! `--dry-run`: compares a plan with the live dataset folder by folder, and changes nothing.

use super::call::Client;
use super::deliver::Counts;
use super::error::ClientError;
use super::listing::Listing;
use super::plan::{Plan, PlannedFile};
use super::progress::Progress;
use super::scan::NAMED_MAX;
use lakeshore::LakePath;
use lakeshore::model::sync::status::SyncType;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};

/// Differences of a push. A full sync removes files that it does not send; an incremental one removes nothing.
#[derive(Debug, Default, Clone, Serialize)]
pub struct Difference {
    pub added: Kind,
    /// Files with another size or digest, or a digest that the lake does not know.
    pub changed: Kind,
    pub removed: Kind,
    pub unchanged: Kind,
}

#[derive(Debug, Default, Clone, Serialize)]
pub struct Kind {
    #[serde(flatten)]
    pub counts: Counts,
    /// Names of the first files.
    pub names: Vec<String>,
}

impl Kind {
    fn add(&mut self, name: String, bytes: u64) {
        self.counts.files += 1;
        self.counts.bytes += bytes;
        if self.names.len() < NAMED_MAX {
            self.names.push(name);
        }
    }
}

/// Position of a folder's files in the plan.
#[derive(Debug, Clone, Copy)]
struct PlanRange {
    offset: u64,
    count: usize,
}

struct Comparing<'a> {
    client: &'a Client,
    dataset: &'a LakePath,
    plan: &'a Plan,
    progress: &'a Progress,
    /// Folders of the plan that were not compared yet.
    local: BTreeMap<String, PlanRange>,
    difference: Difference,
}

/// Compares the plan with the dataset. Memory holds the names of all folders, and the files of one.
pub async fn difference(
    client: &Client,
    plan: &Plan,
    dataset: &LakePath,
    sync_type: SyncType,
    progress: &Progress,
) -> Result<Difference, ClientError> {
    progress.begin("comparing", None, None);
    let mut comparing =
        Comparing { client, dataset, plan, progress, local: ranges(plan)?, difference: Difference::default() };
    match sync_type {
        SyncType::FullSync => comparing.compare_all().await?,
        SyncType::IncrementalSync => {
            let folders: Vec<_> = comparing.local.keys().cloned().collect();
            for folder in folders {
                comparing.compare(&folder, false).await?;
            }
        }
    }
    progress.end();
    Ok(comparing.difference)
}

fn ranges(plan: &Plan) -> Result<BTreeMap<String, PlanRange>, ClientError> {
    let mut reader = plan.read()?;
    let mut ranges = BTreeMap::new();
    loop {
        let offset = reader.offset();
        let Some(file) = reader.next_file()? else { return Ok(ranges) };
        // The files of a folder are adjacent in the plan.
        ranges.entry(file.folder().to_owned()).or_insert(PlanRange { offset, count: 0 }).count += 1;
    }
}

impl Comparing<'_> {
    async fn compare_all(&mut self) -> Result<(), ClientError> {
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            folders.extend(self.compare(&folder, true).await?);
        }
        // Folders that the lake does not have.
        for (_, range) in std::mem::take(&mut self.local) {
            for file in self.read(range)? {
                let bytes = file.size_bytes();
                self.difference.added.add(file.path, bytes);
            }
        }
        Ok(())
    }

    fn read(&self, range: PlanRange) -> Result<Vec<PlannedFile>, ClientError> {
        let mut reader = self.plan.read()?;
        reader.go_to(range.offset)?;
        reader.take(range.count)
    }

    /// Compares one folder; returns the subfolders that the lake has.
    async fn compare(&mut self, folder: &str, removes: bool) -> Result<Vec<String>, ClientError> {
        if self.client.retry_policy().stop.is_cancelled() {
            return Err(ClientError::Interrupted);
        }
        let files = match self.local.remove(folder) {
            Some(range) => self.read(range)?,
            None => Vec::new(),
        };
        let mut files: HashMap<_, _> = files.into_iter().map(|file| (file.name().to_owned(), file)).collect();
        let below = |name: &str| if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
        let place = if folder.is_empty() { self.dataset.to_string() } else { format!("{}/{folder}", self.dataset) };
        let mut listing = Listing::of(self.client, &place);
        let mut folders = Vec::new();
        let difference = &mut self.difference;
        loop {
            let page = listing.next_page_if_there().await?;
            if page.is_empty() {
                break;
            }
            self.progress.add_files(page.len() as u64);
            for entry in page {
                let size = entry.size_bytes;
                match files.remove(&entry.name) {
                    _ if entry.is_folder => folders.push(below(&entry.name)),
                    Some(file) if entry.sha256.as_ref() == Some(&file.sha256) => {
                        difference.unchanged.add(file.path, size);
                    }
                    Some(file) => {
                        let bytes = file.size_bytes();
                        difference.changed.add(file.path, bytes);
                    }
                    None if removes => difference.removed.add(below(&entry.name), size),
                    None => {}
                }
            }
        }
        for file in files.into_values() {
            let bytes = file.size_bytes();
            difference.added.add(file.path, bytes);
        }
        Ok(folders)
    }
}
