//! Receives the body of a request into a resumable upload; shared by both protocols.

use super::checksum::{Checksum, Checksums};
use super::timeouts::uninterrupted;
use crate::AppState;
use crate::error::HttpError;
use crate::lingering::refusal_of_trailer;
use crate::outside::outside_address;
use crate::sender::SentBy;
use axum::body::{BodyDataStream, HttpBody};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use futures_util::TryStreamExt;
use lakeshore::model::access::key::Caller;
use lakeshore::model::digest::ExpectedDigests;
use lakeshore::model::upload::in_flight::Sender;
use lakeshore::service::ResumableSession;
use lakeshore::{Error, Timestamp};
use lakeshore_body::digest_fields::DigestFields;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

/// Address of resumable uploads of both protocols.
pub const ADDRESS: &str = "/api/lake/files";
/// Fields of both protocols that have one value. Of several, one would be ignored, perhaps the right one.
const SINGLE_FIELDS: [&str; 10] = [
    "tus-resumable",
    "upload-checksum",
    "upload-complete",
    "upload-concat",
    "upload-defer-length",
    "upload-draft-interop-version",
    "upload-length",
    "upload-metadata",
    "upload-offset",
    "x-http-method-override",
];

/// Refuses a field of the upload protocols with several values.
pub fn refuse_repeated(headers: &HeaderMap) -> Result<(), Error> {
    SINGLE_FIELDS.iter().try_for_each(|name| single(headers, name).map(drop))
}

/// Value of a header that may be repeated, but not with another value.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a HeaderValue>, Error> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.any(|value| Some(value) != first) {
        return Err(Error::Invalid(format!("the request has several headers {name} with different values; send one")));
    }
    Ok(first)
}

/// Header as text; `None` without the header.
pub fn header<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Error> {
    let text = |value: &'a HeaderValue| {
        value
            .to_str()
            .map_err(|_| Error::Invalid(format!("the header {name} has characters that are not ASCII; encode them")))
    };
    single(headers, name)?.map(text).transpose()
}

/// Header as a whole number.
pub fn number(headers: &HeaderMap, name: &str) -> Result<Option<u64>, Error> {
    let parse = |text: &str| {
        let digits = text.trim();
        // Digits only: no sign. SQLite stores signed numbers, so the bound is that of i64.
        let number = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u64>().ok()).flatten();
        number.filter(|number| i64::try_from(*number).is_ok()).ok_or_else(|| {
            Error::Invalid(format!("the header {name} is {text:?}, not a whole number of bytes; send one"))
        })
    };
    header(headers, name)?.map(parse).transpose()
}

/// Request body, its sender, and its length if announced; a chunked body has none.
pub struct RequestBody {
    pub stream: BodyDataStream,
    pub sender: Arc<Sender>,
    pub announced_bytes: Option<u64>,
    /// Address of the server as the sender sees it; empty if it is unknown.
    pub base: String,
}

impl<S: Sync> FromRequest<S> for RequestBody {
    type Rejection = Infallible;

    async fn from_request(request: Request, state: &S) -> Result<Self, Infallible> {
        let (mut parts, body) = request.into_parts();
        let base = outside_address(parts.version, &parts.headers, &parts.extensions).unwrap_or_default();
        let SentBy(sender) = SentBy::from_request_parts(&mut parts, state).await?;
        Ok(Self {
            announced_bytes: body.size_hint().exact(),
            base,
            sender: Arc::new(sender),
            stream: body.into_data_stream(),
        })
    }
}

pub fn has_media_type(headers: &HeaderMap, expected: &str) -> bool {
    let sent = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    sent.split(';').next().is_some_and(|sent| sent.trim().eq_ignore_ascii_case(expected))
}

/// Reads `Repr-Digest: sha-256=:…:` (RFC 9530) of the whole file.
pub fn announced_digests(headers: &HeaderMap) -> Result<ExpectedDigests, Error> {
    DigestFields::of_representation(headers).announced()
}

/// All checksums that the head of a request announces for its own body.
pub fn checksums_of_content(headers: &HeaderMap) -> Result<Checksums, Error> {
    let content_digest = DigestFields::of_content(headers).announced()?;
    let announced = Checksum::announced(headers)?.into_iter().chain(Checksum::of_announced(&content_digest));
    Ok(Checksums::of_body(headers)?.and(announced))
}

/// Address of an upload, as its sender sees it.
pub fn location(resumption: &ResumableSession, body: &RequestBody) -> String {
    format!("{}{ADDRESS}/{}", body.base, resumption.token())
}

/// Sets a header with a value of ours, or one that the client sent.
pub fn set(response: &mut Response, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(HeaderName::from_static(name), value);
    }
}

