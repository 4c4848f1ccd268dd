//! Schemas: the columns of a file, and the differences between two files.
//!
//! Types of a Parquet file are declared in it. Those of a CSV or JSON lines file are guessed from the first lines, so a
//! file of the same columns may look narrower by chance. Such a file does not differ: see [`Schema::differs_from`].

mod difference;
mod types;

use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::fmt;

pub use difference::{RetypedColumn, SchemaDifference};

/// Maximum columns kept of a file; all are counted.
pub const COLUMNS_KEPT_MAX: usize = 4096;
/// Characters of a column's name, and of its type; longer ones are cut.
const COLUMN_TEXT_CHARACTERS_MAX: usize = 300;
/// Maximum bytes of all names and types of a file's columns; columns beyond are not kept.
pub const SCHEMA_BYTES_MAX: usize = 1 << 20;
/// Columns of each kind that the short form of a difference names.
pub const DIFFERENCES_SHOWN_MAX: usize = 8;
/// Characters of names and types in the short form.
pub const SHOWN_TEXT_CHARACTERS_MAX: usize = 100;

/// Format of a file, as far as its rows can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    Parquet,
    /// Lines of values with any delimiter.
    Delimited,
    /// One JSON object per line.
    JsonLines,
    Text,
    Image,
    /// A format that cannot be read.
    Other,
}

impl Format {
    pub fn words(self) -> &'static str {
        match self {
            Self::Parquet => "Parquet",
            Self::Delimited => "CSV",
            Self::JsonLines => "JSON lines",
            Self::Text => "text",
            Self::Image => "image",
            Self::Other => "unknown",
        }
    }

    /// Whether types are guessed from the first lines.
    pub fn is_sniffed(self) -> bool {
        matches!(self, Self::Delimited | Self::JsonLines)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    /// Type as text: `int64`, `timestamp[us, UTC]`, `list<string>`; of guessed ones `integer`, `number`, `boolean`,
    /// `date`, `timestamp`, `list`, `object`, `text`, or `empty` if no value was seen.
    #[serde(rename = "type")]
    pub kind: String,
    pub nullable: bool,
}

impl Column {
    /// Whether the values are numbers, which are aligned to the right.
    pub fn is_number(&self) -> bool {
        const NUMBERS: [&str; 6] = ["int", "uint", "float", "double", "decimal", "number"];
        NUMBERS.iter().any(|number| self.kind.starts_with(number)) && !self.kind.starts_with("interval")
    }
}

/// Columns of a file, in its order. Bounded both by [`Schema::of`] and when deserialized.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "ReadSchema")]
pub struct Schema {
    pub format: Format,
    pub columns: Vec<Column>,
    /// Columns of the file beyond the kept ones, see [`COLUMNS_KEPT_MAX`] and [`SCHEMA_BYTES_MAX`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub num_omitted: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Collects columns up to the bounds.
#[derive(Default)]
struct KeptColumns {
    columns: Vec<Column>,
    bytes: usize,
    num_omitted: u64,
}

impl KeptColumns {
    fn has_room(&self) -> bool {
        self.num_omitted == 0 && self.columns.len() < COLUMNS_KEPT_MAX
    }

