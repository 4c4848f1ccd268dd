//! Pages below a prefix: a proxy serves this server as `https://example.com/lake/`, and forwards requests without
//! `/lake`.
//!
//! Links, forms and redirects of pages begin with a slash, so the prefix is inserted into each response. Scripts of the
//! pages do not know the prefix and are left out: pages work without them, but do not update by themselves, and the
//! upload page cannot send files.

use super::error::HttpError;
use super::forwarded::{X_FORWARDED_PREFIX, first_of, is_proxied};
use super::networks::ClientInfo;
use super::outside::{PublicUrl, is_prefix};
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// Largest page, in bytes. Lists are paged, so most pages have some tens of kilobytes.
const PAGE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Attributes that contain an address.
const ADDRESSES: [&[u8]; 4] = [b"href", b"src", b"action", b"formaction"];

/// Prefix of a request, such as `/lake`: an extension of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix(Arc<str>);

impl Prefix {
    /// Prefix of a request. With `--public-url`, it applies to requests for its host name or through a proxy, but not
    /// to direct ones.
    fn of(request: &Request) -> Option<Self> {
        let (headers, extensions) = (request.headers(), request.extensions());
        let client = extensions.get::<ClientInfo>()?;
        let forwarded = client.is_by_trusted_proxy.then(|| first_of(headers, &X_FORWARDED_PREFIX)).flatten();
        let prefix = match (extensions.get::<PublicUrl>(), forwarded) {
            (_, Some(forwarded)) => forwarded.trim_end_matches('/'),
            (Some(url), None) => {
                let is_outside = client.hosts(headers).any(|host| url.has_host(host));
                if is_outside || is_proxied(request.version(), headers) { url.prefix() } else { "" }
            }
            (None, None) => "",
        };
        is_prefix(prefix).then(|| Self(prefix.into()))
    }

    fn before(&self, address: &str) -> Option<String> {
        (address.starts_with('/') && !address.starts_with("//")).then(|| format!("{}{address}", self.0))
    }

    /// Removes the prefix from `Referer`, because the response to a form redirects there.
    fn take_from_referer(&self, headers: &mut HeaderMap) {
        let Some(referer) = headers.get(header::REFERER).and_then(|referer| referer.to_str().ok()) else { return };
        let Some((scheme, rest)) = referer.split_once("://") else { return };
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let Some(path) =
            path.strip_prefix(&*self.0).filter(|path| path.is_empty() || path.starts_with(['/', '?', '#']))
        else {
            return;
        };
        if let Ok(referer) = HeaderValue::from_str(&format!("{scheme}://{host}{path}")) {
            headers.insert(header::REFERER, referer);
        }
    }

    /// Inserts the prefix before each address of this server in a page.
    fn before_addresses_of(&self, page: &[u8]) -> Vec<u8> {
        let mut written = Vec::with_capacity(page.len() + 64 * self.0.len());
        let mut rest = page;
        while let Some(at) = memchr::memchr(b'<', rest) {
            written.extend_from_slice(&rest[..at]);
            rest = &rest[at..];
            rest = if rest.starts_with(b"<!--") {
                copy(&mut written, rest, memchr::memmem::find(rest, b"-->"))
            } else if rest.get(1).is_some_and(u8::is_ascii_alphabetic) {
                let is_raw = [&b"<script"[..], b"<style"].into_iter().any(|tag| rest.starts_with(tag));
                let behind = self.copy_tag(&mut written, rest);
                let end = if is_raw { memchr::memmem::find(behind, b"</") } else { Some(0) };
                copy(&mut written, behind, end)
            } else {
                copy(&mut written, rest, Some(1))
            };
        }
        written.extend_from_slice(rest);
        written
    }

