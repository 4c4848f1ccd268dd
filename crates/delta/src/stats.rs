//! Delta's statistics of a file, from its footer: how many rows it has, and of each column the nulls and bounds of its values.
//!
//! Readers leave files out by them, so a bound that is missing costs time, and one that is wrong costs rows. Bounds are left out
//! wherever a reader could take them otherwise than they are meant:
//! - Parquet's writers leave NaN out of theirs, and Delta's readers sort NaN above all: columns of floating point have `maxValues` only
//!   where the footer counts no NaN.
//! - Texts are cut to [`TEXT_CHARACTERS_MAX`]; of the greatest, the last character left is raised.
//! - Timestamps are rounded to milliseconds, down and up.
//! - Booleans, bytes, INT96 and what lies in lists and maps have none.

mod shown;

use parquet::basic::{ColumnOrder, SortOrder, Type as Physical};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::file::statistics::Statistics;
use shown::shown;
use std::cmp::Ordering;

/// Columns that have statistics: the first, as Delta's own writers have it.
pub const COLUMNS_MAX: usize = 32;
/// Characters of a text.
pub const TEXT_CHARACTERS_MAX: usize = 32;
/// Longest statistics of a file, in bytes. Where they would be longer, fewer columns have some.
pub const STATS_BYTES_MAX: usize = 4 * 1024;
/// Row groups times columns that are looked at; of a file of more, only the rows are told.
const CHUNKS_MAX: usize = 200_000;

/// A column that has statistics.
pub(crate) struct Leaf {
    /// Its number in the file.
    pub(crate) index: usize,
    /// Its name, and before it those of the structs around it.
    pub(crate) path: Vec<String>,
    pub(crate) reading: Reading,
}

/// How its least and greatest value are to be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    Signed,
    /// 32 bits.
    Unsigned,
    Float,
    Decimal {
        scale: u8,
    },
    Text,
    Date,
    Timestamp {
        per_ms: i64,
        has_zone: bool,
    },
    /// Only its nulls are counted.
    CountOnly,
}

#[derive(Debug, Clone, PartialEq)]
enum Value {
    Whole(i128),
    Float(f64),
    Text(String),
}

impl Value {
    /// `None` of two kinds, or of what is no number.
    fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Whole(one), Self::Whole(other)) => Some(one.cmp(other)),
            (Self::Float(one), Self::Float(other)) => one.partial_cmp(other),
            (Self::Text(one), Self::Text(other)) => Some(one.as_bytes().cmp(other.as_bytes())),
            _ => None,
        }
    }
}

/// Statistics of one column.
struct ColumnStats<'a> {
    path: &'a [String],
    nulls: Option<u64>,
    /// As JSON.
    min: Option<String>,
    max: Option<String>,
}

