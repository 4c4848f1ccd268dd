//! Tables of datasets on object storage: what the lake remembers of their files, and what is fixed before it is written to
//! the bucket.

/// A file of Parquet in the terms of tables, as JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableDescription {
    pub schema: String,
    pub stats: String,
}

/// What an entry of a dataset's folder in the bucket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, strum::IntoStaticStr, strum::EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum EntryKind {
    /// A commit of the table's log.
    Commit,
    /// The list of the files of a version.
    Manifest,
}

impl EntryKind {
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// Bytes of an entry that are remembered, whether it is fixed or not. Random.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DraftId(pub i64);
