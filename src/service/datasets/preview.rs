//! Previews of files in the lake.

use crate::model::access::key::Caller;
use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::id::VersionNumber;
use crate::model::page::{Order, Page, UploadQuery};
use crate::model::path::LakePath;
use crate::model::preview::{FilePreview, ROWS_DEFAULT, ROWS_MAX};
use crate::model::sync::status::Status;
use crate::model::time::Timestamp;
use crate::service::{Download, Lake};

use std::sync::Arc;

impl Lake {
    /// Preview of a file with its first `rows` rows and its metadata. A caller who may download the file may see it.
    pub async fn preview(
        &self,
        caller: &Caller,
        path: &str,
        rows: Option<u64>,
    ) -> Result<(FilePreview, Option<(LakePath, VersionNumber)>), Error> {
        let rows = shown_rows(rows)?;
        let _turn = self.0.previews.turn(caller).await?;
        let download = self.download(caller, path).await?;
        let version = download.version.clone();
        Ok((self.preview_of(download, rows).await?, version))
    }

    /// [`Self::preview`] for a file of a version.
    pub async fn preview_of_version(
        &self,
        caller: &Caller,
        path: &str,
        dataset: Option<&str>,
        version: Option<VersionNumber>,
        as_of: Option<Timestamp>,
        rows: Option<u64>,
    ) -> Result<(FilePreview, Option<(LakePath, VersionNumber)>), Error> {
        let rows = shown_rows(rows)?;
        let _turn = self.0.previews.turn(caller).await?;
        let download = self.download_of_version(caller, path, dataset, version, as_of).await?;
        let version = download.version.clone();
        Ok((self.preview_of(download, rows).await?, version))
    }

    async fn preview_of(&self, download: Download, rows: u64) -> Result<FilePreview, Error> {
        let Download { path, file, sha256, .. } = download;
        let (size_bytes, modified_time) = (file.found().size_bytes, file.found().modified_at);
        let sync_id = match sha256 {
            Some(sha256) => self.bringer(&path, &sha256).await?,
            None => None,
        };
        let preview = self.0.formats.preview(Arc::from(file), path.leaf(), rows).await?;
        let sha256 = sha256.map(hex::encode);
        Ok(FilePreview { path, size_bytes, modified_time, sha256, sync_id, preview })
    }

    /// Sync of the last upload of these bytes to this path.
    async fn bringer(&self, path: &LakePath, sha256: &[u8; 32]) -> Result<Option<SyncId>, Error> {
        const UPLOADS_LOOKED_AT: u64 = 20;
        let query = UploadQuery {
            page: Page::new(None, Some(UPLOADS_LOOKED_AT), Order::Desc)?,
            sync_id: None,
            status: Some(Status::Finished),
            path: Some(path.clone()),
            text: None,
            scope: None,
        };
        let sha256 = Some(hex::encode(sha256));
        let uploads = self.0.state.uploads(&query).await?;
        Ok(uploads.into_iter().find(|upload| upload.sha256 == sha256).map(|upload| upload.sync_id))
    }
}

fn shown_rows(rows: Option<u64>) -> Result<u64, Error> {
    let rows = rows.unwrap_or(ROWS_DEFAULT);
    if rows > ROWS_MAX {
        return Err(Error::Invalid(format!("rows is at most {ROWS_MAX}; download the file to see more")));
    }
    Ok(rows)
}
