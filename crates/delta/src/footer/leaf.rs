//! The types of columns that hold values: which of Delta's each is, or what to write instead.

use crate::stats::Reading;
use crate::types::DataType;
use parquet::basic::{ConvertedType, LogicalType, TimeUnit, Type as Physical};
use parquet::schema::types::Type;

/// Kind of a leaf that Delta has no type for, and the remedy.
pub(super) struct UnsupportedType {
    pub(super) kind: String,
    pub(super) remedy: &'static str,
}

pub(super) fn no_type<T>(kind: impl Into<String>, remedy: &'static str) -> Result<T, UnsupportedType> {
    Err(UnsupportedType { kind: kind.into(), remedy })
}

const AS_TEXT: &str = "write it as a string";

/// Of a column that holds values.
pub(super) fn leaf_type(part: &Type) -> Result<(DataType, Reading), UnsupportedType> {
    let info = part.get_basic_info();
    let physical = part.get_physical_type();
    match (info.logical_type_ref(), info.converted_type()) {
        (Some(LogicalType::Unknown), _) => Ok((DataType::Null, Reading::CountOnly)),
        (Some(LogicalType::String), _) | (None, ConvertedType::UTF8) if physical == Physical::BYTE_ARRAY => {
            Ok((DataType::String, Reading::Text))
        }
        (Some(LogicalType::Date), _) | (None, ConvertedType::DATE) if physical == Physical::INT32 => {
            Ok((DataType::Date, Reading::Date))
        }
        (Some(LogicalType::Integer(integer)), _) => whole_number(physical, integer.bit_width, integer.is_signed),
        (None, ConvertedType::INT_8) => whole_number(physical, 8, true),
        (None, ConvertedType::INT_16) => whole_number(physical, 16, true),
        (None, ConvertedType::INT_32) => whole_number(physical, 32, true),
        (None, ConvertedType::INT_64) => whole_number(physical, 64, true),
        (None, ConvertedType::UINT_8) => whole_number(physical, 8, false),
        (None, ConvertedType::UINT_16) => whole_number(physical, 16, false),
        (None, ConvertedType::UINT_32) => whole_number(physical, 32, false),
        (None, ConvertedType::UINT_64) => whole_number(physical, 64, false),
        (Some(LogicalType::Timestamp(timestamp)), _) if physical == Physical::INT64 => {
            let per_ms = match timestamp.unit {
                TimeUnit::MILLIS => 1,
                TimeUnit::MICROS => 1000,
                TimeUnit::NANOS => 1_000_000,
            };
            let has_zone = timestamp.is_adjusted_to_u_t_c;
            let data_type = if has_zone { DataType::Timestamp } else { DataType::TimestampNtz };
            Ok((data_type, Reading::Timestamp { per_ms, has_zone }))
        }
        // Old annotations have no local times: they all are UTC.
        (None, ConvertedType::TIMESTAMP_MILLIS) if physical == Physical::INT64 => {
            Ok((DataType::Timestamp, Reading::Timestamp { per_ms: 1, has_zone: true }))
        }
        (None, ConvertedType::TIMESTAMP_MICROS) if physical == Physical::INT64 => {
            Ok((DataType::Timestamp, Reading::Timestamp { per_ms: 1000, has_zone: true }))
        }
        (Some(LogicalType::Decimal(decimal)), _) => a_decimal(part, decimal.precision, decimal.scale),
        (None, ConvertedType::DECIMAL) => a_decimal(part, part.get_precision(), part.get_scale()),
        // Its sixteen bytes.
        (Some(LogicalType::Uuid), _) if physical == Physical::FIXED_LEN_BYTE_ARRAY => {
            Ok((DataType::Binary, Reading::CountOnly))
        }
        (None, ConvertedType::NONE) => plain(physical),
        (Some(LogicalType::Time(_)), _) | (None, ConvertedType::TIME_MILLIS | ConvertedType::TIME_MICROS) => {
            no_type("a time of day", "write it as a string or as an integer of microseconds")
        }
        // Polars takes it for bytes, or for a type of its own.
        (Some(LogicalType::Json), _) | (None, ConvertedType::JSON) => no_type("JSON", AS_TEXT),
        (Some(LogicalType::Enum), _) | (None, ConvertedType::ENUM) => no_type("an enum", AS_TEXT),
        (Some(LogicalType::Bson), _) | (None, ConvertedType::BSON) => no_type("BSON", "write it as binary"),
        (Some(LogicalType::Float16), _) => no_type("float16", "write it as float"),
        (None, ConvertedType::INTERVAL) => no_type("an interval", "write it as an integer of microseconds"),
        (Some(LogicalType::Geometry(_)), _) => no_type("geometry", "write its bytes (WKB) as binary"),
        (Some(LogicalType::Geography(_)), _) => no_type("geography", "write its bytes (WKB) as binary"),
        (logical, converted) => {
            let kind = logical.map_or_else(|| converted.to_string(), |logical| format!("{logical:?}"));
            no_type(format!("{kind} of {physical}"), "write it as one of Delta's types")
        }
    }
}

