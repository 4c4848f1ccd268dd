//! What browsers may do with an answer: which requests of theirs are refused, and what is told of every answer.
//!
//! Browsers say what a request is for (Fetch Metadata): from which site it comes, and whether its answer becomes a page, a
//! script, a style, a worker, a frame. Addresses below `/api/` and `/fn/` hold other people's names and files, so they are
//! data and nothing else. Browsers say it only where the connection is by TLS or on the same machine; elsewhere, and for
//! clients that say nothing, the headers of the answer have to do.

use super::error::HttpError;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

const DESTINATION: HeaderName = HeaderName::from_static("sec-fetch-dest");
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
pub const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// What an answer becomes, as far as that is harmless: `empty` is read by a script of the dashboard, `document` is what a
/// person asks for by a link or the address bar. All else (script, style, worker, frame, object, font, manifest, and what
/// is invented next) is refused.
const HARMLESS: [&str; 2] = ["empty", "document"];
const IMAGE: &str = "image";
/// The files of the lake, images among them.
const FILES: &str = "/api/lake/file/download";

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).map(|value| value.to_str().unwrap_or("unknown"))
}

/// The answer is to become an image on a page.
pub fn is_for_image(headers: &HeaderMap) -> bool {
    text(headers, DESTINATION) == Some(IMAGE)
}

/// As what the answer would be used, where that is refused.
fn refused_destination<'a>(path: &str, headers: &'a HeaderMap) -> Option<&'a str> {
    // Which files are images is known where they are opened.
    let takes = |destination: &str| HARMLESS.contains(&destination) || destination == IMAGE && path == FILES;
    text(headers, DESTINATION).filter(|destination| !takes(destination))
}

/// Refuses what no page of the dashboard asks for: data as a part of a page, and anything for a page of another site, but for
/// links that lead here. A change that another site asks for is refused where changes are guarded, with its own words.
fn refused(request: &Request) -> Option<HttpError> {
    let (headers, path) = (request.headers(), request.uri().path());
    let is_data = path.starts_with("/api/") || path.starts_with("/fn/");
    if is_data && let Some(destination) = refused_destination(path, headers) {
        return Some(HttpError::Embedded(destination.to_owned()));
    }
    let is_embedded = request.method().is_safe() && !is_navigation(headers) && is_for_another_site(headers);
    is_embedded.then(|| HttpError::Embedded("a part of a page of another site".to_owned()))
}

/// A person has followed a link, or typed the address.
fn is_navigation(headers: &HeaderMap) -> bool {
    text(headers, MODE) == Some("navigate") && text(headers, DESTINATION) == Some("document")
}

/// By what browsers say of the site alone: `Origin` goes along with requests of other programs too.
fn is_for_another_site(headers: &HeaderMap) -> bool {
    text(headers, SITE).is_some_and(|site| site != "same-origin" && site != "none")
}

/// What browsers are told of every answer. Pages and files bring a policy of their own; nothing else is meant to be shown.
///
/// One layer for both: uploads come by the ten thousand a second.
pub async fn protect(request: Request, next: Next) -> Response {
    let response = match refused(&request) {
        Some(error) => error.into_response(),
        None => next.run(request).await,
    };
    protected(response)
}

/// The answer with what browsers are told of it.
pub fn protected(mut response: Response) -> Response {
    const HEADERS: [(HeaderName, HeaderValue); 6] = [
        // Nearly every answer depends on who asks. What does not says itself how long it may be kept.
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
