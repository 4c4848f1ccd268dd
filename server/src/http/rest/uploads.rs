//! `/api/lake/file/upload`: the files of one multipart body, each streamed to its landing.

use super::body::{Answer, Parameters};
use super::syncs::sync_id;
use super::waiting::{seen, uninterrupted};
use crate::http::Door;
use crate::http::credentials::Credentials;
use crate::http::digest_fields::{DigestFields, wants_digest};
use crate::http::error::{FAILED_NAMED_MAX, FailedFile, HttpError};
use crate::http::multipart::{Multipart, boundary};
use crate::http::sender::SentBy;
use axum::Json;
use axum::body::{Body, BodyDataStream};
use axum::extract::State;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use lakeshore::service::{Destination, IncomingUpload};
use lakeshore::upload::{Announced, Landed, hexadecimal};
use lakeshore::{Error, LakePath};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Most files in one request.
const FILES_MAX: usize = 10_000;
/// After a file was refused, so much of the rest of the body is read and dropped, so that the client, which is still
/// sending, comes to read the answer.
const DISCARDED_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// What to do about an upload that broke off.
const AGAIN: &str = "send the file again";

#[derive(Deserialize)]
pub struct UploadParameters {
    sync_id: Option<String>,
    path: Option<String>,
}

/// A file that has landed, where its sender asks for its digest or has announced it.
#[derive(Serialize)]
pub struct LandedFile {
    path: LakePath,
    size_bytes: u64,
    sha256: String,
}

impl From<Landed> for LandedFile {
    fn from(Landed { path, digest }: Landed) -> Self {
        Self { path, size_bytes: digest.size_bytes, sha256: hexadecimal(&digest.sha256) }
    }
}

pub async fn upload(
    State(door): State<Arc<Door>>,
    credentials: Credentials,
    SentBy(sender): SentBy,
    Parameters(parameters): Parameters<UploadParameters>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Answer<Vec<LandedFile>>>, HttpError> {
    let caller = credentials.allowed_caller(&door.lake, None).await?;
    let id = parameters.sync_id.as_deref().ok_or_else(|| {
        Error::Invalid("the parameter sync_id is missing; add ?sync_id=N with the id that start gave".into())
    })?;
    let destination = door.lake.destination(&caller, sync_id(id)?, parameters.path.as_deref()).await?;
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let destination = destination.expecting(length.unwrap_or(0)).sent_by(sender);
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let boundary = content_type.and_then(boundary).ok_or(HttpError::NotMultipart)?;
    let body = Multipart::new(body.into_data_stream(), &boundary);
    let mut reception = Reception {
        door: &door,
        body,
        length,
        announced: DigestFields::of_upload(&headers)?,
        wants_digests: wants_digest(&headers),
        sent: 0,
        landed: Vec::new(),
        failed: Vec::new(),
        num_failed: 0,
        discarded_bytes: 0,
    };
    reception.receive(&destination).await?;
    let Reception { sent, landed, mut failed, num_failed, .. } = reception;
    match (sent, num_failed) {
        (0, _) => Err(HttpError::Lake(Error::Invalid(
            "the body holds no file; send it as the part \"file\", for example: curl --form file=@sales.parquet".into(),
        ))),
        (_, 0) => Ok(Json(Answer::success((!landed.is_empty()).then_some(landed)))),
        // With one file there is no doubt which failed.
        (1, _) => Err(failed.remove(0).error.into()),
        (_, _) => Err(HttpError::Files { failed, num_failed, sent }),
    }
}

/// The files of one request on their way in.
struct Reception<'a> {
    door: &'a Door,
    body: Multipart<BodyDataStream>,
    /// Bytes of the whole body, where its head says so.
    length: Option<u64>,
    /// By the request, for its one file.
    announced: DigestFields,
    /// The answer is to tell the digest of each file; else it does of those whose digest was announced.
    wants_digests: bool,
    sent: usize,
    landed: Vec<LandedFile>,
    /// The first of those that failed.
    failed: Vec<FailedFile>,
    num_failed: usize,
    discarded_bytes: u64,
}

impl Reception<'_> {
    /// Takes every file of the body. A file that fails does not keep the others from landing, unless the body breaks.
    async fn receive(&mut self, destination: &Destination) -> Result<(), HttpError> {
        loop {
            let part = match self.next_part().await {
                Ok(Some(part)) => part,
                Ok(None) => return Ok(()),
                // The files before the break have their rows, and their landing stands.
                Err(error) if self.sent > 0 && !self.failed.is_empty() => {
                    tracing::debug!(%error, "a body broke after its last file");
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            };
            if part.name != "file" && part.name != "files" {
                continue;
            }
            self.sent += 1;
            if self.sent > FILES_MAX {
                return Err(Error::Invalid(format!(
                    "a request holds at most {FILES_MAX} files; send the rest in another"
                ))
                .into());
            }
            let file_name = part.file_name.unwrap_or_default();
            let is_told = self.wants_digests || !self.announced.is_empty() || !part.digests.is_empty();
            let received = match destination.begin(&file_name).await {
                Ok(incoming) => match self.announced(&part.digests) {
                    Ok(announced) => {
                        let bytes = self.length.and_then(|length| self.body.last_part_bytes(length));
                        self.receive_file(incoming.announcing(announced).of_bytes(bytes)).await
                    }
                    Err(error) => incoming.fail(&error).await.and(Err(error)),
                },
                Err(error) => Err(error),
            };
            let received = received.map(|landed| {
                if is_told {
                    self.landed.push(landed.into());
                }
            });
            if let Err(error) = received {
                let broken = matches!(error, Error::IncompleteUpload(_) | Error::ShuttingDown);
                self.num_failed += 1;
                if self.failed.len() < FAILED_NAMED_MAX {
                    self.failed.push(FailedFile::new(&file_name, error));
                }
                if broken || !self.discard_part().await {
                    return Ok(());
                }
            }
        }
    }

    /// What was announced for the file that has come last.
    fn announced(&self, of_part: &DigestFields) -> Result<Announced, Error> {
        if self.sent > 1 && !self.announced.is_empty() {
            return Err(Error::Invalid(
                "Upload-Checksum in the head of a request is that of its one file; with several, give each part its own"
                    .into(),
            ));
        }
        self.announced.announced()?.and(of_part.announced()?)
    }

    async fn receive_file(&mut self, mut incoming: IncomingUpload) -> Result<Landed, Error> {
        let result = loop {
            match seen(&mut incoming, self.chunk()).await {
                Ok(Some(bytes)) => {
                    if let Err(error) = incoming.write(bytes).await {
                        break Err(error);
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        match result {
            Ok(()) => incoming.land().await,
            Err(error) => {
                incoming.fail(&error).await?;
                Err(error)
            }
        }
    }

    /// Reads the rest of a refused file. False when that is too much, or the body breaks: then the answer goes at once.
    async fn discard_part(&mut self) -> bool {
        while let Ok(chunk) = self.chunk().await {
            let Some(bytes) = chunk else { return true };
            self.discarded_bytes += bytes.len() as u64;
            if self.discarded_bytes > DISCARDED_BYTES_MAX {
                return false;
            }
        }
        false
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        uninterrupted(self.door, self.body.chunk(), AGAIN).await
    }

    async fn next_part(&mut self) -> Result<Option<crate::http::multipart::Part>, Error> {
        uninterrupted(self.door, self.body.next_part(), AGAIN).await
    }
}
