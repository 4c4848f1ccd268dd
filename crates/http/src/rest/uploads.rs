//! `/api/lake/file/upload`: files of a multipart body.

use super::body::{Answer, Parameters};
use super::checksum::Checksums;
use super::form_parts::FormHead;
use super::multipart_upload::MultipartUpload;
use super::syncs::required_sync_id;
use super::upload_head::UploadHead;
use crate::AppState;
use crate::chunk_fields::ChunkFields;
use crate::error::HttpError;
use crate::sender::SentBy;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use lakeshore::LakePath;
use lakeshore::model::upload::landed::Landed;
use lakeshore_body::content_fields::{HeadOf, refuse_altered};
use lakeshore_body::digest_fields::{DigestFields, wants_digest};
use lakeshore_body::multipart::boundary;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

#[derive(Deserialize)]
pub struct UploadParameters {
    sync_id: Option<String>,
    path: Option<String>,
}

/// Landed file, in the answer if its digest was announced or requested.
#[derive(Serialize)]
pub struct LandedFile {
    path: LakePath,
    size_bytes: u64,
    sha256: String,
}

impl From<Landed> for LandedFile {
    fn from(Landed { path, digest }: Landed) -> Self {
        Self { path, size_bytes: digest.size_bytes, sha256: hex::encode(digest.sha256) }
    }
}

pub async fn upload(
    State(app_state): State<Arc<AppState>>,
    head: UploadHead,
    SentBy(sender): SentBy,
    Parameters(parameters): Parameters<UploadParameters>,
    body: Body,
) -> Result<Json<Answer<Vec<LandedFile>>>, HttpError> {
    let caller = head.allowed_caller(&app_state).await?;
    let UploadHead { uri, headers, .. } = head;
    caller.may_upload_parts()?;
    refuse_altered(&headers, HeadOf::Form)?;
    let chunk_fields = ChunkFields::of_head(&uri, &headers);
    chunk_fields.refuse()?;
    let id = required_sync_id(parameters.sync_id.as_deref())?;
    let destination = app_state.lake.destination(&caller, id, parameters.path.as_deref()).await?;
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let destination = destination.expecting(length.unwrap_or(0));
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let boundary = content_type.and_then(boundary).ok_or(HttpError::NotMultipart)?;
    let head = FormHead {
        boundary,
        sender: Arc::new(sender),
        length,
        announced: DigestFields::of_upload(&headers)?,
        checksums: Checksums::of_body(&headers)?,
        chunk_fields,
        wants_digests: wants_digest(&headers),
        encodes_names: encodes_names(&headers),
    };
    let upload = MultipartUpload::new(&app_state, &destination, body.into_data_stream(), head);
    let landed = upload.receive().await?;
    Ok(Json(Answer::success((!landed.is_empty()).then_some(landed))))
}

/// Whether the client is Python's aiohttp. Its `FormData` percent-encodes file names, and neither browsers nor other
/// clients do so.
fn encodes_names(headers: &HeaderMap) -> bool {
    headers
        .get(header::USER_AGENT)
        .and_then(|program| program.to_str().ok())
        .is_some_and(|program| program.contains("aiohttp/"))
}