    fn add(&mut self, column: Column) {
        let Column { name, kind, nullable } = column;
        let column = Column { name: cut(name), kind: cut(kind), nullable };
        let bytes = self.bytes + column.name.len() + column.kind.len();
        if self.has_room() && bytes <= SCHEMA_BYTES_MAX {
            self.bytes = bytes;
            self.columns.push(column);
        } else {
            self.num_omitted += 1;
        }
    }
}

/// Adds an ellipsis to a shortened text.
fn cut(text: String) -> String {
    shortened(&text, COLUMN_TEXT_CHARACTERS_MAX).unwrap_or(text)
}

/// `None` for a text that is short enough.
fn shortened(text: &str, characters_max: usize) -> Option<String> {
    // The ellipsis counts, so that a cut text is not cut again.
    let is_longer = text.len() > characters_max && text.chars().nth(characters_max).is_some();
    is_longer.then(|| text.chars().take(characters_max - 1).chain(['…']).collect())
}

#[derive(Deserialize)]
struct ReadSchema {
    format: Format,
    columns: KeptColumns,
    #[serde(default)]
    num_omitted: u64,
}

impl From<ReadSchema> for Schema {
    fn from(ReadSchema { format, columns: kept, num_omitted }: ReadSchema) -> Self {
        Self { format, columns: kept.columns, num_omitted: num_omitted.saturating_add(kept.num_omitted) }
    }
}

impl<'de> Deserialize<'de> for KeptColumns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Columns;
        impl<'de> Visitor<'de> for Columns {
            type Value = KeptColumns;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of columns")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut columns: A) -> Result<KeptColumns, A::Error> {
                let mut kept = KeptColumns::default();
                while kept.has_room() {
                    let Some(column) = columns.next_element()? else { return Ok(kept) };
                    kept.add(column);
                }
                while columns.next_element::<IgnoredAny>()?.is_some() {
                    kept.num_omitted += 1;
                }
                Ok(kept)
            }
        }
        deserializer.deserialize_seq(Columns)
    }
}

/// Action for a file whose columns differ from those of its dataset.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, strum::IntoStaticStr, strum::EnumString,
)]
#[strum(serialize_all = "lowercase")]
#[serde(rename_all = "lowercase")]
pub enum SchemaPolicy {
    /// No action.
    Ignore,
    /// The file is marked.
    #[default]
    Warn,
    /// The file is marked, and a full sync with such a file is held until somebody confirms it.
    Hold,
}

impl SchemaPolicy {
    pub const ALL: [Self; 3] = [Self::Ignore, Self::Warn, Self::Hold];

    pub fn as_str(self) -> &'static str {
        self.into()
    }

    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Schema {
    /// Keeps columns up to the bounds, and counts the others.
    pub fn of(format: Format, columns: impl IntoIterator<Item = Column>) -> Self {
        let mut kept = KeptColumns::default();
        columns.into_iter().for_each(|column| kept.add(column));
        Self { format, columns: kept.columns, num_omitted: kept.num_omitted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_columns_the_first_are_kept_and_all_are_counted() {
        let columns = |count: usize, name: &str, kind: &str| {
            let column = |number| Column { name: format!("{number}{name}"), kind: kind.into(), nullable: true };
            (0..count).map(column).collect::<Vec<_>>()
        };
        let just = Schema::of(Format::Parquet, columns(COLUMNS_KEPT_MAX, "c", "int64"));
        assert_eq!((just.columns.len(), just.num_omitted), (COLUMNS_KEPT_MAX, 0));
        let beyond = Schema::of(Format::Parquet, columns(COLUMNS_KEPT_MAX + 1, "c", "int64"));
        assert_eq!((beyond.columns.len(), beyond.num_omitted), (COLUMNS_KEPT_MAX, 1));
        assert_eq!(beyond.differs_from(&just).unwrap().omitted, Some((0, 1)));
        let long = Schema::of(Format::Parquet, columns(5000, &"n".repeat(1 << 20), &"t".repeat(1 << 20)));
        let bytes: usize = long.columns.iter().map(|column| column.name.len() + column.kind.len()).sum();
        assert!(bytes <= SCHEMA_BYTES_MAX && bytes > SCHEMA_BYTES_MAX - 1000, "{bytes}");
        assert_eq!(long.columns.len() as u64 + long.num_omitted, 5000);
        assert_eq!(long.columns[0].name.chars().count(), COLUMN_TEXT_CHARACTERS_MAX);
    }

    #[test]
    fn a_schema_that_was_kept_without_bounds_is_bounded_when_it_is_read() {
        let columns: Vec<_> =
            (0..5000).map(|n| format!(r#"{{"name":"c{n}","type":"int64","nullable":true}}"#)).collect();
        let kept = format!(r#"{{"format":"parquet","columns":[{}]}}"#, columns.join(","));
        let read: Schema = serde_json::from_str(&kept).unwrap();
        assert_eq!((read.columns.len(), read.num_omitted), (COLUMNS_KEPT_MAX, 904));
        let again: Schema = serde_json::from_str(&serde_json::to_string(&read).unwrap()).unwrap();
        assert_eq!(again, read);
    }
}