/// Delta's `stats`, as JSON.
pub(crate) fn json(metadata: &ParquetMetaData, leaves: &[Leaf]) -> String {
    let rows = |group: &RowGroupMetaData| u64::try_from(group.num_rows()).unwrap_or(0);
    let num_records = metadata.row_groups().iter().map(rows).fold(0, u64::saturating_add);
    let rows_alone = format!(r#"{{"numRecords":{num_records}}}"#);
    if leaves.is_empty() || metadata.num_row_groups().saturating_mul(leaves.len()) > CHUNKS_MAX {
        return rows_alone;
    }
    let mut known: Vec<_> = leaves.iter().map(|leaf| of_leaf(metadata, leaf)).collect();
    while !known.is_empty() {
        let text = with_columns(num_records, &known);
        if text.len() <= STATS_BYTES_MAX {
            return text;
        }
        known.truncate(known.len() / 2);
    }
    rows_alone
}

fn with_columns(num_records: u64, known: &[ColumnStats<'_>]) -> String {
    let mut text = format!(r#"{{"numRecords":{num_records},"minValues":"#);
    write_tree(known, 0, &|known| known.min.clone(), &mut text);
    text.push_str(r#","maxValues":"#);
    write_tree(known, 0, &|known| known.max.clone(), &mut text);
    text.push_str(r#","nullCount":"#);
    write_tree(known, 0, &|known| known.nulls.map(|nulls| nulls.to_string()), &mut text);
    text.push('}');
    text
}

/// Statistics that were written here, with the rows alone.
pub(crate) fn rows_alone(stats: &str) -> String {
    stats.split_once(',').map_or_else(|| stats.to_owned(), |(rows, _)| format!("{rows}}}"))
}

/// Writes the columns as an object, those of a struct as an object within. `known` all have the same path down to `depth`.
fn write_tree(
    known: &[ColumnStats<'_>],
    depth: usize,
    value: &impl Fn(&ColumnStats<'_>) -> Option<String>,
    text: &mut String,
) {
    text.push('{');
    let mut is_first = true;
    for same in known.chunk_by(|one, other| one.path[depth] == other.path[depth]) {
        let mut inner = String::new();
        match same {
            [one] if one.path.len() == depth + 1 => inner.extend(value(one)),
            same => {
                write_tree(same, depth + 1, value, &mut inner);
                if inner == "{}" {
                    inner.clear();
                }
            }
        }
        if !inner.is_empty() {
            if !is_first {
                text.push(',');
            }
            is_first = false;
            text.push_str(&quoted(&same[0].path[depth]));
            text.push(':');
            text.push_str(&inner);
        }
    }
    text.push('}');
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn of_leaf<'a>(metadata: &ParquetMetaData, leaf: &'a Leaf) -> ColumnStats<'a> {
    let mut known = ColumnStats { path: &leaf.path, nulls: Some(0), min: None, max: None };
    let (mut min, mut max) = (Bound::new(Ordering::Less), Bound::new(Ordering::Greater));
    let mut has_nan = false;
    for group in metadata.row_groups().iter().filter(|group| group.num_rows() > 0) {
        let chunk = group.columns().get(leaf.index);
        let statistics = chunk.and_then(ColumnChunkMetaData::statistics);
        let rows = u64::try_from(group.num_rows()).unwrap_or(0);
        let nulls = statistics.and_then(Statistics::null_count_opt).filter(|&nulls| nulls <= rows);
        known.nulls = known.nulls.zip(nulls).and_then(|(sum, nulls)| sum.checked_add(nulls));
        if nulls == Some(rows) {
            continue;
        }
        has_nan |= statistics.and_then(Statistics::nan_count_opt) != Some(0);
        let believed =
            statistics.zip(chunk).filter(|(statistics, chunk)| is_believed(metadata, leaf, chunk, statistics));
        let (least, greatest) = believed.map_or((None, None), |(statistics, _)| extremes(statistics, leaf.reading));
        // A chunk that contradicts itself is not believed.
        let is_ordered = match (&least, &greatest) {
            (Some(least), Some(greatest)) => least.compare(greatest).is_some_and(Ordering::is_le),
            _ => true,
        };
        min.see(least.filter(|_| is_ordered));
        max.see(greatest.filter(|_| is_ordered));
    }
    known.min = min.value().and_then(|value| shown(value, leaf.reading, Ordering::Less));
    known.max = match leaf.reading {
        Reading::Float if has_nan => None,
        reading => max.value().and_then(|value| shown(value, reading, Ordering::Greater)),
    };
    known
}

/// The least or the greatest of all row groups; none where one of them does not tell its own.
struct Bound {
    wanted: Ordering,
    best: Option<Value>,
    is_lost: bool,
}

impl Bound {
    fn new(wanted: Ordering) -> Self {
        Self { wanted, best: None, is_lost: false }
    }

    fn see(&mut self, value: Option<Value>) {
        let Some(value) = value else {
            self.is_lost = true;
            return;
        };
        match self.best.as_ref().map(|best| value.compare(best)) {
            None => self.best = Some(value),
            Some(Some(order)) if order == self.wanted => self.best = Some(value),
            Some(Some(_)) => {}
            Some(None) => self.is_lost = true,
        }
    }

    fn value(self) -> Option<Value> {
        self.best.filter(|_| !self.is_lost)
    }
}

/// Whether the order of a chunk's least and greatest value is that of the values: see `ColumnOrder` in `parquet.thrift`.
fn is_believed(metadata: &ParquetMetaData, leaf: &Leaf, chunk: &ColumnChunkMetaData, statistics: &Statistics) -> bool {
    // Of these, any writer's order was the same. Others were compared as signed bytes once.
    let is_of_one_order = match chunk.column_descr().physical_type() {
        Physical::INT32 | Physical::INT64 => leaf.reading != Reading::Unsigned,
        Physical::FLOAT | Physical::DOUBLE => true,
        _ => false,
    };
    if statistics.is_min_max_deprecated() {
        return is_of_one_order;
    }
    match metadata.file_metadata().column_orders().map(|orders| orders.get(leaf.index)) {
        // An old writer, which names no order.
        None => is_of_one_order,
        Some(Some(ColumnOrder::TYPE_DEFINED_ORDER(order))) => *order != SortOrder::UNDEFINED,
        Some(Some(ColumnOrder::IEEE_754_TOTAL_ORDER)) => leaf.reading == Reading::Float,
        Some(_) => false,
    }
}

fn extremes(statistics: &Statistics, reading: Reading) -> (Option<Value>, Option<Value>) {
    fn both<T>(
        min: Option<&T>,
        max: Option<&T>,
        value: impl Fn(&T) -> Option<Value>,
    ) -> (Option<Value>, Option<Value>) {
        (min.and_then(&value), max.and_then(&value))
    }
    let is_exact = statistics.min_is_exact() && statistics.max_is_exact();
    match (statistics, reading) {
        (Statistics::Int32(ints), Reading::Unsigned) => {
            both(ints.min_opt(), ints.max_opt(), |&int| Some(Value::Whole(int.cast_unsigned().into())))
        }
        (Statistics::Int32(ints), Reading::Signed | Reading::Date | Reading::Decimal { .. }) => {
            both(ints.min_opt(), ints.max_opt(), |&int| Some(Value::Whole(int.into())))
        }
        (Statistics::Int64(ints), Reading::Signed | Reading::Timestamp { .. } | Reading::Decimal { .. }) => {
            both(ints.min_opt(), ints.max_opt(), |&int| Some(Value::Whole(int.into())))
        }
        (Statistics::Float(floats), Reading::Float) => {
            both(floats.min_opt(), floats.max_opt(), |&float| Some(Value::Float(float.into())))
        }
        (Statistics::Double(floats), Reading::Float) => {
            both(floats.min_opt(), floats.max_opt(), |&float| Some(Value::Float(float)))
        }
        (Statistics::ByteArray(bytes), Reading::Text) => both(bytes.min_opt(), bytes.max_opt(), |bytes| {
            std::str::from_utf8(bytes.data()).ok().map(|text| Value::Text(text.to_owned()))
        }),
        // The order of bytes that were cut is not that of the numbers.
        (Statistics::ByteArray(_) | Statistics::FixedLenByteArray(_), Reading::Decimal { .. }) if is_exact => {
            (statistics.min_bytes_opt().and_then(big_endian), statistics.max_bytes_opt().and_then(big_endian))
        }
        _ => (None, None),
    }
}

/// Two's complement.
fn big_endian(bytes: &[u8]) -> Option<Value> {
    let first = bytes.first()?;
    if bytes.len() > size_of::<i128>() {
        return None;
    }
    let mut whole = if first & 0x80 == 0 { [0; 16] } else { [0xff; 16] };
    whole[16 - bytes.len()..].copy_from_slice(bytes);
    Some(Value::Whole(i128::from_be_bytes(whole)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_in_bytes_are_of_any_length_that_a_number_has() {
        assert_eq!(big_endian(&[0xff, 0x00]), Some(Value::Whole(-256)));
        assert_eq!(big_endian(&[]), None);
        assert_eq!(big_endian(&[0; 17]), None);
    }

    #[test]
    fn statistics_are_cut_to_the_rows() {
        assert_eq!(rows_alone(r#"{"numRecords":7,"minValues":{}}"#), r#"{"numRecords":7}"#);
        assert_eq!(rows_alone("{}"), "{}");
    }
}
