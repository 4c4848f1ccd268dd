//! What the columns of a file are, and in what two files differ.
//!
//! A Parquet file says its types itself. Those of a CSV or JSON lines file are what its first lines look like, so another
//! file of the same columns may look narrower by chance: that is no difference, see [`Schema::differs_from`].

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What kind of file it is, as far as its rows can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    Parquet,
    /// Lines of values with a character between them, whichever it is.
    Delimited,
    /// One JSON object a line.
    JsonLines,
    Text,
    Image,
    /// What nothing here reads.
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

    /// The types are guessed from the first lines.
    pub fn is_sniffed(self) -> bool {
        matches!(self, Self::Delimited | Self::JsonLines)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    /// In words: `int64`, `timestamp[us, UTC]`, `list<string>`; of sniffed ones `integer`, `number`, `boolean`, `date`,
    /// `timestamp`, `list`, `object`, `text`, or `empty`, where no value was seen.
    #[serde(rename = "type")]
    pub kind: String,
    pub nullable: bool,
}

impl Column {
    /// Its values are numbers, which are read from the right.
    pub fn is_number(&self) -> bool {
        const NUMBERS: [&str; 6] = ["int", "uint", "float", "double", "decimal", "number"];
        NUMBERS.iter().any(|number| self.kind.starts_with(number)) && !self.kind.starts_with("interval")
    }
}

/// The columns of a file, in its order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    pub format: Format,
    pub columns: Vec<Column>,
}

/// What becomes of a file whose columns are not those of its dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SchemaPolicy {
    /// Nothing.
    Ignore,
    /// It is marked.
    #[default]
    Warn,
    /// It is marked, and a full sync that holds it is not published until somebody confirms it.
    Hold,
}

impl SchemaPolicy {
    pub const ALL: [Self; 3] = [Self::Ignore, Self::Warn, Self::Hold];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ignore => "ignore",
            Self::Warn => "warn",
            Self::Hold => "hold",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| policy.as_str() == text)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetypedColumn {
    pub name: String,
    pub old_type: String,
    pub new_type: String,
}

/// In what the columns of a file are not those of another, older one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaDifference {
    /// The old and the new one, where they are two. Their types are two languages then, and are not compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<(Format, Format)>,
    pub added: Vec<Column>,
    pub removed: Vec<Column>,
    pub retyped: Vec<RetypedColumn>,
    /// The same columns in another order, of a format whose readers go by it.
    pub is_reordered: bool,
}

impl SchemaDifference {
    /// In one line: `added note (string); removed price (double); id int64, now string`.
    pub fn in_words(&self) -> String {
        let listed = |columns: &[Column]| {
            let columns: Vec<_> = columns.iter().map(|column| format!("{} ({})", column.name, column.kind)).collect();
            columns.join(", ")
        };
        let mut parts = Vec::new();
        if let Some((old, new)) = self.format {
            parts.push(format!("{} instead of {}", new.words(), old.words()));
        }
        if !self.added.is_empty() {
            parts.push(format!("added {}", listed(&self.added)));
        }
        if !self.removed.is_empty() {
            parts.push(format!("removed {}", listed(&self.removed)));
        }
        let retyped = self.retyped.iter();
        parts.extend(retyped.map(|column| format!("{} {}, now {}", column.name, column.old_type, column.new_type)));
        if self.is_reordered {
            parts.push("the columns in another order".to_owned());
        }
        parts.join("; ")
    }
}

impl Schema {
    /// In what a new file of this schema differs from `old`; `None` when its readers need not notice.
    ///
    /// Columns are told by their names; of several of one name, the first by the first. Whether a column may hold nulls is not
    /// compared: writers say so as it comes. A sniffed type does not differ when all that was seen fits the old one, and a key
    /// that JSON lines lacked before may be lacking again.
    pub fn differs_from(&self, old: &Self) -> Option<SchemaDifference> {
        let format = (self.format != old.format).then_some((old.format, self.format));
        let new_ones = numbered(&self.columns);
        let old_ones = numbered(&old.columns);
        let is_missed = |column: &Column| !(old.format == Format::JsonLines && column.nullable);
        let added = self.columns_not_in(&new_ones, &old_ones, |_| true);
        let removed = old.columns_not_in(&old_ones, &new_ones, is_missed);
        let retyped = old.columns.iter().zip(keys(&old.columns)).filter_map(|(old_column, key)| {
            let new_column = new_ones.get(&key)?;
            let fits = format.is_some()
                || old_column.kind == new_column.kind
                || (self.format.is_sniffed() && fits(&old_column.kind, &new_column.kind));
            (!fits).then(|| RetypedColumn {
                name: old_column.name.clone(),
                old_type: old_column.kind.clone(),
                new_type: new_column.kind.clone(),
            })
        });
        let retyped: Vec<_> = retyped.collect();
        let goes_by_order = format.is_none() && self.format == Format::Delimited;
        let is_reordered = goes_by_order && {
            let common_of = |columns, others: &Numbered<'_>| -> Vec<_> {
                keys(columns).into_iter().filter(|key| others.contains_key(key)).collect()
            };
            common_of(&self.columns, &old_ones) != common_of(&old.columns, &new_ones)
        };
        let difference = SchemaDifference { format, added, removed, retyped, is_reordered };
        let SchemaDifference { format, added, removed, retyped, is_reordered } = &difference;
        let is_none = format.is_none() && added.is_empty() && removed.is_empty() && retyped.is_empty() && !is_reordered;
        (!is_none).then_some(difference)
    }

    fn columns_not_in(
        &self,
        mine: &Numbered<'_>,
        others: &Numbered<'_>,
        counts: impl Fn(&Column) -> bool,
    ) -> Vec<Column> {
        let missing = keys(&self.columns).into_iter().filter(|key| !others.contains_key(key));
        missing.filter_map(|key| mine.get(&key)).filter(|column| counts(column)).map(|&column| column.clone()).collect()
    }
}

