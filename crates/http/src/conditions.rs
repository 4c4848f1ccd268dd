//! Conditional and range requests (RFC 9110, sections 13 and 14): selects the part of a file that a request returns.

use super::error::HttpError;
use axum::http::{HeaderMap, Method, header};
use headers::{ETag, HeaderMapExt, IfMatch, IfModifiedSince, IfNoneMatch, IfRange, IfUnmodifiedSince, LastModified};
use http_range_header::{EndPosition, StartPosition, parse_range_header};
use std::ops::Range;
use std::time::{Duration, SystemTime};

/// Age from which a modification date identifies a version of the file.
const IF_RANGE_AGE_MIN: Duration = Duration::from_secs(1);

/// Validators of one version of a file.
pub struct Validators {
    pub etag: ETag,
    pub modified: SystemTime,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Selected {
    /// The client's copy is current.
    NotModified,
    Whole,
    /// Never empty, and within the file.
    Part(Range<u64>),
}

/// Evaluates the conditions in the order of RFC 9110, section 13.2.2.
pub fn select(
    method: &Method,
    headers: &HeaderMap,
    validators: &Validators,
    size_bytes: u64,
    now: SystemTime,
) -> Result<Selected, HttpError> {
    let Validators { etag, modified } = validators;
    let is_meant = match headers.typed_get::<IfMatch>() {
        Some(condition) => condition.precondition_passes(etag),
        None => headers.typed_get::<IfUnmodifiedSince>().is_none_or(|since| since.precondition_passes(*modified)),
    };
    if !is_meant {
        return Err(HttpError::PreconditionFailed);
    }
    let is_new = match headers.typed_get::<IfNoneMatch>() {
        Some(condition) => condition.precondition_passes(etag),
        None => headers.typed_get::<IfModifiedSince>().is_none_or(|since| since.is_modified(*modified)),
    };
    if !is_new {
        return Ok(Selected::NotModified);
    }
    // A date has to equal the file's own (RFC 9110, section 13.1.5), and its second has to be over: a date has a
    // resolution of one second, within which a file may be replaced.
    let is_settled = now.duration_since(*modified).is_ok_and(|age| age >= IF_RANGE_AGE_MIN);
    let date = LastModified::from(*modified);
    let if_range = headers.contains_key(header::IF_RANGE).then(|| headers.typed_get::<IfRange>());
    let is_the_same = if_range.is_none_or(|version| {
        version.is_some_and(|version| {
            let date = is_settled.then_some(&date).filter(|date| version == IfRange::date(SystemTime::from(**date)));
            !version.is_modified(Some(etag), date)
        })
    });
    match headers.get(header::RANGE).and_then(|range| range.to_str().ok()) {
        Some(range) if method == Method::GET && is_the_same => part(range, size_bytes),
        _ => Ok(Selected::Whole),
    }
}

/// Parses one range of bytes. Several ranges, and values that are not ranges, select the whole file, as RFC 9110,
/// section 14.2, allows.
fn part(range: &str, size_bytes: u64) -> Result<Selected, HttpError> {
    let Ok(parsed) = parse_range_header(range) else { return Ok(Selected::Whole) };
    let [range] = parsed.ranges.as_slice() else { return Ok(Selected::Whole) };
    let start = match range.start {
        StartPosition::Index(start) => start,
        StartPosition::FromLast(length) => size_bytes.saturating_sub(length),
    };
    let end = match range.end {
        EndPosition::Index(last) if last < start => return Ok(Selected::Whole),
        EndPosition::Index(last) => last.saturating_add(1).min(size_bytes),
        EndPosition::LastByte => size_bytes,
    };
    if start >= end { Err(HttpError::RangeNotSatisfiable { size_bytes }) } else { Ok(Selected::Part(start..end)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(pairs: &[(&'static str, &'static str)], size_bytes: u64) -> Result<Selected, HttpError> {
        let headers = pairs.iter().map(|&(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let modified = httpdate("Wed, 21 Oct 2015 07:28:00 GMT");
        let validators = Validators { etag: "\"v1\"".parse().unwrap(), modified };
        select(&Method::GET, &headers, &validators, size_bytes, modified + Duration::from_secs(2))
    }

    fn httpdate(text: &str) -> SystemTime {
        let headers: HeaderMap = [(header::LAST_MODIFIED, text.parse().unwrap())].into_iter().collect();
        headers.typed_get::<LastModified>().unwrap().into()
    }

    #[test]
    fn a_range_is_cut_to_the_file_and_one_behind_it_is_refused() {
        for (range, part) in [
            ("bytes=0-0", 0..1),
            ("bytes=2-4", 2..5),
            ("bytes=2-", 2..10),
            ("bytes=-3", 7..10),
            ("bytes=-99", 0..10),
            ("bytes=9-99", 9..10),
            ("bytes=0-18446744073709551615", 0..10),
        ] {
            assert_eq!(selected(&[("range", range)], 10).unwrap(), Selected::Part(part), "{range}");
        }
        for range in ["bytes=10-", "bytes=10-12"] {
            let refused = selected(&[("range", range)], 10);
            assert!(matches!(refused, Err(HttpError::RangeNotSatisfiable { size_bytes: 10 })), "{range}");
        }
        assert!(selected(&[("range", "bytes=0-")], 0).is_err(), "an empty file has no part");
        assert!(selected(&[("range", "bytes=-1")], 0).is_err());
        for range in ["bytes=0-1,3-4", "bytes=4-2", "bytes=x", "lines=0-1", "bytes=", "bytes=-", "bytes=-0"] {
            assert_eq!(selected(&[("range", range)], 10).unwrap(), Selected::Whole, "{range}");
        }
    }

    #[test]
    fn a_known_version_is_not_sent_and_a_range_only_of_the_known_version() {
        let (same, other) = ("\"v1\"", "\"v0\"");
        let date = "Wed, 21 Oct 2015 07:28:00 GMT";
        let (before, after) = ("Wed, 21 Oct 2015 07:27:59 GMT", "Wed, 21 Oct 2015 07:28:01 GMT");
        let is = |pairs: &[(&'static str, &'static str)]| selected(pairs, 10).unwrap();
        assert_eq!(is(&[("if-none-match", same)]), Selected::NotModified);
        assert_eq!(is(&[("if-none-match", "\"v0\", W/\"v1\"")]), Selected::NotModified);
        assert_eq!(is(&[("if-none-match", "*")]), Selected::NotModified);
        assert_eq!(is(&[("if-none-match", other)]), Selected::Whole);
        assert_eq!(is(&[("if-none-match", other), ("if-modified-since", date)]), Selected::Whole);
        assert_eq!(is(&[("if-modified-since", date)]), Selected::NotModified);
        assert_eq!(is(&[("if-modified-since", before)]), Selected::Whole);
        let range = ("range", "bytes=1-");
        assert_eq!(is(&[range, ("if-range", same)]), Selected::Part(1..10));
        assert_eq!(is(&[range, ("if-range", other)]), Selected::Whole);
        assert_eq!(is(&[range, ("if-range", "W/\"v1\"")]), Selected::Whole);
        assert_eq!(is(&[range, ("if-range", date)]), Selected::Part(1..10));
        for not_a_version in [before, after, "nonsense", ""] {
            assert_eq!(is(&[range, ("if-range", not_a_version)]), Selected::Whole, "{not_a_version}");
        }
        let headers: HeaderMap = [(header::RANGE, "bytes=1-"), (header::IF_RANGE, date)]
            .map(|(name, value)| (name, value.parse().unwrap()))
            .into_iter()
            .collect();
        let modified = httpdate(date);
        let validators = Validators { etag: "\"v1\"".parse().unwrap(), modified };
        let at_once = select(&Method::GET, &headers, &validators, 10, modified + Duration::from_millis(900));
        assert_eq!(at_once.unwrap(), Selected::Whole, "another may have had the same second");
        assert_eq!(is(&[("if-match", same), ("if-unmodified-since", after)]), Selected::Whole);
        for refused in [("if-match", other), ("if-unmodified-since", before)] {
            assert!(matches!(selected(&[refused], 10), Err(HttpError::PreconditionFailed)), "{refused:?}");
        }
    }
}
