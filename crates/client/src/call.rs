//! Calls of the API: they carry the key, and return refusals in the server's own words.

use super::error::ClientError;
use super::retry::RetryPolicy;
use super::settings::{Settings, is_loopback};
use lakeshore::model::access::key::Secret;
use lakeshore::model::id::SyncId;
use lakeshore::model::page::ListParameters;
use lakeshore::model::sync::job::SyncJob;
use lakeshore::model::text::truncate;
use lakeshore::model::upload::row::Upload;
use lakeshore::ports::Clock;
use lakeshore_system::clock::SystemClock;
use reqwest::header::{HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response, Url, redirect};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const CONNECT_MAX: Duration = Duration::from_secs(10);
/// Interval of TCP keep-alive: a peer that vanished is noticed after about a minute. Calls have no other time limit,
/// since a publish may take any time.
const KEEPALIVE: Duration = Duration::from_secs(15);
const KEEPALIVE_RETRIES: u32 = 3;
/// Characters shown of an answer that did not come from Lakeshore.
const EXCERPT_CHARACTERS: usize = 200;

/// Longest answer that is read: a page of a list, or ten thousand missing paths, takes some megabytes.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Longest refusal that is read: it may name a hundred files.
const REFUSAL_BYTES_MAX: usize = 4 << 20;

/// Callback for messages in passing: the server is away, and is back.
pub type Tell = Arc<dyn Fn(&str) + Send + std::marker::Sync>;

pub struct Client {
    http: reqwest::Client,
    server: Url,
    key: Option<Secret>,
    policy: RetryPolicy,
    tell: Tell,
    /// Whether the user was told that the server is away.
    is_away: AtomicBool,
}

/// Selects the TLS library, without which reqwest makes no client, even for plain HTTP.
pub fn provide_tls() {
    // An error means that it was selected before.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

impl Client {
    pub fn new(settings: Settings, policy: RetryPolicy, tell: Tell) -> Result<Self, ClientError> {
        provide_tls();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("lakeshore/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_MAX)
            .tcp_keepalive(KEEPALIVE)
            .tcp_keepalive_interval(KEEPALIVE)
            .tcp_keepalive_retries(KEEPALIVE_RETRIES)
            .tcp_nodelay(true);
        if is_loopback(&settings.server) {
            builder = builder.no_proxy();
        }
        let http =
            builder.build().map_err(|error| ClientError::local("cannot set up the HTTP client", cause(&error)))?;
        let Settings { server, key, .. } = settings;
        Ok(Self { http, server, key, policy, tell, is_away: AtomicBool::new(false) })
    }

    pub fn server(&self) -> &str {
        self.server.as_str().trim_end_matches('/')
    }

    pub fn retry_policy(&self) -> &RetryPolicy {
        &self.policy
    }

    /// Request to an address of the API, which begins with a slash.
    pub fn request(&self, method: Method, address: &str) -> RequestBuilder {
        self.with_key(self.http.request(method, format!("{}{address}", self.server())))
    }

    /// Request to an absolute URL, which has to be on the server.
    pub fn request_url(&self, method: Method, url: Url) -> RequestBuilder {
        let is_own = url.origin() == self.server.origin();
        let request = self.http.request(method, url);
        if is_own { self.with_key(request) } else { request }
    }

    fn with_key(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.key {
            Some(key) => request.bearer_auth(key.expose()),
            None => request,
        }
    }

    /// Sends a request once. An answer other than a success is an error; the body of a success is not read.
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let sent = tokio::select! {
            sent = request.send() => sent,
            () = self.policy.stop.cancelled() => return Err(ClientError::Interrupted),
        };
        let response = sent.map_err(|error| self.unreachable(&error))?;
        if self.is_away.swap(false, Ordering::Relaxed) {
            (self.tell)("the server is reachable again");
        }
        if response.status().is_success() { Ok(response) } else { Err(self.refusal(response).await) }
    }

    /// Error of a connection that broke before or during an answer.
    pub fn unreachable(&self, error: &reqwest::Error) -> ClientError {
        if error.is_builder() {
            return ClientError::Unexpected(format!("cannot send the request: {}", cause(error)));
        }
        let (server, cause) = (self.server().to_owned(), cause(error));
        match untrusted(error) {
            Some(remedy) => ClientError::Untrusted { server, cause, remedy },
            None => ClientError::Unreachable { server, cause },
        }
    }

    async fn refusal(&self, response: Response) -> ClientError {
        let (status, server) = (response.status(), self.server());
        if let Some(elsewhere) = response.headers().get(LOCATION).filter(|_| status.is_redirection()) {
            let elsewhere = elsewhere.to_str().unwrap_or_default();
            return ClientError::Unexpected(format!("{server} redirects to {elsewhere}; use that as the --server"));
        }
        let retry_after = retry_after(response.headers());
        let text = match self.bytes(response, REFUSAL_BYTES_MAX).await {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) => return error,
        };
        let body = serde_json::from_str::<Value>(&text).unwrap_or_default();
        match (body["code"].as_u64().and_then(|code| u32::try_from(code).ok()), body["msg"].as_str()) {
            (Some(code), Some(msg)) => {
                ClientError::Refused { code, msg: msg.to_owned(), data: body["data"].clone(), retry_after }
            }
            // A proxy answered, whose statuses mean the same.
            _ => {
                let excerpt: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
                let excerpt = truncate(&excerpt, EXCERPT_CHARACTERS);
                let code = u32::from(status.as_u16()) * 100;
                ClientError::Refused { code, msg: format!("{status} {excerpt}"), data: Value::Null, retry_after }
            }
        }
    }

    /// Reads the body of an answer, up to the longest that this client expects.
    async fn bytes(&self, mut response: Response, bytes_max: usize) -> Result<Vec<u8>, ClientError> {
        let mut bytes = Vec::new();
        loop {
            let chunk = tokio::select! {
                chunk = response.chunk() => chunk.map_err(|error| self.unreachable(&error))?,
                () = self.policy.stop.cancelled() => return Err(ClientError::Interrupted),
            };
            let Some(chunk) = chunk else { return Ok(bytes) };
            if bytes.len() + chunk.len() > bytes_max {
                let server = self.server();
                return Err(ClientError::Unexpected(format!(
                    "{server} sent a response larger than {bytes_max} bytes; check that it is a Lakeshore server"
                )));
            }
            bytes.extend_from_slice(&chunk);
        }
    }

    /// Sends a request once, and reads its answer.
    pub async fn call<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ClientError> {
        let response = self.send(request).await?;
        let bytes = self.bytes(response, ANSWER_BYTES_MAX).await?;
        serde_json::from_slice(&bytes).map_err(|error| {
            let server = self.server();
            ClientError::Unexpected(format!(
                "{server} sent a response that this version cannot read ({error}); check that it is a Lakeshore server"
            ))
        })
    }

    /// Repeats the call while the server is away and the time of the policy lasts. The call has to be idempotent.
    pub async fn persistently<T>(&self, attempt: impl AsyncFn() -> Result<T, ClientError>) -> Result<T, ClientError> {
        let mut attempts = self.policy.attempts();
        loop {
            match attempt().await {
                Ok(done) => return Ok(done),
                Err(error) => {
                    self.tell_away(&error);
                    attempts.after(error).await?;
                }
            }
        }
    }

    /// Reports once that the server is away, however many calls notice it.
    pub fn tell_away(&self, error: &ClientError) {
        if error.is_passing() && !self.policy.retry_for.is_zero() && !self.is_away.swap(true, Ordering::Relaxed) {
            let retry_for = humantime::format_duration(self.policy.retry_for);
            (self.tell)(&format!("{error}; retrying for {retry_for}"));
        }
    }

    pub async fn get<T: DeserializeOwned>(&self, address: &str, query: &impl Serialize) -> Result<T, ClientError> {
        self.persistently(async || self.call(self.request(Method::GET, address).query(query)).await).await
    }

    pub async fn post<T: DeserializeOwned>(&self, address: &str, body: &impl Serialize) -> Result<T, ClientError> {
        self.persistently(async || self.call(self.request(Method::POST, address).json(body)).await).await
    }

    pub async fn sync(&self, sync_id: SyncId) -> Result<SyncJob, ClientError> {
        self.get(&format!("/api/ingestion/file/sync/{sync_id}"), &()).await
    }

    pub async fn syncs(&self, wanted: &ListParameters) -> Result<Vec<SyncJob>, ClientError> {
        self.get("/api/ingestion/file/sync/list", wanted).await
    }

    pub async fn uploads(&self, wanted: &ListParameters) -> Result<Vec<Upload>, ClientError> {
        self.get("/api/ingestion/file/sync/history", wanted).await
    }
}

