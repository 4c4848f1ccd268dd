//! Formats values of Parquet columns exactly as the file has them.
//!
//! Nothing is rounded, and nothing wraps: dates and times of any size are computed from the numbers of the file. The
//! arrow crate formats numbers and bytes.

use super::leaf::LeafKind;
use super::types::{is_variant, skip_leaves};
use super::variant::Variants;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Int32Type, Int64Type, Time32MillisecondType, Time64MicrosecondType,
    Time64NanosecondType, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use arrow_array::{Array, FixedSizeBinaryArray, PrimitiveArray};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{ArrowError, DataType, TimeUnit};
use lakeshore::model::preview::CELL_CHARACTERS_MAX;
use num_bigint::BigInt;
use std::fmt::{self, Write};
use std::slice::Iter;

const NANOSECONDS_PER_DAY: i128 = 86_400_000_000_000;
/// Julian day of 1970-01-01: INT96 timestamps count Julian days.
const JULIAN_DAY_OF_1970: i128 = 2_440_588;

/// Appends the text of each row, `None` for a null.
pub(super) fn shown_values(array: &dyn Array, leaves: &[LeafKind], values: &mut Vec<Option<String>>) {
    let printer = Printer::new(array, &mut leaves.iter());
    // A column of type null has no null buffer in memory, but all its rows are null.
    let nulls = array.logical_nulls();
    values.extend((0..array.len()).map(|row| {
        if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            return None;
        }
        let mut cell = Cell { text: String::new(), characters_left: CELL_CHARACTERS_MAX };
        let written = printer.as_ref().map(|printer| printer.write(row, ValuePlace::Row, &mut cell));
        Some(match written {
            Ok(Ok(())) => cell.text,
            _ if cell.characters_left == 0 => cell.text + "…",
            _ => format!("not supported: a value of type {}", super::types::words(array.data_type(), leaves)),
        })
    }));
}

const FORMAT: FormatOptions<'static> = FormatOptions::new().with_display_error(false).with_null("null");

/// Place of a text: within lists and structs, an ambiguous one is quoted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ValuePlace {
    Row,
    Within,
}