    /// Copies a tag, and returns the input after it.
    fn copy_tag<'a>(&self, written: &mut Vec<u8>, tag: &'a [u8]) -> &'a [u8] {
        let name = tag.iter().position(|byte| byte.is_ascii_whitespace() || *byte == b'>');
        let mut rest = copy(written, tag, name);
        // Stops at each quoted value, and at the end of the tag.
        while let Some(at) = memchr::memchr2(b'"', b'>', rest) {
            if rest[at] == b'>' {
                return copy(written, rest, Some(at + 1));
            }
            let before = rest[..at].strip_suffix(b"=").unwrap_or_default();
            let name = before.rsplit(u8::is_ascii_whitespace).next().unwrap_or_default();
            rest = copy(written, rest, Some(at + 1));
            if ADDRESSES.contains(&name) && rest.starts_with(b"/") && !rest.starts_with(b"//") {
                written.extend_from_slice(self.0.as_bytes());
            }
            rest = copy(written, rest, memchr::memchr(b'"', rest).map(|end| end + 1));
        }
        copy(written, rest, None)
    }
}

/// Copies up to `end`, or everything, and returns the rest.
fn copy<'a>(written: &mut Vec<u8>, rest: &'a [u8], end: Option<usize>) -> &'a [u8] {
    let (copied, behind) = rest.split_at(end.unwrap_or(rest.len()));
    written.extend_from_slice(copied);
    behind
}

/// Middleware that inserts the prefix of a request into the addresses of its response.
pub async fn below_prefix(mut request: Request, next: Next) -> Response {
    let Some(prefix) = Prefix::of(&request) else { return next.run(request).await };
    prefix.take_from_referer(request.headers_mut());
    request.extensions_mut().insert(prefix.clone());
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let location = headers.get(header::LOCATION).and_then(|location| location.to_str().ok());
    if let Some(Ok(location)) =
        location.and_then(|location| prefix.before(location)).map(|location| HeaderValue::from_str(&location))
    {
        headers.insert(header::LOCATION, location);
    }
    let is_page = headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if !is_page {
        return response;
    }
    headers.remove(header::CONTENT_LENGTH);
    let (head, body) = response.into_parts();
    match to_bytes(body, PAGE_BYTES_MAX).await {
        Ok(page) => Response::from_parts(head, Body::from(prefix.before_addresses_of(&page))),
        Err(fault) => HttpError::Lake(lakeshore::Error::internal(fault)).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_comes_before_addresses_of_this_server_and_nothing_else() {
        let prefix = Prefix("/lake".into());
        for (page, expected) in [
            (r#"<a href="/syncs?a=1">"#, r#"<a href="/lake/syncs?a=1">"#),
            (r#"<a class="x" href="/">/</a>"#, r#"<a class="x" href="/lake/">/</a>"#),
            (r#"<link rel="icon" href="/favicon.svg"/>"#, r#"<link rel="icon" href="/lake/favicon.svg"/>"#),
            (r#"<form method="post" action="/fn/x">"#, r#"<form method="post" action="/lake/fn/x">"#),
            (r#"<img src="/api/x" alt="/y">"#, r#"<img src="/lake/api/x" alt="/y">"#),
            (r##"<a href="#x"><a href="//evil"><a href="https://x/y"><a href="?p">"##, ""),
            (r#"<p title="href=&quot;/x">href="/x" <b data-href="/x">"#, ""),
            (r#"<!-- <a href="/x"> --><!><p>a < b href="/x"</p>"#, ""),
            (r#"<script nonce="n">f('<a href="/x">')</script>"#, ""),
            (r#"<input value="> <a href=" checked>"#, ""),
            (r#"<a href="/x"#, r#"<a href="/lake/x"#),
            ("<a href=", ""),
            ("<", ""),
        ] {
            let written = String::from_utf8(prefix.before_addresses_of(page.as_bytes())).unwrap();
            assert_eq!(written, if expected.is_empty() { page } else { expected });
        }
    }

    #[test]
    fn a_form_was_sent_from_the_page_without_the_prefix() {
        let prefix = Prefix("/lake".into());
        for (referer, expected) in [
            ("https://x/lake/trash?page=2", "https://x/trash?page=2"),
            ("https://x/lake/lake/a", "https://x/lake/a"),
            ("https://x/lake", "https://x"),
            ("https://x/lakes", "https://x/lakes"),
            ("https://x/trash", "https://x/trash"),
            ("/lake/trash", "/lake/trash"),
        ] {
            let mut headers = HeaderMap::from_iter([(header::REFERER, HeaderValue::from_static(referer))]);
            prefix.take_from_referer(&mut headers);
            assert_eq!(headers[header::REFERER], expected);
        }
    }
}
