//! Delta's statistics of a file, from its footer: how many rows it has, and of each column the nulls and bounds of its values.
//!
//! Readers leave files out by them, so a bound that is missing costs time, and one that is wrong costs rows. Bounds are left out
//! wherever a reader could take them otherwise than they are meant:
//! - Parquet's writers leave NaN out of theirs, and Delta's readers sort NaN above all: columns of floating point have `maxValues` only
//!   where the footer counts no NaN.
//! - Texts are cut to [`TEXT_CHARACTERS_MAX`]; of the greatest, the last character left is raised.
//! - Timestamps are rounded to milliseconds, down and up.
//! - Booleans, bytes, INT96 and what lies in lists and maps have none.

use parquet::basic::{ColumnOrder, SortOrder, Type as Physical};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::file::statistics::Statistics;
use std::cmp::Ordering;
use std::fmt::Write as _;
use time::{Date, OffsetDateTime};

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

/// What is known of one column.
struct Known<'a> {
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

fn with_columns(num_records: u64, known: &[Known<'_>]) -> String {
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
fn write_tree(known: &[Known<'_>], depth: usize, value: &impl Fn(&Known<'_>) -> Option<String>, text: &mut String) {
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

fn of_leaf<'a>(metadata: &ParquetMetaData, leaf: &'a Leaf) -> Known<'a> {
    let mut known = Known { path: &leaf.path, nulls: Some(0), min: None, max: None };
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

/// As JSON; `None` where JSON or Delta has no such value. `side` tells whether it may become less or greater.
fn shown(value: Value, reading: Reading, side: Ordering) -> Option<String> {
    match (value, reading) {
        (Value::Whole(whole), Reading::Signed | Reading::Unsigned) => Some(whole.to_string()),
        (Value::Whole(unscaled), Reading::Decimal { scale }) => Some(decimal(unscaled, scale)),
        (Value::Whole(days), Reading::Date) => date(i64::try_from(days).ok()?).map(|date| format!("\"{date}\"")),
        (Value::Whole(ticks), Reading::Timestamp { per_ms, has_zone }) => {
            let ticks = i64::try_from(ticks).ok()?;
            let floor = ticks.div_euclid(per_ms);
            let is_between = ticks.rem_euclid(per_ms) != 0;
            let ms = if side == Ordering::Greater && is_between { floor.checked_add(1)? } else { floor };
            timestamp(ms).map(|at| format!("\"{at}{}\"", if has_zone { "Z" } else { "" }))
        }
        // Either zero may stand for the other.
        (Value::Float(0.0), Reading::Float) => Some(if side == Ordering::Greater { "0.0" } else { "-0.0" }.to_owned()),
        (Value::Float(float), Reading::Float) => float.is_finite().then(|| serde_json::Value::from(float).to_string()),
        (Value::Text(text), Reading::Text) => {
            let cut = if side == Ordering::Greater { raised(&text) } else { Some(prefix(&text).to_owned()) };
            cut.map(|text| quoted(&text))
        }
        _ => None,
    }
}

/// With all places: `-0.05`.
fn decimal(unscaled: i128, scale: u8) -> String {
    let digits = unscaled.unsigned_abs().to_string();
    let places = usize::from(scale);
    let digits = format!("{digits:0>width$}", width = places + 1);
    let (whole, fraction) = digits.split_at(digits.len() - places);
    let sign = if unscaled < 0 { "-" } else { "" };
    if places == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// Days since 1970. `None` beyond the years that have four digits.
fn date(days: i64) -> Option<String> {
    const JULIAN_DAY_OF_1970: i64 = 2_440_588;
    let day = Date::from_julian_day(i32::try_from(days.checked_add(JULIAN_DAY_OF_1970)?).ok()?).ok()?;
    (1..=9999).contains(&day.year()).then(|| format!("{:04}-{:02}-{:02}", day.year(), u8::from(day.month()), day.day()))
}

fn timestamp(ms: i64) -> Option<String> {
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000).ok()?;
    let mut text = date(ms.div_euclid(86_400_000))?;
    let (hour, minute, second, ms) = at.to_hms_milli();
    // Writing to a string does not fail.
    let _ = write!(text, "T{hour:02}:{minute:02}:{second:02}.{ms:03}");
    Some(text)
}

/// At most [`TEXT_CHARACTERS_MAX`]: never greater than the text.
fn prefix(text: &str) -> &str {
    text.char_indices().nth(TEXT_CHARACTERS_MAX).map_or(text, |(end, _)| &text[..end])
}

/// A text of at most as many characters that is never less. `None` where none is greater.
fn raised(text: &str) -> Option<String> {
    let cut = prefix(text);
    if cut.len() == text.len() {
        return Some(text.to_owned());
    }
    let mut characters: Vec<char> = cut.chars().collect();
    while let Some(last) = characters.pop() {
        let next = match last {
            '\u{10ffff}' => continue,
            // The next ones are no characters.
            '\u{d7ff}' => '\u{e000}',
            other => char::from_u32(u32::from(other) + 1)?,
        };
        characters.push(next);
        return Some(characters.into_iter().collect());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dates_and_times_are_rounded_away_from_the_values() {
        let naive = Reading::Timestamp { per_ms: 1_000_000, has_zone: false };
        let show = |ticks, side| shown(Value::Whole(ticks), naive, side);
        assert_eq!(show(-1, Ordering::Less).unwrap(), "\"1969-12-31T23:59:59.999\"");
        assert_eq!(show(-1, Ordering::Greater).unwrap(), "\"1970-01-01T00:00:00.000\"");
        assert_eq!(show(1, Ordering::Greater).unwrap(), "\"1970-01-01T00:00:00.001\"");
        let utc = Reading::Timestamp { per_ms: 1, has_zone: true };
        assert_eq!(
            shown(Value::Whole(1_700_000_000_123), utc, Ordering::Less).unwrap(),
            "\"2023-11-14T22:13:20.123Z\""
        );
        assert_eq!(shown(Value::Whole(i64::MAX.into()), utc, Ordering::Less), None);
        assert_eq!(shown(Value::Whole(253_402_300_800_000), utc, Ordering::Greater), None, "the year 10000");
        assert_eq!(date(-719_162).unwrap(), "0001-01-01");
        assert_eq!(date(-719_163), None);
        assert_eq!(date(2_932_896).unwrap(), "9999-12-31");
        assert_eq!(date(i64::MAX), None);
    }

    #[test]
    fn numbers_are_written_in_full() {
        assert_eq!(decimal(-5, 2), "-0.05");
        assert_eq!(decimal(12_340, 3), "12.340");
        assert_eq!(decimal(7, 0), "7");
        assert_eq!(decimal(i128::MIN, 38), "-1.70141183460469231731687303715884105728");
        let float = |float: f64| shown(Value::Float(float), Reading::Float, Ordering::Less);
        assert_eq!(float(0.1_f32.into()).unwrap(), "0.10000000149011612", "exact, so that it holds as a double too");
        assert_eq!(float(0.0).unwrap(), "-0.0");
        assert_eq!(float(f64::NEG_INFINITY), None);
        assert_eq!(big_endian(&[0xff, 0x00]), Some(Value::Whole(-256)));
        assert_eq!(big_endian(&[]), None);
        assert_eq!(big_endian(&[0; 17]), None);
    }

    proptest! {
        #[test]
        fn a_cut_text_still_bounds_it(text in prop::collection::vec(
            prop_oneof![any::<char>(), Just('\u{10ffff}'), Just('\u{d7ff}')], 0..40,
        )) {
            let text: String = text.into_iter().collect();
            prop_assert!(prefix(&text).as_bytes() <= text.as_bytes());
            prop_assert!(prefix(&text).chars().count() <= TEXT_CHARACTERS_MAX);
            if let Some(raised) = raised(&text) {
                prop_assert!(raised.as_bytes() >= text.as_bytes());
                prop_assert!(raised.chars().count() <= TEXT_CHARACTERS_MAX);
            } else {
                let has_a_next = prefix(&text).chars().any(|c| c < char::MAX);
                prop_assert!(!has_a_next);
            }
        }

        #[test]
        fn rounded_times_bound_the_time(ticks: i64, per_ms in prop::sample::select(vec![1_i64, 1000, 1_000_000])) {
            let floor = ticks.div_euclid(per_ms);
            let side = |side| shown(Value::Whole(ticks.into()), Reading::Timestamp { per_ms, has_zone: true }, side);
            if let (Some(least), Some(greatest)) = (side(Ordering::Less), side(Ordering::Greater)) {
                prop_assert!(least <= greatest);
                prop_assert_eq!(Some(least), timestamp(floor).map(|at| format!("\"{at}Z\"")));
            }
        }
    }
}