/// Formatter for the values of an array.
enum Printer<'a> {
    Null,
    /// Formatted by the arrow crate.
    Plain(ArrayFormatter<'a>),
    Text(Box<dyn Fn(usize) -> &'a str + 'a>),
    /// Bytes with a text annotation, which may be invalid UTF-8.
    TextBytes(Box<dyn Fn(usize) -> &'a [u8] + 'a>),
    /// A number and its format.
    Number(Box<dyn Fn(usize) -> i64 + 'a>, NumberFormat),
    Fixed(&'a FixedSizeBinaryArray, fn(&[u8], &mut Cell) -> fmt::Result),
    /// A decimal and its scale.
    Decimal(Integers<'a>, i64),
    Variant(Variants),
    List(Box<dyn Fn(usize) -> std::ops::Range<usize> + 'a>, Nullable<'a>),
    Struct(Vec<(&'a str, Nullable<'a>)>),
    Map(Box<dyn Fn(usize) -> std::ops::Range<usize> + 'a>, Nullable<'a>, Nullable<'a>),
}

#[derive(Clone, Copy)]
enum NumberFormat {
    Date,
    Time(TimeUnit),
    Timestamp(TimeUnit, bool),
}

/// Nested values, with their nulls.
struct Nullable<'a> {
    array: &'a dyn Array,
    printer: Box<Printer<'a>>,
}

impl<'a> Nullable<'a> {
    fn new(array: &'a dyn Array, leaves: &mut Iter<'_, LeafKind>) -> Result<Self, ArrowError> {
        Ok(Self { array, printer: Box::new(Printer::new(array, leaves)?) })
    }

    fn write(&self, row: usize, cell: &mut Cell) -> fmt::Result {
        if self.array.is_null(row) { cell.write_str("null") } else { self.printer.write(row, ValuePlace::Within, cell) }
    }
}

fn numbers<'a, T: ArrowPrimitiveType>(array: &'a dyn Array) -> Box<dyn Fn(usize) -> i64 + 'a>
where
    T::Native: Into<i64>,
{
    let array: &PrimitiveArray<T> = array.as_primitive();
    Box::new(|row| array.value(row).into())
}

impl<'a> Printer<'a> {
    /// `leaves` begin with the first leaf of this array.
    fn new(array: &'a dyn Array, leaves: &mut Iter<'_, LeafKind>) -> Result<Self, ArrowError> {
        let kind = array.data_type();
        if !kind.is_nested() {
            return Self::of_leaf(array, leaves.next().copied().unwrap_or_default());
        }
        Ok(match kind {
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                let offsets = list.value_offsets();
                let range = move |row: usize| offset(offsets[row])..offset(offsets[row + 1]);
                Self::List(Box::new(range), Nullable::new(list.values(), leaves)?)
            }
            DataType::Struct(fields) if is_variant(fields, leaves.as_slice()) => {
                let variants = Variants::new(array.as_struct(), leaves.as_slice())?;
                skip_leaves(kind, leaves);
                Self::Variant(variants)
            }
            DataType::Struct(fields) => {
                let columns = array.as_struct().columns();
                let columns = fields
                    .iter()
                    .zip(columns)
                    .map(|(field, column)| Ok((field.name().as_str(), Nullable::new(column, leaves)?)));
                Self::Struct(columns.collect::<Result<_, ArrowError>>()?)
            }
            DataType::Map(..) => {
                let map = array.as_map();
                let offsets = map.value_offsets();
                let range = move |row: usize| offset(offsets[row])..offset(offsets[row + 1]);
                let keys = Nullable::new(map.keys(), leaves)?;
                Self::Map(Box::new(range), keys, Nullable::new(map.values(), leaves)?)
            }
            _ => return Err(ArrowError::NotYetImplemented(kind.to_string())),
        })
    }

    fn of_leaf(array: &'a dyn Array, leaf: LeafKind) -> Result<Self, ArrowError> {
        Ok(match (array.data_type(), leaf) {
            (DataType::Null, _) => Self::Null,
            (DataType::Utf8, _) => {
                let texts = array.as_string::<i32>();
                Self::Text(Box::new(|row| texts.value(row)))
            }
            (DataType::Utf8View, _) => {
                let texts = array.as_string_view();
                Self::Text(Box::new(|row| texts.value(row)))
            }
            (DataType::BinaryView, LeafKind::Text | LeafKind::Enum) => {
                let bytes = array.as_binary_view();
                Self::TextBytes(Box::new(|row| bytes.value(row)))
            }
            (DataType::Binary, LeafKind::Text | LeafKind::Enum) => {
                let bytes = array.as_binary::<i32>();
                Self::TextBytes(Box::new(|row| bytes.value(row)))
            }
            (_, LeafKind::Decimal { scale, .. }) => Self::Decimal(integers_of(array)?, scale),
            (DataType::FixedSizeBinary(12), LeafKind::Int96) => Self::Fixed(array.as_fixed_size_binary(), write_int96),
            (DataType::FixedSizeBinary(12), LeafKind::Interval) => {
                Self::Fixed(array.as_fixed_size_binary(), write_interval)
            }
            (DataType::FixedSizeBinary(16), LeafKind::Uuid) => Self::Fixed(array.as_fixed_size_binary(), write_uuid),
            (DataType::Date32, _) => Self::Number(numbers::<Date32Type>(array), NumberFormat::Date),
            (DataType::Time32(unit @ TimeUnit::Millisecond), _) => {
                Self::Number(numbers::<Time32MillisecondType>(array), NumberFormat::Time(*unit))
            }
            (DataType::Time64(unit @ TimeUnit::Microsecond), _) => {
                Self::Number(numbers::<Time64MicrosecondType>(array), NumberFormat::Time(*unit))
            }
            (DataType::Time64(unit @ TimeUnit::Nanosecond), _) => {
                Self::Number(numbers::<Time64NanosecondType>(array), NumberFormat::Time(*unit))
            }
            (DataType::Timestamp(unit, zone), _) => {
                let numbers = match unit {
                    TimeUnit::Second => numbers::<TimestampSecondType>(array),
                    TimeUnit::Millisecond => numbers::<TimestampMillisecondType>(array),
                    TimeUnit::Microsecond => numbers::<TimestampMicrosecondType>(array),
                    TimeUnit::Nanosecond => numbers::<TimestampNanosecondType>(array),
                };
                // UTC is the only zone of Parquet.
                Self::Number(numbers, NumberFormat::Timestamp(*unit, zone.is_some()))
            }
            _ => Self::Plain(ArrayFormatter::try_new(array, &FORMAT)?),
        })
    }

    fn write(&self, row: usize, place: ValuePlace, cell: &mut Cell) -> fmt::Result {
        match self {
            Self::Null => cell.write_str("null"),
            Self::Plain(formatter) => formatter.value(row).write(cell).map_err(|_| fmt::Error),
            Self::Text(text) => write_text(text(row), place, cell),
            Self::TextBytes(bytes) => match std::str::from_utf8(bytes(row)) {
                Ok(text) => write_text(text, place, cell),
                Err(_) => {
                    cell.write_str("not UTF-8: ")?;
                    write_hex(bytes(row), cell)
                }
            },
            Self::Number(number, format) => write_number(number(row), *format, cell),
            Self::Fixed(array, write) => write(array.value(row), cell),
            Self::Decimal(integer, scale) => match integer(row) {
                Ok(integer) => write_decimal(&integer, *scale, cell),
                Err(length) => write!(cell, "not supported: a decimal of {length} bytes"),
            },
            Self::Variant(variants) => variants.write(row, cell),
            Self::List(range, items) => {
                cell.write_char('[')?;
                for (position, row) in range(row).enumerate() {
                    cell.write_str(if position > 0 { ", " } else { "" })?;
                    items.write(row, cell)?;
                }
                cell.write_char(']')
            }
            Self::Struct(columns) => {
                cell.write_char('{')?;
                for (position, (name, values)) in columns.iter().enumerate() {
                    cell.write_str(if position > 0 { ", " } else { "" })?;
                    cell.write_str(name)?;
                    cell.write_str(": ")?;
                    values.write(row, cell)?;
                }
                cell.write_char('}')
            }
            Self::Map(range, keys, values) => {
                cell.write_char('{')?;
                for (position, row) in range(row).enumerate() {
                    cell.write_str(if position > 0 { ", " } else { "" })?;
                    keys.write(row, cell)?;
                    cell.write_str(": ")?;
                    values.write(row, cell)?;
                }
                cell.write_char('}')
            }
        }
    }
}

/// Integer of each row, or the length of one that is too long.
pub(super) type Integers<'a> = Box<dyn Fn(usize) -> Result<BigInt, usize> + 'a>;

/// Integers of a decimal column, of any length.
pub(super) fn integers_of<'a>(array: &'a dyn Array) -> Result<Integers<'a>, ArrowError> {
    /// Longest integer, since formatting takes quadratic time.
    const BYTES_MAX: usize = 4096;
    fn integer(bytes: &[u8]) -> Result<BigInt, usize> {
        if bytes.len() > BYTES_MAX { Err(bytes.len()) } else { Ok(BigInt::from_signed_bytes_be(bytes)) }
    }
    Ok(match array.data_type() {
        DataType::Int32 => {
            let numbers = numbers::<Int32Type>(array);
            Box::new(move |row| Ok(numbers(row).into()))
        }
        DataType::Int64 => {
            let numbers = numbers::<Int64Type>(array);
            Box::new(move |row| Ok(numbers(row).into()))
        }
        DataType::Binary => {
            let bytes = array.as_binary::<i32>();
            Box::new(|row| integer(bytes.value(row)))
        }
        DataType::BinaryView => {
            let bytes = array.as_binary_view();
            Box::new(|row| integer(bytes.value(row)))
        }
        DataType::FixedSizeBinary(_) => {
            let bytes = array.as_fixed_size_binary();
            Box::new(|row| integer(bytes.value(row)))
        }
        other => return Err(ArrowError::NotYetImplemented(other.to_string())),
    })
}

