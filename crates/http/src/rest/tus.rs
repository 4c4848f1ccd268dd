//! tus 1.0 (https://tus.io/protocols/resumable-upload): core, creation, creation-with-upload, creation-defer-length,
//! termination, expiration, checksum and concatenation. The engine has all rules; this module has the headers.

use super::body::Parameters;
use super::checksum::{ALGORITHMS, Checksums};
use super::request_body::{
    ADDRESS, Ends, RequestBody, announced_digests, appended, checksums_of_content, forbid_caching, has_media_type,
    header, http_date, is_empty, location, number, refuse_repeated, set, take_body, take_first_body,
};
use super::syncs::sync_id;
use crate::AppState;
use crate::credentials::Credentials;
use crate::error::HttpError;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use lakeshore::Error;
use lakeshore::model::access::key::Caller;
use lakeshore::model::upload::request::{ResumableRequest, UploadRequest};
use lakeshore::model::upload::resumable::Token;
use lakeshore::service::ResumableSession;
use lakeshore_body::content_fields::{HeadOf, refuse_altered};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;

const VERSION: &str = "1.0.0";
const EXTENSIONS: &str =
    "creation,creation-with-upload,creation-defer-length,termination,expiration,checksum,concatenation";
const MEDIA_TYPE: &str = "application/offset+octet-stream";

/// Parameters for clients that cannot send metadata.
#[derive(Deserialize)]
pub struct CreationParameters {
    sync_id: Option<String>,
    path: Option<String>,
}

pub async fn options(State(app_state): State<Arc<AppState>>) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    set(&mut response, "tus-version", VERSION);
    set(&mut response, "tus-extension", EXTENSIONS);
    set(&mut response, "tus-max-size", &app_state.lake.limits().upload_bytes_max.to_string());
    set(&mut response, "tus-checksum-algorithm", ALGORITHMS);
    of_tus(response)
}

pub async fn create(
    State(app_state): State<Arc<AppState>>,
    credentials: Credentials,
    Parameters(parameters): Parameters<CreationParameters>,
    headers: HeaderMap,
    mut body: RequestBody,
) -> Response {
    let created = try_create(&app_state, &credentials, &parameters, &headers, &mut body).await;
    answer(created)
}

async fn try_create(
    app_state: &AppState,
    credentials: &Credentials,
    parameters: &CreationParameters,
    headers: &HeaderMap,
    body: &mut RequestBody,
) -> Result<Response, HttpError> {
    let caller = credentials.allowed_caller(&app_state.lake, None).await?;
    check_version(headers)?;
    let brings_bytes = has_media_type(headers, MEDIA_TYPE) && body.announced_bytes != Some(0);
    caller.may_upload_parts()?;
    refuse_altered(headers, HeadOf::Creation)?;
    if !has_media_type(headers, MEDIA_TYPE) && !is_empty(app_state, body).await? {
        return Err(HttpError::WrongMediaType { expected: MEDIA_TYPE });
    }
    let checksums = if brings_bytes { checksums_of_content(headers)? } else { Checksums::default() };
    let metadata = header(headers, "upload-metadata")?.unwrap_or_default();
    let known = parse_metadata(metadata)?;
    let upload = UploadRequest {
        file_name: file_name(&known).to_owned(),
        length: announced_length(headers)?,
        digests: announced_digests(headers)?,
        sender: body.sender.clone(),
    };
    let mut request = ResumableRequest { upload, metadata: metadata.to_owned(), brings_bytes, parts: Vec::new() };
    let concatenation = header(headers, "upload-concat")?.map(str::trim);
    let is_joined = concatenation.is_some_and(|kind| kind != "partial");
    if request.upload.length.is_none() && !is_joined && !headers.contains_key("upload-defer-length") {
        let missing = "the header Upload-Length is missing; send the size in bytes, or Upload-Defer-Length: 1";
        return Err(Error::Invalid(missing.into()).into());
    }
    if concatenation == Some("partial") {
        let part = app_state.lake.begin_part(&caller, request).await?;
        return begun(app_state, &caller, part, brings_bytes, checksums, body).await;
    }
    let id = parameters.sync_id.as_deref().or(known.get("sync_id").map(String::as_str)).ok_or_else(|| {
        Error::Invalid("the sync_id is missing; send it as metadata sync_id, or as ?sync_id=N in the address".into())
    })?;
    let path = parameters.path.as_deref().or(known.get("path").map(String::as_str));
    let destination = app_state.lake.destination(&caller, sync_id(id)?, path).await?;
    match concatenation {
        None => {
            let upload = destination.begin_resumable(request).await?;
            begun(app_state, &caller, upload, brings_bytes, checksums, body).await
        }
        Some(list) => {
            request.parts = parts_of(list)?;
            if headers.contains_key("upload-length") {
                return Err(Error::Invalid(
                    "an upload joined from parts has their total length; omit Upload-Length".into(),
                )
                .into());
            }
            Ok(created(&destination.join(request).await?, body))
        }
    }
}

