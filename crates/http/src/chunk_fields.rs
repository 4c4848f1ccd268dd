//! Detects chunks of upload libraries. Dropzone, Plupload, resumable.js, flow.js, Fine Uploader and others cut a file
//! into several requests, and mark them by fields of a form, query parameters or headers, each library with its own
//! names.
//!
//! Lakeshore joins chunks by tus alone. A chunk of those libraries would be stored as if it were the whole file, so it
//! is refused, unless it is the only one.

use axum::http::{HeaderMap, Uri};
use lakeshore::Error;

/// Longest value of a chunk field, in bytes. The longest are small JSON objects.
pub const VALUE_BYTES_MAX: usize = 4096;
const NAME_CHARACTERS_MAX: usize = 64;

/// Names of the position of a chunk, in lower case and without `-`, `_` and a leading `x`.
const POSITIONS: [&str; 24] = [
    "chunk",
    "chunkbyteoffset",
    "chunkid",
    "chunkindex",
    "chunkno",
    "chunknr",
    "chunknum",
    "chunknumber",
    "chunkoffset",
    "chunkstart",
    "currentchunk",
    "currentchunkindex",
    "dzchunkbyteoffset",
    "dzchunkindex",
    "fileoffset",
    "flowchunknumber",
    "partindex",
    "partnumber",
    "qqpartbyteoffset",
    "qqpartindex",
    "resumablechunknumber",
    "resumechunknumber",
    "uploaderchunknumber",
    "chunkposition",
];
/// Names of the number of chunks, in the same form.
const TOTALS: [&str; 16] = [
    "chunkcount",
    "chunks",
    "chunkscount",
    "chunkstotal",
    "dztotalchunkcount",
    "flowtotalchunks",
    "numchunks",
    "partcount",
    "qqtotalparts",
    "resumabletotalchunks",
    "totalchunk",
    "totalchunkcount",
    "totalchunks",
    "totalparts",
    "uploaderchunkstotal",
    "uploadtotalchunks",
];
/// Fields with a JSON object of such names: DevExtreme and Kendo UI.
const OBJECTS: [&str; 2] = ["chunkmetadata", "metadata"];

/// Chunk fields of one request.
#[derive(Debug, Default)]
pub struct ChunkFields {
    first_seen: Option<String>,
    total: Option<u64>,
}

impl ChunkFields {
    /// Reads the query parameters and headers of a request.
    pub fn of_head(uri: &Uri, headers: &HeaderMap) -> Self {
        let mut seen = Self::default();
        for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
            seen.take(&name, value.as_bytes());
        }
        let may_be = |name: &str| ["chunk", "part", "offset"].iter().any(|word| name.contains(word));
        for (name, value) in headers.iter().filter(|(name, _)| may_be(name.as_str())) {
            seen.take(name.as_str(), value.as_bytes());
        }
        seen
    }

    /// Whether a field of a form is a chunk field, so that its value has to be read.
    pub fn is_known(name: &str) -> bool {
        let name = normalized(name);
        [&POSITIONS[..], &TOTALS, &OBJECTS].concat().contains(&name.as_str())
    }

    /// Records a field if it is a chunk field.
    pub fn take(&mut self, name: &str, value: &[u8]) {
        let plain = normalized(name);
        if OBJECTS.contains(&plain.as_str()) {
            if let Ok(serde_json::Value::Object(fields)) = serde_json::from_slice(value) {
                // DevExtreme names the position `Index`, beside `TotalCount`.
                let total = fields.get("TotalCount").filter(|_| fields.contains_key("Index"));
                if let Some(total) = total {
                    self.take("totalChunks", total.to_string().as_bytes());
                }
                for (name, value) in fields {
                    if !value.is_object() {
                        self.take(&name, value.to_string().trim_matches('"').as_bytes());
                    }
                }
            }
        } else if TOTALS.contains(&plain.as_str()) {
            self.see(name);
            self.total = self.total.or(std::str::from_utf8(value).ok().and_then(|text| text.trim().parse().ok()));
        } else if POSITIONS.contains(&plain.as_str()) {
            self.see(name);
        }
    }

    fn see(&mut self, name: &str) {
        self.first_seen.get_or_insert_with(|| name.chars().take(NAME_CHARACTERS_MAX).collect());
    }

    /// Refuses one chunk of several. Plupload sends a total of 0 for a file that it does not cut.
    pub fn refuse(&self) -> Result<(), Error> {
        match &self.first_seen {
            Some(name) if !matches!(self.total, Some(0 | 1)) => Err(Error::PartOfFile(format!(
                "{name:?} marks this as one chunk of a file, and this endpoint does not join chunks; turn \
                 chunking off in your uploader, or send the file with tus to /api/lake/files"
            ))),
            _ => Ok(()),
        }
    }
}