fn offset(offset: i32) -> usize {
    usize::try_from(offset).unwrap_or(0)
}

/// Quotes texts such as `null` and `a, b` within a list, where they would be ambiguous.
fn write_text(text: &str, place: ValuePlace, cell: &mut Cell) -> fmt::Result {
    let is_ambiguous = || {
        text.is_empty()
            || text.eq_ignore_ascii_case("null")
            || text.trim().len() < text.len()
            || text.contains([',', ':', '[', ']', '{', '}', '"', '\''])
    };
    if place == ValuePlace::Row || !is_ambiguous() {
        return cell.write_str(text);
    }
    // Long texts are truncated before they are quoted.
    let shown: String = text.chars().take(CELL_CHARACTERS_MAX + 1).collect();
    write!(cell, "\"{}\"", shown.replace('\\', "\\\\").replace('"', "\\\""))
}

fn write_hex(bytes: &[u8], cell: &mut Cell) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(cell, "{byte:02x}"))
}

fn write_number(number: i64, format: NumberFormat, cell: &mut Cell) -> fmt::Result {
    match format {
        NumberFormat::Date => write_date(number, cell),
        NumberFormat::Time(unit) => {
            let nanoseconds = i128::from(number) * per_unit(unit);
            // 24:00 is the end of a day.
            if (0..=NANOSECONDS_PER_DAY).contains(&nanoseconds) {
                write_time(nanoseconds, cell)
            } else {
                write!(cell, "not a time of day: {number} {}", super::types::unit_words(unit))
            }
        }
        NumberFormat::Timestamp(unit, is_utc) => {
            write_timestamp(i128::from(number) * per_unit(unit), cell)?;
            cell.write_str(if is_utc { "Z" } else { "" })
        }
    }
}

