//! One call and its answer: the key goes along, a refusal comes back in the server's own words.

use super::error::ClientError;
use super::retry::Patience;
use super::settings::{Settings, is_loopback};
use lakeshore::key::Secret;
use lakeshore::list::ListParameters;
use lakeshore::sync::{Sync, SyncId};
use lakeshore::upload::Upload;
use reqwest::header::LOCATION;
use reqwest::{Method, RequestBuilder, Response, Url, redirect};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const CONNECT_MAX: Duration = Duration::from_secs(10);
/// A peer that has vanished is noticed after about a minute, however long a call may take: there is no other limit on
/// the time that a publish needs.
const KEEPALIVE: Duration = Duration::from_secs(15);
const KEEPALIVE_RETRIES: u32 = 3;
/// Of an answer that is no refusal of Lakeshore's, what is shown.
const EXCERPT_CHARACTERS: usize = 200;

/// Told in passing: that the server has gone, and that it is back.
pub type Tell = Arc<dyn Fn(&str) + Send + std::marker::Sync>;

pub struct Client {
    http: reqwest::Client,
    server: Url,
    key: Option<Secret>,
    patience: Patience,
    tell: Tell,
    /// It has been told that the server is away.
    is_away: AtomicBool,
}

/// Says by which library TLS is spoken; without that no client of reqwest can be made, not even for plain HTTP.
pub fn provide_tls() {
    // Installed before: all the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

impl Client {
    pub fn new(settings: Settings, patience: Patience, tell: Tell) -> Result<Self, ClientError> {
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
            builder.build().map_err(|error| ClientError::local("cannot prepare to speak HTTP", cause(&error)))?;
        let Settings { server, key, .. } = settings;
        Ok(Self { http, server, key, patience, tell, is_away: AtomicBool::new(false) })
    }

    pub fn server(&self) -> &str {
        self.server.as_str().trim_end_matches('/')
    }

    pub fn patience(&self) -> &Patience {
        &self.patience
    }

    /// A request to an address of the API, which begins with a slash.
    pub fn request(&self, method: Method, address: &str) -> RequestBuilder {
        self.with_key(self.http.request(method, format!("{}{address}", self.server())))
    }

    /// A request to a whole address, which has to be one of the server's own.
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

    /// Sends it once. Any answer that is not a success is an error; nothing of the body of a success is read.
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let sent = tokio::select! {
            sent = request.send() => sent,
            () = self.patience.stop.cancelled() => return Err(ClientError::Interrupted),
        };
        let response = sent.map_err(|error| self.unreachable(&error))?;
        if self.is_away.swap(false, Ordering::Relaxed) {
            (self.tell)("the server answers again");
        }
        if response.status().is_success() { Ok(response) } else { Err(self.refusal(response).await) }
    }

    /// The connection broke, before or while an answer came.
    pub fn unreachable(&self, error: &reqwest::Error) -> ClientError {
        if error.is_builder() {
            return ClientError::Unexpected(format!("the request cannot be sent: {}", cause(error)));
        }
        let (server, cause) = (self.server().to_owned(), cause(error));
        if is_untrusted(error) {
            ClientError::Untrusted { server, cause }
        } else {
            ClientError::Unreachable { server, cause }
        }
    }

    async fn refusal(&self, response: Response) -> ClientError {
        let (status, server) = (response.status(), self.server());
        if let Some(elsewhere) = response.headers().get(LOCATION).filter(|_| status.is_redirection()) {
            let elsewhere = elsewhere.to_str().unwrap_or_default();
            return ClientError::Unexpected(format!("{server} points to {elsewhere}; name that as the --server"));
        }
        let text = match response.text().await {
            Ok(text) => text,
            Err(error) => return self.unreachable(&error),
        };
        let body = serde_json::from_str::<Value>(&text).unwrap_or_default();
        match (body["code"].as_u64().and_then(|code| u32::try_from(code).ok()), body["msg"].as_str()) {
            (Some(code), Some(msg)) => ClientError::Refused { code, msg: msg.to_owned(), data: body["data"].clone() },
            // A proxy in between, whose statuses mean the same.
            _ => {
                let excerpt: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
                let excerpt: String = excerpt.chars().take(EXCERPT_CHARACTERS).collect();
                let code = u32::from(status.as_u16()) * 100;
                ClientError::Refused { code, msg: format!("{status} {excerpt}"), data: Value::Null }
            }
        }
    }

    /// Sends it once, and reads the answer.
    pub async fn call<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ClientError> {
        let bytes = self.send(request).await?.bytes().await.map_err(|error| self.unreachable(&error))?;
        serde_json::from_slice(&bytes).map_err(|error| {
            let server = self.server();
            ClientError::Unexpected(format!(
                "{server} answers what this version does not understand ({error}); is it a Lakeshore?"
            ))
        })
    }

    /// Does it again while the server is away, for as long as the patience lasts. It has to be safe to repeat.
    pub async fn persistently<T>(&self, attempt: impl AsyncFn() -> Result<T, ClientError>) -> Result<T, ClientError> {
        let mut attempts = self.patience.attempts();
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

    /// Says once that the server is away, however many calls notice it.
    pub fn tell_away(&self, error: &ClientError) {
        if error.is_passing() && !self.patience.retry_for.is_zero() && !self.is_away.swap(true, Ordering::Relaxed) {
            let retry_for = humantime::format_duration(self.patience.retry_for);
            (self.tell)(&format!("{error}; trying again for {retry_for}"));
        }
    }

    pub async fn get<T: DeserializeOwned>(&self, address: &str, query: &impl Serialize) -> Result<T, ClientError> {
        self.persistently(async || self.call(self.request(Method::GET, address).query(query)).await).await
    }

    pub async fn post<T: DeserializeOwned>(&self, address: &str, body: &impl Serialize) -> Result<T, ClientError> {
        self.persistently(async || self.call(self.request(Method::POST, address).json(body)).await).await
    }

    pub async fn sync(&self, sync_id: SyncId) -> Result<Sync, ClientError> {
        self.get(&format!("/api/ingestion/file/sync/{sync_id}"), &()).await
    }

    pub async fn syncs(&self, wanted: &ListParameters) -> Result<Vec<Sync>, ClientError> {
        self.get("/api/ingestion/file/sync/list", wanted).await
    }

    pub async fn uploads(&self, wanted: &ListParameters) -> Result<Vec<Upload>, ClientError> {
        self.get("/api/ingestion/file/sync/history", wanted).await
    }
}

/// The innermost cause: the outer ones say no more than that a request failed, and its whole address.
fn cause(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

fn is_untrusted(error: &reqwest::Error) -> bool {
    let is_certificate = |error: &(dyn std::error::Error + 'static)| {
        matches!(error.downcast_ref::<rustls::Error>(), Some(rustls::Error::InvalidCertificate(_)))
    };
    let mut next = std::error::Error::source(error);
    while let Some(source) = next {
        // What an error of I/O was made of is not among its sources.
        let inner = source.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if is_certificate(source) || inner.is_some_and(|inner| is_certificate(inner)) {
            return true;
        }
        next = source.source();
    }
    false
}
