//! Formats values of Parquet columns exactly as the file has them.
//!
//! The type of a column decides once how its values are written ([`Printer`]): by [`cell`](super::cell), or by the arrow
//! crate, which formats numbers and bytes.

use super::cell::{
    Cell, NumberFormat, ValuePlace, write_decimal, write_hex, write_int96, write_interval, write_number, write_text,
    write_uuid,
};
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
use num_bigint::BigInt;
use std::fmt::{self, Write};
use std::slice::Iter;

/// Appends the text of each row, `None` for a null.
pub(super) fn shown_values(array: &dyn Array, leaves: &[LeafKind], values: &mut Vec<Option<String>>) {
    let printer = Printer::new(array, &mut leaves.iter());
    // A column of type null has no null buffer in memory, but all its rows are null.
    let nulls = array.logical_nulls();
    values.extend((0..array.len()).map(|row| {
        if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            return None;
        }
        let mut cell = Cell::new();
        let written = printer.as_ref().map(|printer| printer.write(row, ValuePlace::Row, &mut cell));
        Some(match written {
            Ok(Ok(())) => cell.into_text(),
            _ if cell.is_full() => cell.into_text() + "…",
            _ => format!("not supported: a value of type {}", super::types::words(array.data_type(), leaves)),
        })
    }));
}

const FORMAT: FormatOptions<'static> = FormatOptions::new().with_display_error(false).with_null("null");

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