/// Formats a time for HTTP (RFC 9110, section 5.6.7).
pub fn http_date(time: Timestamp) -> String {
    let since = Duration::from_millis(u64::try_from(time.0).unwrap_or_default());
    // End of the year 9999, the last that this format can express.
    const LAST: Duration = Duration::from_secs(253_402_300_799);
    httpdate::fmt_http_date(UNIX_EPOCH + since.min(LAST))
}

/// Meaning of the end of a body for its upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// The upload ends with the last byte of its length (tus).
    ByLength,
    /// Another request follows, perhaps with an empty body.
    Later,
    /// The upload ends with this body.
    Here,
}

/// Upload that a request appends to. One that is joined from parts takes no bytes of its own.
pub async fn appended(app_state: &AppState, caller: &Caller, token: &str) -> Result<ResumableSession, HttpError> {
    let upload = app_state.lake.resume(caller, token).await?;
    if upload.parts().is_empty() { Ok(upload) } else { Err(HttpError::JoinedUpload) }
}

/// Receives the body of the request that creates the upload. A failed upload is discarded: the client never learns its
/// address, so nobody could continue it.
pub async fn take_first_body(
    app_state: &AppState,
    caller: &Caller,
    mut upload: ResumableSession,
    body: &mut RequestBody,
    checksums: Checksums,
    ends: Ends,
) -> Result<ResumableSession, HttpError> {
    match take_body(app_state, &mut upload, body, checksums, ends).await {
        Ok(()) => Ok(upload),
        Err(error) => {
            let token = upload.token().clone();
            drop(upload);
            let _ = app_state.lake.discard_resumable(caller, token.as_str()).await;
            Err(error)
        }
    }
}

/// Keeps caches from answering with an old offset.
pub fn forbid_caching(response: &mut Response) {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

/// Receives the body into the upload, and settles it: a complete upload lands. A checksum covers the whole body; on a
/// mismatch nothing of the body is kept.
pub async fn take_body(
    app_state: &AppState,
    resumption: &mut ResumableSession,
    body: &mut RequestBody,
    checksums: Checksums,
    ends: Ends,
) -> Result<(), HttpError> {
    resumption.sent_by(&body.sender);
    if ends == Ends::Later {
        resumption.leave_open();
    }
    match take(app_state, resumption, body, checksums, ends).await {
        Ok(()) => Ok(resumption.settle().await?),
        Err(error) => {
            let cause = match &error {
                HttpError::Lake(cause) => cause,
                // The upload itself is not at fault.
                _ => &Error::Preempted,
            };
            if let Err(Error::Internal(fault)) = resumption.give_up(cause).await {
                tracing::error!(%fault, "cannot save the received part of an interrupted upload");
            }
            Err(error)
        }
    }
}

async fn take(
    app_state: &AppState,
    resumption: &mut ResumableSession,
    body: &mut RequestBody,
    mut checksums: Checksums,
    ends: Ends,
) -> Result<(), HttpError> {
    let has_checksums = !checksums.is_empty();
    if has_checksums {
        resumption.await_confirmation();
    }
    while let Some(bytes) = next(app_state, resumption, body).await? {
        checksums.update(&bytes);
        resumption.write(bytes).await?;
    }
    if has_checksums {
        checksums.verify().map_err(|error| match error {
            Error::DigestMismatch { algorithm, .. } => HttpError::WrongChecksum { algorithm },
            error => error.into(),
        })?;
        resumption.confirm();
    }
    if ends == Ends::Here {
        resumption.end_here().await?;
    }
    Ok(())
}

/// The next bytes, unless another request continues the upload.
async fn next(
    app_state: &AppState,
    resumption: &mut ResumableSession,
    body: &mut RequestBody,
) -> Result<Option<Bytes>, Error> {
    tokio::select! {
        next = next_bytes(app_state, body) => next,
        () = resumption.stopped() => Err(Error::Preempted),
    }
}

/// The next bytes, unless the body breaks off or the server stops.
pub async fn next_bytes(app_state: &AppState, body: &mut RequestBody) -> Result<Option<Bytes>, Error> {
    let next = async {
        body.stream.try_next().await.map(Ok).or_else(|error| match refusal_of_trailer(&error) {
            Some(refusal) => Ok(Err(refusal)),
            None => Err(format!("the body was interrupted ({error})")),
        })
    };
    uninterrupted(app_state, next, "send the rest").await?
}

/// Whether the body has no bytes. That of a chunked body shows with its first ones, which are dropped.
pub async fn is_empty(app_state: &AppState, body: &mut RequestBody) -> Result<bool, Error> {
    if let Some(bytes) = body.announced_bytes {
        return Ok(bytes == 0);
    }
    while let Some(bytes) = next_bytes(app_state, body).await? {
        if !bytes.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}