fn normalized(name: &str) -> String {
    let lower = name.trim().to_ascii_lowercase();
    let bare = lower.strip_prefix("x-").unwrap_or(&lower);
    bare.chars().filter(|character| !matches!(character, '-' | '_' | '[' | ']')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_refused(fields: &[(&str, &str)]) -> bool {
        let mut seen = ChunkFields::default();
        for (name, value) in fields {
            assert!(ChunkFields::is_known(name), "{name}");
            seen.take(name, value.as_bytes());
        }
        let refused = seen.refuse();
        assert!(refused.as_ref().err().is_none_or(|error| error.to_string().contains("tus")));
        refused.is_err()
    }

    #[test]
    fn one_chunk_of_several_is_refused_and_the_only_one_is_taken() {
        for (position, total) in [
            ("dzchunkindex", "dztotalchunkcount"),
            ("chunk", "chunks"),
            ("resumableChunkNumber", "resumableTotalChunks"),
            ("flowChunkNumber", "flowTotalChunks"),
            ("chunkNumber", "totalChunks"),
            ("qqpartindex", "qqtotalparts"),
            ("chunk-index", "total-chunk"),
            ("X-Chunk-Index", "X-Total-Chunks"),
            ("uploader-chunk-number", "uploader-chunks-total"),
            ("chunk_index", "total_chunks"),
        ] {
            assert!(is_refused(&[(position, "0"), (total, "3")]), "{position}");
            assert!(is_refused(&[(position, "0")]), "{position}");
            assert!(!is_refused(&[(position, "0"), (total, "1")]), "{position}");
        }
        assert!(is_refused(&[("_chunkNumber", "1")]), "ng-file-upload");
        assert!(is_refused(&[("chunkMetadata", r#"{"FileName":"a","Index":0,"TotalCount":2}"#)]), "DevExtreme");
        assert!(!is_refused(&[("chunkMetadata", r#"{"FileName":"a","Index":0,"TotalCount":1}"#)]), "DevExtreme");
        assert!(is_refused(&[("metadata", r#"{"chunkIndex":1,"totalChunks":2}"#)]), "Kendo UI");
        assert!(!is_refused(&[("metadata", r#"{"owner":"me"}"#)]));
    }

    #[test]
    fn the_head_of_a_request_is_looked_at_too() {
        let uri: Uri = "/api/lake/file/upload?sync_id=1&resumableChunkNumber=2&resumableTotalChunks=4".parse().unwrap();
        assert!(ChunkFields::of_head(&uri, &HeaderMap::new()).refuse().is_err());
        let plain: Uri = "/api/lake/file/upload?sync_id=1&path=/chunks/a".parse().unwrap();
        assert!(ChunkFields::of_head(&plain, &HeaderMap::new()).refuse().is_ok());
        let headers = HeaderMap::from_iter([("x-chunk-number".parse().unwrap(), "2".parse().unwrap())]);
        assert!(ChunkFields::of_head(&plain, &headers).refuse().is_err());
    }
}