/// The innermost cause: outer errors only say that a request failed, and repeat its address.
fn cause(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// Remedy for a TLS error that does not pass by waiting; `None` for any other error.
fn untrusted(error: &reqwest::Error) -> Option<&'static str> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(fault) = next {
        match fault.downcast_ref::<rustls::Error>() {
            Some(rustls::Error::InvalidCertificate(why)) => return Some(certificate_remedy(why)),
            // After the handshake, a TLS error is a broken connection.
            Some(_) => return error.is_connect().then_some(HANDSHAKE_REMEDY),
            // The error inside an I/O error is not among its sources.
            None => match fault.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
                Some(inner) => next = Some(inner),
                None => next = fault.source(),
            },
        }
    }
    None
}

const HANDSHAKE_REMEDY: &str = "the TLS handshake failed; check that the server supports TLS 1.2 or later at this port";

fn certificate_remedy(why: &rustls::CertificateError) -> &'static str {
    use rustls::CertificateError as Why;
    match why {
        Why::Expired | Why::ExpiredContext { .. } => {
            "its certificate has expired: renew it, or correct the clock of this machine"
        }
        Why::NotValidYet | Why::NotValidYetContext { .. } => {
            "its certificate is not valid yet: correct the clock of this machine"
        }
        Why::NotValidForName | Why::NotValidForNameContext { .. } => {
            "its certificate is for another name: use a --server name that the certificate has"
        }
        Why::Revoked => "its certificate was revoked: ask the operator of the server",
        Why::UnknownIssuer => {
            "its certificate is not signed by a trusted authority: for a private authority, set SSL_CERT_FILE to its certificate"
        }
        _ => "ask the operator of the server; for a private authority, set SSL_CERT_FILE to its certificate",
    }
}

/// `Retry-After` (RFC 9110, section 10.2.3): seconds, or a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(text).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    let now = u64::try_from(SystemClock.now().0).ok()?;
    Some(at.saturating_sub(Duration::from_millis(now)))
}
