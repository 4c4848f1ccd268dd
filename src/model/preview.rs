//! Preview of a file: its first rows, its columns, and its own metadata.
//!
//! Every part is bounded for any file, by the limits below. [`Preview::problem`] gives the reason why a part is not
//! shown; no file causes an error.

use crate::model::bounded_list::just_beyond;
use crate::model::dataset::schema::{Format, Schema};
use crate::model::id::SyncId;
use crate::model::path::LakePath;
use crate::model::time::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

/// Maximum rows of a preview.
pub const ROWS_MAX: u64 = 1000;
/// Rows of a preview without a requested number.
pub const ROWS_DEFAULT: u64 = 50;
/// Columns shown of a wide table; all are counted.
pub const COLUMNS_SHOWN_MAX: usize = 100;
/// Characters of one value.
pub const CELL_CHARACTERS_MAX: usize = 200;
/// Row groups listed by a preview; all are counted.
pub const ROW_GROUPS_SHOWN_MAX: usize = 200;
/// Bad lines listed by a preview; all are counted.
pub const BAD_LINES_SHOWN_MAX: usize = 20;
/// Characters shown of a text file.
pub const TEXT_CHARACTERS_MAX: usize = 32 * 1024;

/// Characters of the reason why a part is not shown.
pub const PROBLEM_CHARACTERS_MAX: usize = 2000;
/// Bytes of that reason, in UTF-8.
pub const PROBLEM_BYTES_MAX: usize = 4 * PROBLEM_CHARACTERS_MAX;

/// Dialect of a file of delimited values, detected from its first lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dialect {
    pub delimiter: char,
    /// Absent for the usual one, `"`.
    #[serde(default = "usual_quote", skip_serializing_if = "is_usual_quote")]
    pub quote: char,
    /// Character before a quote within a value, in files that do not double quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escape: Option<char>,
    pub has_header: bool,
    /// `UTF-8`, `UTF-8 with a byte order mark`, `UTF-16 little-endian`.
    pub encoding: String,
    /// `gzip`; absent for an uncompressed file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<String>,
    /// Lines before the table, such as a title or comments. The table begins in the next line.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub skip_lines: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn usual_quote() -> char {
    '"'
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_usual_quote(quote: &char) -> bool {
    *quote == usual_quote()
}

/// A line that the table cannot use as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadLine {
    /// Counts from 1.
    pub line: u64,
    pub problem: String,
}

/// A row group of a Parquet file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowGroup {
    pub rows: u64,
    /// Size in the file.
    pub compressed_bytes: u64,
    pub uncompressed_bytes: u64,
}

/// Statistics of a Parquet column over all row groups. Absent where the file has none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnStatistics {
    pub name: String,
    pub nulls: Option<u64>,
    /// Exact value of the column.
    pub min: Option<String>,
    pub max: Option<String>,
    /// Bound in place of a minimum that the writer truncated: no value is below it, and it may not occur.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lower_bound: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upper_bound: Option<String>,
    pub compressed_bytes: u64,
    pub uncompressed_bytes: u64,
    /// `ZSTD`, `SNAPPY`, or several.
    pub compression: String,
}

/// Preview of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    pub format: Format,
    /// The first [`COLUMNS_SHOWN_MAX`] columns; absent for files without columns.
    pub schema: Option<Schema>,
    /// Number of all columns.
    pub num_columns: u64,
    /// Absent where counting would need a full read. Lines that are not rows are counted in `num_bad_lines` instead.
    pub row_count: Option<u64>,
    /// First rows, with a value for each column of the schema. `None` is a null or, in delimited values, an empty
    /// field.
    #[serde(deserialize_with = "rows_just_beyond")]
    pub rows: Vec<Vec<Option<String>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialect: Option<Dialect>,
    /// Bad lines among those read. They are not rows, unless only some bytes of them are wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bad_lines: Vec<BadLine>,
    pub num_bad_lines: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub row_groups: Vec<RowGroup>,
    pub num_row_groups: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statistics: Vec<ColumnStatistics>,
    /// Writing program, from the Parquet metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_by: Option<String>,
    /// Start of a text file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Set for an image that browsers can show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Reason why the file, or a part of it, is not shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Bytes of the file read for the preview.
    pub bytes_read: u64,
}

