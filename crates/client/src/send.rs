//! Sends one file until it has landed or cannot land: small files in one request, large ones resumably.

use super::body::{BodyError, SourceFile};
use super::call::Client;
use super::error::ClientError;
use super::missing::has_landed;
use super::plan::PlannedFile;
use super::progress::{FileProgress, Progress};
use super::push_state::PushState;
use super::repr_digest::{REPR_DIGEST, repr_digest};
use lakeshore::ErrorCode;
use lakeshore::model::id::SyncId;
use reqwest::header::HeaderMap;
use reqwest::multipart::{Form, Part};
use reqwest::{Body, Method};
use std::path::PathBuf;
use std::sync::Arc;

/// Size above which a file is sent resumably. After a break, a smaller file is sent again in a moment, and saves a
/// request.
pub const WHOLE_BYTES_MAX: u64 = 8 << 20;
/// Size up to which a file is read at once.
const AT_ONCE_BYTES_MAX: u64 = 256 << 10;
/// Retries of a file that arrives with another digest although it has not changed here.
const CORRUPTIONS_MAX: u32 = 3;

/// Parameters for sending files.
pub struct Sender<'a> {
    pub client: &'a Client,
    pub sync_id: SyncId,
    pub folder: PathBuf,
    pub remembered: &'a PushState,
    pub progress: &'a Arc<Progress>,
}

/// Reason why a file was not sent.
#[derive(Debug)]
pub enum SendError {
    /// Concerns this file; others may succeed.
    File(String),
    /// Concerns all files.
    All(ClientError),
}

impl From<ClientError> for SendError {
    /// Decides whether a refusal concerns one file or all.
    fn from(error: ClientError) -> Self {
        match &error {
            ClientError::Local(why) => Self::File(why.clone()),
            ClientError::Refused { code, msg, .. } => match code / 100 {
                // The file's name, bytes or size, or a conflict at its path.
                400 | 409 | 413 | 460 if !error.is_refusal(ErrorCode::SyncEnded) => Self::File(msg.clone()),
                500 => Self::File(msg.clone()),
                _ => Self::All(error),
            },
            _ => Self::All(error),
        }
    }
}

impl Sender<'_> {
    /// Sends the file, and returns when it has landed.
    pub async fn send(&self, file: &PlannedFile) -> Result<(), SendError> {
        let progress = self.progress.of_file(&file.path, file.size_bytes());
        if file.size_bytes() > WHOLE_BYTES_MAX {
            self.send_resumably(file, &progress).await
        } else {
            self.send_whole(file, &progress).await
        }
    }

    /// Sends the file in one request, with retries.
    pub(super) async fn send_whole(&self, file: &PlannedFile, progress: &Arc<FileProgress>) -> Result<(), SendError> {
        let mut attempts = self.client.retry_policy().attempts();
        let mut corruptions = 0;
        loop {
            let error = match self.upload(file, progress).await {
                Ok(()) => return Ok(()),
                Err(SendError::All(error)) => error,
                Err(unsent) => return Err(unsent),
            };
            progress.at(0);
            let is_corrupt = error.is_refusal(ErrorCode::DigestMismatch);
            if is_corrupt && corruptions < CORRUPTIONS_MAX {
                corruptions += 1;
                continue;
            }
            self.client.tell_away(&error);
            attempts.after(error).await?;
            // The file may have landed, with only the answer lost.
            if has_landed(self.client, self.sync_id, file).await? {
                progress.at(file.size_bytes());
                return Ok(());
            }
        }
    }

    async fn upload(&self, file: &PlannedFile, progress: &Arc<FileProgress>) -> Result<(), SendError> {
        let path = self.folder.join(&file.path);
        let source = SourceFile::open(&path, &file.stamp).await.map_err(SendError::File)?;
        let body_error = BodyError::default();
        let size = file.size_bytes();
        let part = if size <= AT_ONCE_BYTES_MAX {
            let bytes = source.read_whole().await.map_err(SendError::File)?;
            Part::stream_with_length(Body::from(bytes), size)
        } else {
            let stream = source.stream(0, size, progress.clone(), body_error.clone());
            Part::stream_with_length(Body::wrap_stream(stream), size)
        };
        let mut headers = HeaderMap::new();
        headers.insert(REPR_DIGEST, repr_digest(&file.sha256)?);
        let form = Form::new().part("file", part.file_name(file.path.clone()).headers(headers));
        let request = self.client.request(Method::POST, "/api/lake/file/upload");
        let request = request.query(&[("sync_id", self.sync_id)]).multipart(form);
        match (self.client.send(request).await, body_error.why()) {
            (Ok(_), _) => {
                progress.at(size);
                Ok(())
            }
            (Err(ClientError::Interrupted), _) => Err(SendError::All(ClientError::Interrupted)),
            (Err(_), Some(why)) => Err(SendError::File(why.to_owned())),
            (Err(error), None) => Err(SendError::All(error)),
        }
    }
}