/// Receives the body of the creation. An empty upload lands at once.
async fn begun(
    app_state: &AppState,
    caller: &Caller,
    mut upload: ResumableSession,
    brings_bytes: bool,
    checksums: Checksums,
    body: &mut RequestBody,
) -> Result<Response, HttpError> {
    if !brings_bytes {
        upload.settle().await?;
        return Ok(created(&upload, body));
    }
    let upload = take_first_body(app_state, caller, upload, body, checksums, Ends::ByLength).await?;
    Ok(created(&upload, body))
}

fn created(upload: &ResumableSession, body: &RequestBody) -> Response {
    let mut response = StatusCode::CREATED.into_response();
    set(&mut response, "location", &location(upload, body));
    set(&mut response, "upload-offset", &upload.offset().to_string());
    set_expiry(&mut response, upload);
    response
}

pub async fn look(app_state: &AppState, credentials: &Credentials, token: &str, headers: &HeaderMap) -> Response {
    of_tus(try_look(app_state, credentials, token, headers).await.unwrap_or_else(IntoResponse::into_response))
}

async fn try_look(
    app_state: &AppState,
    credentials: &Credentials,
    token: &str,
    headers: &HeaderMap,
) -> Result<Response, HttpError> {
    let caller = credentials.allowed_caller(&app_state.lake, None).await?;
    check_version(headers)?;
    let mut upload = app_state.lake.resume(&caller, token).await?;
    // Created by the other protocol and left open there. tus has no flag for the end: an upload is complete with its
    // last byte.
    if upload.is_whole() && upload.parts().is_empty() {
        upload.settle().await?;
    }
    let mut response = StatusCode::OK.into_response();
    if upload.parts().is_empty() || upload.is_complete() {
        set(&mut response, "upload-offset", &upload.offset().to_string());
    }
    match upload.length() {
        Some(length) => set(&mut response, "upload-length", &length.to_string()),
        None => set(&mut response, "upload-defer-length", "1"),
    }
    if !upload.metadata().is_empty() {
        set(&mut response, "upload-metadata", upload.metadata());
    }
    if upload.is_part() {
        set(&mut response, "upload-concat", "partial");
    } else if !upload.parts().is_empty() {
        let parts: Vec<_> = upload.parts().iter().map(|part| format!("{ADDRESS}/{part}")).collect();
        set(&mut response, "upload-concat", &format!("final;{}", parts.join(" ")));
    }
    set_expiry(&mut response, &upload);
    Ok(response)
}

pub async fn append(
    app_state: &AppState,
    credentials: &Credentials,
    token: &str,
    headers: &HeaderMap,
    mut body: RequestBody,
) -> Response {
    let appended = try_append(app_state, credentials, token, headers, &mut body).await;
    answer(appended)
}

async fn try_append(
    app_state: &AppState,
    credentials: &Credentials,
    token: &str,
    headers: &HeaderMap,
    body: &mut RequestBody,
) -> Result<Response, HttpError> {
    let caller = credentials.allowed_caller(&app_state.lake, None).await?;
    check_version(headers)?;
    if !has_media_type(headers, MEDIA_TYPE) {
        return Err(HttpError::WrongMediaType { expected: MEDIA_TYPE });
    }
    let offset = number(headers, "upload-offset")?.ok_or_else(|| {
        Error::Invalid("the header Upload-Offset is missing; send the offset at which this data begins".into())
    })?;
    refuse_altered(headers, HeadOf::Chunk)?;
    let checksums = checksums_of_content(headers)?;
    let mut upload = appended(app_state, &caller, token).await?;
    if let Some(length) = number(headers, "upload-length")? {
        upload.announce_length(length).await?;
    }
    upload.go_on_at(offset, body.announced_bytes)?;
    take_body(app_state, &mut upload, body, checksums, Ends::ByLength).await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    set(&mut response, "upload-offset", &upload.offset().to_string());
    set_expiry(&mut response, &upload);
    Ok(response)
}

pub async fn discard(app_state: &AppState, credentials: &Credentials, token: &str, headers: &HeaderMap) -> Response {
    let discard = async {
        let caller = credentials.allowed_caller(&app_state.lake, None).await?;
        check_version(headers)?;
        app_state.lake.discard_resumable(&caller, token).await?;
        Ok::<_, HttpError>(StatusCode::NO_CONTENT.into_response())
    };
    of_tus(discard.await.unwrap_or_else(IntoResponse::into_response))
}

/// Whether the request uses tus.
pub fn is_spoken(headers: &HeaderMap) -> bool {
    headers.contains_key("tus-resumable")
}

