//! `/api/lake/file/upload`: files of a multipart body.

use super::body::{Answer, Parameters};
use super::checksum::Checksums;
use super::multipart_upload::{FormHead, MultipartUpload};
use super::syncs::required_sync_id;
use crate::AppState;
use crate::chunk_fields::ChunkFields;
use crate::credentials::Credentials;
use crate::error::HttpError;
use crate::sender::SentBy;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Uri, header};
use lakeshore::model::upload::landed::Landed;

use lakeshore::LakePath;
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
    credentials: Credentials,
    SentBy(sender): SentBy,
    Parameters(parameters): Parameters<UploadParameters>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Answer<Vec<LandedFile>>>, HttpError> {
    let caller = credentials.allowed_caller(&app_state.lake, None).await?;
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
    };
    let reception = MultipartUpload::new(&app_state, &destination, body.into_data_stream(), head);
    let landed = reception.receive().await?;
    Ok(Json(Answer::success((!landed.is_empty()).then_some(landed))))
}
