//! Resumable uploads of the IETF (draft-ietf-httpbis-resumable-upload, interop versions 6 to 9). The engine has all
//! rules; this module has the headers.
//!
//! `PUT` or `POST` to `/api/lake/file/resumable`, with the file as the body. With `Upload-Complete: ?0`, the upload
//! gets an address to continue at. Without it, or with `?1`, the file arrives in one request and gets none: hyper
//! cannot send the interim response (104) that would announce it.

use super::body::Answer;
use super::body::Parameters;
use super::checksum::Checksums;
use super::path_text::PathText;
use super::request_body::{
    Ends, RequestBody, announced_digests, appended, checksums_of_content, forbid_caching, has_media_type, header,
    location, next_bytes, refuse_repeated, set, take_body, take_first_body,
};
use super::syncs::required_sync_id;
use super::timeouts::seen;
use super::upload_head::UploadHead;
use crate::AppState;
use crate::chunk_fields::ChunkFields;
use crate::credentials::Credentials;
use crate::error::HttpError;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, header as names};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use lakeshore::model::access::key::Caller;
use lakeshore::model::upload::request::{ResumableRequest, UploadRequest};
use lakeshore::service::{Destination, IncomingUpload, ResumableSession};
use lakeshore::{Error, ErrorCode};
use lakeshore_body::content_disposition::parse_disposition;
use lakeshore_body::content_fields::{HeadOf, refuse_altered};
use serde::{Deserialize, Serialize};
use sfv::{BareItem, DictSerializer, Integer, Item, Parser, key_ref};
use std::ops::RangeInclusive;
use std::sync::Arc;

const ADDRESS: &str = "/api/lake/file/resumable";
const MEDIA_TYPE: &str = "application/partial-upload";
/// Supported interop versions of the draft. From 6 on, a body has its own media type and `Upload-Complete`.
const VERSIONS: RangeInclusive<u64> = 6..=9;
/// Registry of the draft's problem types (RFC 9457).
const PROBLEMS: &str = "https://iana.org/assignments/http-problem-types#";

#[derive(Deserialize)]
pub struct CreationParameters {
    sync_id: Option<String>,
    path: Option<String>,
    file_name: Option<String>,
}

pub fn router() -> Router<Arc<AppState>> {
    let creation = || post(create).put(create).options(options).fallback(wrong_method);
    // `curl -T sales.parquet http://…/resumable/?sync_id=1` appends the name itself.
    Router::new()
        .route(ADDRESS, creation())
        .route(&format!("{ADDRESS}/"), creation())
        .route(&format!("{ADDRESS}/{{*file_name}}"), creation())
}

async fn wrong_method(method: Method) -> HttpError {
    HttpError::MethodNotAllowed { used: method.to_string(), allowed: "POST, PUT, OPTIONS".into() }
}

async fn options(State(app_state): State<Arc<AppState>>) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    set(&mut response, "accept-patch", MEDIA_TYPE);
    set(&mut response, "upload-limit", &limit(&app_state, None));
    response
}

/// Value of `Upload-Limit`. For an upload that has begun, it includes the remaining time.
fn limit(app_state: &AppState, upload: Option<&ResumableSession>) -> String {
    let natural = |number: u64| Integer::try_from(number).unwrap_or(Integer::MAX);
    let mut limits = DictSerializer::new();
    limits.bare_item(key_ref("max-size"), natural(app_state.lake.limits().upload_bytes_max));
    if let Some(upload) = upload.filter(|upload| !upload.is_complete()) {
        let left_ms = upload.expires_at().0 - app_state.lake.now().0;
        limits.bare_item(key_ref("max-age"), natural(u64::try_from(left_ms / 1000).unwrap_or(0)));
    }
    limits.finish().unwrap_or_default()
}

