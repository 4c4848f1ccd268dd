//! Reading what a call sends: JSON bodies and query parameters, with refusals that say what is wrong.

use crate::http::error::HttpError;
use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use futures_util::StreamExt;
use lakeshore::Error;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Largest JSON body, in bytes. The longest that makes sense is a path and a name.
const JSON_BYTES_MAX: usize = 64 * 1024;
/// How long a JSON body may take.
const JSON_MAX: Duration = Duration::from_secs(30);
/// Largest JSON body of a call that may name files, in bytes: room for as many files as a declaration may name.
const LONG_JSON_BYTES_MAX: usize = 32 * 1024 * 1024;
/// How long such a body may take.
const LONG_JSON_MAX: Duration = Duration::from_secs(120);
/// Bodies longer than [`JSON_BYTES_MAX`] that are taken at the same time; more wait. So the memory that they need is bounded.
const LONG_BODIES_MAX: usize = 4;

static LONG_BODIES: Semaphore = Semaphore::const_new(LONG_BODIES_MAX);

/// A JSON body, whatever Content-Type it comes with: curl's `--data` alone names another one.
pub struct JsonBody<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = HttpError;

    async fn from_request(request: Request<Body>, _state: &S) -> Result<Self, HttpError> {
        read(request, JSON_BYTES_MAX).await.map(Self)
    }
}

/// The JSON body of a call that may name many files, with the documented `api_key` beside the fields of the call.
pub struct LongBody<T> {
    pub api_key: Option<String>,
    pub call: T,
}

/// The key alone: the rest of the body is read for itself, not gathered first.
#[derive(Deserialize)]
struct KeyOnly {
    #[serde(default)]
    api_key: Option<String>,
}

impl<S: Send + Sync, T: DeserializeOwned + Send + 'static> FromRequest<S> for LongBody<T> {
    type Rejection = HttpError;

    async fn from_request(request: Request<Body>, _state: &S) -> Result<Self, HttpError> {
        let late = |_| Error::Invalid(format!("the body did not come within {} seconds", LONG_JSON_MAX.as_secs()));
        tokio::time::timeout(LONG_JSON_MAX, Self::read(request.into_body())).await.map_err(late)?
    }
}

impl<T: DeserializeOwned + Send + 'static> LongBody<T> {
    async fn read(body: Body) -> Result<Self, HttpError> {
        let mut stream = body.into_data_stream();
        let mut bytes = Vec::new();
        let mut turn = None;
        while let Some(piece) = stream.next().await {
            let piece = piece.map_err(|error| Error::Invalid(format!("the body broke off: {error}")))?;
            if bytes.len() + piece.len() > LONG_JSON_BYTES_MAX {
                return Err(HttpError::BodyTooLarge { limit_bytes: LONG_JSON_BYTES_MAX });
            }
            if bytes.len() + piece.len() > JSON_BYTES_MAX && turn.is_none() {
                turn = Some(LONG_BODIES.acquire().await.map_err(|_| Error::ShuttingDown)?);
            }
            bytes.extend_from_slice(&piece);
        }
        let parse = move || Ok((serde_json::from_slice::<KeyOnly>(&bytes)?.api_key, serde_json::from_slice(&bytes)?));
        // A long one takes long to read: not on the thread of other connections.
        let parsed: serde_json::Result<_> = match &turn {
            None => parse(),
            Some(_) => tokio::task::spawn_blocking(parse).await.map_err(Error::internal)?,
        };
        let (api_key, call) = parsed.map_err(malformed)?;
        Ok(Self { api_key, call })
    }
}

async fn read<T: DeserializeOwned>(request: Request<Body>, limit_bytes: usize) -> Result<T, HttpError> {
    let bytes = tokio::time::timeout(JSON_MAX, to_bytes(request.into_body(), limit_bytes))
        .await
        .map_err(|_| Error::Invalid(format!("the body did not come within {} seconds", JSON_MAX.as_secs())))?
        .map_err(|_| HttpError::BodyTooLarge { limit_bytes })?;
    Ok(serde_json::from_slice(&bytes).map_err(malformed)?)
}

fn malformed(error: serde_json::Error) -> Error {
    Error::Invalid(format!("the body is not the JSON that this call takes: {error}"))
}

/// A body with the documented `api_key` beside the fields of the call. Unknown fields are ignored.
#[derive(Deserialize)]
pub struct Keyed<T> {
    #[serde(default)]
    pub api_key: Option<String>,
    #[serde(flatten)]
    pub call: T,
}

/// What the calls answer that have nothing else to say: as documented for the end call.
#[derive(Serialize)]
pub struct Done {
    success: bool,
}

impl Done {
    pub const SUCCESS: Self = Self { success: true };
}

/// What calls below `/api/lake/file` answer: as documented for an upload, and perhaps with more to say.
#[derive(Serialize)]
pub struct Answer<T> {
    code: u32,
    msg: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<T>,
}

impl<T> Answer<T> {
    pub fn success(data: Option<T>) -> Self {
        Self { code: 0, msg: None, data }
    }
}

/// Query parameters. Empty ones count as absent, as a form sends them; unknown ones are ignored.
pub struct Parameters<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Parameters<T> {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, HttpError> {
        let given = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
        let mut kept = form_urlencoded::Serializer::new(String::new());
        kept.extend_pairs(given.filter(|(_, value)| !value.is_empty()));
        serde_urlencoded::from_str(&kept.finish()).map(Self).map_err(|error| {
            Error::Invalid(format!("the query parameters are not what this call takes: {error}")).into()
        })
    }
}
