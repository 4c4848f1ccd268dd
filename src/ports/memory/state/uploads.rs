//! Uploads and their landings.

use super::{MemoryState, UploadRow, holds, index, new_upload, page_of, within};
use crate::model::error::Error;
use crate::model::id::UploadId;
use crate::model::page::UploadQuery;
use crate::model::path::LakePath;
use crate::model::storage_path::Identity;
use crate::model::sync::job::may_accept_uploads;
use crate::model::sync::status::Status;
use crate::model::time::Timestamp;
use crate::model::upload::row::Upload;
use crate::ports::metadata::upload::{
    FinishedLandings, LandedContent, LandingsId, NewUpload, RefusedUpload, UnfinishedUpload, UploadState, WholeUpload,
};
use async_trait::async_trait;

#[async_trait]
impl UploadState for MemoryState {
    async fn begin_upload(&self, new: &NewUpload) -> Result<UploadId, Error> {
        let mut data = self.data();
        data.faults.next("begin_upload")?;
        data.begin_upload(new)
    }

    async fn refuse_upload(&self, refused: &RefusedUpload) -> Result<Option<UploadId>, Error> {
        let mut data = self.data();
        let sync_id = refused.sync_id;
        may_accept_uploads(data.record(sync_id)?)?;
        if data.refused_rows.get(&sync_id).is_some_and(|rows| *rows >= refused.rows_max) || refused.rows_max == 0 {
            let sync = &mut data.record(sync_id)?.sync;
            sync.total_files += 1;
            sync.num_failed += 1;
            sync.num_unlisted += 1;
            data.touch(sync_id, refused.at);
            return Ok(None);
        }
        *data.refused_rows.entry(sync_id).or_default() += 1;
        let mut upload =
            new_upload(refused.sync_id, &refused.file_name, Status::Failed, &refused.message, refused.begun_at);
        upload.end_time = refused.at;
        upload.size_bytes = refused.size_bytes;
        let target = refused.target.clone().unwrap_or_else(|| refused.folder.clone());
        let row = UploadRow { upload, target, partial: None, landed: None, schema: None };
        data.add_upload(row, true).map(Some)
    }

    async fn intend_landings(
        &self,
        finished: Option<&FinishedLandings>,
        uploads: &[WholeUpload],
    ) -> Result<(LandingsId, Vec<Result<(), Error>>), Error> {
        let mut data = self.data();
        data.faults.next("intend_landings")?;
        if let Some(finished) = finished {
            data.finish_landings(finished)?;
        }
        let permissions: Vec<_> =
            uploads.iter().map(|upload| may_accept_uploads(data.record(upload.sync_id)?)).collect();
        let allowed = uploads.iter().zip(&permissions).filter(|(_, permission)| permission.is_ok());
        let allowed = allowed.map(|(upload, _)| upload.clone()).collect();
        data.last_landings_id += 1;
        let id = data.last_landings_id;
        data.landings.insert(id, allowed);
        Ok((LandingsId(id), permissions))
    }

    async fn finish_landings(&self, finished: &FinishedLandings) -> Result<(), Error> {
        let mut data = self.data();
        data.faults.next("finish_landings")?;
        data.finish_landings(finished)
    }

    async fn unfinished_landings(&self) -> Result<Vec<(LandingsId, Vec<WholeUpload>)>, Error> {
        Ok(self.data().landings.iter().map(|(id, uploads)| (LandingsId(*id), uploads.clone())).collect())
    }

    async fn fail_upload(&self, id: UploadId, message: &str, size_bytes: u64, at: Timestamp) -> Result<(), Error> {
        let mut data = self.data();
        let Some(row) = data.in_flight(id) else { return Ok(()) };
        row.upload.sync_status = Status::Failed;
        row.upload.end_time = at;
        row.upload.size_bytes = size_bytes;
        message.clone_into(&mut row.upload.message);
        let sync_id = row.upload.sync_id;
        let record = data.record(sync_id)?;
        record.sync.num_in_flight -= 1;
        record.sync.num_failed += 1;
        Ok(())
    }

    async fn upload(&self, id: UploadId) -> Result<Option<Upload>, Error> {
        Ok(self.data().uploads.get(index(id.0)).map(|row| row.upload.clone()))
    }

    async fn landed_contents(&self, files: &[(LakePath, Identity)]) -> Result<Vec<Option<LandedContent>>, Error> {
        let data = self.data();
        let content = |(target, identity): &(LakePath, Identity)| {
            let mut landed = data.uploads.iter().rev().filter(|row| row.target == *target);
            landed
                .find_map(|row| row.landed.as_ref().filter(|(landed, _)| landed == identity))
                .map(|(_, content)| *content)
        };
        Ok(files.iter().map(content).collect())
    }

    async fn uploads(&self, query: &UploadQuery) -> Result<Vec<Upload>, Error> {
        let data = self.data();
        let rows = data.uploads.iter().filter(|UploadRow { upload, target, .. }| {
            query.sync_id.is_none_or(|id| upload.sync_id == id)
                && query.status.is_none_or(|status| upload.sync_status == status)
                && within(query.path.as_ref(), target)
                && within(query.scope.as_ref(), target)
                && holds(query.text.as_deref(), [&upload.file_name, target.as_str()])
        });
        Ok(page_of(rows.map(|row| row.upload.clone()).collect(), &query.page))
    }

    async fn unfinished_uploads(&self) -> Result<Vec<UnfinishedUpload>, Error> {
        let data = self.data();
        let can_be_resumed = |id: UploadId| data.resumables.values().any(|resumable| resumable.upload_id == Some(id));
        let unfinished = data
            .uploads
            .iter()
            .filter(|row| row.upload.sync_status == Status::Syncing && !can_be_resumed(row.upload.history_id));
        Ok(unfinished
            .filter_map(|row| {
                Some(UnfinishedUpload { upload_id: row.upload.history_id, partial: row.partial.clone()? })
            })
            .collect())
    }
}