async fn create(
    State(app_state): State<Arc<AppState>>,
    head: UploadHead,
    Parameters(parameters): Parameters<CreationParameters>,
    in_path: PathText,
    mut body: RequestBody,
) -> Response {
    let created = async {
        let caller = head.allowed_caller(&app_state).await?;
        let UploadHead { uri, headers, .. } = head;
        let is_more_to_come = boolean(&headers, "upload-complete") == Some(false);
        caller.may_upload_parts()?;
        refuse_altered(&headers, if is_more_to_come { HeadOf::Creation } else { HeadOf::File })?;
        ChunkFields::of_head(&uri, &headers).refuse()?;
        refuse_other_versions(&headers)?;
        let checksums = checksums_of_content(&headers)?;
        let id = required_sync_id(parameters.sync_id.as_deref())?;
        let destination = app_state.lake.destination(&caller, id, parameters.path.as_deref()).await?;
        let file_name = file_name(&destination, parameters.file_name, in_path, &headers).await?;
        let request = UploadRequest {
            file_name,
            length: natural(&headers, "upload-length"),
            digests: announced_digests(&headers)?,
            sender: body.sender.clone(),
        };
        if is_more_to_come {
            begin(&app_state, &caller, &destination, request, &mut body, checksums).await
        } else {
            take_whole(&app_state, &destination, request, &mut body, checksums).await
        }
    };
    created.await.unwrap_or_else(|error| refusal(&app_state, error))
}

/// Refuses other interop versions: their uploads could be created, but never completed.
fn refuse_other_versions(headers: &HeaderMap) -> Result<(), Error> {
    refuse_repeated(headers)?;
    let spoken =
        format!("this server supports interop versions {} to {} of the draft", VERSIONS.start(), VERSIONS.end());
    if let Some(version) = header(headers, "upload-draft-interop-version")?
        && !natural(headers, "upload-draft-interop-version").is_some_and(|version| VERSIONS.contains(&version))
    {
        return Err(Error::Invalid(format!(
            "Upload-Draft-Interop-Version is {version:?}, and {spoken}; send one of them, or use tus at /api/lake/files"
        )));
    }
    for (field, instead) in [
        (
            "upload-incomplete",
            format!("Upload-Incomplete belongs to an earlier version, and {spoken}; send Upload-Complete"),
        ),
        ("tus-resumable", "this address does not support tus; create a tus upload at /api/lake/files".to_owned()),
    ] {
        if headers.contains_key(field) {
            return Err(Error::Invalid(instead));
        }
    }
    if headers.contains_key("upload-complete") && boolean(headers, "upload-complete").is_none() {
        return Err(Error::Invalid("Upload-Complete is not ?1 or ?0; send one of them".into()));
    }
    Ok(())
}

async fn begin(
    app_state: &AppState,
    caller: &Caller,
    destination: &Destination,
    upload: UploadRequest,
    body: &mut RequestBody,
    checksums: Checksums,
) -> Result<Response, HttpError> {
    let brings_bytes = body.announced_bytes != Some(0);
    let request = ResumableRequest { upload, brings_bytes, ..ResumableRequest::default() };
    let upload = destination.begin_resumable(request).await?;
    let upload = take_first_body(app_state, caller, upload, body, checksums, Ends::Later).await?;
    let mut response = StatusCode::CREATED.into_response();
    set(&mut response, "location", &location(&upload, body));
    describe(app_state, &mut response, &upload);
    Ok(response)
}

/// Receives a whole file in one request, which lands like any other upload.
async fn take_whole(
    app_state: &AppState,
    destination: &Destination,
    request: UploadRequest,
    body: &mut RequestBody,
    checksums: Checksums,
) -> Result<Response, HttpError> {
    let announced = request.length;
    if let (Some(length), Some(bytes)) = (announced, body.announced_bytes)
        && length != bytes
    {
        return Err(differs(length, bytes).into());
    }
    let length = announced.or(body.announced_bytes);
    let mut incoming = destination.begin(UploadRequest { length, ..request }).await?;
    if let Err(error) = take_into(app_state, &mut incoming, announced, body, checksums).await {
        incoming.fail(&error).await?;
        return Err(error.into());
    }
    incoming.land().await?;
    Ok(landed())
}

