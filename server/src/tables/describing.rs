//! Reads the footers of files that a version brings, in the processes of the readers.

use super::Shared;
use super::change::Member;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use lakeshore::Error;
use lakeshore::model::id::{UploadId, VersionNumber};
use lakeshore::model::path::LakePath;
use lakeshore::model::table::TableDescription;
use lakeshore::ports::Files;
use lakeshore::ports::metadata::table::TableFile;
use lakeshore_delta::footer::FileDescription;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Files that are looked up and described together.
pub(super) const TOGETHER_MAX: usize = 500;
/// Files that are read at the same time.
const READ_MAX: usize = 8;
/// Looks for a file that moves.
const LOOKS_MAX: u32 = 5;
const LOOK_PAUSE: Duration = Duration::from_millis(100);
/// Attempts at a file that cannot be read, while the object storage works.
const ATTEMPTS_MAX: u32 = 5;

impl Shared {
    /// Files of a version as tables know them, by their uploads. Those that were not described are read first. At most
    /// [`TOGETHER_MAX`].
    pub(super) async fn known(
        &self,
        dataset: &LakePath,
        version: VersionNumber,
        members: &[Member],
    ) -> Result<HashMap<UploadId, TableFile>, Error> {
        let ids: Vec<_> = members.iter().map(|member| member.upload_id).collect();
        let mut known = self.known_already(dataset, &ids).await?;
        let missing: Vec<_> = members.iter().filter(|member| !known.contains_key(&member.upload_id)).collect();
        if missing.is_empty() {
            return Ok(known);
        }
        let describe = |member: &'_ Member| {
            let (dataset, path, upload_id) = (dataset.clone(), member.path.clone(), member.upload_id);
            async move { Ok::<_, Error>((upload_id, self.described(&dataset, version, &path, upload_id).await?)) }
        };
        let descriptions: Vec<_> =
            stream::iter(missing.into_iter().map(describe)).buffer_unordered(READ_MAX).try_collect().await?;
        self.state.describe(&descriptions).await?;
        let ids: Vec<_> = descriptions.iter().map(|(upload_id, _)| *upload_id).collect();
        known.extend(self.known_already(dataset, &ids).await?);
        Ok(known)
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

    async fn described(
        &self,
        dataset: &LakePath,
        version: VersionNumber,
        path: &LakePath,
        upload_id: UploadId,
    ) -> Result<Option<TableDescription>, Error> {
        let described = match self.read_footer(dataset, version, path).await {
            Ok(described) => described,
            Err(Error::ShuttingDown) => return Err(Error::ShuttingDown),
            Err(error) => {
                let attempts = {
                    let mut unreadable = self.unreadable.lock();
                    let attempts = unreadable.entry(upload_id).or_default();
                    *attempts += 1;
                    *attempts
                };
                // The whole object storage may have failed. Then no file is at fault.
                if attempts < ATTEMPTS_MAX || self.objects.probe().await.is_err() {
                    return Err(error);
                }
                tracing::warn!(%path, fault = ?error, "a file stays outside the table of its dataset: it cannot be read");
                Some(FileDescription::unreadable("its object is missing, or cannot be read"))
            }
        };
        self.unreadable.lock().remove(&upload_id);
        let Some(FileDescription { schema, stats }) = described else { return Ok(None) };
        let schema = serde_json::to_string(&schema).map_err(Error::internal)?;
        Ok(Some(TableDescription { schema, stats }))
    }

    /// `None` for other formats than Parquet, and for a file that was purged.
    async fn read_footer(
        &self,
        dataset: &LakePath,
        version: VersionNumber,
        path: &LakePath,
    ) -> Result<Option<FileDescription>, Error> {
        for look in 0..LOOKS_MAX {
            if look > 0 {
                tokio::time::sleep(LOOK_PAUSE).await;
            }
            let Some(file) = self.state.version_file(dataset, version, path).await? else { continue };
            let Some(place) = file.place() else { continue };
            if let Some(open) = self.objects.open(&place).await?
                && file.identity.as_ref().is_none_or(|identity| open.found().identity == *identity)
            {
                return self.formats.describe(Arc::from(open), path.leaf()).await;
            }
        }
        Ok(None)
    }
}
