//! The refusal of a plain form, on its way to the page that the form leads back to.
//!
//! The address holds no more than its number, as anybody can write an address. The message travels in a cookie, which the next
//! page takes away. Cookies of other servers on the same host come here too, so it is signed: by a key that ends with the process,
//! for the session that the form came from.

use super::networks::ClientInfo;
use app::refusal::FormRefusal;
use axum::http::HeaderMap;
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use lakeshore::Error;
use lakeshore::model::access::key::Secret;
use lakeshore::ports::Randomness;
use sha2::Sha256;

const COOKIE: &str = "lakeshore_refusal";
/// Browsers drop a cookie of more than 4,096 bytes, attributes included. A longer message is left out: the page then has its own
/// words for the number.
const VALUE_BYTES_MAX: usize = 3_800;
/// How long the browser keeps it when no page takes it away.
const KEPT_SECONDS: i64 = 60;
const SIGNATURE_BYTES: usize = 32;

/// Signs refusals, and knows again those that it has signed.
pub struct FormRefusals(Hmac<Sha256>);

impl FormRefusals {
    pub fn new(randomness: &impl Randomness) -> Result<Self, Error> {
        let mut key = [0; 32];
        randomness.fill(&mut key)?;
        Hmac::new_from_slice(&key).map(Self).map_err(Error::internal)
    }

    /// The cookie that brings the refusal to the next page. `None` for a message that is too long.
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

    /// The refusal that the cookie of a request brings, if it was signed here for the session.
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
        // The length keeps the end of the one from being taken for the beginning of the other.
        let length = (session.len() as u64).to_be_bytes();
        self.0.clone().chain_update(length).chain_update(session).chain_update(text)
    }
}

/// What takes the cookie away, where the request has brought one.
pub fn removal(headers: &HeaderMap, client: &ClientInfo) -> Option<Cookie<'static>> {
    CookieJar::from_headers(headers).get(COOKIE).map(|_| built(String::new(), 0, client))
}

fn built(value: String, kept_seconds: i64, client: &ClientInfo) -> Cookie<'static> {
    Cookie::build((COOKIE, value))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(client.is_by_tls)
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
        // Of the value: signature, number and a blank, four characters for three bytes.
        let bytes_max = VALUE_BYTES_MAX / 4 * 3 - SIGNATURE_BYTES - 6;
        assert!(cookie(bytes_max).is_some_and(|cookie| cookie.to_string().len() <= 4_096));
        assert!(cookie(bytes_max + 1).is_none());
    }
}