async fn take_into(
    app_state: &AppState,
    incoming: &mut IncomingUpload,
    announced: Option<u64>,
    body: &mut RequestBody,
    mut checksums: Checksums,
) -> Result<(), Error> {
    let mut received = 0;
    while let Some(bytes) = seen(incoming, next_bytes(app_state, body)).await? {
        received += bytes.len() as u64;
        checksums.update(&bytes);
        incoming.write(bytes).await?;
    }
    checksums.verify()?;
    match announced {
        Some(length) if length != received => Err(differs(length, received)),
        _ => Ok(()),
    }
}

fn differs(length: u64, bytes: u64) -> Error {
    Error::InconsistentLength(format!("the body has {bytes} bytes, but {length} were announced; send that many"))
}

/// Answer of every upload. `Upload-Complete` distinguishes it from an answer about the upload resource.
fn landed() -> Response {
    let mut response = Json(Answer::<()>::success(None)).into_response();
    set(&mut response, "upload-complete", "?1");
    response
}

fn describe(app_state: &AppState, response: &mut Response, upload: &ResumableSession) {
    set(response, "upload-complete", if upload.is_complete() { "?1" } else { "?0" });
    set(response, "upload-offset", &upload.offset().to_string());
    if let Some(length) = upload.length() {
        set(response, "upload-length", &length.to_string());
    }
    set(response, "upload-limit", &limit(app_state, Some(upload)));
    forbid_caching(response);
}

pub async fn look(app_state: &AppState, credentials: &Credentials, token: &str) -> Response {
    let look = async {
        let caller = credentials.allowed_caller(&app_state.lake, None).await?;
        let upload = app_state.lake.resume(&caller, token).await?;
        let mut response = StatusCode::NO_CONTENT.into_response();
        describe(app_state, &mut response, &upload);
        Ok::<_, HttpError>(response)
    };
    look.await.unwrap_or_else(|error| refusal(app_state, error))
}

pub async fn append(
    app_state: &AppState,
    credentials: &Credentials,
    token: &str,
    headers: &HeaderMap,
    mut body: RequestBody,
) -> Response {
    let appended = try_append(app_state, credentials, token, headers, &mut body).await;
    appended.unwrap_or_else(|error| refusal(app_state, error))
}

async fn try_append(
    app_state: &AppState,
    credentials: &Credentials,
    token: &str,
    headers: &HeaderMap,
    body: &mut RequestBody,
) -> Result<Response, HttpError> {
    let caller = credentials.allowed_caller(&app_state.lake, None).await?;
    if !has_media_type(headers, MEDIA_TYPE) {
        return Err(HttpError::WrongMediaType { expected: MEDIA_TYPE });
    }
    refuse_altered(headers, HeadOf::Chunk)?;
    refuse_repeated(headers)?;
    let checksums = checksums_of_content(headers)?;
    let missing = |name: &str| Error::Invalid(format!("the header {name} is missing; send it with every request"));
    let offset = natural(headers, "upload-offset").ok_or_else(|| missing("Upload-Offset"))?;
    let is_last = boolean(headers, "upload-complete").ok_or_else(|| missing("Upload-Complete"))?;
    let mut upload = appended(app_state, &caller, token).await?;
    if upload.is_complete() && !upload.is_part() {
        let length = upload.offset();
        return Err(Error::ResumableComplete { length }.into());
    }
    upload.go_on_at(offset, body.announced_bytes)?;
    let by_content = body.announced_bytes.filter(|_| is_last).map(|bytes| offset.saturating_add(bytes));
    for length in [natural(headers, "upload-length"), by_content].into_iter().flatten() {
        upload.announce_length(length).await?;
    }
    let ends = if is_last { Ends::Here } else { Ends::Later };
    match take_body(app_state, &mut upload, body, checksums, ends).await {
        Ok(()) if is_last => Ok(landed()),
        Ok(()) => {
            let mut response = StatusCode::NO_CONTENT.into_response();
            describe(app_state, &mut response, &upload);
            Ok(response)
        }
        // All bytes were received and the landing failed, so continuing would not help.
        Err(error) if is_last && upload.is_whole() && upload.has_failed() => {
            let mut response = refusal(app_state, error);
            set(&mut response, "upload-complete", "?1");
            Ok(response)
        }
        Err(error) => Err(error),
    }
}

