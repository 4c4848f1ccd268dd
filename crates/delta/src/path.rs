//! Path of a data file relative to the root of its table.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The folder of the log.
pub const LOG_FOLDER: &str = "_delta_log";
/// Longest path, in bytes: object keys may have 1,024, and the lake's prefix comes before.
pub const PATH_BYTES_MAX: usize = 800;

/// The key of an object, relative to the table's root.
///
/// Guarantees: letters and digits of ASCII, `.`, `_`, `-`, `=`, `/` and, of escaped partition values, `%`; no component is empty, or
/// begins with `.` or `_`, which readers skip; so it is never in the log's folder, and never leads upward.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TablePath(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    #[error("the path of a data file is empty, or has an empty component; name the file relative to the table's root")]
    Empty,
    #[error("the path of a data file is longer than {PATH_BYTES_MAX} bytes; shorten it")]
    TooLong,
    #[error(
        "the path of a data file has the character {0:?}, which not all readers find; use letters, digits, \".\", \"_\", \"-\" and \"=\""
    )]
    Forbidden(char),
    #[error(
        "a component of the path of a data file begins with {0:?}, and readers skip such names; begin it with a letter or digit"
    )]
    Hidden(char),
}

impl TablePath {
    /// Parses the path of a data file.
    ///
    /// # Errors
    /// [`PathError`] if the text does not meet the guarantees of the type.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if text.len() > PATH_BYTES_MAX {
            return Err(PathError::TooLong);
        }
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-=%/".contains(c);
        if let Some(odd) = text.chars().find(|&c| !is_plain(c)) {
            return Err(PathError::Forbidden(odd));
        }
        for component in text.split('/') {
            match component.chars().next() {
                None => return Err(PathError::Empty),
                Some(first @ ('.' | '_')) => return Err(PathError::Hidden(first)),
                Some(_) => {}
            }
        }
        Ok(Self(text.to_owned()))
    }

    /// The key, as the object has it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key as the log writes it: a URI, so that a `%` of the key is escaped once more.
    pub fn in_log(&self) -> String {
        self.0.replace('%', "%25")
    }
}

impl fmt::Display for TablePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for TablePath {
    type Error = PathError;

    fn try_from(text: String) -> Result<Self, PathError> {
        Self::parse(&text)
    }
}

impl From<TablePath> for String {
    fn from(path: TablePath) -> Self {
        path.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_a_reader_would_miss_are_refused() {
        for (text, expected) in [
            ("", PathError::Empty),
            ("/a", PathError::Empty),
            ("a//b", PathError::Empty),
            ("a/", PathError::Empty),
            ("../a", PathError::Hidden('.')),
            ("_delta_log/a", PathError::Hidden('_')),
            ("a/_b", PathError::Hidden('_')),
            ("a b", PathError::Forbidden(' ')),
            ("ü", PathError::Forbidden('ü')),
            ("a\\b", PathError::Forbidden('\\')),
            ("s3:a", PathError::Forbidden(':')),
            ("a?b", PathError::Forbidden('?')),
            ("a#b", PathError::Forbidden('#')),
        ] {
            assert_eq!(TablePath::parse(text), Err(expected), "{text}");
        }
        assert!(TablePath::parse(&"a".repeat(PATH_BYTES_MAX)).is_ok());
        assert_eq!(TablePath::parse(&"a".repeat(PATH_BYTES_MAX + 1)), Err(PathError::TooLong));
    }

    #[test]
    fn an_escaped_value_is_escaped_again_in_the_log() {
        let path = TablePath::parse("dt=a%20b/7-1.parquet").unwrap();
        assert_eq!(path.in_log(), "dt=a%2520b/7-1.parquet");
    }
}