/// By name, and the how manieth of that name it is.
type Numbered<'a> = BTreeMap<(&'a str, usize), &'a Column>;

fn keys(columns: &[Column]) -> Vec<(&str, usize)> {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    columns
        .iter()
        .map(|column| {
            let number = seen.entry(&column.name).or_default();
            *number += 1;
            (column.name.as_str(), *number)
        })
        .collect()
}

fn numbered(columns: &[Column]) -> Numbered<'_> {
    keys(columns).into_iter().zip(columns).collect()
}

/// Does all that looks like the new sniffed type fit the old one?
fn fits(old: &str, new: &str) -> bool {
    old == "text"
        || old == "empty"
        || new == "empty"
        || matches!((old, new), ("number", "integer") | ("timestamp", "date"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn schema(format: Format, columns: &[(&str, &str)]) -> Schema {
        let column = |&(name, kind): &(&str, &str)| Column { name: name.into(), kind: kind.into(), nullable: true };
        Schema { format, columns: columns.iter().map(column).collect() }
    }

    #[test]
    fn added_removed_and_retyped_columns_are_told() {
        let old = schema(Format::Parquet, &[("id", "int64"), ("price", "double"), ("day", "date")]);
        let new = schema(Format::Parquet, &[("id", "string"), ("note", "string"), ("day", "date")]);
        let difference = new.differs_from(&old).unwrap();
        assert_eq!(difference.in_words(), "added note (string); removed price (double); id int64, now string");
        let swapped = schema(Format::Parquet, &[("day", "date"), ("id", "int64"), ("price", "double")]);
        assert_eq!(swapped.differs_from(&old), None, "Parquet is read by names");
    }

    #[test]
    fn what_looks_narrower_by_chance_is_no_difference_and_what_no_longer_fits_is_one() {
        let of = |kind| schema(Format::Delimited, &[("a", kind)]);
        for (old, new) in [("number", "integer"), ("text", "date"), ("timestamp", "date"), ("integer", "empty")] {
            assert_eq!(of(new).differs_from(&of(old)), None, "{old} {new}");
        }
        for (old, new) in [("integer", "number"), ("integer", "text"), ("date", "integer"), ("boolean", "text")] {
            assert_eq!(of(new).differs_from(&of(old)).unwrap().retyped.len(), 1, "{old} {new}");
        }
        let parquet = |kind| schema(Format::Parquet, &[("a", kind)]);
        assert!(parquet("integer").differs_from(&parquet("number")).is_some(), "its types are no guess");
    }

    #[test]
    fn csv_is_read_by_order_and_json_lines_may_lack_what_they_lacked() {
        let old = schema(Format::Delimited, &[("a", "text"), ("b", "text"), ("a", "text")]);
        let swapped = schema(Format::Delimited, &[("b", "text"), ("a", "text"), ("a", "text")]);
        assert!(swapped.differs_from(&old).unwrap().is_reordered);
        let lines = schema(Format::JsonLines, &[("a", "text"), ("b", "text")]);
        assert_eq!(schema(Format::JsonLines, &[("b", "text")]).differs_from(&lines), None);
        let csv = schema(Format::Delimited, &[("b", "text")]).differs_from(&lines).unwrap();
        assert_eq!(csv.format, Some((Format::JsonLines, Format::Delimited)));
    }

    fn any_schema(format: Format) -> impl Strategy<Value = Schema> {
        let kind = prop::sample::select(vec!["int64", "string", "text", "integer", "number", "empty"]);
        prop::collection::vec(("[a-d]", kind), 0..8).prop_map(move |columns| Schema {
            format,
            columns: columns
                .into_iter()
                .map(|(name, kind)| Column { name, kind: kind.to_owned(), nullable: false })
                .collect(),
        })
    }

    proptest! {
        #[test]
        fn a_schema_does_not_differ_from_itself(schema in any_schema(Format::Delimited)) {
            prop_assert_eq!(schema.differs_from(&schema), None);
        }

        #[test]
        fn what_is_added_one_way_is_removed_the_other(
            one in any_schema(Format::Parquet), other in any_schema(Format::Parquet),
        ) {
            let (there, back) = (one.differs_from(&other), other.differs_from(&one));
            prop_assert_eq!(there.is_some(), back.is_some());
            if let (Some(there), Some(back)) = (there, back) {
                prop_assert_eq!(there.added, back.removed);
                prop_assert_eq!(there.removed, back.added);
                prop_assert_eq!(there.retyped.len(), back.retyped.len());
            }
        }

        #[test]
        fn old_columns_with_the_differences_are_the_new_columns(
            old in any_schema(Format::Parquet), new in any_schema(Format::Parquet),
        ) {
            let mut names: Vec<_> = old.columns.iter().map(|column| column.name.clone()).collect();
            if let Some(difference) = new.differs_from(&old) {
                for column in difference.removed {
                    let at = names.iter().position(|name| *name == column.name).unwrap();
                    names.remove(at);
                }
                names.extend(difference.added.into_iter().map(|column| column.name));
            }
            names.sort();
            let mut expected: Vec<_> = new.columns.iter().map(|column| column.name.clone()).collect();
            expected.sort();
            prop_assert_eq!(names, expected);
        }
    }
}
