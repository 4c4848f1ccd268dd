//! Whose request it is: a key in the body, in a header, or a session cookie.

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

/// What a request brings along to be recognised by.
#[derive(Debug)]
pub struct Credentials {
    /// `Authorization: Bearer KEY` (RFC 6750) or `X-API-Key: KEY`.
    key: Option<Secret>,
    session: Option<Secret>,
    traces: Traces,
    access: Access,
    recognised: Recognised,
}

/// Who a request was recognised as: a place for the log to look, beside the request.
#[derive(Debug, Clone, Default)]
pub struct Recognised(Arc<OnceLock<(String, Option<KeyId>)>>);

impl Recognised {
    /// The name of the key, and the key itself.
    pub fn who(&self) -> Option<&(String, Option<KeyId>)> {
        self.0.get()
    }

    fn set(&self, caller: &Caller) {
        if let Caller::Known(grant) = caller {
            // Asked twice, it is the same.
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

    /// The key of the body counts first, then that of a header, then the session.
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
                // A matter of the deployment: once is enough, and each refusal is logged by itself.
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

    /// The same, of a call for which some key, or an open network, is needed in any case: nobody without either learns more,
    /// whatever the call names.
    pub async fn allowed_caller(&self, lake: &Lake, api_key: Option<&str>) -> Result<Caller, lakeshore::Error> {
        let caller = self.caller(lake, api_key).await?;
        caller.may_do_anything()?;
        Ok(caller)
    }

    /// Whether the head of the request brings nothing to be recognised by.
    pub fn is_nobodys(&self) -> bool {
        self.key.is_none() && self.session.is_none() && !self.is_guest()
    }

    /// Whether the request would be served without a key.
    pub fn is_guest(&self) -> bool {
        self.access == Access::Open
    }

    /// Where the request came from.
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

/// The cookie of a session. `Secure` where the request came by TLS, of which only a trusted proxy in front knows.
pub fn session_cookie(session: &BegunSession, client: &ClientInfo) -> Cookie<'static> {
    let lifetime = i64::try_from(session.lasts.as_secs()).unwrap_or(i64::MAX);
    Cookie::build((SESSION_COOKIE, session.secret.expose().to_owned()))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(client.is_by_tls)
        .max_age(time::Duration::seconds(lifetime))
        .build()
}

/// Where the request comes from, when that is another site. Browsers say so (Fetch Metadata's `Sec-Fetch-Site`, or
/// `Origin`); scripts say nothing, and hold no cookie that could be misused.
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
