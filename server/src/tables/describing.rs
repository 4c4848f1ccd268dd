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
use std::collections::HashMap;
use std::sync::Arc;

/// Files that are looked up and described together.
pub(super) const TOGETHER_MAX: usize = 500;
/// Files that are read at the same time.
const READ_MAX: usize = 8;
/// Attempts at a file that cannot be read, while the object storage works.
const ATTEMPTS_MAX: u32 = 5;

/// A file of a version that is to be read.
struct OpenedMember {
    upload_id: UploadId,
    path: LakePath,
    /// Wherever it is: in the dataset, in the trash, or on its way. Absent once it was purged.
    file: Option<Arc<dyn OpenFile>>,
}

/// Files as tables know them, by their uploads.
pub(super) struct Known {
    pub(super) files: HashMap<UploadId, TableFile>,
    /// Those that were not read, because one of them failed.
    pub(super) unread: Vec<UploadId>,
    pub(super) failure: Option<Error>,
}

impl Known {
    pub(super) fn all(self) -> Result<HashMap<UploadId, TableFile>, Error> {
        match self.failure {
            None => Ok(self.files),
            Some(error) => Err(error),
        }
    }
}

impl Shared {
    /// Files as tables know them, by their uploads. Those that were not described are read first, in their order, up to one that
    /// cannot be read. At most [`TOGETHER_MAX`].
    pub(super) async fn known(&self, dataset: &LakePath, members: &[Member]) -> Result<Known, Error> {
        let ids: Vec<_> = members.iter().map(|member| member.upload_id).collect();
        let mut known = Known { files: self.known_already(dataset, &ids).await?, unread: Vec::new(), failure: None };
        let mut missing = Vec::new();
        for member in members {
            if !known.files.contains_key(&member.upload_id) {
                missing.push((member.upload_id, member.path.clone()));
            }
        }
        if missing.is_empty() {
            return Ok(known);
        }
        known.unread.extend(missing.iter().map(|(upload_id, _)| *upload_id));
        let files = self.open(missing).await?;
        let describe = |OpenedMember { upload_id, path, file }: OpenedMember| async move {
            Ok::<_, Error>((upload_id, self.described(&path, upload_id, file).await?))
        };
        let mut reading = stream::iter(files.into_iter().map(describe)).buffered(READ_MAX);
        let mut descriptions = Vec::new();
        while let Some(described) = reading.next().await {
            match described {
                Ok(described) => descriptions.push(described),
                Err(error) => {
                    known.failure = Some(error);
                    break;
                }
            }
        }
        drop(reading);
        known.unread.drain(..descriptions.len());
        if descriptions.is_empty() {
            return Ok(known);
        }
        self.state.describe(&descriptions).await?;
        let ids: Vec<_> = descriptions.iter().map(|(upload_id, _)| *upload_id).collect();
        known.files.extend(self.known_already(dataset, &ids).await?);
        Ok(known)
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

    /// `None` for other formats than Parquet, and for a file that was purged.
    async fn described(
        &self,
        path: &LakePath,
        upload_id: UploadId,
        file: Option<Arc<dyn OpenFile>>,
    ) -> Result<Option<TableDescription>, Error> {
        let Some(file) = file else { return Ok(None) };
        let described = match self.formats.describe(file, path.leaf()).await {
            Ok(described) => described,
            Err(Error::ShuttingDown) => return Err(Error::ShuttingDown),
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