impl Preview {
    /// Preview that shows only the format.
    pub fn nothing(format: Format) -> Self {
        Self {
            format,
            schema: None,
            num_columns: 0,
            row_count: None,
            rows: Vec::new(),
            dialect: None,
            bad_lines: Vec::new(),
            num_bad_lines: 0,
            row_groups: Vec::new(),
            num_row_groups: 0,
            statistics: Vec::new(),
            written_by: None,
            text: None,
            media_type: None,
            problem: None,
            bytes_read: 0,
        }
    }

    /// Whether the preview keeps these bounds: it may come from a process that has read a hostile file.
    pub fn is_within_bounds(&self) -> bool {
        // With an ellipsis.
        const CELL_BYTES_MAX: usize = 4 * (CELL_CHARACTERS_MAX + 1);
        let is_short = |text: &str| text.len() <= CELL_BYTES_MAX;
        let is_short_if_any = |text: &Option<String>| text.as_deref().is_none_or(is_short);
        let dialect = self.dialect.as_ref();
        self.rows.len() as u64 <= ROWS_MAX
            && self.rows.iter().all(|row| row.len() <= COLUMNS_SHOWN_MAX)
            && self.rows.iter().flatten().all(is_short_if_any)
            && dialect.is_none_or(|dialect| is_short(&dialect.encoding) && is_short_if_any(&dialect.compression))
            && self.bad_lines.len() <= BAD_LINES_SHOWN_MAX
            && self.bad_lines.iter().all(|bad| is_short(&bad.problem))
            && self.row_groups.len() <= ROW_GROUPS_SHOWN_MAX
            && self.statistics.len() <= COLUMNS_SHOWN_MAX
            && self.statistics.iter().all(|column| {
                is_short(&column.name)
                    && is_short(&column.compression)
                    && is_short_if_any(&column.min)
                    && is_short_if_any(&column.max)
                    && is_short_if_any(&column.lower_bound)
                    && is_short_if_any(&column.upper_bound)
            })
            && is_short_if_any(&self.written_by)
            && is_short_if_any(&self.media_type)
            && self.text.as_ref().is_none_or(|text| text.len() <= 4 * TEXT_CHARACTERS_MAX)
            && self.problem.as_ref().is_none_or(|problem| problem.len() <= PROBLEM_BYTES_MAX)
    }

    /// `problem` begins in lower case, as a part of a sentence: "the footer is cut off".
    pub fn impossible(format: Format, problem: &str) -> Self {
        Self { problem: Some(format!("it cannot be previewed, because {problem}")), ..Self::nothing(format) }
    }
}

/// Skips rows that are too many or too wide: see [`Preview::is_within_bounds`].
fn rows_just_beyond<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Vec<Option<String>>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(transparent)]
    struct Row(#[serde(deserialize_with = "just_beyond::<_, _, COLUMNS_SHOWN_MAX>")] Vec<Option<String>>);
    let rows = just_beyond::<D, Row, { ROWS_MAX as usize }>(deserializer)?;
    Ok(rows.into_iter().map(|Row(row)| row).collect())
}

/// Result of reading a landed file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    pub format: Format,
    /// Absent where counting would need a full read.
    pub row_count: Option<u64>,
    /// Absent for files without readable columns.
    pub schema: Option<Schema>,
    /// Reason why the columns cannot be read.
    pub problem: Option<String>,
}

/// A file of the lake with its metadata and preview.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilePreview {
    pub path: LakePath,
    pub size_bytes: u64,
    pub modified_time: Timestamp,
    /// In hexadecimal; absent for a file that did not land through the lake.
    pub sha256: Option<String>,
    /// Sync that landed the file, if known.
    pub sync_id: Option<SyncId>,
    #[serde(flatten)]
    pub preview: Preview,
}

/// Media type of an image that browsers show. Excludes SVG, which may contain scripts.
#[must_use]
pub fn image_type(first: &[u8]) -> Option<&'static str> {
    match first {
        [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}
