//! Carries the refusal of a plain form to the page that the form returns to.
//!
//! The address has only the code, since anybody can write an address. The message travels in a cookie, which the next
//! page removes. Other servers of the same host can set that cookie too, so it is signed for the session of the form,
//! with a key that lives as long as the process, or as the servers that serve the lake together.

use super::networks::ClientInfo;
use app::refusal::FormRefusal;
use axum::http::HeaderMap;
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use lakeshore::Error;
use lakeshore::model::access::key::Secret;
use lakeshore::ports::{Randomness, random_bytes};
use sha2::Sha256;

const COOKIE: &str = "lakeshore_refusal";
/// Longest value of the cookie, in bytes. Browsers drop a cookie of more than 4,096 bytes, attributes included. A
/// longer message is omitted, and the page shows its own text for the code.
const VALUE_BYTES_MAX: usize = 3_800;
/// Lifetime of the cookie if no page removes it.
const KEPT_SECONDS: i64 = 60;
const SIGNATURE_BYTES: usize = 32;

/// Signs refusals, and verifies them.
pub struct FormRefusals(Hmac<Sha256>);

impl FormRefusals {
    pub fn new(randomness: &impl Randomness) -> Result<Self, Error> {
        Self::with_key(&random_bytes(randomness)?)
    }

    /// With the key of servers that sign for each other.
    pub fn with_key(key: &[u8; 32]) -> Result<Self, Error> {
        Hmac::new_from_slice(key).map(Self).map_err(Error::internal)
    }

    /// Builds the cookie for the next page. `None` for a message that is too long.
    pub fn cookie(
        &self,
        refusal: &FormRefusal,
        session: Option<&Secret>,
        client: &ClientInfo,
    ) -> Option<Cookie<'static>> {
        let text = refusal.to_string();
        let mut signed = self.signing(&text, session).finalize().into_bytes().to_vec();
        signed.extend_from_slice(text.as_bytes());
        let value = URL_SAFE_NO_PAD.encode(signed);
        (value.len() <= VALUE_BYTES_MAX).then(|| built(value, KEPT_SECONDS, client))
    }

    /// Reads the refusal from the cookie of a request, if it was signed here for this session.
    pub fn read(&self, headers: &HeaderMap, session: Option<&Secret>) -> Option<FormRefusal> {
        let jar = CookieJar::from_headers(headers);
        let signed = URL_SAFE_NO_PAD.decode(jar.get(COOKIE)?.value()).ok()?;
        let (signature, text) = signed.split_at_checked(SIGNATURE_BYTES)?;
        let text = str::from_utf8(text).ok()?;
        self.signing(text, session).verify_slice(signature).ok()?;
        text.parse().ok()
    }

    fn signing(&self, text: &str, session: Option<&Secret>) -> Hmac<Sha256> {
        let session = session.map_or("", Secret::expose);
        // The length separates the session from the text, so that bytes cannot be shifted between the two.
        let length = (session.len() as u64).to_be_bytes();
        self.0.clone().chain_update(length).chain_update(session).chain_update(text)
    }
}

/// Cookie that removes the refusal, if the request has one.
pub fn removal(headers: &HeaderMap, client: &ClientInfo) -> Option<Cookie<'static>> {
    CookieJar::from_headers(headers).get(COOKIE).map(|_| built(String::new(), 0, client))
}

fn built(value: String, kept_seconds: i64, client: &ClientInfo) -> Cookie<'static> {
    Cookie::build((COOKIE, value))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(client.has_secure_cookies)
        .max_age(time::Duration::seconds(kept_seconds))
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::networks::NetworkPolicy;
    use axum::http::{Request, header};
    use lakeshore_system::clock::SystemRandomness;

    fn client() -> ClientInfo {
        let mut request = Request::new(());
        request.headers_mut().insert(header::HOST, "127.0.0.1:3000".parse().unwrap());
        NetworkPolicy::default().admit("127.0.0.1:4000".parse().unwrap(), &mut request).unwrap()
    }

    fn bringing(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, format!("a=b; {COOKIE}={value}; c=d").parse().unwrap());
        headers
    }

    fn refusal(msg: &str) -> FormRefusal {
        FormRefusal { code: 40901, msg: msg.to_owned() }
    }

    #[test]
    fn only_what_was_signed_here_for_the_session_is_read() {
        let [ours, theirs] = [(); 2].map(|()| FormRefusals::new(&SystemRandomness).unwrap());
        let (session, other) = (Secret::presented("one"), Secret::presented("two"));
        let said = refusal("an open sync holds \"/data/t\"; end it — or wait\n</script>");
        for session in [None, Some(&session)] {
            let cookie = ours.cookie(&said, session, &client()).unwrap();
            let headers = bringing(cookie.value());
            assert_eq!(ours.read(&headers, session), Some(said.clone()));
            assert_eq!(ours.read(&headers, Some(&other)), None);
            assert_eq!(theirs.read(&headers, session), None);
        }
        let unsigned = URL_SAFE_NO_PAD.encode([&[0; SIGNATURE_BYTES][..], b"40901 call 555-0100"].concat());
        for forged in ["", "x", "40901 call", &unsigned, &URL_SAFE_NO_PAD.encode([0; 31])] {
            assert_eq!(ours.read(&bringing(forged), None), None, "{forged:?}");
        }
    }

    #[test]
    fn no_byte_of_a_signed_refusal_can_be_another() {
        let refusals = FormRefusals::new(&SystemRandomness).unwrap();
        let value = refusals.cookie(&refusal("why"), None, &client()).unwrap().value().to_owned();
        let signed = URL_SAFE_NO_PAD.decode(&value).unwrap();
        for at in 0..signed.len() {
            let mut changed = signed.clone();
            changed[at] ^= 1;
            assert_eq!(refusals.read(&bringing(&URL_SAFE_NO_PAD.encode(changed)), None), None, "{at}");
        }
    }

    #[test]
    fn a_message_that_no_browser_would_keep_is_left_out() {
        let refusals = FormRefusals::new(&SystemRandomness).unwrap();
        let cookie = |bytes| refusals.cookie(&refusal(&"x".repeat(bytes)), None, &client());
        // The value has the signature, the code and a blank, with four characters for three bytes.
        let bytes_max = VALUE_BYTES_MAX / 4 * 3 - SIGNATURE_BYTES - 6;
        assert!(cookie(bytes_max).is_some_and(|cookie| cookie.to_string().len() <= 4_096));
        assert!(cookie(bytes_max + 1).is_none());
    }
}
