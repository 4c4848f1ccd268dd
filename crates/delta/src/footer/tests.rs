//! Footers of files that the parquet crate wrote, read as Delta's types and statistics.

use super::*;
use bytes::Bytes;
use parquet::data_type::{
    ByteArray, ByteArrayType, DoubleType, FixedLenByteArrayType, FloatType, Int32Type, Int64Type,
};
use parquet::file::metadata::ParquetMetaDataReader;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use std::sync::Arc;

/// A file without rows of these columns, as its footer is read.
fn described(columns: &str) -> FileDescription {
    let schema = Arc::new(parse_message_type(&format!("message m {{ {columns} }}")).unwrap());
    let mut bytes = Vec::new();
    let writer = SerializedFileWriter::new(&mut bytes, schema, Arc::new(WriterProperties::new())).unwrap();
    writer.close().unwrap();
    FileDescription::of(&ParquetMetaDataReader::new().parse_and_finish(&Bytes::from(bytes)).unwrap())
}

fn words(columns: &str) -> String {
    let schema = described(columns).schema;
    match schema.unfit.first() {
        Some(reason) => reason.to_string(),
        None => schema.fields[0].data_type.to_string(),
    }
}

#[test]
fn each_type_of_parquet_has_one_of_delta_or_none() {
    for (column, expected) in [
        ("optional boolean a", "boolean"),
        ("optional int32 a", "integer"),
        ("required int64 a", "long"),
        ("optional int32 a (INTEGER(8,true))", "byte"),
        ("optional int32 a (INTEGER(16,true))", "short"),
        ("optional int32 a (INTEGER(8,false))", "short"),
        ("optional int32 a (INTEGER(16,false))", "integer"),
        ("optional int32 a (INTEGER(32,false))", "long"),
        ("optional int32 a (UINT_8)", "short"),
        ("optional int32 a (UINT_32)", "long"),
        ("optional int64 a (INT_64)", "long"),
        ("optional float a", "float"),
        ("optional double a", "double"),
        ("optional binary a", "binary"),
        ("optional binary a (UTF8)", "string"),
        ("optional binary a (STRING)", "string"),
        ("optional fixed_len_byte_array(3) a", "binary"),
        ("optional fixed_len_byte_array(16) a (UUID)", "binary"),
        ("optional int32 a (DATE)", "date"),
        ("optional int96 a", "timestamp"),
        ("optional int64 a (TIMESTAMP(MICROS,true))", "timestamp"),
        ("optional int64 a (TIMESTAMP(MILLIS,false))", "timestamp_ntz"),
        ("optional int64 a (TIMESTAMP(NANOS,false))", "timestamp_ntz"),
        ("optional int64 a (TIMESTAMP_MILLIS)", "timestamp"),
        ("optional int32 a (DECIMAL(9,2))", "decimal(9,2)"),
        ("optional int64 a (DECIMAL(18,0))", "decimal(18,0)"),
        ("optional fixed_len_byte_array(16) a (DECIMAL(38,10))", "decimal(38,10)"),
        ("optional binary a (DECIMAL(20,5))", "decimal(20,5)"),
        ("optional group a { optional int32 b; optional binary c (UTF8); }", "struct<b: integer, c: string>"),
        ("optional group a (LIST) { repeated group list { optional int32 element; } }", "array<integer>"),
        ("optional group a (LIST) { repeated int32 array; }", "array<integer>"),
        ("optional group a (LIST) { repeated group array { optional int32 b; } }", "array<struct<b: integer>>"),
        ("optional group a (LIST) { repeated group a_tuple { optional int32 b; } }", "array<struct<b: integer>>"),
        (
            "optional group a (MAP) { repeated group key_value { required binary key (UTF8); optional int32 value; } }",
            "map<string, integer>",
        ),
    ] {
        assert_eq!(words(&format!("{column};").replace("};", "}")), expected, "{column}");
    }
}