pub async fn discard(app_state: &AppState, credentials: &Credentials, token: &str) -> Response {
    let discard = async {
        let caller = credentials.allowed_caller(&app_state.lake, None).await?;
        app_state.lake.discard_resumable(&caller, token).await?;
        Ok::<_, HttpError>(StatusCode::NO_CONTENT.into_response())
    };
    discard.await.unwrap_or_else(|error| refusal(app_state, error))
}

/// Problem details of the draft's types, with the fields of every refusal.
#[derive(Serialize)]
struct Problem {
    r#type: String,
    title: &'static str,
    code: u32,
    msg: String,
    #[serde(rename = "expected-offset", skip_serializing_if = "Option::is_none")]
    expected_offset: Option<u64>,
    #[serde(rename = "provided-offset", skip_serializing_if = "Option::is_none")]
    provided_offset: Option<u64>,
}

fn refusal(app_state: &AppState, error: HttpError) -> Response {
    let code = error.code();
    let mut offsets = None;
    let kind = match &error {
        HttpError::Lake(Error::WrongOffset { expected, provided }) => {
            offsets = Some((*expected, *provided));
            Some("mismatching-upload-offset")
        }
        HttpError::Lake(Error::ResumableComplete { .. }) => Some("completed-upload"),
        HttpError::Lake(Error::InconsistentLength(_)) => Some("inconsistent-upload-length"),
        _ => None,
    };
    let msg = error.to_string();
    let mut response = error.into_response();
    if let Some(kind) = kind {
        let problem = Problem {
            r#type: format!("{PROBLEMS}{kind}"),
            title: code.meaning(),
            code: code.number(),
            msg,
            expected_offset: offsets.map(|(expected, _)| expected),
            provided_offset: offsets.map(|(_, provided)| provided),
        };
        response = (response.status(), Json(problem)).into_response();
        set(&mut response, "content-type", "application/problem+json");
    }
    if let Some((expected, _)) = offsets {
        set(&mut response, "upload-offset", &expected.to_string());
    }
    match code {
        ErrorCode::TooLarge => set(&mut response, "upload-limit", &limit(app_state, None)),
        ErrorCode::WrongMediaType => set(&mut response, "accept-patch", MEDIA_TYPE),
        _ => {}
    }
    response
}

/// File name from the parameter, the address, or `Content-Disposition`. One that cannot be read is recorded as a failed
/// upload.
async fn file_name(
    destination: &Destination,
    parameter: Option<String>,
    in_path: PathText,
    headers: &HeaderMap,
) -> Result<String, Error> {
    let PathText { text: in_path, is_utf8 } = in_path;
    if let Some(name) = parameter {
        return Ok(name);
    }
    let (name, refusal) = if !is_utf8 {
        let refusal = format!("the file name {in_path:?} in the address is not UTF-8; percent-encode it as UTF-8");
        (in_path, refusal)
    } else if !in_path.is_empty() {
        return Ok(in_path);
    } else {
        let Some(disposition) = headers.get(names::CONTENT_DISPOSITION) else { return Ok(String::new()) };
        let named = parse_disposition(disposition.as_bytes()).map_err(|error| Error::Invalid(error.to_string()))?;
        let Some(unreadable) = named.unreadable else { return Ok(named.file_name.unwrap_or_default()) };
        let refusal = unreadable.to_string();
        (unreadable.name, refusal)
    };
    Err(destination.record(destination.refused(&name, Error::Invalid(refusal))).await)
}

/// Structured field with a whole number. Other values are ignored, as the draft requires.
fn natural(headers: &HeaderMap, name: &str) -> Option<u64> {
    item(headers, name)?.as_integer().and_then(|number| i64::from(number).try_into().ok())
}

fn boolean(headers: &HeaderMap, name: &str) -> Option<bool> {
    item(headers, name)?.as_boolean()
}

/// Item of a structured field (RFC 9651), without its parameters.
fn item(headers: &HeaderMap, name: &str) -> Option<BareItem> {
    Parser::new(header(headers, name).ok()??).parse::<Item>().ok().map(|item| item.bare_item)
}
