//! Parses JSON bodies and query parameters; a refusal names the fault.

use crate::AppState;
use crate::client_network::ClientNetwork;
use crate::credentials::Credentials;
use crate::error::HttpError;
use crate::gather::gather_small;
use crate::spool::{GatheredBody, LongBody, MemoryPermit};
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use lakeshore::Error;
use lakeshore::model::access::key::Caller;
use lakeshore::model::access::shares::Holder;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io;
use std::sync::Arc;

/// Largest JSON body of a call that may list files, in bytes: room for the longest declaration.
const LONG_JSON_BYTES_MAX: usize = 32 * 1024 * 1024;

/// JSON body with any Content-Type: curl's `--data` alone sends another one.
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Arc<AppState>> for JsonBody<Keyed<T>> {
    type Rejection = HttpError;

    async fn from_request(request: Request<Body>, app_state: &Arc<AppState>) -> Result<Self, HttpError> {
        let (mut parts, body) = request.into_parts();
        let Ok(credentials) = Credentials::from_request_parts(&mut parts, app_state).await;
        let bytes = gather_small(body).await?;
        let caller = caller_of(app_state, &credentials, serde_json::from_slice(&bytes)).await?;
        Ok(Self(Keyed { caller, call: serde_json::from_slice(&bytes).map_err(malformed)? }))
    }
}

/// A call with the documented `api_key` beside its fields, and its caller, recognised before the rest is parsed.
/// Unknown fields are ignored, and not built.
pub struct Keyed<T> {
    pub caller: Caller,
    pub call: T,
}

/// The key alone. The rest of the body is skipped while reading.
#[derive(Deserialize)]
struct KeyOnly {
    #[serde(default)]
    api_key: Option<String>,
}

/// A call that may list many files, and its caller. The body is complete and the caller recognised before the call is
/// parsed. The memory permit lasts until the call is answered.
pub struct LongCall<T> {
    pub caller: Caller,
    pub call: T,
    _memory: Option<MemoryPermit>,
}

impl<T: DeserializeOwned + Send + 'static> FromRequest<Arc<AppState>> for LongCall<T> {
    type Rejection = HttpError;

    async fn from_request(request: Request<Body>, app_state: &Arc<AppState>) -> Result<Self, HttpError> {
        let (mut parts, body) = request.into_parts();
        let Ok(credentials) = Credentials::from_request_parts(&mut parts, app_state).await;
        let ClientNetwork(network) = ClientNetwork::of(&parts.extensions);
        // If the head has no valid credentials, the body may; until it is read, the network counts as the holder.
        let holder = match credentials.caller(&app_state.lake, None).await {
            Ok(caller) => Holder::new(&caller, network),
            Err(_) => Holder::Network(network),
        };
        match app_state.spool.gather(body, holder, LONG_JSON_BYTES_MAX).await? {
            GatheredBody::Small(bytes) => {
                let caller = caller_of(app_state, &credentials, serde_json::from_slice(&bytes)).await?;
                Ok(Self { caller, call: serde_json::from_slice(&bytes).map_err(malformed)?, _memory: None })
            }
            GatheredBody::Long(body) => {
                let turn = app_state.spool.turn_to_look(&body).await?;
                let (body, key) = parse(body).await?;
                drop(turn);
                let caller = caller_of(app_state, &credentials, key).await?;
                let memory = app_state.spool.memory_for(&body).await?;
                let (_, call) = parse(body).await?;
                Ok(Self { caller, call: call.map_err(malformed)?, _memory: Some(memory) })
            }
        }
    }
}

/// Recognises the caller. A caller without any rights is refused before faults of the call are reported.
async fn caller_of(
    app_state: &AppState,
    credentials: &Credentials,
    key: serde_json::Result<KeyOnly>,
) -> Result<Caller, HttpError> {
    let api_key = match key {
        Ok(KeyOnly { api_key }) => api_key,
        Err(_) if credentials.is_nobodys() => return Err(Error::NoKey.into()),
        Err(error) => return Err(malformed(error).into()),
    };
    Ok(credentials.allowed_caller(&app_state.lake, api_key.as_deref()).await?)
}

/// Parses a long body as a stream. Blocks for long, so it runs on a blocking thread.
async fn parse<T: DeserializeOwned + Send + 'static>(
    mut body: LongBody,
) -> Result<(LongBody, serde_json::Result<T>), Error> {
    let parse = move || {
        let parsed = serde_json::from_reader(body.read()?);
        Ok((body, parsed))
    };
    tokio::task::spawn_blocking(parse)
        .await
        .map_err(Error::internal)?
        .map_err(|error: io::Error| Error::internal(error))
}

fn malformed(error: serde_json::Error) -> Error {
    Error::Invalid(format!("the body is not valid JSON for this request: {error}; correct it"))
}

/// Answer without data, as documented for `sync/end`.
#[derive(Serialize)]
pub struct Done {
    success: bool,
}

impl Done {
    pub const SUCCESS: Self = Self { success: true };
}

/// Answer of calls below `/api/lake/file`, as documented for an upload, with optional data.
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

/// Query parameters. Empty ones count as absent, since forms send them; unknown ones are ignored.
pub struct Parameters<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Parameters<T> {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, HttpError> {
        let Ok(credentials) = Credentials::from_request_parts(parts, state).await;
        let given = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
        let mut kept = form_urlencoded::Serializer::new(String::new());
        kept.extend_pairs(given.filter(|(_, value)| !value.is_empty()));
        serde_urlencoded::from_str(&kept.finish()).map(Self).map_err(|error| {
            // A caller without credentials is refused before faults are reported.
            if credentials.is_nobodys() {
                return Error::NoKey.into();
            }
            Error::Invalid(format!("the query parameters are not valid for this request: {error}; correct them")).into()
        })
    }
}