#[test]
fn a_type_that_delta_lacks_is_named_with_what_to_write_instead() {
    for (column, expected) in [
        ("optional int64 a (INTEGER(64,false));", "uint64, which a Delta table cannot hold; write it as int64"),
        ("optional int64 a (UINT_64);", "uint64"),
        ("optional int32 a (TIME(MILLIS,true));", "a time of day"),
        ("optional int64 a (TIME_MICROS);", "a time of day"),
        ("optional fixed_len_byte_array(2) a (FLOAT16);", "float16"),
        ("optional fixed_len_byte_array(12) a (INTERVAL);", "an interval"),
        ("optional fixed_len_byte_array(32) a (DECIMAL(76,0));", "decimal(76, 0)"),
        ("optional binary a (JSON);", "JSON"),
        ("optional binary a (ENUM);", "an enum"),
        ("optional binary a (BSON);", "BSON"),
        ("repeated int32 a;", "a repeated column"),
        ("repeated group a { optional int32 b; }", "a repeated group"),
        (
            "optional group a { optional group b (LIST) { repeated group list { optional int64 element (UINT_64); } } }",
            "uint64",
        ),
    ] {
        let words = words(column);
        assert!(words.starts_with(&format!("the type of column \"a\" is {expected}")), "{column}: {words}");
    }
}

#[test]
fn names_that_readers_confuse_are_unfit() {
    let unfit = |columns: &str| described(columns).schema.unfit;
    let case = Unfit::CaseOnly { column: "A".into(), other: "a".into() };
    for columns in ["optional int32 a; optional int32 A;", "optional group s { optional int32 a; optional int32 A; }"] {
        assert_eq!(unfit(columns), std::slice::from_ref(&case), "{columns}");
    }
    assert_eq!(unfit("optional int32 a; optional int32 a;"), [Unfit::DuplicateColumn { column: "a".into() }]);
    assert_eq!(unfit("optional int32 a; optional int32 b;"), []);
}

#[test]
fn a_file_of_too_many_columns_is_unfit_and_its_description_stays_small() {
    let columns = |count: usize| (0..count).map(|number| format!("optional int32 c{number};")).collect::<String>();
    let just = described(&columns(LEAVES_MAX));
    assert!(just.schema.unfit.is_empty() && just.is_within_bounds());
    let beyond = described(&columns(LEAVES_MAX + 1));
    assert_eq!(beyond.schema.unfit, [Unfit::TooManyColumns { max: LEAVES_MAX as u64 }]);
    assert!(beyond.schema.fields.is_empty() && beyond.is_within_bounds());
    let times = (0..100).map(|number| format!("optional int64 c{number} (TIME_MICROS);")).collect::<String>();
    assert_eq!(described(&times).schema.unfit.len(), REASONS_MAX);
    let deep = "optional group a { ".repeat(DEPTH_MAX + 1) + "optional int32 b; " + &"}".repeat(DEPTH_MAX + 1);
    assert_eq!(described(&deep).schema.unfit[0], Unfit::TooDeep { max: DEPTH_MAX as u64 });
}

/// Of a file whose columns have these values, a row group for each list.
macro_rules! stats {
    ($columns:expr, $($kind:ty: $groups:expr),+) => {{
        let schema = Arc::new(parse_message_type(&format!("message m {{ {} }}", $columns)).unwrap());
        let mut bytes = Vec::new();
        let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::new(WriterProperties::new())).unwrap();
        let num_groups = [$($groups.len()),+][0];
        for group in 0..num_groups {
            let mut row_group = writer.next_row_group().unwrap();
            $(
                let values: Vec<Option<_>> = $groups[group].to_vec();
                let levels: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
                let values: Vec<_> = values.into_iter().flatten().collect();
                let mut column = row_group.next_column().unwrap().unwrap();
                column.typed::<$kind>().write_batch(&values, Some(&levels), None).unwrap();
                column.close().unwrap();
            )+
            row_group.close().unwrap();
        }
        writer.close().unwrap();
        FileDescription::of(&ParquetMetaDataReader::new().parse_and_finish(&Bytes::from(bytes)).unwrap()).stats
    }};
}

