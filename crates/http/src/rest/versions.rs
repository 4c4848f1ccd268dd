//! `/api/lake/dataset/version…`: lists, compares, restores and pins versions of a dataset.

use super::body::{Done, JsonBody, Keyed, Parameters};
use super::datasets::required_path;
use crate::AppState;
use crate::credentials::Credentials;
use crate::error::HttpError;
use crate::outside::outside_address;
use axum::Json;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use lakeshore::model::id::VersionNumber;
use lakeshore::model::sync::difference::{ChangesPage, Difference};
use lakeshore::model::version::Version;
use lakeshore::model::version_requests::{
    CompareVersions, PinVersion, RestoreVersion, RestoredVersion, VersionDetail, VersionParameters, VersionsParameters,
};
use lakeshore::{LakePath, Timestamp};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Deserializer, Serialize, de};
use std::fmt;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

/// Number of the version of a response; without a requested version, the newest when the response began.
const VERSION: HeaderName = HeaderName::from_static("lakeshore-version");
/// Path of its dataset, percent-encoded.
const DATASET: HeaderName = HeaderName::from_static("lakeshore-dataset");

/// All but the unreserved characters (RFC 3986, section 2.3), `/` and `=`.
const PATH_ESCAPED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'=');

/// Time in milliseconds since 1970 UTC, or in RFC 3339: `2026-11-26T12:00:00Z`, or the day alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(pub Timestamp);

impl Moment {
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(milliseconds) = text.parse() {
            return Some(Self(Timestamp(milliseconds)));
        }
        let whole = if text.len() == "2026-11-26".len() { format!("{text}T00:00:00Z") } else { text.to_owned() };
        let at = humantime::parse_rfc3339_weak(&whole).ok()?.duration_since(UNIX_EPOCH).ok()?;
        i64::try_from(at.as_millis()).ok().map(|milliseconds| Self(Timestamp(milliseconds)))
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MomentVisitor)
    }
}

/// Takes a number of milliseconds, or text.
struct MomentVisitor;

impl de::Visitor<'_> for MomentVisitor {
    type Value = Moment;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("as_of as milliseconds since 1970, or as a time such as 2026-11-26T12:00:00Z")
    }

    fn visit_i64<E: de::Error>(self, milliseconds: i64) -> Result<Moment, E> {
        Ok(Moment(Timestamp(milliseconds)))
    }

    fn visit_u64<E: de::Error>(self, milliseconds: u64) -> Result<Moment, E> {
        i64::try_from(milliseconds).map(|milliseconds| Moment(Timestamp(milliseconds))).map_err(E::custom)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Moment, E> {
        Moment::parse(text).ok_or_else(|| {
            E::custom("as_of is not a time; send milliseconds since 1970, or one such as 2026-11-26T12:00:00Z")
        })
    }
}

#[derive(Deserialize)]
pub struct OneVersion {
    path: Option<String>,
    version: Option<VersionNumber>,
    as_of: Option<Moment>,
    after: Option<LakePath>,
    size: Option<u64>,
}

#[derive(Serialize)]
pub struct Restored {
    success: bool,
    #[serde(flatten)]
    restored: RestoredVersion,
}

pub async fn list(
    State(app_state): State<Arc<AppState>>,
    credentials: Credentials,
    Parameters(wanted): Parameters<VersionsParameters>,
) -> Result<(HeaderMap, Json<Vec<Version>>), HttpError> {
    let caller = credentials.allowed_caller(&app_state.lake, None).await?;
    let versions = app_state.lake.versions(&caller, &wanted).await?;
    let of = app_state.lake.current_version(&caller, &wanted.path).await;
    Ok((version_headers(of), Json(versions)))
}

pub async fn one(
    State(app_state): State<Arc<AppState>>,
    credentials: Credentials,
    parts: Parts,
    Parameters(wanted): Parameters<OneVersion>,
) -> Result<(HeaderMap, Json<VersionDetail>), HttpError> {
    let caller = credentials.allowed_caller(&app_state.lake, None).await?;
    let OneVersion { path, version, as_of, after, size } = wanted;
    let path = required_path(path)?;
    let as_of = as_of.map(|Moment(at)| at);
    let wanted = VersionParameters { path, version, as_of, after, size };
    let mut detail = app_state.lake.version(&caller, &wanted).await?;
    let (dataset, number) = (detail.version.path.clone(), detail.version.version);
    let base = outside_address(parts.version, &parts.headers, &parts.extensions).unwrap_or_default();
    let escaped = |path: &LakePath| utf8_percent_encode(path.as_str(), PATH_ESCAPED).to_string();
    let of = escaped(&dataset);
    for file in detail.files.iter_mut().filter(|file| !file.is_gone) {
        let path = escaped(&file.path);
        file.address = Some(format!("{base}/api/lake/file/download?path={path}&dataset={of}&version={number}"));
    }
    Ok((version_headers(Some((dataset, number))), Json(detail)))
}

pub async fn difference(
    State(app_state): State<Arc<AppState>>,
    credentials: Credentials,
    Parameters(wanted): Parameters<CompareVersions>,
    Parameters(page): Parameters<ChangesPage>,
) -> Result<Json<Difference>, HttpError> {
    let caller = credentials.allowed_caller(&app_state.lake, None).await?;
    Ok(Json(app_state.lake.compare_versions(&caller, &wanted, &page).await?))
}

pub async fn restore(
    State(app_state): State<Arc<AppState>>,
    JsonBody(body): JsonBody<Keyed<RestoreVersion>>,
) -> Result<Json<Restored>, HttpError> {
    Ok(Json(Restored { restored: app_state.lake.restore_version(&body.caller, &body.call).await?, success: true }))
}

pub async fn pin(
    State(app_state): State<Arc<AppState>>,
    JsonBody(body): JsonBody<Keyed<PinVersion>>,
) -> Result<Json<Done>, HttpError> {
    app_state.lake.pin_version(&body.caller, &body.call).await?;
    Ok(Json(Done::SUCCESS))
}

pub async fn unpin(
    State(app_state): State<Arc<AppState>>,
    JsonBody(body): JsonBody<Keyed<PinVersion>>,
) -> Result<Json<Done>, HttpError> {
    app_state.lake.unpin_version(&body.caller, &body.call).await?;
    Ok(Json(Done::SUCCESS))
}

/// Headers with the version of a response.
pub fn version_headers(of: Option<(LakePath, VersionNumber)>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Some((dataset, version)) = of {
        headers.insert(VERSION, HeaderValue::from(version.0));
        if let Ok(dataset) = HeaderValue::from_str(&utf8_percent_encode(dataset.as_str(), PATH_ESCAPED).to_string()) {
            headers.insert(DATASET, dataset);
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_milliseconds_as_a_day_and_as_rfc_3339() {
        let at = |text: &str| Moment::parse(text).map(|Moment(at)| at.0);
        assert_eq!(at("1764158400000"), Some(1_764_158_400_000));
        assert_eq!(at("2025-11-26T12:00:00Z"), Some(1_764_158_400_000));
        assert_eq!(at("2025-11-26"), Some(1_764_115_200_000));
        for wrong in ["", "yesterday", "2025-13-01", "12:00"] {
            assert_eq!(at(wrong), None, "{wrong}");
        }
    }
}
