//! A commit of the log: actions as lines of JSON, written as they are asked for.
//!
//! A commit has at most one action of a path. So adds and removes come in the order of their paths, and what is out of order or comes
//! twice is an error, found without keeping them.

use crate::partition::PartitionValues;
use crate::path::{LOG_FOLDER, TablePath};
use crate::protocol::ProtocolAction;
use crate::stats::rows_alone;
use bytes::Bytes;
use lakeshore::model::time::Timestamp;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use std::iter::Peekable;

/// Bytes of a chunk of a commit, about.
pub const CHUNK_BYTES: usize = 256 * 1024;

/// A file that the table gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddFile {
    pub path: TablePath,
    pub partition: PartitionValues,
    pub size_bytes: u64,
    pub modified: Timestamp,
    /// JSON, as the file's description has it.
    pub stats: Option<String>,
}

/// A file that the table loses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoveFile {
    pub path: TablePath,
    pub partition: PartitionValues,
    pub size_bytes: u64,
    /// When it was removed: the time of the commit.
    pub removed: Timestamp,
}

/// Limit of the statistics of a commit together: its bytes are kept until they are in the bucket.
pub const COMMIT_STATS_BYTES_MAX: u64 = 32 << 20;

impl AddFile {
    /// Leaves only the number of rows of its statistics, where a commit of `num_adds` files would be long with them.
    #[must_use]
    pub fn with_short_stats(mut self, num_adds: u64) -> Self {
        let bytes_max = COMMIT_STATS_BYTES_MAX / num_adds.max(1);
        self.stats = self.stats.map(|stats| if stats.len() as u64 > bytes_max { rows_alone(&stats) } else { stats });
        self
    }
}

/// The name of a commit in the table's folder.
pub fn commit_name(version: u64) -> String {
    format!("{LOG_FOLDER}/{version:020}.json")
}

#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    #[error(
        "two actions of one commit are of {0}, or its actions are not in the order of their paths; sort them, and name each file once"
    )]
    Order(TablePath),
    #[error("an action could not be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// An action, under its name.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Action<'a> {
    Protocol(ProtocolAction),
    MetaData(MetaDataAction<'a>),
    Add(AddAction<'a>),
    Remove(RemoveAction<'a>),
    Txn(TxnAction<'a>),
    CommitInfo(CommitInfoAction<'a>),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MetaDataAction<'a> {
    pub(crate) id: &'a str,
    pub(crate) format: FormatOfFiles,
    pub(crate) schema_string: String,
    pub(crate) partition_columns: &'a [String],
    pub(crate) configuration: Pairs<'a>,
    pub(crate) created_time: Timestamp,
}

#[derive(Serialize)]
pub(crate) struct FormatOfFiles {
    pub(crate) provider: &'static str,
    pub(crate) options: Pairs<'static>,
}

impl FormatOfFiles {
    pub(crate) const PARQUET: Self = Self { provider: "parquet", options: Pairs(&[]) };
}

/// An object of texts.
pub(crate) struct Pairs<'a>(pub(crate) &'a [(&'a str, &'a str)]);

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AddAction<'a> {
    path: String,
    partition_values: PartitionJson<'a>,
    size: u64,
    modification_time: Timestamp,
    data_change: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stats: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RemoveAction<'a> {
    path: String,
    deletion_timestamp: Timestamp,
    data_change: bool,
    extended_file_metadata: bool,
    partition_values: PartitionJson<'a>,
    size: u64,
}

struct PartitionJson<'a>(&'a PartitionValues);

impl Serialize for PartitionJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.0.len()))?;
        for (name, value) in self.0.iter() {
            map.serialize_entry(name, &value)?;
        }
        map.end()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TxnAction<'a> {
    pub(crate) app_id: &'a str,
    pub(crate) version: u64,
    pub(crate) last_updated: Timestamp,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CommitInfoAction<'a> {
    pub(crate) timestamp: Timestamp,
    pub(crate) operation: &'static str,
    pub(crate) operation_parameters: Pairs<'a>,
    pub(crate) engine_info: &'static str,
}

pub(crate) fn write_line(action: &Action<'_>, bytes: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    serde_json::to_writer(&mut *bytes, action)?;
    bytes.push(b'\n');
    Ok(())
}

/// The bytes of a commit, a chunk at a time.
pub struct CommitChunks<A: Iterator, R: Iterator> {
    buffer: Vec<u8>,
    adds: Peekable<A>,
    removes: Peekable<R>,
    last: Option<TablePath>,
    is_done: bool,
}

impl<A: Iterator<Item = AddFile>, R: Iterator<Item = RemoveFile>> CommitChunks<A, R> {
    /// `head` are the lines before those of files.
    pub(crate) fn new(head: &[u8], adds: A, removes: R) -> Self {
        Self { buffer: head.to_vec(), adds: adds.peekable(), removes: removes.peekable(), last: None, is_done: false }
    }