#[test]
fn statistics_of_all_row_groups_together() {
    let text = |text: &str| Some(ByteArray::from(text));
    assert_eq!(
        stats!(
            "optional int64 a; optional binary b (UTF8);",
            Int64Type: [vec![Some(5), None], vec![Some(-3), Some(4)]],
            ByteArrayType: [vec![text("m"), text("z")], vec![text("ä"), None]]
        ),
        r#"{"numRecords":4,"minValues":{"a":-3,"b":"m"},"maxValues":{"a":5,"b":"ä"},"nullCount":{"a":1,"b":1}}"#
    );
}

#[test]
fn a_row_group_of_nulls_has_no_bounds_and_needs_none() {
    let nothing: Option<i64> = None;
    assert_eq!(
        stats!("optional int64 a;", Int64Type: [vec![nothing, nothing], vec![Some(7)]]),
        r#"{"numRecords":3,"minValues":{"a":7},"maxValues":{"a":7},"nullCount":{"a":2}}"#
    );
    assert_eq!(
        stats!("optional int64 a;", Int64Type: [vec![nothing, nothing]]),
        r#"{"numRecords":2,"minValues":{},"maxValues":{},"nullCount":{"a":2}}"#
    );
}

#[test]
fn numbers_that_parquet_keeps_in_other_bits_are_shown_as_they_are() {
    assert_eq!(
        stats!("optional int32 a (UINT_32);", Int32Type: [vec![Some(-1), Some(1)]]),
        r#"{"numRecords":2,"minValues":{"a":1},"maxValues":{"a":4294967295},"nullCount":{"a":0}}"#
    );
    let bytes = |number: i128| Some(ByteArray::from(number.to_be_bytes()[8..].to_vec()).into());
    assert_eq!(
        stats!("optional fixed_len_byte_array(8) a (DECIMAL(18,2));", FixedLenByteArrayType: [vec![bytes(-5), bytes(1234)]]),
        r#"{"numRecords":2,"minValues":{"a":-0.05},"maxValues":{"a":12.34},"nullCount":{"a":0}}"#
    );
}

#[test]
fn floating_point_has_no_greatest_value_as_there_may_be_one_that_is_no_number() {
    assert_eq!(
        stats!("optional double a;", DoubleType: [vec![Some(1.5), Some(f64::NAN)]]),
        r#"{"numRecords":2,"minValues":{"a":1.5},"maxValues":{},"nullCount":{"a":0}}"#
    );
    assert_eq!(
        stats!("optional double a;", DoubleType: [vec![Some(1.5), Some(0.0)]]),
        r#"{"numRecords":2,"minValues":{"a":-0.0},"maxValues":{"a":1.5},"nullCount":{"a":0}}"#,
        "this writer counts them"
    );
    assert_eq!(
        stats!("optional float a;", FloatType: [vec![Some(f32::NEG_INFINITY), Some(f32::NAN)], vec![Some(f32::NAN)]]),
        r#"{"numRecords":3,"minValues":{},"maxValues":{},"nullCount":{"a":0}}"#
    );
}

#[test]
fn long_texts_are_cut_and_still_bound_the_values() {
    let text = |text: String| Some(ByteArray::from(text.into_bytes()));
    let found = stats!("optional binary a (UTF8);", ByteArrayType: [vec![text("b".repeat(40)), text("y".repeat(50))]]);
    let (least, greatest) = ("b".repeat(32), format!("{}z", "y".repeat(31)));
    assert_eq!(
        found,
        format!(
            r#"{{"numRecords":2,"minValues":{{"a":"{least}"}},"maxValues":{{"a":"{greatest}"}},"nullCount":{{"a":0}}}}"#
        )
    );
}