fn plain(physical: Physical) -> Result<(DataType, Reading), UnsupportedType> {
    Ok(match physical {
        Physical::BOOLEAN => (DataType::Boolean, Reading::CountOnly),
        Physical::INT32 => (DataType::Integer, Reading::Signed),
        Physical::INT64 => (DataType::Long, Reading::Signed),
        // An instant: what writes this type knows no other.
        Physical::INT96 => (DataType::Timestamp, Reading::CountOnly),
        Physical::FLOAT => (DataType::Float, Reading::Float),
        Physical::DOUBLE => (DataType::Double, Reading::Float),
        Physical::BYTE_ARRAY | Physical::FIXED_LEN_BYTE_ARRAY => (DataType::Binary, Reading::CountOnly),
    })
}

fn whole_number(physical: Physical, bits: i8, is_signed: bool) -> Result<(DataType, Reading), UnsupportedType> {
    match (physical, bits, is_signed) {
        (Physical::INT32, 8, true) => Ok((DataType::Byte, Reading::Signed)),
        (Physical::INT32, 16, true) => Ok((DataType::Short, Reading::Signed)),
        (Physical::INT32, 32, true) => Ok((DataType::Integer, Reading::Signed)),
        (Physical::INT64, 64, true) => Ok((DataType::Long, Reading::Signed)),
        // Delta has signed integers alone: the next wider one holds all values.
        (Physical::INT32, 8, false) => Ok((DataType::Short, Reading::Unsigned)),
        (Physical::INT32, 16, false) => Ok((DataType::Integer, Reading::Unsigned)),
        (Physical::INT32, 32, false) => Ok((DataType::Long, Reading::Unsigned)),
        (Physical::INT64, 64, false) => no_type("uint64", "write it as int64 or as a decimal of 20 digits"),
        _ => no_type(format!("an integer of {bits} bits in {physical}"), "write it as int32 or int64"),
    }
}

fn a_decimal(part: &Type, precision: i32, scale: i32) -> Result<(DataType, Reading), UnsupportedType> {
    const DIGITS_MAX: u8 = 38;
    let (Ok(digits), Ok(places)) = (u8::try_from(precision), u8::try_from(scale)) else {
        return no_type(format!("decimal({precision}, {scale})"), "write a decimal of 1 to 38 digits");
    };
    let physical = part.get_physical_type();
    let length = match part {
        Type::PrimitiveType { type_length, .. } if physical == Physical::FIXED_LEN_BYTE_ARRAY => *type_length,
        _ => 0,
    };
    let holds = match physical {
        Physical::INT32 => digits <= 9,
        Physical::INT64 => digits <= 18,
        // 16 bytes hold 38 digits.
        Physical::FIXED_LEN_BYTE_ARRAY => (1..=16).contains(&length),
        Physical::BYTE_ARRAY => true,
        _ => false,
    };
    if !holds || !(1..=DIGITS_MAX).contains(&digits) || places > digits {
        return no_type(format!("decimal({precision}, {scale}) in {physical}"), "write a decimal of 1 to 38 digits");
    }
    Ok((DataType::Decimal { precision: digits, scale: places }, Reading::Decimal { scale: places }))
}
