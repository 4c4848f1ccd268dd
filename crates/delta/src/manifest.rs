//! Manifests: of datasets that are no Delta table, or not only, what a version holds.
//!
//! `_versions/00000000000000000007.json` is written once and lists the files of version 7; `_versions/current.json` names the newest. A
//! reader reads that one, and then one manifest, so it sees one version whole.

use crate::commit::CHUNK_BYTES;
use crate::path::TablePath;
use bytes::Bytes;
use lakeshore::model::digest::Digest;
use lakeshore::model::id::VersionNumber;
use lakeshore::model::object_key::ObjectKey;
use lakeshore::model::path::LakePath;
use lakeshore::model::time::Timestamp;
use lakeshore::model::version::VersionKind;
use serde::Serialize;

/// The folder in the dataset's.
pub const FOLDER: &str = "_versions";
/// Raised when a manifest changes so that its readers have to.
const FORMAT_VERSION: u32 = 1;

/// The name of a version's manifest in the dataset's folder.
pub fn manifest_name(version: VersionNumber) -> String {
    format!("{FOLDER}/{:020}.json", version.0)
}

/// The name of the file that names the newest manifest.
pub fn current_name() -> String {
    format!("{FOLDER}/current.json")
}

/// A version, as its manifest tells it.
#[derive(Debug, Clone)]
pub struct ManifestHead<'a> {
    pub dataset: &'a LakePath,
    pub version: VersionNumber,
    pub at: Timestamp,
    pub kind: VersionKind,
}

/// A file of a version.
#[derive(Debug, Clone)]
pub struct ManifestFile {
    /// Relative to the dataset, as it was named.
    pub path: String,
    pub object: Option<ManifestObject>,
    pub content: Digest,
    pub rows: Option<u64>,
    /// It is a file of the dataset's Delta table, too.
    pub is_in_table: bool,
}

/// Where the bytes of a file are in the bucket.
#[derive(Debug, Clone)]
pub enum ManifestObject {
    /// Relative to the dataset's folder.
    Below(TablePath),
    /// They were uploaded to another dataset: relative to the lake's prefix.
    Elsewhere(ObjectKey),
}

#[derive(Serialize)]
struct HeadJson<'a> {
    format_version: u32,
    dataset: &'a str,
    version: VersionNumber,
    at: Timestamp,
    kind: &'static str,
}

#[derive(Serialize)]
struct FileJson<'a> {
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    object_in_lake: Option<&'a str>,
    size_bytes: u64,
    sha256: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_in_table: bool,
}

/// The bytes of a manifest, a chunk at a time. Each file is on a line of its own.
pub struct ManifestChunks<F> {
    buffer: Vec<u8>,
    files: F,
    num_files: u64,
    size_bytes: u64,
    is_done: bool,
}

impl<F: Iterator<Item = ManifestFile>> ManifestChunks<F> {
    /// Starts the manifest of a version.
    ///
    /// # Errors
    /// An error of JSON, which no version causes.
    pub fn new(head: &ManifestHead<'_>, files: impl IntoIterator<IntoIter = F>) -> Result<Self, serde_json::Error> {
        let &ManifestHead { dataset, version, at, kind } = head;
        let json =
            HeadJson { format_version: FORMAT_VERSION, dataset: dataset.as_str(), version, at, kind: kind.as_str() };
        let mut buffer = serde_json::to_vec(&json)?;
        // The object goes on.
        buffer.pop();
        buffer.extend_from_slice(b",\"files\":[");
        Ok(Self { buffer, files: files.into_iter(), num_files: 0, size_bytes: 0, is_done: false })
    }

    fn write_next(&mut self) -> Result<(), serde_json::Error> {
        let Some(file) = self.files.next() else {
            self.is_done = true;
            let end = format!("\n],\"num_files\":{},\"size_bytes\":{}}}\n", self.num_files, self.size_bytes);
            self.buffer.extend_from_slice(end.as_bytes());
            return Ok(());
        };
        self.buffer.extend_from_slice(if self.num_files == 0 { b"\n" } else { b",\n" });
        self.num_files += 1;
        self.size_bytes = self.size_bytes.saturating_add(file.content.size_bytes);
        let (object, object_in_lake) = match &file.object {
            Some(ManifestObject::Below(object)) => (Some(object.as_str()), None),
            Some(ManifestObject::Elsewhere(object)) => (None, Some(object.as_str())),
            None => (None, None),
        };
        let json = FileJson {
            path: &file.path,
            object,
            object_in_lake,
            size_bytes: file.content.size_bytes,
            sha256: hex::encode(file.content.sha256),
            rows: file.rows,
            is_in_table: file.is_in_table,
        };
        serde_json::to_writer(&mut self.buffer, &json)
    }
}