    /// Writes the line of the next file; false where there is none.
    fn write_next(&mut self) -> Result<bool, CommitError> {
        let is_add = match (self.adds.peek(), self.removes.peek()) {
            (Some(add), Some(remove)) => add.path < remove.path,
            (add, _) => add.is_some(),
        };
        let path = if is_add {
            let Some(add) = self.adds.next() else { return Ok(false) };
            let action = AddAction {
                path: add.path.in_log(),
                partition_values: PartitionJson(&add.partition),
                size: add.size_bytes,
                modification_time: add.modified,
                data_change: true,
                stats: add.stats.as_deref(),
            };
            write_line(&Action::Add(action), &mut self.buffer)?;
            add.path
        } else {
            let Some(remove) = self.removes.next() else { return Ok(false) };
            let action = RemoveAction {
                path: remove.path.in_log(),
                deletion_timestamp: remove.removed,
                data_change: true,
                extended_file_metadata: true,
                partition_values: PartitionJson(&remove.partition),
                size: remove.size_bytes,
            };
            write_line(&Action::Remove(action), &mut self.buffer)?;
            remove.path
        };
        if self.last.as_ref().is_some_and(|last| *last >= path) {
            return Err(CommitError::Order(path));
        }
        self.last = Some(path);
        Ok(true)
    }
}

impl<A: Iterator<Item = AddFile>, R: Iterator<Item = RemoveFile>> Iterator for CommitChunks<A, R> {
    type Item = Result<Bytes, CommitError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.is_done && self.buffer.len() < CHUNK_BYTES {
            match self.write_next() {
                Ok(is_more) => self.is_done = !is_more,
                Err(error) => {
                    self.is_done = true;
                    self.buffer.clear();
                    return Some(Err(error));
                }
            }
        }
        (!self.buffer.is_empty()).then(|| Ok(std::mem::take(&mut self.buffer).into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(path: &str) -> AddFile {
        AddFile {
            path: TablePath::parse(path).unwrap(),
            partition: PartitionValues::of_path("dt=a b/x=/f").unwrap(),
            size_bytes: 7,
            modified: Timestamp(5),
            stats: Some(r#"{"numRecords":1}"#.to_owned()),
        }
    }

    fn remove(path: &str) -> RemoveFile {
        let AddFile { path, partition, size_bytes, .. } = add(path);
        RemoveFile { path, partition, size_bytes, removed: Timestamp(9) }
    }

    fn text(adds: &[&str], removes: &[&str]) -> Result<String, CommitError> {
        let adds = adds.iter().map(|path| add(path));
        let chunks: Result<Vec<_>, _> = CommitChunks::new(b"", adds, removes.iter().map(|path| remove(path))).collect();
        Ok(String::from_utf8(chunks?.concat()).unwrap())
    }

    #[test]
    fn actions_are_lines_in_the_order_of_their_paths() {
        assert_eq!(
            text(&["b", "dt=a%20b/c"], &["a"]).unwrap(),
            concat!(
                r#"{"remove":{"path":"a","deletionTimestamp":9,"dataChange":true,"extendedFileMetadata":true,"#,
                r#""partitionValues":{"dt":"a b","x":null},"size":7}}"#,
                "\n",
                r#"{"add":{"path":"b","partitionValues":{"dt":"a b","x":null},"size":7,"modificationTime":5,"dataChange":true,"#,
                r#""stats":"{\"numRecords\":1}"}}"#,
                "\n",
                r#"{"add":{"path":"dt=a%2520b/c","partitionValues":{"dt":"a b","x":null},"size":7,"modificationTime":5,"#,
                r#""dataChange":true,"stats":"{\"numRecords\":1}"}}"#,
                "\n"
            )
        );
    }

    #[test]
    fn a_path_comes_once() {
        assert!(matches!(text(&["a", "a"], &[]), Err(CommitError::Order(_))));
        assert!(matches!(text(&[], &["a", "a"]), Err(CommitError::Order(_))));
        assert!(matches!(text(&["a"], &["a"]), Err(CommitError::Order(_))));
        assert!(matches!(text(&["b", "a"], &[]), Err(CommitError::Order(_))));
    }

    #[test]
    fn statistics_are_short_where_there_are_many() {
        let stats = r#"{"numRecords":7,"minValues":{"a":1},"maxValues":{"a":1},"nullCount":{"a":0}}"#;
        let short = |stats: &str, num_adds| {
            AddFile { stats: Some(stats.to_owned()), ..add("a") }.with_short_stats(num_adds).stats.unwrap()
        };
        let just = COMMIT_STATS_BYTES_MAX / stats.len() as u64;
        assert_eq!(short(stats, just), stats);
        assert_eq!(short(stats, just + 1), r#"{"numRecords":7}"#);
        assert_eq!(short(r#"{"numRecords":7}"#, u64::MAX), r#"{"numRecords":7}"#);
        assert_eq!(short("{}", u64::MAX), "{}");
    }

    #[test]
    fn a_commit_of_many_files_comes_in_chunks() {
        let adds = (0..10_000).map(|number| add(&format!("{number:05}")));
        let chunks: Vec<_> = CommitChunks::new(b"", adds, std::iter::empty()).map(Result::unwrap).collect();
        assert!(chunks.len() > 4 && chunks.iter().all(|chunk| chunk.len() < CHUNK_BYTES + 1000));
        assert_eq!(chunks.concat().iter().filter(|&&byte| byte == b'\n').count(), 10_000);
    }
}