fn per_unit(unit: TimeUnit) -> i128 {
    match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1000,
        TimeUnit::Nanosecond => 1,
    }
}

/// Formats nanoseconds since 1970.
fn write_timestamp(nanoseconds: i128, cell: &mut Cell) -> fmt::Result {
    let days = nanoseconds.div_euclid(NANOSECONDS_PER_DAY);
    write_date(i64::try_from(days).map_err(|_| fmt::Error)?, cell)?;
    cell.write_char('T')?;
    write_time(nanoseconds.rem_euclid(NANOSECONDS_PER_DAY), cell)
}

/// Formats nanoseconds since midnight, with 0, 3, 6 or 9 fractional digits.
fn write_time(nanoseconds: i128, cell: &mut Cell) -> fmt::Result {
    let (seconds, part) = (nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000);
    write!(cell, "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)?;
    match (part % 1_000_000, part % 1000) {
        _ if part == 0 => Ok(()),
        (0, _) => write!(cell, ".{:03}", part / 1_000_000),
        (_, 0) => write!(cell, ".{:06}", part / 1000),
        _ => write!(cell, ".{part:09}"),
    }
}

/// Formats days since 1970, in the proleptic Gregorian calendar. A year with more than four digits has a sign (ISO
/// 8601).
///
/// `chrono` and `time` end at some hundred thousand years, which a file may exceed.
/// <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>
fn write_date(days: i64, cell: &mut Cell) -> fmt::Result {
    let days = i128::from(days) + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i128::from(month <= 2);
    if (0..=9999).contains(&year) {
        write!(cell, "{year:04}-{month:02}-{day:02}")
    } else {
        write!(cell, "{year:+05}-{month:02}-{day:02}")
    }
}

/// Nanoseconds of a day and Julian day, as Impala and Spark write them.
fn write_int96(bytes: &[u8], cell: &mut Cell) -> fmt::Result {
    let (Some(nanoseconds), Some(day)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<4>()) else {
        return Err(fmt::Error);
    };
    let days = i128::from(i32::from_le_bytes(*day)) - JULIAN_DAY_OF_1970;
    write_timestamp(days * NANOSECONDS_PER_DAY + i128::from(i64::from_le_bytes(*nanoseconds)), cell)
}

/// Formats the integer divided by ten to the power of the scale.
fn write_decimal(number: &BigInt, scale: i64, cell: &mut Cell) -> fmt::Result {
    const ZEROS_MAX: usize = 4096;
    match usize::try_from(scale) {
        Ok(0) => write!(cell, "{number}"),
        Ok(scale) if scale <= ZEROS_MAX => {
            let digits = format!("{:0>1$}", number.magnitude(), scale + 1);
            let (whole, part) = digits.split_at(digits.len() - scale);
            let sign = if number.sign() == num_bigint::Sign::Minus { "-" } else { "" };
            write!(cell, "{sign}{whole}.{part}")
        }
        _ => write!(cell, "{number}E{:+}", -i128::from(scale)),
    }
}

/// Three independent numbers, none of which converts to another.
fn write_interval(bytes: &[u8], cell: &mut Cell) -> fmt::Result {
    let mut numbers = bytes.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes));
    let mut next = || numbers.next().ok_or(fmt::Error);
    write!(cell, "{} months {} days {} ms", next()?, next()?, next()?)
}

fn write_uuid(bytes: &[u8], cell: &mut Cell) -> fmt::Result {
    for (position, byte) in bytes.iter().enumerate() {
        cell.write_str(if matches!(position, 4 | 6 | 8 | 10) { "-" } else { "" })?;
        write!(cell, "{byte:02x}")?;
    }
    Ok(())
}

/// A cell under construction. A write beyond its length fails, which ends the formatting.
pub(super) struct Cell {
    text: String,
    characters_left: usize,
}

impl Write for Cell {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        match text.char_indices().nth(self.characters_left) {
            Some((end, _)) => {
                self.text.push_str(&text[..end]);
                self.characters_left = 0;
                Err(fmt::Error)
            }
            None => {
                self.text.push_str(text);
                self.characters_left -= text.chars().count();
                Ok(())
            }
        }
    }
}
