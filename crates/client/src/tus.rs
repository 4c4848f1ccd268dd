//! Resumable uploads by tus 1.0 (<https://tus.io/protocols/resumable-upload>). A file is sent in chunks; after a break,
//! the server is asked for the offset, also by the next push of the same command.

use super::body::{BodyError, SourceFile};
use super::error::ClientError;
use super::missing::has_landed;
use super::plan::PlannedFile;
use super::progress::FileProgress;
use super::repr_digest::{REPR_DIGEST, repr_digest};
use super::send::{SendError, Sender};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lakeshore::ErrorCode;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, LOCATION};
use reqwest::{Body, Method, RequestBuilder, Response, Url};
use std::sync::Arc;

/// Bytes of one request: proxies limit its length and duration.
const CHUNK_BYTES_MAX: u64 = 64 << 20;
/// Limit of unexpected states: an upload that the server has lost is begun again, and one at another offset is
/// followed.
const SURPRISES_MAX: u32 = 8;
const FILES: &str = "/api/lake/files";

/// State of an upload on the server.
enum RemoteUpload {
    /// Continues at this byte.
    At(u64),
    /// Expired, discarded or failed.
    Gone,
}

impl Sender<'_> {
    pub(super) async fn send_resumably(
        &self,
        file: &PlannedFile,
        progress: &Arc<FileProgress>,
    ) -> Result<(), SendError> {
        let mut attempts = self.client.retry_policy().attempts();
        let mut surprises = 0;
        let mut url = self.begun_before(file).await?;
        // The offset of a new upload is known from its creation.
        let mut offset = None;
        loop {
            let step = self.step(file, &mut url, &mut offset, progress).await;
            let error = match step {
                Ok(true) => return Ok(()),
                Ok(false) => {
                    attempts.progressed();
                    continue;
                }
                Err(SendError::All(error)) => error,
                Err(unsent) => return Err(unsent),
            };
            // The offset has to be asked for.
            offset = None;
            if is_elsewhere(&error) && surprises < SURPRISES_MAX {
                surprises += 1;
                continue;
            }
            if is_gone(&error) {
                // Complete and forgotten, or lost.
                if has_landed(self.client, self.sync_id, file).await? {
                    progress.at(file.size_bytes());
                    return Ok(());
                }
                surprises += 1;
                if surprises < SURPRISES_MAX {
                    url = None;
                    progress.at(0);
                    continue;
                }
            }
            self.client.tell_away(&error);
            attempts.after(error).await?;
        }
    }

    /// The upload that an earlier push has begun, if the file is unchanged.
    async fn begun_before(&self, file: &PlannedFile) -> Result<Option<Url>, SendError> {
        let Some((sha256, url)) = self.remembered.begun(self.sync_id, &file.path) else { return Ok(None) };
        let Ok(url) = Url::parse(&url) else { return Ok(None) };
        if sha256 == file.sha256 {
            return Ok(Some(url));
        }
        // It would block the end of the sync. If discarding fails now, the end reports it.
        let _ = self.client.send(self.request(Method::DELETE, &url)).await;
        Ok(None)
    }

    /// Begins the upload, asks for its offset, or sends one chunk. Returns whether it is complete.
    async fn step(
        &self,
        file: &PlannedFile,
        url: &mut Option<Url>,
        offset: &mut Option<u64>,
        progress: &Arc<FileProgress>,
    ) -> Result<bool, SendError> {
        let Some(place) = url else {
            *url = Some(self.begin(file).await.map_err(SendError::All)?);
            *offset = Some(0);
            return Ok(false);
        };
        let from = match *offset {
            Some(offset) => offset,
            None => match self.remote_state(place).await.map_err(SendError::All)? {
                RemoteUpload::At(offset) => offset,
                RemoteUpload::Gone => {
                    return Err(SendError::All(refusal(
                        ErrorCode::NoSuchResumable,
                        "the upload is gone; start a new one",
                    )));
                }
            },
        };
        progress.at(from);
        if from < file.size_bytes() {
            *offset = Some(self.send_chunk(file, place, from, progress).await?);
        }
        let is_complete = offset.unwrap_or(from) >= file.size_bytes();
        *offset = offset.or(Some(from));
        Ok(is_complete)
    }

    async fn begin(&self, file: &PlannedFile) -> Result<Url, ClientError> {
        let metadata = [
            ("filename", file.path.as_str()),
            ("relativePath", file.path.as_str()),
            ("sync_id", &self.sync_id.to_string()),
        ];
        let metadata = metadata.map(|(name, value)| format!("{name} {}", STANDARD.encode(value))).join(",");
        let request = self
            .client
            .request(Method::POST, FILES)
            .header("Tus-Resumable", "1.0.0")
            .header("Upload-Length", file.size_bytes())
            .header("Upload-Metadata", metadata)
            .header(REPR_DIGEST, repr_digest(&file.sha256)?)
            .header(CONTENT_LENGTH, 0);
        let response = self.client.send(request).await?;
        let url = self.location(&response)?;
        self.remembered.remember_begun(self.sync_id, &file.path, &file.sha256, url.as_str())?;
        Ok(url)
    }

    /// Resolves `Location` on the configured server: the key goes nowhere else, whatever address a proxy writes.
    fn location(&self, response: &Response) -> Result<Url, ClientError> {
        let unusable = || {
            ClientError::Unexpected(format!(
                "{} did not send the address of the upload; check that it is a Lakeshore server",
                self.client.server()
            ))
        };
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).ok_or_else(unusable)?;
        let server = response.url();
        let mut url = server.join(location).map_err(|_| unusable())?;
        if url.origin() != server.origin() {
            let elsewhere = url;
            url = server.clone();
            url.set_path(elsewhere.path());
            url.set_query(elsewhere.query());
        }
        Ok(url)
    }

    async fn remote_state(&self, url: &Url) -> Result<RemoteUpload, ClientError> {
        match self.client.send(self.request(Method::HEAD, url)).await {
            Ok(response) => Ok(RemoteUpload::At(upload_offset(response.headers())?)),
            Err(ClientError::Refused { code, .. }) if matches!(code / 100, 403 | 404 | 410) => Ok(RemoteUpload::Gone),
            Err(error) => Err(error),
        }
    }

    /// Sends a chunk; returns the offset after it, which is durable on the server.
    async fn send_chunk(
        &self,
        file: &PlannedFile,
        url: &Url,
        from: u64,
        progress: &Arc<FileProgress>,
    ) -> Result<u64, SendError> {
        let path = self.folder.join(&file.path);
        let source = SourceFile::open(&path, &file.stamp).await.map_err(SendError::File)?;
        let length = (file.size_bytes() - from).min(CHUNK_BYTES_MAX);
        let body_error = BodyError::default();
        let stream = source.stream(from, length, progress.clone(), body_error.clone());
        let request = self
            .request(Method::PATCH, url)
            .header("Upload-Offset", from)
            .header(CONTENT_TYPE, "application/offset+octet-stream")
            .header(CONTENT_LENGTH, length)
            .body(Body::wrap_stream(stream));
        match (self.client.send(request).await, body_error.why()) {
            (Ok(response), _) => upload_offset(response.headers()).map_err(SendError::All),
            (Err(ClientError::Interrupted), _) => Err(SendError::All(ClientError::Interrupted)),
            (Err(_), Some(why)) => {
                // The half-sent upload would block the end of the sync.
                let _ = self.client.send(self.request(Method::DELETE, url)).await;
                Err(SendError::File(why.to_owned()))
            }
            (Err(error), None) => Err(SendError::All(error)),
        }
    }

    fn request(&self, method: Method, url: &Url) -> RequestBuilder {
        self.client.request_url(method, url.clone()).header("Tus-Resumable", "1.0.0")
    }
}

fn upload_offset(headers: &HeaderMap) -> Result<u64, ClientError> {
    let offset = headers.get("Upload-Offset").and_then(|value| value.to_str().ok()?.parse().ok());
    offset.ok_or_else(|| ClientError::Unexpected("the server did not send the offset of the upload".into()))
}

fn refusal(code: ErrorCode, msg: &str) -> ClientError {
    ClientError::refused(code.number(), msg)
}

/// Whether the upload is gone, or failed because its digest differed.
fn is_gone(error: &ClientError) -> bool {
    let is_lost = |code: u32| matches!(code / 100, 404 | 410) && code != ErrorCode::NoSuchSync.number();
    matches!(error, ClientError::Refused { code, .. } if is_lost(*code) || *code == ErrorCode::DigestMismatch.number())
}

/// Whether the upload is at another offset, because the answer to a chunk was lost.
fn is_elsewhere(error: &ClientError) -> bool {
    error.is_refusal(ErrorCode::WrongOffset)
}
