//! Reasons why a file cannot be in a Delta table.

use serde::{Deserialize, Serialize};

/// Reasons that are told of one file; of more, the first.
pub const REASONS_MAX: usize = 8;
/// Characters of a name or a type in a reason; what is longer is cut.
pub const WORDS_CHARACTERS_MAX: usize = 100;

/// One reason, with its remedy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Unfit {
    #[error("its footer cannot be read ({problem}); write the file again with a current library")]
    Unreadable { problem: String },
    #[error("column {column:?} {problem}; write it into one file, with Zstandard, Snappy, gzip or no compression")]
    UnsupportedChunk { column: String, problem: String },
    #[error("the type of column {column:?} is {kind}, which a Delta table cannot hold; {remedy}")]
    UnsupportedType { column: String, kind: String, remedy: String },
    #[error(
        "column {column:?} is {file_type} in this file and {table_type} in the table; write it as {table_type}, or replace all files in a full sync"
    )]
    OtherType { column: String, table_type: String, file_type: String },
    #[error(
        "column {column:?} is {file_type} in this file and {table_type} in the table; write it as {table_type}, or replace all files in a full sync"
    )]
    WiderType { column: String, table_type: String, file_type: String },
    #[error("columns {column:?} and {other:?} differ only in upper and lower case; rename one of them")]
    CaseOnly { column: String, other: String },
    #[error("several columns are named {column:?}; rename all but one of them")]
    DuplicateColumn { column: String },
    #[error("it has no column with values, and a table without columns cannot be read; add one")]
    NoColumns,
    #[error("it has more columns than a table of this lake may have ({max}); write fewer")]
    TooManyColumns { max: u64 },
    #[error("its columns are nested more than {max} deep; flatten them")]
    TooDeep { max: u64 },
    #[error(
        "its folders name the partition columns {file:?}, those of the table are {table:?}; upload it below folders such as \"dt=2021-12-06\" with the table's names, or replace all files in a full sync"
    )]
    OtherPartitionColumns { table: Vec<String>, file: Vec<String> },
    #[error(
        "its bytes lie outside the folder of the dataset, because they were uploaded to a dataset above or beside it; upload it to this dataset"
    )]
    Elsewhere,
    #[error(
        "it has the same bytes in the bucket as another file of the dataset, which is in the table; upload one of them again"
    )]
    SharedObject,
    #[error(
        "its version has files of too many different lists of columns, of which the first {max} are considered; write files of fewer"
    )]
    TooManySchemas { max: u64 },
    #[error("the folders of its path name the partition column {column:?} twice; name it once")]
    DuplicatePartitionColumn { column: String },
}

/// Cuts a text to [`WORDS_CHARACTERS_MAX`] characters, with an ellipsis at its end.
pub(crate) fn shortened(text: &str) -> String {
    if text.chars().nth(WORDS_CHARACTERS_MAX).is_none() {
        return text.to_owned();
    }
    text.chars().take(WORDS_CHARACTERS_MAX - 1).chain(['…']).collect()
}
