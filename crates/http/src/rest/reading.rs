//! `/api/lake/file/download`, `/list` and `/preview`: reads the lake.

use super::body::Parameters;
use super::versions::{Moment, version_headers};
use crate::AppState;
use crate::conditions::{Selected, Validators, select};
use crate::credentials::Credentials;
use crate::download::{body, disposition, media_type};
use crate::error::HttpError;
use crate::isolation::{RESOURCE_POLICY, is_for_image};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use headers::{AcceptRanges, ContentLength, ContentRange, ETag, HeaderMapExt, LastModified};
use lakeshore::model::preview::FilePreview;

use lakeshore::model::dataset::browsing::{BrowseFolder, LakeEntry};
use lakeshore::model::id::VersionNumber;
use lakeshore::service::Download;
use lakeshore::{Error, Timestamp};
use lakeshore_body::digest_fields::sha256_field;
use serde::{Deserialize, Deserializer, de};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

/// Digest of the whole file (RFC 9530).
const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");

#[derive(Deserialize)]
pub struct DownloadParameters {
    path: Option<String>,
    #[serde(flatten)]
    of: OfVersion,
}

/// Version of the dataset to read the file from. Without it, the current file is read.
#[derive(Deserialize)]
struct OfVersion {
    /// Selects one of several nested datasets.
    dataset: Option<String>,
    version: Option<Number>,
    as_of: Option<Moment>,
}

/// Parsed from text, because serde gives flattened fields as text.
struct Number(VersionNumber);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse()
            .map(Self)
            .map_err(|_| de::Error::custom("version is a whole number, as the list of versions gives it"))
    }
}

impl OfVersion {
    fn is_asked_for(&self) -> bool {
        self.version.is_some() || self.as_of.is_some()
    }

    fn which(&self) -> (Option<&str>, Option<VersionNumber>, Option<Timestamp>) {
        let number = self.version.as_ref().map(|Number(number)| *number);
        (self.dataset.as_deref(), number, self.as_of.map(|Moment(at)| at))
    }
}

#[derive(Deserialize)]
pub struct PreviewParameters {
    path: Option<String>,
    rows: Option<u64>,
    #[serde(flatten)]
    of: OfVersion,
}

pub async fn list(
    State(app_state): State<Arc<AppState>>,
    credentials: Credentials,
    Parameters(wanted): Parameters<BrowseFolder>,
) -> Result<(HeaderMap, Json<Vec<LakeEntry>>), HttpError> {
    let caller = credentials.allowed_caller(&app_state.lake, None).await?;
    // Read before the listing, so that the listing is at least as new as the version.
    let version = match &wanted.path {
        Some(path) => app_state.lake.current_version(&caller, path).await,
        None => None,
    };
    Ok((version_headers(version), Json(app_state.lake.browse_folder(&caller, &wanted).await?.entries)))
}

pub async fn preview(
    State(app_state): State<Arc<AppState>>,
    credentials: Credentials,
    Parameters(parameters): Parameters<PreviewParameters>,
) -> Result<(HeaderMap, Json<FilePreview>), HttpError> {
    let caller = credentials.allowed_caller(&app_state.lake, None).await?;
    let path = named(parameters.path)?;
    let rows = parameters.rows;
    if parameters.of.is_asked_for() {
        let (dataset, version, as_of) = parameters.of.which();
        let preview = app_state.lake.preview_of_version(&caller, &path, dataset, version, as_of, rows).await?;
        return Ok((version_headers(preview.1), Json(preview.0)));
    }
    let (preview, version) = app_state.lake.preview(&caller, &path, rows).await?;
    Ok((version_headers(version), Json(preview)))
}

/// The required parameter `path`.
fn named(path: Option<String>) -> Result<String, Error> {
    path.ok_or_else(|| {
        Error::Invalid("the parameter path is missing; add ?path=/data/db/t/a.parquet, as the list gives it".into())
    })
}

pub async fn download(
    State(app_state): State<Arc<AppState>>,
    credentials: Credentials,
    Parameters(parameters): Parameters<DownloadParameters>,
    method: Method,
    asked: HeaderMap,
) -> Result<Response, HttpError> {
    let caller = credentials.allowed_caller(&app_state.lake, None).await?;
    let path = named(parameters.path)?;
    let download = if parameters.of.is_asked_for() {
        let (dataset, version, as_of) = parameters.of.which();
        app_state.lake.download_of_version(&caller, &path, dataset, version, as_of).await?
    } else {
        app_state.lake.download(&caller, &path).await?
    };
    let media_type = media_type(&*download.file, download.path.leaf()).await?;
    if is_for_image(&asked) && !media_type.starts_with("image/") {
        return Err(HttpError::Embedded("an image, which this file is not".to_owned()));
    }
    let validators = validators(&download)?;
    let size_bytes = download.file.found().size_bytes;
    let now = UNIX_EPOCH + Duration::from_millis(u64::try_from(app_state.lake.now().0).unwrap_or(0));
    let selected = select(&method, &asked, &validators, size_bytes, now)?;
    let mut headers = headers_of(&download, validators, media_type);
    let (status, range) = match selected {
        Selected::NotModified => {
            headers.remove(header::CONTENT_TYPE);
            return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
        }
        Selected::Whole => (StatusCode::OK, 0..size_bytes),
        Selected::Part(range) => {
            let content_range = ContentRange::bytes(range.clone(), size_bytes);
            headers.typed_insert(content_range.map_err(|_| HttpError::RangeNotSatisfiable { size_bytes })?);
            (StatusCode::PARTIAL_CONTENT, range)
        }
    };
    headers.typed_insert(ContentLength(range.end - range.start));
    let body = if method == Method::HEAD { Body::empty() } else { body(download.file, range) };
    Ok((status, headers, body).into_response())
}

/// The digest is the better validator where it is known: it stays the same when a full sync takes the file over.
fn validators(download: &Download) -> Result<Validators, Error> {
    let found = download.file.found();
    let version = match download.sha256 {
        Some(sha256) => format!("sha256-{}", hex::encode(sha256)),
        None => {
            let (modified, changed) = (found.modified_at.0, found.changed_at.0);
            let version = format!("{} {} {modified} {changed}", found.identity.0, found.size_bytes);
            format!("file-{}", hex::encode(&Sha256::digest(version)[..16]))
        }
    };
    let since = Duration::from_millis(u64::try_from(found.modified_at.0).unwrap_or(0));
    let etag = format!("\"{version}\"").parse::<ETag>().map_err(Error::internal)?;
    Ok(Validators { etag, modified: UNIX_EPOCH + since })
}

/// Headers of the file, independent of the range.
fn headers_of(download: &Download, validators: Validators, media_type: &'static str) -> HeaderMap {
    const SAID: [(HeaderName, HeaderValue); 4] = [
        // An HTML file of the lake must not run as a page of the dashboard.
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(
                "default-src 'none'; sandbox; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
            ),
        ),
        (RESOURCE_POLICY, HeaderValue::from_static("same-origin")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        // The name may get another file, and the key is checked for each request.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    let name = download.path.leaf();
    let mut headers = HeaderMap::from_iter(SAID);
    headers.extend(version_headers(download.version.clone()));
    headers.typed_insert(validators.etag);
    headers.typed_insert(LastModified::from(validators.modified));
    headers.typed_insert(AcceptRanges::bytes());
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    if let Ok(disposition) = HeaderValue::from_str(&disposition(name)) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    if let Some(sha256) = download.sha256
        && let Ok(digest) = HeaderValue::from_str(&sha256_field(&sha256))
    {
        headers.insert(REPR_DIGEST, digest);
    }
    headers
}
