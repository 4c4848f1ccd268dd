//! Types of Parquet columns: their names, and the types that they are read as.

use super::leaf::LeafKind;
use arrow_schema::{DataType, Field, Fields, Schema, TimeUnit};
use std::slice::Iter;
use std::sync::Arc;

/// Characters of a type's name, since nested types can be endless.
const WORDS_CHARACTERS_MAX: usize = 300;

/// Name of a type. `leaves` are its leaves, in the order of the file.
pub(super) fn words(kind: &DataType, leaves: &[LeafKind]) -> String {
    let words = whole_words(kind, &mut leaves.iter());
    match words.char_indices().nth(WORDS_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words,
    }
}

fn whole_words(kind: &DataType, leaves: &mut Iter<'_, LeafKind>) -> String {
    match kind {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            format!("list<{}>", whole_words(item.data_type(), leaves))
        }
        DataType::Struct(fields) if is_variant(fields, leaves.as_slice()) => {
            skip_leaves(kind, leaves);
            "variant".into()
        }
        DataType::Struct(fields) => format!("struct<{}>", fields_words(fields, leaves)),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(pair) if pair.len() == 2 => {
                let key = whole_words(pair[0].data_type(), leaves);
                format!("map<{key}, {}>", whole_words(pair[1].data_type(), leaves))
            }
            other => format!("map<{}>", whole_words(other, leaves)),
        },
        kind => leaf_words(kind, leaves.next().copied().unwrap_or_default()),
    }
}

/// Whether a group is a variant. `leaves` begin with its first leaf.
pub(super) fn is_variant(fields: &Fields, leaves: &[LeafKind]) -> bool {
    let mut at = 0;
    for field in fields {
        if field.name() == "metadata" && !field.data_type().is_nested() {
            return leaves.get(at) == Some(&LeafKind::VariantMetadata);
        }
        at += num_leaves(field.data_type());
    }
    false
}

pub(super) fn skip_leaves(kind: &DataType, leaves: &mut Iter<'_, LeafKind>) {
    *leaves = leaves.as_slice().get(num_leaves(kind)..).unwrap_or_default().iter();
}

pub(super) fn num_leaves(kind: &DataType) -> usize {
    match kind {
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => num_leaves(item.data_type()),
        DataType::Struct(fields) => fields.iter().map(|field| num_leaves(field.data_type())).sum(),
        _ => 1,
    }
}

fn leaf_words(kind: &DataType, leaf: LeafKind) -> String {
    match (leaf, kind) {
        (LeafKind::Int96, _) => "timestamp[ns]".into(),
        (LeafKind::Interval, _) => "interval".into(),
        (LeafKind::Uuid, _) => "uuid".into(),
        (LeafKind::Text, _) => "string".into(),
        (LeafKind::Enum, _) => "enum".into(),
        (LeafKind::Decimal { precision, scale }, _) => format!("decimal({precision}, {scale})"),
        (LeafKind::Bytes(name) | LeafKind::Narrow(name), _) => name.into(),
        (LeafKind::TimeUtc, DataType::Time32(unit) | DataType::Time64(unit)) => {
            format!("time[{}, UTC]", unit_words(*unit))
        }
        (_, DataType::Float16) => "float16".into(),
        (_, DataType::Float32) => "float".into(),
        (_, DataType::Float64) => "double".into(),
        (_, DataType::Date32 | DataType::Date64) => "date".into(),
        (_, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) => "string".into(),
        (_, DataType::Binary | DataType::LargeBinary | DataType::BinaryView) => "binary".into(),
        (_, DataType::FixedSizeBinary(length)) => format!("binary({length})"),
        (_, DataType::Time32(unit) | DataType::Time64(unit)) => format!("time[{}]", unit_words(*unit)),
        (_, DataType::Timestamp(unit, None)) => format!("timestamp[{}]", unit_words(*unit)),
        (_, DataType::Timestamp(unit, Some(zone))) => {
            let zone = if &**zone == "+00:00" { "UTC" } else { zone };
            format!("timestamp[{}, {zone}]", unit_words(*unit))
        }
        (
            _,
            DataType::Decimal32(precision, scale)
            | DataType::Decimal64(precision, scale)
            | DataType::Decimal128(precision, scale)
            | DataType::Decimal256(precision, scale),
        ) => format!("decimal({precision}, {scale})"),
        // Integers and booleans: `int64`, `boolean`.
        (_, other) => other.to_string().to_lowercase(),
    }
}

fn fields_words(fields: &Fields, leaves: &mut Iter<'_, LeafKind>) -> String {
    let fields: Vec<_> =
        fields.iter().map(|field| format!("{}: {}", field.name(), whole_words(field.data_type(), leaves))).collect();
    fields.join(", ")
}

pub(super) fn unit_words(unit: TimeUnit) -> &'static str {
    match unit {
        TimeUnit::Second => "s",
        TimeUnit::Millisecond => "ms",
        TimeUnit::Microsecond => "us",
        TimeUnit::Nanosecond => "ns",
    }
}

/// Columns with texts as views of their page, so that a large value in many rows is in memory once.
pub(super) fn viewed(schema: &Schema) -> Schema {
    Schema::new(schema.fields().iter().map(|field| viewed_field(field)).collect::<Fields>())
}

fn viewed_field(field: &Field) -> Arc<Field> {
    let kind = match field.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
        DataType::Binary | DataType::LargeBinary => DataType::BinaryView,
        DataType::List(item) => DataType::List(viewed_field(item)),
        DataType::LargeList(item) => DataType::LargeList(viewed_field(item)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(|field| viewed_field(field)).collect()),
        DataType::Map(entries, is_sorted) => DataType::Map(viewed_field(entries), *is_sorted),
        other => other.clone(),
    };
    Arc::new(field.clone().with_data_type(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_that_of_the_file_also_where_it_is_read_as_bytes() {
        let bytes = |length| Arc::new(Field::new("item", DataType::FixedSizeBinary(length), true));
        let kind = DataType::Struct(vec![bytes(12), bytes(16), bytes(16)].into());
        let leaves = [LeafKind::Int96, LeafKind::Plain, LeafKind::Uuid];
        assert_eq!(words(&kind, &leaves), "struct<item: timestamp[ns], item: binary(16), item: uuid>");
        let time = DataType::Time64(TimeUnit::Microsecond);
        assert_eq!(words(&time, &[LeafKind::TimeUtc]), "time[us, UTC]");
    }

    #[test]
    fn types_read_as_people_write_them() {
        let item = |kind| Arc::new(Field::new("item", kind, true));
        for (kind, expected) in [
            (DataType::Int64, "int64"),
            (DataType::Boolean, "boolean"),
            (DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), "timestamp[us, UTC]"),
            (DataType::Decimal128(18, 2), "decimal(18, 2)"),
            (DataType::List(item(DataType::Utf8)), "list<string>"),
            (DataType::Struct(vec![item(DataType::Float64)].into()), "struct<item: double>"),
        ] {
            assert_eq!(words(&kind, &[]), expected);
        }
    }
}