impl<F: Iterator<Item = ManifestFile>> Iterator for ManifestChunks<F> {
    type Item = Result<Bytes, serde_json::Error>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.is_done && self.buffer.len() < CHUNK_BYTES {
            if let Err(error) = self.write_next() {
                self.is_done = true;
                self.buffer.clear();
                return Some(Err(error));
            }
        }
        (!self.buffer.is_empty()).then(|| Ok(std::mem::take(&mut self.buffer).into()))
    }
}

/// Returns the bytes of `current.json`.
///
/// # Errors
/// An error of JSON, which no version causes.
pub fn current(head: &ManifestHead<'_>) -> Result<Bytes, serde_json::Error> {
    #[derive(Serialize)]
    struct CurrentJson<'a> {
        #[serde(flatten)]
        head: HeadJson<'a>,
        manifest: String,
    }
    let &ManifestHead { dataset, version, at, kind } = head;
    let head = HeadJson { format_version: FORMAT_VERSION, dataset: dataset.as_str(), version, at, kind: kind.as_str() };
    let mut bytes = serde_json::to_vec(&CurrentJson { head, manifest: manifest_name(version) })?;
    bytes.push(b'\n');
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(path: &str) -> ManifestFile {
        ManifestFile {
            path: path.to_owned(),
            object: Some(ManifestObject::Below(TablePath::parse("7-1.csv").unwrap())),
            content: Digest::of(b"abc"),
            rows: Some(2),
            is_in_table: false,
        }
    }

    fn text(files: &[ManifestFile]) -> String {
        let dataset = LakePath::parse("/data/a").unwrap();
        let (version, at, kind) = (VersionNumber(7), Timestamp(5), VersionKind::Landing);
        let head = ManifestHead { dataset: &dataset, version, at, kind };
        let chunks: Vec<_> = ManifestChunks::new(&head, files.to_vec()).unwrap().map(Result::unwrap).collect();
        String::from_utf8(chunks.concat()).unwrap()
    }

    #[test]
    fn a_manifest_names_each_file_on_a_line() {
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(
            text(&[file("a \"b\".csv"), ManifestFile { rows: None, is_in_table: true, ..file("c") }]),
            [
                r#"{"format_version":1,"dataset":"/data/a","version":7,"at":5,"kind":"landing","files":["#.to_owned(),
                format!(r#"{{"path":"a \"b\".csv","object":"7-1.csv","size_bytes":3,"sha256":"{sha256}","rows":2}},"#),
                format!(r#"{{"path":"c","object":"7-1.csv","size_bytes":3,"sha256":"{sha256}","is_in_table":true}}"#),
                "],\"num_files\":2,\"size_bytes\":6}\n".to_owned(),
            ]
            .join("\n")
        );
        assert!(serde_json::from_str::<serde_json::Value>(&text(&[])).is_ok());
    }

    #[test]
    fn the_current_version_is_named_with_its_manifest() {
        let dataset = LakePath::parse("/data/a").unwrap();
        let (version, at, kind) = (VersionNumber(7), Timestamp(5), VersionKind::Publish);
        let current = current(&ManifestHead { dataset: &dataset, version, at, kind }).unwrap();
        assert_eq!(
            std::str::from_utf8(&current).unwrap(),
            concat!(
                r#"{"format_version":1,"dataset":"/data/a","version":7,"at":5,"kind":"publish","#,
                r#""manifest":"_versions/00000000000000000007.json"}"#,
                "\n"
            )
        );
    }

    proptest! {
        #[test]
        fn a_manifest_is_json_whatever_files_are_called(names in prop::collection::vec("\\PC{0,20}|[\u{0}-\u{1f}]", 0..20)) {
            let files: Vec<_> = names.iter().map(|name| file(name)).collect();
            let json: serde_json::Value = serde_json::from_str(&text(&files)).unwrap();
            let read: Vec<_> = json["files"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect();
            prop_assert_eq!(read, names);
        }
    }
}
