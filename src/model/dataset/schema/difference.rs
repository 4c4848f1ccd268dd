//! Differences between the columns of two files: which of them readers of a dataset would notice.

use super::{Column, DIFFERENCES_SHOWN_MAX, Format, SHOWN_TEXT_CHARACTERS_MAX, Schema, shortened, types};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetypedColumn {
    pub name: String,
    pub old_type: String,
    pub new_type: String,
}

/// Differences of a file's columns from those of an older file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaDifference {
    /// The old and the new format, if they differ. Types of different formats are not compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<(Format, Format)>,
    /// The first few in lists, see [`Self::in_short`]; the numbers count all.
    pub added: Vec<Column>,
    pub removed: Vec<Column>,
    pub retyped: Vec<RetypedColumn>,
    #[serde(default)]
    pub num_added: u64,
    #[serde(default)]
    pub num_removed: u64,
    #[serde(default)]
    pub num_retyped: u64,
    /// Columns beyond the kept ones, of the old and of the new file, if the numbers differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub omitted: Option<(u64, u64)>,
    /// Whether the order changed, for a format whose readers depend on it.
    pub is_reordered: bool,
}

impl SchemaDifference {
    /// Short form for a list: the first columns of each kind, with names and types cut.
    pub fn in_short(&self) -> Self {
        fn first<T>(all: &[T], short: impl Fn(&T) -> T) -> Vec<T> {
            all.iter().take(DIFFERENCES_SHOWN_MAX).map(short).collect()
        }
        let cut = |text: &str| shortened(text, SHOWN_TEXT_CHARACTERS_MAX).unwrap_or_else(|| text.to_owned());
        let column =
            |column: &Column| Column { name: cut(&column.name), kind: cut(&column.kind), nullable: column.nullable };
        Self {
            added: first(&self.added, column),
            removed: first(&self.removed, column),
            retyped: first(&self.retyped, |column| RetypedColumn {
                name: cut(&column.name),
                old_type: cut(&column.old_type),
                new_type: cut(&column.new_type),
            }),
            ..*self
        }
    }

    /// One line of text: `added note (string); removed price (double); id int64, now string`.
    pub fn in_words(&self) -> String {
        let more = |number: u64, named: usize| match number.saturating_sub(named as u64) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let listed = |columns: &[Column], number: u64| {
            let named = &columns[..columns.len().min(DIFFERENCES_SHOWN_MAX)];
            let words: Vec<_> = named.iter().map(|column| format!("{} ({})", column.name, column.kind)).collect();
            words.join(", ") + &more(number, named.len())
        };
        let mut parts = Vec::new();
        if let Some((old, new)) = self.format {
            parts.push(format!("{} instead of {}", new.words(), old.words()));
        }
        if !self.added.is_empty() {
            parts.push(format!("added {}", listed(&self.added, self.num_added)));
        }
        if !self.removed.is_empty() {
            parts.push(format!("removed {}", listed(&self.removed, self.num_removed)));
        }
        let retyped = &self.retyped[..self.retyped.len().min(DIFFERENCES_SHOWN_MAX)];
        parts.extend(
            retyped.iter().map(|column| format!("{} {}, now {}", column.name, column.old_type, column.new_type)),
        );
        if self.num_retyped > retyped.len() as u64 {
            parts.push(format!("{} more changed type", self.num_retyped - retyped.len() as u64));
        }
        if let Some((old, new)) = self.omitted {
            parts.push(format!("{new} columns beyond those recorded, before {old}"));
        }
        if self.is_reordered {
            parts.push("the columns are in another order".to_owned());
        }
        parts.join("; ")
    }
}

impl Schema {
    /// Differences of a new file from `old`; `None` when readers are not affected.
    ///
    /// Columns are matched by name; of several with the same name, the first with the first. Nullability is not
    /// compared, since writers set it without need. A guessed type does not differ when all seen values fit the old
    /// one; a column of nulls has no type to compare; and a key of JSON lines that was optional before may be missing.
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
                || match self.format.is_sniffed() {
                    true => fits(&old_column.kind, &new_column.kind),
                    false => types::agree(&old_column.kind, &new_column.kind),
                };
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
        let omitted = (old.num_omitted != self.num_omitted).then_some((old.num_omitted, self.num_omitted));
        let is_none = format.is_none()
            && added.is_empty()
            && removed.is_empty()
            && retyped.is_empty()
            && omitted.is_none()
            && !is_reordered;
        let (num_added, num_removed, num_retyped) = (added.len() as u64, removed.len() as u64, retyped.len() as u64);
        (!is_none).then_some(SchemaDifference {
            format,
            added,
            removed,
            retyped,
            num_added,
            num_removed,
            num_retyped,
            omitted,
            is_reordered,
        })
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

/// By name, and the index among columns of that name.
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

/// Whether all values of the new guessed type fit the old one.
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
        Schema::of(format, columns.iter().map(column))
    }

    #[test]
    fn added_removed_and_retyped_columns_are_reported() {
        let old = schema(Format::Parquet, &[("id", "int64"), ("price", "double"), ("day", "date")]);
        let new = schema(Format::Parquet, &[("id", "string"), ("note", "string"), ("day", "date")]);
        let difference = new.differs_from(&old).unwrap();
        assert_eq!(difference.in_words(), "added note (string); removed price (double); id int64, now string");
        let swapped = schema(Format::Parquet, &[("day", "date"), ("id", "int64"), ("price", "double")]);
        assert_eq!(swapped.differs_from(&old), None, "Parquet is read by names");
    }

    #[test]
    fn a_narrower_guessed_type_does_not_differ_and_a_wider_one_does() {
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
        prop::collection::vec(("[a-d]", kind), 0..8).prop_map(move |columns| {
            let column = |(name, kind): (String, &str)| Column { name, kind: kind.to_owned(), nullable: false };
            Schema::of(format, columns.into_iter().map(column))
        })
    }

    #[test]
    fn a_difference_in_short_names_a_few_and_counts_all() {
        let names: Vec<_> = (0..100).map(|number| format!("{number}{}", "x".repeat(250))).collect();
        let columns: Vec<_> = names.iter().map(|name| (name.as_str(), "int64")).collect();
        let difference = schema(Format::Parquet, &columns).differs_from(&schema(Format::Parquet, &[])).unwrap();
        assert_eq!(difference.added.len(), 100);
        let short = difference.in_short();
        assert_eq!((short.added.len(), short.num_added, short.added[0].name.chars().count()), (8, 100, 100));
        assert!(short.in_words().ends_with(" and 92 more"), "{}", short.in_words());
    }

    proptest! {
        #[test]
        fn a_schema_does_not_differ_from_itself(schema in any_schema(Format::Delimited)) {
            prop_assert_eq!(schema.differs_from(&schema), None);
        }

        #[test]
        fn a_column_added_in_one_direction_is_removed_in_the_other(
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
