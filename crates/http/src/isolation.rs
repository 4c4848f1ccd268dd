//! Isolation of browsers: which of their requests are refused, and the security headers of every response.
//!
//! Browsers send the site of a request and the use of its response (Fetch Metadata): a page, a script, a style, a
//! worker, a frame. Addresses below `/api/` and `/fn/` return names and files of other people, so they may only be read
//! as data. Browsers send these fields only over TLS or to the same machine; elsewhere, and for other clients, only the
//! headers of the response protect.

use super::error::HttpError;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

const DESTINATION: HeaderName = HeaderName::from_static("sec-fetch-dest");
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
pub const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Harmless uses of a response: `empty` is a request of a dashboard script, `document` a link or the address bar. Every
/// other use (script, style, worker, frame, object, font, manifest, and future ones) is refused.
const HARMLESS: [&str; 2] = ["empty", "document"];
const IMAGE: &str = "image";
/// Downloads of files, which may be images.
const FILES: &str = "/api/lake/file/download";

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).map(|value| value.to_str().unwrap_or("unknown"))
}

/// Whether the response is to be shown as an image.
pub fn is_for_image(headers: &HeaderMap) -> bool {
    text(headers, DESTINATION) == Some(IMAGE)
}

/// Use of the response, if it is refused.
fn refused_destination<'a>(path: &str, headers: &'a HeaderMap) -> Option<&'a str> {
    // The download checks that the file is an image.
    let takes = |destination: &str| HARMLESS.contains(&destination) || destination == IMAGE && path == FILES;
    text(headers, DESTINATION).filter(|destination| !takes(destination))
}

/// Refuses requests that no page of the dashboard makes: data as a part of a page, and anything for a page of another
/// site except for links. `guard_changes` refuses changes from other sites, with a message of its own.
fn refused(request: &Request) -> Option<HttpError> {
    let (headers, path) = (request.headers(), request.uri().path());
    let is_data = path.starts_with("/api/") || path.starts_with("/fn/");
    if is_data && let Some(destination) = refused_destination(path, headers) {
        return Some(HttpError::Embedded(destination.to_owned()));
    }
    let is_embedded = request.method().is_safe() && !is_navigation(headers) && is_for_another_site(headers);
    is_embedded.then(|| HttpError::Embedded("a part of a page of another site".to_owned()))
}

/// Whether a person followed a link, or typed the address.
fn is_navigation(headers: &HeaderMap) -> bool {
    text(headers, MODE) == Some("navigate") && text(headers, DESTINATION) == Some("document")
}

/// Decided by `Sec-Fetch-Site` alone, since other programs send `Origin` too.
fn is_for_another_site(headers: &HeaderMap) -> bool {
    text(headers, SITE).is_some_and(|site| site != "same-origin" && site != "none")
}

/// Adds the security headers to every response. Pages and files set a policy of their own; no other response is to be
/// displayed.
///
/// One layer does both, since uploads arrive at ten thousand a second.
pub async fn protect(request: Request, next: Next) -> Response {
    let response = match refused(&request) {
        Some(error) => error.into_response(),
        None => next.run(request).await,
    };
    protected(response)
}

/// Adds the security headers that the response does not set itself.
pub fn protected(mut response: Response) -> Response {
    const HEADERS: [(HeaderName, HeaderValue); 6] = [
        // Nearly every response depends on the caller. Others set their own lifetime.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
        ),
        (RESOURCE_POLICY, HeaderValue::from_static("same-origin")),
    ];
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|&(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn data_is_neither_script_nor_style_nor_frame_nor_what_is_not_known() {
        let of = |path, destination| {
            refused_destination(path, &headers(&[("sec-fetch-dest", destination)])).map(str::to_owned)
        };
        for (path, harmless) in [("/api/x", "empty"), ("/api/x", "document"), (FILES, "image")] {
            assert_eq!(of(path, harmless), None);
        }
        assert_eq!(of("/api/x", "image").as_deref(), Some("image"));
        assert_eq!(refused_destination("/api/x", &headers(&[])), None);
        for refused in ["script", "style", "worker", "serviceworker", "iframe", "object", "xslt", "next", "", "Script"]
        {
            assert_eq!(of(FILES, refused).as_deref(), Some(refused));
        }
    }

    #[test]
    fn a_link_from_another_site_leads_here_and_nothing_else_does() {
        let from = |site, mode, destination| {
            let asked = headers(&[("sec-fetch-site", site), ("sec-fetch-mode", mode), ("sec-fetch-dest", destination)]);
            is_for_another_site(&asked) && !is_navigation(&asked)
        };
        assert!(!from("cross-site", "navigate", "document"));
        assert!(!from("none", "navigate", "document") && !from("same-origin", "cors", "empty"));
        for (mode, destination) in
            [("no-cors", "image"), ("navigate", "iframe"), ("cors", "empty"), ("no-cors", "document")]
        {
            assert!(from("cross-site", mode, destination) && from("same-site", mode, destination));
        }
    }
}
