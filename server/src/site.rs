//! Embedded site: WASM, style sheet and public files, each with compressed copies.
//!
//! `cargo xtask site` builds them. Names under `/pkg/` change with their content, so browsers cache those forever.
//! Under `cargo leptos watch` the files of its own folder are served instead, without caching.

use axum::Router;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use leptos::config::LeptosOptions;
use rust_embed::{EmbeddedFile, RustEmbed};
use serde::Deserialize;
use std::collections::BTreeMap;
use tower_http::services::{ServeDir, ServeFile};
use tower_http::set_header::SetResponseHeaderLayer;

#[derive(RustEmbed)]
#[folder = "../target/site"]
struct SiteFiles;

const MANIFEST: &str = "manifest.json";
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// Content security policy of the worker's script, which may load only its own parts.
const WORKER: &str = "pkg/worker.";
const WORKER_POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'");
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

/// URLs of the assets of the pages. Absent if no site was built.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Manifest {
    pub script: Option<String>,
    pub wasm: Option<String>,
    /// Script that loads the split parts of the WASM.
    pub loader: Option<String>,
    /// WASM files of each split part, by its name.
    #[serde(default)]
    pub parts: BTreeMap<String, Vec<String>>,
    pub stylesheet: Option<String>,
    pub hasher: Option<String>,
}

pub fn manifest() -> Manifest {
    if let Some(options) = reload_options() {
        let part = |extension| Some(format!("/{}/{}.{extension}", options.site_pkg_dir, options.output_name));
        return Manifest { script: part("js"), wasm: part("wasm"), stylesheet: part("css"), ..Manifest::default() };
    }
    let file = SiteFiles::get(MANIFEST);
    file.and_then(|file| serde_json::from_slice(&file.data).ok()).unwrap_or_default()
}

/// Set when cargo-leptos runs this server and reloads its pages.
pub fn reload_options() -> Option<LeptosOptions> {
    std::env::var_os("LEPTOS_WATCH")?;
    leptos::config::get_configuration(None).ok().map(|configuration| configuration.leptos_options)
}

/// Router with one route for each file.
pub fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    if let Some(options) = reload_options() {
        let folder = std::path::Path::new(&*options.site_root).join(&*options.site_pkg_dir);
        let no_store = HeaderValue::from_static("no-store");
        let fresh = Router::new()
            .fallback_service(ServeDir::new(folder))
            .layer(SetResponseHeaderLayer::overriding(header::CACHE_CONTROL, no_store));
        let public = std::fs::read_dir(&*options.site_root).into_iter().flatten().flatten();
        return public
            .filter(|entry| entry.path().is_file())
            .fold(Router::new(), |router, file| {
                router.route_service(&format!("/{}", file.file_name().display()), ServeFile::new(file.path()))
            })
            .nest_service(&format!("/{}", options.site_pkg_dir), fresh);
    }
    let is_copy = |name: &str| name.ends_with(".br") || name.ends_with(".gz");
    SiteFiles::iter().filter(|name| !is_copy(name) && name != MANIFEST).fold(Router::new(), |router, name| {
        router.route(&format!("/{name}"), get(move |headers: HeaderMap| async move { serve(&name, &headers) }))
    })
}

fn serve(name: &str, asked: &HeaderMap) -> Response {
    let accepted = asked.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let found = encodings(accepted)
        .into_iter()
        .find_map(|encoding| SiteFiles::get(&format!("{name}{}", encoding.extension())).map(|file| (encoding, file)));
    let Some((encoding, file)) = found else { return StatusCode::NOT_FOUND.into_response() };
    let tag = entity_tag(&file, encoding);
    let kept = if name.starts_with("pkg/") { FOR_EVER } else { ASK_AGAIN };
    let mut headers = HeaderMap::new();
    headers.insert(header::CACHE_CONTROL, kept);
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if name.starts_with(WORKER) {
        headers.insert(header::CONTENT_SECURITY_POLICY, WORKER_POLICY);
    }
    insert(&mut headers, header::ETAG, &tag);
    if matches_tag(asked, &tag) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    let kind = mime_guess::from_path(name).first_or_octet_stream();
    let charset = if kind.type_() == "text" { "; charset=utf-8" } else { "" };
    insert(&mut headers, header::CONTENT_TYPE, &format!("{kind}{charset}"));
    if encoding != Encoding::Identity {
        insert(&mut headers, header::CONTENT_ENCODING, encoding.name());
    }
    (headers, file.data).into_response()
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Brotli,
    Gzip,
    Identity,
}

impl Encoding {
    fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
            Self::Identity => "identity",
        }
    }

    fn extension(self) -> &'static str {
        match self {
            Self::Brotli => ".br",
            Self::Gzip => ".gz",
            Self::Identity => "",
        }
    }
}

/// Encodings allowed by `Accept-Encoding` (RFC 9110, section 12.5.3), smallest file first.
fn encodings(accepted: &str) -> Vec<Encoding> {
    let refused = |weight: &str| {
        let value = weight.trim().strip_prefix("q=").and_then(|value| value.parse::<f32>().ok());
        value == Some(0.0)
    };
    let takes = |name: &str| {
        accepted.split(',').any(|item| {
            let (coding, weight) = item.split_once(';').unwrap_or((item, ""));
            coding.trim().eq_ignore_ascii_case(name) && !refused(weight)
        })
    };
    let mut encodings: Vec<_> =
        [Encoding::Brotli, Encoding::Gzip].into_iter().filter(|encoding| takes(encoding.name())).collect();
    encodings.push(Encoding::Identity);
    encodings
}

/// Strong, so it differs by encoding.
fn entity_tag(file: &EmbeddedFile, encoding: Encoding) -> String {
    let hash = file.metadata.sha256_hash();
    format!("\"{}-{}\"", hex::encode(&hash[..12]), encoding.name())
}

fn matches_tag(asked: &HeaderMap, tag: &str) -> bool {
    let tags = asked.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    tags.split(',')
        .map(|candidate| candidate.trim().trim_start_matches("W/"))
        .any(|candidate| candidate == tag || candidate == "*")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_accepted_encoding_comes_first() {
        use Encoding::{Brotli, Gzip, Identity};
        assert_eq!(encodings("gzip, deflate, br, zstd"), [Brotli, Gzip, Identity]);
        assert_eq!(encodings("br;q=0, GZIP;q=0.5"), [Gzip, Identity]);
        assert_eq!(encodings(""), [Identity]);
    }

    #[test]
    fn an_entity_tag_matches_alone_in_a_list_or_by_star() {
        let asked =
            |value: &'static str| HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_static(value))]);
        assert!(matches_tag(&asked("\"a\", W/\"b-br\""), "\"b-br\""));
        assert!(matches_tag(&asked("*"), "\"b-br\""));
        assert!(!matches_tag(&asked("\"b-gzip\""), "\"b-br\""));
        assert!(!matches_tag(&HeaderMap::new(), "\"b-br\""));
    }
}