/// Also refuses fields with several values, of which the version may be one.
fn check_version(headers: &HeaderMap) -> Result<(), HttpError> {
    refuse_repeated(headers)?;
    match headers.get("tus-resumable") {
        Some(version) if version.as_bytes() == VERSION.as_bytes() => Ok(()),
        _ => Err(HttpError::WrongVersion { spoken: VERSION }),
    }
}

fn answer(result: Result<Response, HttpError>) -> Response {
    of_tus(result.unwrap_or_else(IntoResponse::into_response))
}

/// Adds the headers that every tus response has.
fn of_tus(mut response: Response) -> Response {
    set(&mut response, "tus-resumable", VERSION);
    if response.status() == StatusCode::PRECONDITION_FAILED {
        set(&mut response, "tus-version", VERSION);
    }
    response
}

fn set_expiry(response: &mut Response, upload: &ResumableSession) {
    if !upload.is_complete() || upload.is_part() {
        set(response, "upload-expires", &http_date(upload.expires_at()));
    }
    forbid_caching(response);
}

fn announced_length(headers: &HeaderMap) -> Result<Option<u64>, Error> {
    let length = number(headers, "upload-length")?;
    match header(headers, "upload-defer-length")?.map(str::trim) {
        None => Ok(length),
        Some("1") if length.is_none() => Ok(None),
        Some("1") => Err(Error::Invalid("Upload-Length and Upload-Defer-Length are both present; send one".into())),
        Some(_) => Err(Error::Invalid("Upload-Defer-Length is not 1; send 1, or omit it".into())),
    }
}

/// Parses `final;/files/a /files/b`; the addresses may be absolute.
fn parts_of(list: &str) -> Result<Vec<Token>, Error> {
    let malformed = || {
        Error::Invalid(
            "Upload-Concat is not valid; send \"partial\", or \"final;\" with the addresses of the parts, separated by spaces".into(),
        )
    };
    let addresses = list.strip_prefix("final;").ok_or_else(malformed)?;
    let token = |address: &str| {
        let token = address.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        Token::parse(token).ok_or_else(|| Error::NoSuchResumable(token.chars().take(64).collect()))
    };
    let parts: Vec<_> = addresses.split_whitespace().map(token).collect::<Result<_, _>>()?;
    if parts.is_empty() { Err(malformed()) } else { Ok(parts) }
}

/// Parses `filename d29ybGQ=,is_confidential`: keys with a base64 value, or without one.
fn parse_metadata(text: &str) -> Result<BTreeMap<&str, String>, Error> {
    let mut metadata = BTreeMap::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once(' ').unwrap_or((pair, ""));
        let bytes = BASE64_STANDARD.decode(value.trim()).ok();
        let value = bytes
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or_else(|| Error::Invalid(format!("the metadata {key:?} is not UTF-8 in base64; encode it so")))?;
        // Values that scripts send in place of a missing one.
        if !matches!(value.as_str(), "" | "null" | "undefined") {
            metadata.insert(key, value);
        }
    }
    Ok(metadata)
}

/// File name, with the folders of a dropped folder if the client sends them.
fn file_name<'a>(metadata: &'a BTreeMap<&str, String>) -> &'a str {
    let relative = metadata.get("relativePath").map(|path| path.strip_prefix('/').unwrap_or(path));
    let named = || metadata.get("filename").or_else(|| metadata.get("name")).map(String::as_str);
    relative.or_else(named).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_read_as_clients_write_it() {
        let metadata = parse_metadata("filename YS5jc3Y=, relativePath bnVsbA==,is_confidential,sync_id Nw==").unwrap();
        assert_eq!((file_name(&metadata), metadata["sync_id"].as_str()), ("a.csv", "7"));
        assert_eq!(metadata.len(), 2);
        let dropped = parse_metadata("name YS5jc3Y=,relativePath L2R0PTEvYS5jc3Y=").unwrap();
        assert_eq!(file_name(&dropped), "dt=1/a.csv");
        assert_eq!(file_name(&parse_metadata("").unwrap()), "");
        assert!(parse_metadata("filename !").is_err());
        assert!(parse_metadata("filename /w==").is_err(), "not UTF-8");
    }

    #[test]
    fn parts_are_named_by_any_form_of_their_address() {
        let token = "0".repeat(32);
        let list = format!("final;/api/lake/files/{token} http://lake.example/api/lake/files/{token}");
        assert_eq!(parts_of(&list).unwrap(), [Token::parse(&token).unwrap(), Token::parse(&token).unwrap()]);
        assert!(matches!(parts_of("final;/api/lake/files/x"), Err(Error::NoSuchResumable(_))));
        for wrong in ["final;", "final", "parts"] {
            assert!(matches!(parts_of(wrong), Err(Error::Invalid(_))), "{wrong:?}");
        }
    }
}
