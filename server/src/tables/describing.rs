//! Reads the footers of files that a version brings, in the processes of the readers.

use super::Shared;
use super::change::Member;
use futures_util::stream::{self, StreamExt};
use lakeshore::Error;
use lakeshore::model::id::UploadId;
use lakeshore::model::path::LakePath;
use lakeshore::model::table::TableDescription;
use lakeshore::ports::Files;
use lakeshore::ports::metadata::table::TableFile;
use lakeshore::ports::storage::OpenFile;
use lakeshore_delta::footer::FileDescription;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Files that are looked up and described together.
pub(super) const TOGETHER_MAX: usize = 500;
/// Files that are read at the same time.
const READ_MAX: usize = 8;
/// Longest reading of files that no version waits for yet.
const READ_AHEAD_MAX: Duration = Duration::from_secs(1);
/// Attempts at a file that cannot be read, while the object storage works.
const ATTEMPTS_MAX: u32 = 5;

/// A file of a version that is to be read.
struct OpenedMember {
    upload_id: UploadId,
    path: LakePath,
    /// Wherever it is: in the dataset, in the trash, or on its way. Absent once it was purged.
    file: Option<Arc<dyn OpenFile>>,
}

impl Shared {
    /// Files as tables know them, by their uploads; those that were not described are read first. At most [`TOGETHER_MAX`].
    pub(super) async fn known(
        &self,
        dataset: &LakePath,
        members: &[Member],
    ) -> Result<HashMap<UploadId, TableFile>, Error> {
        self.known_ahead(dataset, members, members.len()).await.map(|(known, _)| known)
    }

    /// As [`Self::known`]. Behind the first `wanted` members, the reading ends at one that cannot be read at once; the second
    /// value has those that were not read.
    pub(super) async fn known_ahead(
        &self,
        dataset: &LakePath,
        members: &[Member],
        wanted: usize,
    ) -> Result<(HashMap<UploadId, TableFile>, HashSet<UploadId>), Error> {
        let ids: Vec<_> = members.iter().map(|member| member.upload_id).collect();
        let mut known = self.known_already(dataset, &ids).await?;
        let is_missing = |member: &&Member| !known.contains_key(&member.upload_id);
        let num_wanted = members.iter().take(wanted).filter(is_missing).count();
        let missing = members.iter().filter(is_missing).map(|member| (member.upload_id, member.path.clone()));
        let missing: Vec<_> = missing.collect();
        if missing.is_empty() {
            return Ok((known, HashSet::new()));
        }
        let mut unread: HashSet<_> = missing.iter().map(|(upload_id, _)| *upload_id).collect();
        let files = self.open(missing).await?;
        let describe = |(index, OpenedMember { upload_id, path, file }): (usize, OpenedMember)| async move {
            Ok::<_, Error>((upload_id, self.described(&path, upload_id, file, index < num_wanted).await?))
        };
        let mut reading = stream::iter(files.into_iter().enumerate().map(describe)).buffered(READ_MAX);
        let until = Instant::now() + READ_AHEAD_MAX;
        let (mut descriptions, mut failure) = (Vec::new(), None);
        loop {
            let is_wanted = descriptions.len() < num_wanted;
            let next = match is_wanted {
                true => reading.next().await,
                false => timeout_at(until, reading.next()).await.unwrap_or(None),
            };
            match next {
                Some(Ok(described)) => descriptions.push(described),
                Some(Err(error)) => {
                    failure = is_wanted.then_some(error);
                    break;
                }
                None => break,
            }
        }
        drop(reading);
        if !descriptions.is_empty() {
            self.state.describe(&descriptions).await?;
            let ids: Vec<_> = descriptions.iter().map(|(upload_id, _)| *upload_id).collect();
            known.extend(self.known_already(dataset, &ids).await?);
            unread.retain(|upload_id| !ids.contains(upload_id));
        }
        failure.map_or(Ok((known, unread)), Err)
    }

    async fn open(&self, members: Vec<(UploadId, LakePath)>) -> Result<Vec<OpenedMember>, Error> {
        let ids: Vec<_> = members.iter().map(|(upload_id, _)| *upload_id).collect();
        let (uploads, identities): (Vec<_>, Vec<_>) = self.state.file_identities(&ids).await?.into_iter().unzip();
        let opened = self.objects.open_identified(&identities).await?.unwrap_or_default();
        let mut opened: HashMap<_, _> = uploads.into_iter().zip(opened).collect();
        let with_file = |(upload_id, path)| OpenedMember {
            file: opened.remove(&upload_id).flatten().map(Arc::from),
            upload_id,
            path,
        };
        Ok(members.into_iter().map(with_file).collect())
    }

    pub(super) async fn known_already(
        &self,
        dataset: &LakePath,
        ids: &[UploadId],
    ) -> Result<HashMap<UploadId, TableFile>, Error> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let files = self.state.table_files(dataset, ids).await?;
        Ok(files.into_iter().map(|file| (file.upload_id, file)).collect())
    }

    /// `None` for other formats than Parquet, and for a file that was purged. Only attempts at a file that is wanted now count.
    async fn described(
        &self,
        path: &LakePath,
        upload_id: UploadId,
        file: Option<Arc<dyn OpenFile>>,
        is_wanted: bool,
    ) -> Result<Option<TableDescription>, Error> {
        let Some(file) = file else { return Ok(None) };
        let described = match self.formats.describe(file, path.leaf()).await {
            Ok(described) => described,
            Err(error) if !is_wanted || matches!(error, Error::ShuttingDown) => return Err(error),
            Err(error) => {
                // Where the whole object storage fails, no file is at fault.
                if self.objects.probe().await.is_err() {
                    return Err(error);
                }
                let attempts = {
                    let mut unreadable = self.unreadable.lock();
                    let attempts = unreadable.entry(upload_id).or_default();
                    *attempts += 1;
                    *attempts
                };
                if attempts < ATTEMPTS_MAX {
                    return Err(error);
                }
                tracing::warn!(%path, fault = ?error, "a file stays outside the table of its dataset: it cannot be read");
                let problem =
                    format!("{ATTEMPTS_MAX} attempts failed: its object is missing, or takes too long to read");
                Some(FileDescription::unreadable(&problem))
            }
        };
        self.unreadable.lock().remove(&upload_id);
        let Some(FileDescription { schema, stats }) = described else { return Ok(None) };
        let schema = serde_json::to_string(&schema).map_err(Error::internal)?;
        Ok(Some(TableDescription { schema, stats }))
    }
}
