//! Maps every refusal of the HTTP layer to a status and a body: `{"code": n, "msg": "…"}`.

use super::refusal_log::Refused;
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use headers::{ContentRange, HeaderMapExt};
use lakeshore::model::error::Refusal;
use lakeshore::model::text::truncate;
use lakeshore::{Error, ErrorCode};
use serde::Serialize;
use std::borrow::Cow;

/// `Retry-After` of 429 and 503, in seconds.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error(transparent)]
    Lake(#[from] Error),
    #[error(
        "this change was requested by a page of another site ({0}); use the dashboard itself, or call the API from a script"
    )]
    CrossSite(String),
    #[error(
        "this address serves data, and a browser requested it as {0}; open it with a link, or call it from a script of your own"
    )]
    Embedded(String),
    #[error(
        "{name} ({field}) is not a host name of this server; use its IP address or localhost, or start the server with --allowed-host {name}"
    )]
    UnknownHost { name: String, field: &'static str },
    /// The head can be read in two ways, or has not exactly one host.
    #[error("{0}")]
    RequestHead(Cow<'static, str>),
    #[error("a sign-in link cannot be prefetched; open it in the browser")]
    OpenedAhead,
    #[error("{0} not found; docs/reference/http-api.md lists the addresses of the API")]
    NoSuchRoute(String),
    #[error("this address accepts {allowed}, not {used}; use that method")]
    MethodNotAllowed { used: String, allowed: Cow<'static, str> },
    #[error(
        "the body is not multipart/form-data with a boundary; send the file as its part \"file\", for example: curl --form file=@sales.parquet"
    )]
    NotMultipart,
    #[error("this server supports tus {spoken}; send \"Tus-Resumable: {spoken}\" with every request but OPTIONS")]
    WrongVersion { spoken: &'static str },
    #[error("wrong Content-Type for upload data; send {expected}")]
    WrongMediaType { expected: &'static str },
    #[error("checksum mismatch ({algorithm}), so this data was discarded; send it again")]
    WrongChecksum { algorithm: &'static str },
    #[error("this upload is joined from parts; send data to the parts before joining them")]
    JoinedUpload,
    #[error(
        "the body is larger than {limit_bytes} bytes; send only the fields of the request, and split a long list into several requests"
    )]
    BodyTooLarge { limit_bytes: usize },
    #[error(
        "your address has {share_max} connections, or requests through a proxy, the maximum; close some, or raise --max-connections-per-address"
    )]
    TooManyConnections { share_max: usize },
    #[error(
        "too many large request bodies are being received, and this was the oldest of the busiest client; send it again, split into several requests if possible"
    )]
    BodyGaveWay,
    #[error("the file is not the version that If-Match or If-Unmodified-Since requires; request it without them")]
    PreconditionFailed,
    #[error("the file has {size_bytes} bytes, and the range starts after its end; request an earlier range")]
    RangeNotSatisfiable { size_bytes: u64 },
    #[error("not ready: {0}")]
    NotReady(String),
    /// Some files of one request failed; the others landed. `failed` has the first [`FAILED_NAMED_MAX`].
    #[error("{}", tell(failed, *num_failed, *sent))]
    Files { failed: Vec<FailedFile>, num_failed: usize, sent: usize },
}

/// Failed files of one request that an answer names; it counts all.
pub const FAILED_NAMED_MAX: usize = 20;
/// Characters of a file name that an answer repeats.
const NAME_CHARACTERS_MAX: usize = 255;
/// Characters of the message for one of several files.
const MESSAGE_CHARACTERS_MAX: usize = 1000;

/// A file of a request that did not land.
#[derive(Debug)]
pub struct FailedFile {
    pub file_name: String,
    pub error: Error,
}

impl FailedFile {
    pub fn new(file_name: &str, error: Error) -> Self {
        Self { file_name: truncate(file_name, NAME_CHARACTERS_MAX), error }
    }
}

fn tell(failed: &[FailedFile], num_failed: usize, sent: usize) -> String {
    let each =
        failed.iter().map(|file| truncate(&format!("{:?}: {}", file.file_name, file.error), MESSAGE_CHARACTERS_MAX));
    let each: Vec<_> = each.collect();
    let kept = sent - num_failed;
    let rest = if kept > 0 { format!("; the other {kept} landed") } else { String::new() };
    let unnamed = num_failed - failed.len();
    let more = if unnamed > 0 { format!(". And {unnamed} more") } else { String::new() };
    format!("{num_failed} of {sent} files failed{rest}. {}{more}", each.join(". "))
}