#[test]
fn columns_of_structs_have_statistics_and_those_of_lists_none() {
    let schema = "optional group s { optional group t { optional int32 b; } optional int32 c; } optional int32 d;";
    let described = described(schema);
    assert_eq!(
        described.stats,
        r#"{"numRecords":0,"minValues":{},"maxValues":{},"nullCount":{"s":{"t":{"b":0},"c":0},"d":0}}"#
    );
    let list = self::described(
        "optional group a (LIST) { repeated group list { optional int32 element; } } optional int32 b;",
    );
    assert_eq!(list.stats, r#"{"numRecords":0,"minValues":{},"maxValues":{},"nullCount":{"b":0}}"#);
}

#[test]
fn statistics_that_would_be_long_tell_fewer_columns() {
    let columns = |length: usize| {
        (0..32).map(|number| format!("optional int32 c{number}{};", "n".repeat(length))).collect::<String>()
    };
    let counted = |length| described(&columns(length)).stats.matches(":0").count() - 1;
    assert_eq!([10, 200, 450, 1000].map(counted), [32, 16, 8, 4]);
    assert!(described(&columns(200)).stats.len() <= stats::STATS_BYTES_MAX);
    let long = format!("optional group {} {{ {} }}", "g".repeat(1000), columns(1000));
    assert!(described(&long).stats.len() <= stats::STATS_BYTES_MAX);
}

#[test]
fn a_codec_that_not_all_readers_have_is_unfit() {
    let unfit = |codec| {
        let schema = Arc::new(parse_message_type("message m { required int32 a; }").unwrap());
        let properties = WriterProperties::builder().set_compression(codec).build();
        let mut bytes = Vec::new();
        let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::new(properties)).unwrap();
        let mut row_group = writer.next_row_group().unwrap();
        let mut column = row_group.next_column().unwrap().unwrap();
        column.typed::<Int32Type>().write_batch(&[1], None, None).unwrap();
        column.close().unwrap();
        row_group.close().unwrap();
        writer.close().unwrap();
        FileDescription::of(&ParquetMetaDataReader::new().parse_and_finish(&Bytes::from(bytes)).unwrap()).schema.unfit
    };
    assert_eq!(unfit(Compression::LZ4_RAW), []);
    assert!(matches!(unfit(Compression::LZ4)[..], [Unfit::UnsupportedChunk { .. }]));
}

#[test]
fn a_footer_that_cannot_be_read_is_unfit() {
    for bytes in [&b""[..], b"PAR1", &[0xff; 100]] {
        let described = FileDescription::of_footer(bytes);
        assert!(matches!(described.schema.unfit[..], [Unfit::Unreadable { .. }]) && described.is_within_bounds());
    }
}

#[test]
fn nanoseconds_are_told() {
    assert!(described("optional int64 a (TIMESTAMP(NANOS,true));").schema.has_nanoseconds);
    assert!(!described("optional int64 a (TIMESTAMP(MICROS,true));").schema.has_nanoseconds);
}

#[test]
fn a_description_travels_as_json() {
    let described =
        described("optional group a (LIST) { repeated group list { optional int32 element (DECIMAL(5,2)); } }");
    let json = serde_json::to_string(&described).unwrap();
    assert_eq!(serde_json::from_str::<FileDescription>(&json).unwrap(), described);
}

#[test]
fn damaged_footers_are_described_within_bounds() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../formats/tests/files");
    // Always the same damage: what the parquet crate does with others is not ours to test.
    let mut random = 88_172_645_463_325_252_u64;
    let mut next = move |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % below as u64).unwrap()
    };
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "parquet"));
    files.sort();
    let (mut num_fit, mut num_unfit) = (0, 0);
    for path in files {
        let bytes = std::fs::read(path).unwrap();
        let end = bytes.len() - 8;
        let length = u32::from_le_bytes(bytes[end..end + 4].try_into().unwrap()) as usize;
        for _ in 0..30 {
            let mut footer = bytes[end - length..end].to_vec();
            for _ in 0..=next(4) {
                let at = next(footer.len());
                footer[at] ^= 1 << next(8);
            }
            let described = FileDescription::of_footer(&footer);
            assert!(described.is_within_bounds());
            assert!(serde_json::from_str::<serde_json::Value>(&described.stats).is_ok());
            if described.schema.unfit.is_empty() { num_fit += 1 } else { num_unfit += 1 }
        }
    }
    assert!(num_fit > 100 && num_unfit > 100, "{num_fit} {num_unfit}");
}
