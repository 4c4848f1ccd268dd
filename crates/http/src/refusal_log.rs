//! Logs refusals: the caller, the origin, the route and the reason. The number of lines a minute is bounded, so that
//! requests cannot fill the disk.
//!
//! Every text is written by `Debug`, which escapes line breaks and other control characters, so no name can forge a
//! line or reach a terminal. A request is identified by its route, because its address may contain a secret.

use super::AppState;
use super::credentials::Recognised;
use super::error::HttpError;
use super::forwarded::{X_FORWARDED_FOR, X_FORWARDED_HOST};
use super::networks::ClientInfo;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, Method, Uri, header};
use axum::response::Response;
use lakeshore::{ErrorCode, Timestamp};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

const WINDOW: Duration = Duration::from_secs(60);
/// Lines of one code in a window.
const OF_A_CODE_MAX: u32 = 60;
/// Lines of all codes in a window.
const OF_ALL_MAX: u32 = 300;
/// Characters of a client's text in a line.
const TEXT_CHARACTERS_MAX: usize = 300;

/// Reason of a refusal, an extension of the response until it is logged.
#[derive(Clone)]
pub struct Refused {
    pub code: u32,
    pub message: String,
}

#[derive(Default)]
pub struct RefusalLog(Mutex<Minute>);

#[derive(Default)]
struct Minute {
    since: Option<Timestamp>,
    lines: u32,
    of_codes: BTreeMap<u32, OfCode>,
}

#[derive(Default)]
struct OfCode {
    lines: u32,
    unlogged: u64,
}

impl RefusalLog {
    /// Decides whether a refusal is logged. `Some` has the number of earlier ones of its code that were not.
    fn admit(&self, code: u32, now: Timestamp) -> Option<u64> {
        let mut minute = self.0.lock();
        if minute.since.is_none_or(|since| now < since || now >= since.plus(WINDOW)) {
            (minute.since, minute.lines) = (Some(now), 0);
            minute.of_codes.retain(|_, of_code| of_code.unlogged > 0);
            minute.of_codes.values_mut().for_each(|of_code| of_code.lines = 0);
        }
        let has_room = minute.lines < OF_ALL_MAX;
        let of_code = minute.of_codes.entry(code).or_default();
        if !has_room || of_code.lines >= OF_A_CODE_MAX {
            of_code.unlogged += 1;
            return None;
        }
        of_code.lines += 1;
        let unlogged = std::mem::take(&mut of_code.unlogged);
        minute.lines += 1;
        Some(unlogged)
    }
}

/// Fields of a request for its line. Cheap: only references are copied.
pub struct Asked {
    method: Method,
    uri: Uri,
    route: Option<MatchedPath>,
    client: Option<ClientInfo>,
    caller: Recognised,
}

impl Asked {
    /// Adds the extension by which the caller is reported back.
    pub fn of(request: &mut Request) -> Self {
        let caller = Recognised::default();
        request.extensions_mut().insert(caller.clone());
        Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            route: request.extensions().get().cloned(),
            client: request.extensions().get().copied(),
            caller,
        }
    }

    fn route(&self) -> String {
        self.route.as_ref().map_or_else(|| first_segment(self.uri.path()), |route| route.as_str().to_owned())
    }

    /// Logs the response if it is a refusal.
    pub fn answered(&self, app_state: &AppState, response: &Response) {
        let status = response.status();
        if !status.is_client_error() && !status.is_server_error() {
            return;
        }
        let refused = response.extensions().get::<Refused>();
        let code = refused.map_or(u32::from(status.as_u16()) * 100, |refused| refused.code);
        // Probes ask every few seconds; the readiness check logs changes itself.
        if code == ErrorCode::NotReady.number() {
            return;
        }
        let Some(unlogged) = app_state.refusal_log.admit(code, app_state.lake.now()) else { return };
        let parameter = |wanted: &str| {
            let query = self.uri.query().unwrap_or_default();
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            pairs.find(|(name, _)| name == wanted).map(|(_, value)| bounded(&value))
        };
        let who = self.caller.who();
        tracing::info!(
            who = who.map(|(name, _)| tracing::field::debug(bounded(name))),
            key_id = who.and_then(|(_, key_id)| *key_id).map(|key_id| key_id.0),
            address = self.client.map(|client| tracing::field::debug(client.address)),
            method = ?bounded(self.method.as_str()),
            route = ?self.route(),
            sync_id = parameter("sync_id").map(tracing::field::debug),
            path = parameter("path").map(tracing::field::debug),
            code,
            detail = refused.filter(|_| !names_an_address(code)).map(|refused| tracing::field::debug(bounded(&refused.message))),
            unlogged_before = (unlogged > 0).then_some(unlogged),
            "refused"
        );
    }
}

