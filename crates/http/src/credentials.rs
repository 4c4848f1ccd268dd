//! Credentials of a request: a key in the body or a header, or a session cookie.

use super::networks::{Access, ClientInfo};
use super::sender::Traces;
use axum::extract::FromRequestParts;
use axum::http::{HeaderMap, header, request::Parts};
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use lakeshore::Lake;
use lakeshore::model::access::actor::Origin;
use lakeshore::model::access::key::{Caller, Secret};
use lakeshore::model::id::KeyId;
use lakeshore::service::BegunSession;
use std::convert::Infallible;
use std::sync::{Arc, Once, OnceLock};

pub const SESSION_COOKIE: &str = "lakeshore_session";

/// Credentials and origin of a request, from its head.
#[derive(Debug)]
pub struct Credentials {
    /// `Authorization: Bearer KEY` (RFC 6750) or `X-API-Key: KEY`.
    key: Option<Secret>,
    session: Option<Secret>,
    traces: Traces,
    access: Access,
    recognised: Recognised,
}

/// Recognised caller of a request: an extension of the request, which the refusal log reads.
#[derive(Debug, Clone, Default)]
pub struct Recognised(Arc<OnceLock<(String, Option<KeyId>)>>);

impl Recognised {
    /// Name of the key, and its id.
    pub fn who(&self) -> Option<&(String, Option<KeyId>)> {
        self.0.get()
    }

    fn set(&self, caller: &Caller) {
        if let Caller::Known(grant) = caller {
            // A second call for the same request sets the same value, so the error is ignored.
            let _ = self.0.set((grant.name.clone(), grant.trace.key_id));
        }
    }
}

impl Credentials {
    fn of(headers: &HeaderMap, client: Option<ClientInfo>, recognised: Recognised) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let bearer = text(header::AUTHORIZATION).and_then(|value| {
            let (scheme, key) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(key)
        });
        let key = bearer.or_else(|| text(header::HeaderName::from_static("x-api-key")));
        let session =
            CookieJar::from_headers(headers).get(SESSION_COOKIE).map(|cookie| Secret::presented(cookie.value()));
        let traces = Traces::of(headers, client);
        let access = client.map_or(Access::KeyNeeded, |client| client.access);
        let key = key.filter(|key| !key.trim().is_empty()).map(Secret::presented);
        Self { key, session, traces, access, recognised }
    }

    pub fn session(&self) -> Option<&Secret> {
        self.session.as_ref()
    }

    /// Recognises the caller. The key of the body takes precedence over that of a header, and a header over the
    /// session.
    pub async fn caller(&self, lake: &Lake, api_key: Option<&str>) -> Result<Caller, lakeshore::Error> {
        let in_body = api_key.filter(|key| !key.trim().is_empty()).map(Secret::presented);
        let caller = match (in_body.as_ref().or(self.key.as_ref()), &self.session) {
            (Some(key), _) => lake.caller_of_key(key).await?,
            (None, Some(session)) => lake.caller_of_session(session).await?,
            (None, None) => Caller::Anonymous,
        };
        Ok(match caller {
            Caller::Anonymous if self.access == Access::Open => Caller::Guest(self.traces.network()),
            Caller::Anonymous if self.access == Access::KeyNeededBehindProxy => {
                let peer = self.traces.peer().map(tracing::field::display);
                // Logged once, as it is a matter of the deployment; each refusal has a line of its own.
                static TOLD: Once = Once::new();
                TOLD.call_once(|| {
                    tracing::info!(peer, "a request without a key came through a proxy that is not a --trusted-proxy, so it needs a key even from an open network");
                });
                Caller::Anonymous
            }
            caller => {
                self.recognised.set(&caller);
                caller.coming_from(self.origin())
            }
        })
    }

    /// Like [`Self::caller`], for calls that always need a key or an open network. Any other caller is refused before
    /// the call looks anything up, so it learns nothing.
    pub async fn allowed_caller(&self, lake: &Lake, api_key: Option<&str>) -> Result<Caller, lakeshore::Error> {
        let caller = self.caller(lake, api_key).await?;
        caller.may_do_anything()?;
        Ok(caller)
    }

    /// Whether the head of the request has no credentials, and its network is not open.
    pub fn is_nobodys(&self) -> bool {
        self.key.is_none() && self.session.is_none() && !self.is_guest()
    }

    /// Whether the request would be served without a key.
    pub fn is_guest(&self) -> bool {
        self.access == Access::Open
    }

    /// Origin of the request, for the audit log.
    pub fn origin(&self) -> Origin {
        self.traces.origin()
    }
}

impl<S: Sync> FromRequestParts<S> for Credentials {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let recognised = parts.extensions.get().cloned().unwrap_or_default();
        Ok(Self::of(&parts.headers, parts.extensions.get().copied(), recognised))
    }
}

/// Builds the cookie of a session. `Secure` if the client uses TLS, which a trusted proxy or `--public-url` says.
pub fn session_cookie(session: &BegunSession, client: &ClientInfo) -> Cookie<'static> {
    let lifetime = i64::try_from(session.lasts.as_secs()).unwrap_or(i64::MAX);
    Cookie::build((SESSION_COOKIE, session.secret.expose().to_owned()))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(client.has_secure_cookies)
        .max_age(time::Duration::seconds(lifetime))
        .build()
}

/// Site that a request comes from, if it is another one. Browsers send it as `Sec-Fetch-Site` (Fetch Metadata) or
/// `Origin`. Scripts send neither, and hold no cookie that could be misused.
pub fn cross_site(headers: &HeaderMap, client: Option<&ClientInfo>) -> Option<String> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match (text("sec-fetch-site"), text("origin")) {
        (Some("same-origin" | "none"), _) | (None, None) => None,
        (Some(_), origin) => Some(origin.unwrap_or("unknown").to_owned()),
        (None, Some(origin)) => {
            let of_origin = origin.split_once("://").map(|(_, host)| host);
            let is_own = |host: &str| of_origin.is_some_and(|origin| origin.eq_ignore_ascii_case(host));
            let is_same = client.is_some_and(|client| client.hosts(headers).any(is_own));
            (!is_same).then(|| origin.to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::networks::NetworkPolicy;
    use axum::http::Request;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|&(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn request(pairs: &[(&'static str, &'static str)]) -> Request<()> {
        let mut request = Request::new(());
        *request.headers_mut() = headers(pairs);
        request
    }

    #[test]
    fn a_change_from_another_site_is_recognised_by_either_header() {
        let host = ("host", "127.0.0.1:3000");
        let peer = "127.0.0.1:4000".parse().unwrap();
        let client = NetworkPolicy::default().admit(peer, &mut request(&[host])).unwrap();
        let cross_site = |headers: &HeaderMap| super::cross_site(headers, Some(&client));
        assert!(cross_site(&headers(&[host])).is_none());
        assert!(cross_site(&headers(&[host, ("sec-fetch-site", "same-origin")])).is_none());
        assert!(cross_site(&headers(&[host, ("origin", "http://127.0.0.1:3000")])).is_none());
        assert!(cross_site(&headers(&[host, ("origin", "http://127.0.0.1:3001")])).is_some());
        assert!(cross_site(&headers(&[host, ("origin", "null")])).is_some());
        assert!(cross_site(&headers(&[host, ("sec-fetch-site", "cross-site")])).is_some());
        assert!(cross_site(&headers(&[host, ("sec-fetch-site", "same-site")])).is_some());
    }
}