impl HttpError {
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Lake(error) => error.code(),
            Self::CrossSite(_) => ErrorCode::CrossSite,
            Self::UnknownHost { .. } => ErrorCode::UnknownHost,
            Self::RequestHead(_) => ErrorCode::RequestHead,
            Self::OpenedAhead => ErrorCode::OpenedAhead,
            Self::Embedded(_) => ErrorCode::Embedded,
            Self::NoSuchRoute(_) => ErrorCode::NoSuchRoute,
            Self::MethodNotAllowed { .. } => ErrorCode::MethodNotAllowed,
            Self::NotMultipart => ErrorCode::NotMultipart,
            Self::WrongVersion { .. } => ErrorCode::WrongVersion,
            Self::WrongMediaType { .. } => ErrorCode::WrongMediaType,
            Self::WrongChecksum { .. } => ErrorCode::WrongChecksum,
            Self::JoinedUpload => ErrorCode::JoinedUpload,
            Self::BodyTooLarge { .. } => ErrorCode::TooLarge,
            Self::TooManyConnections { .. } => ErrorCode::TooManyConnections,
            Self::BodyGaveWay => ErrorCode::OverShare,
            Self::PreconditionFailed => ErrorCode::PreconditionFailed,
            Self::RangeNotSatisfiable { .. } => ErrorCode::RangeNotSatisfiable,
            Self::NotReady(_) => ErrorCode::NotReady,
            Self::Files { failed, .. } => failed.first().map_or(ErrorCode::Internal, |file| file.error.code()),
        }
    }

    /// Logs internal faults once. They are never sent.
    fn log(&self) {
        let faults: Vec<&Error> = match self {
            Self::Lake(error) => vec![error],
            Self::Files { failed, .. } => failed.iter().map(|file| &file.error).collect(),
            _ => Vec::new(),
        };
        for fault in faults {
            if let Error::Internal(source) = fault {
                tracing::error!(fault = %source, "request failed because of an internal error");
            }
        }
    }
}

#[derive(Serialize)]
struct Body {
    #[serde(flatten)]
    refusal: Refusal,
    /// Failed files of an upload of several files.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failed: Vec<FailedBody>,
}

#[derive(Serialize)]
struct FailedBody {
    file_name: String,
    #[serde(flatten)]
    refusal: Refusal,
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        self.log();
        let code = self.code();
        let data = match &self {
            Self::Lake(error) => error.details(),
            _ => None,
        };
        let refusal = Refusal { data, ..Refusal::new(code, self.to_string()) };
        let refused = Refused { code: refusal.code, message: refusal.msg.clone() };
        let unsatisfied = match self {
            Self::RangeNotSatisfiable { size_bytes } => Some(ContentRange::unsatisfied_bytes(size_bytes)),
            _ => None,
        };
        let allowed = match &self {
            Self::MethodNotAllowed { allowed, .. } if !allowed.is_empty() => HeaderValue::from_str(allowed).ok(),
            _ => None,
        };
        let is_coded = matches!(&self, Self::Lake(Error::Encoded { field: "Content-Encoding", .. }));
        let wait_seconds = match &self {
            Self::Lake(Error::TooManySignIns { seconds }) => Some(*seconds),
            _ => None,
        };
        let failed = match self {
            Self::Files { failed, .. } => failed
                .into_iter()
                .map(|FailedFile { file_name, error }| {
                    let refusal = Refusal::from(&error);
                    FailedBody {
                        refusal: Refusal { msg: truncate(&refusal.msg, MESSAGE_CHARACTERS_MAX), ..refusal },
                        file_name,
                    }
                })
                .collect(),
            _ => Vec::new(),
        };
        let status = StatusCode::from_u16(code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(Body { refusal, failed })).into_response();
        response.extensions_mut().insert(refused);
        if let Some(content_range) = unsatisfied {
            response.headers_mut().typed_insert(content_range);
        }
        if let Some(allowed) = allowed {
            response.headers_mut().insert(header::ALLOW, allowed);
        }
        if is_coded {
            // Names the accepted coding (RFC 9110, section 12.5.3).
            response.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        if let Some(seconds) = wait_seconds {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        } else if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER_SECONDS);
        }
        if status == StatusCode::UNAUTHORIZED {
            // A 401 has to name the scheme (RFC 9110, section 11.6.1).
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