/// Logs a refusal before routing: the request is not for this server, or its head is ambiguous.
pub fn not_admitted<B>(app_state: &AppState, peer: SocketAddr, request: &axum::http::Request<B>, refusal: &HttpError) {
    let code = refusal.code().number();
    let Some(unlogged) = app_state.refusal_log.admit(code, app_state.lake.now()) else { return };
    let claimed = |name: HeaderName| {
        let values = request.headers().get_all(&name).iter();
        let values: Vec<_> = values.map(|value| value.as_bytes().escape_ascii().to_string()).collect();
        (!values.is_empty()).then(|| tracing::field::debug(bounded(&values.join(", "))))
    };
    tracing::info!(
        address = ?peer.ip().to_canonical(),
        forwarded_for = claimed(X_FORWARDED_FOR),
        forwarded = claimed(header::FORWARDED),
        host = claimed(header::HOST),
        forwarded_host = claimed(X_FORWARDED_HOST),
        method = ?bounded(request.method().as_str()),
        route = ?first_segment(request.uri().path()),
        code,
        detail = ?bounded(&refusal.to_string()),
        unlogged_before = (unlogged > 0).then_some(unlogged),
        "refused"
    );
}

/// First segment of an address without a route; the rest may contain a secret.
fn first_segment(path: &str) -> String {
    let segment = path.split('/').nth(1).unwrap_or_default();
    bounded(&format!("/{segment}/…"))
}

/// Whether messages of this code contain an address: that of a resumable upload, with which anybody could continue it,
/// or a mistyped one.
fn names_an_address(code: u32) -> bool {
    let of_addresses = [ErrorCode::NoSuchResumable, ErrorCode::PartUnfinished, ErrorCode::NoSuchRoute];
    of_addresses.iter().any(|of_address| of_address.number() == code)
}

/// Shortens a text of a client, and masks keys in it.
fn bounded(text: &str) -> String {
    const KEY: &str = "lks_";
    let text: String = text.chars().take(TEXT_CHARACTERS_MAX).collect();
    let mut segments = text.split(KEY);
    let mut shown = segments.next().unwrap_or_default().to_owned();
    for segment in segments {
        let rest = segment.trim_start_matches(|character: char| character.is_ascii_alphanumeric());
        shown.extend([KEY, "…", rest]);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_of_a_code_are_logged_in_a_minute_and_the_next_line_tells_how_many_were_not() {
        let log = RefusalLog::default();
        for _ in 0..OF_A_CODE_MAX {
            assert_eq!(log.admit(40100, Timestamp(1)), Some(0));
        }
        assert_eq!((log.admit(40100, Timestamp(2)), log.admit(40100, Timestamp(3))), (None, None));
        assert_eq!(log.admit(40400, Timestamp(4)), Some(0), "another code has its own");
        assert_eq!(log.admit(40100, Timestamp(60_001)), Some(2));
    }

    #[test]
    fn of_a_key_in_a_text_nothing_is_shown_but_that_it_was_there() {
        assert_eq!(bounded("invalid value: \"lks_0123abc\", expected"), "invalid value: \"lks_…\", expected");
        assert_eq!(bounded("lks_lks_01 /lks_"), "lks_…lks_… /lks_…");
        assert_eq!(bounded(&"x".repeat(999)).len(), TEXT_CHARACTERS_MAX);
    }

    #[test]
    fn all_codes_together_are_bounded_too() {
        let log = RefusalLog::default();
        let logged = (0..1000).filter(|code| log.admit(*code, Timestamp(1)).is_some()).count();
        assert_eq!(logged, OF_ALL_MAX as usize);
    }
}
