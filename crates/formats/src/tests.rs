//! Files of every format, valid and hostile.

use super::reading::{self, Depth, Reading};
use super::source::Source;
use super::{inspected, previewed as preview_of};
use arrow_array::{ArrayRef, Int64Array, ListArray, RecordBatch, StringArray, types::Int64Type};
use lakeshore::model::dataset::schema::Format;
use lakeshore::model::preview::{Inspected, Preview};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use proptest::prelude::*;
use std::io::Write;
use std::panic::catch_unwind;
use std::sync::Arc;

fn read(name: &str, bytes: &[u8], depth: Depth) -> Reading {
    reading::read(Source::new(bytes.to_vec(), bytes.len() as u64), name, depth)
}

/// Previews a file within this process.
pub(super) fn previewed(name: &str, bytes: &[u8]) -> Preview {
    preview_of(read(name, bytes, Depth::Rows(5)))
}

fn columns_of(name: &str, bytes: &[u8]) -> Inspected {
    inspected(read(name, bytes, Depth::Columns))
}

fn problem(name: &str, bytes: &[u8]) -> String {
    let preview = previewed(name, bytes);
    assert!(preview.rows.is_empty(), "{name}: {preview:?}");
    preview.problem.unwrap_or_else(|| panic!("{name} was read"))
}

pub(super) fn columns(preview: &Preview) -> Vec<String> {
    let columns = preview.schema.iter().flat_map(|schema| &schema.columns);
    columns.map(|column| format!("{} {}{}", column.name, column.kind, if column.nullable { "?" } else { "" })).collect()
}

pub(super) fn row(preview: &Preview, index: usize) -> Vec<&str> {
    preview.rows[index].iter().map(|value| value.as_deref().unwrap_or("NULL")).collect()
}

fn properties() -> WriterPropertiesBuilder {
    WriterProperties::builder()
}

fn parquet_of(columns: Vec<(&str, ArrayRef)>, properties: WriterPropertiesBuilder) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties.build())).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn numbers(count: i64) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(0..count))
}

/// Compresses with gzip.
pub(super) fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

pub(super) fn small_parquet(compression: Compression) -> Vec<u8> {
    let names: ArrayRef = Arc::new(StringArray::from_iter((0..1000).map(|n| (n % 3 > 0).then(|| format!("name {n}")))));
    let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(
        (0..1000).map(|n| Some(vec![Some(n), None, Some(n * 2)])),
    ));
    let properties = properties().set_compression(compression).set_max_row_group_row_count(Some(400));
    parquet_of(vec![("id", numbers(1000)), ("name", names), ("list", lists)], properties)
}

#[test]
fn a_parquet_file_shows_its_columns_rows_row_groups_and_statistics_in_every_compression() {
    let zstd = Compression::ZSTD(ZstdLevel::default());
    let gzip = Compression::GZIP(GzipLevel::default());
    for compression in [Compression::UNCOMPRESSED, Compression::SNAPPY, zstd, gzip, Compression::LZ4_RAW] {
        let preview = previewed("x.parquet", &small_parquet(compression));
        assert_eq!(preview.problem, None, "{compression}");
        assert_eq!(columns(&preview), ["id int64", "name string?", "list list<int64>"]);
        assert_eq!((preview.row_count, preview.num_row_groups), (Some(1000), 3));
        assert_eq!(row(&preview, 0), ["0", "NULL", "[0, null, 0]"]);
        assert_eq!(row(&preview, 4), ["4", "name 4", "[4, null, 8]"]);
        assert_eq!(preview.rows.len(), 5);
        assert_eq!(preview.row_groups.iter().map(|group| group.rows).collect::<Vec<_>>(), [400, 400, 200]);
        let [id, name, _] = &preview.statistics[..] else { panic!("{:?}", preview.statistics) };
        assert_eq!((id.nulls, id.min.as_deref(), id.max.as_deref()), (Some(0), Some("0"), Some("999")));
        assert_eq!(
            (name.nulls, name.min.as_deref(), name.max.as_deref()),
            (Some(334), Some("name 1"), Some("name 998"))
        );
        assert!(preview.written_by.unwrap().contains("parquet-rs"));
    }
}

#[test]
fn of_a_large_parquet_file_little_is_read() {
    let columns = ["a", "b", "c", "d"].map(|name| (name, numbers(400_000)));
    let plain = properties().set_dictionary_enabled(false).set_data_page_size_limit(32 * 1024);
    let bytes = parquet_of(
        columns.to_vec(),
        plain.set_data_page_row_count_limit(4096).set_max_row_group_row_count(Some(50_000)),
    );
    assert!(bytes.len() > 12_000_000);
    let preview = previewed("x.parquet", &bytes);
    assert_eq!(row(&preview, 3), ["3"; 4]);
    assert!(preview.bytes_read < 400_000, "{} of {}", preview.bytes_read, bytes.len());
}

#[test]
fn a_wide_table_shows_some_of_its_columns_and_counts_them_all() {
    let names: Vec<_> = (0..150).map(|n| format!("c{n}")).collect();
    let bytes = parquet_of(names.iter().map(|name| (name.as_str(), numbers(3))).collect(), properties());
    let preview = previewed("x.parquet", &bytes);
    assert_eq!((preview.num_columns, columns(&preview).len(), preview.rows[2].len()), (150, 100, 100));
    let csv = format!("{}\n{}\n", names.join(","), ["1"; 150].join(","));
    let preview = previewed("x.csv", csv.as_bytes());
    assert_eq!((preview.num_columns, columns(&preview).len(), preview.rows[0].len()), (150, 100, 100));
}

#[test]
fn a_long_value_is_cut_and_repeated_ones_are_in_memory_once() {
    let long = "ü".repeat(1_000_000);
    let values: ArrayRef = Arc::new(StringArray::from_iter_values((0..40).map(|_| &long)));
    let limit = properties()
        .set_dictionary_page_size_limit(1 << 24)
        .set_statistics_enabled(parquet::file::properties::EnabledStatistics::None);
    let preview = previewed("x.parquet", &parquet_of(vec![("long", values)], limit));
    let value = preview.rows[4][0].as_deref().unwrap();
    assert_eq!((value.chars().count(), value.ends_with("ü…")), (201, true));
}

#[test]
fn an_incomplete_parquet_file_says_so() {
    let good = small_parquet(Compression::SNAPPY);
    assert!(problem("x.parquet", &good[..good.len() - 9]).contains("truncated or not a Parquet file"));
    assert!(problem("x.parquet", b"PAR1").contains("not a Parquet file"));
    assert!(problem("x.parquet", b"hello").contains("not a Parquet file"));
    let mut encrypted = good.clone();
    encrypted.splice(good.len() - 4.., *b"PARE");
    assert!(problem("x.parquet", &encrypted).contains("encrypted"));
    let mut lying = good.clone();
    lying.splice(good.len() - 8..good.len() - 4, [0xff, 0xff, 0xff, 0x7f]);
    assert!(problem("x.parquet", &lying).contains("larger than the file"));
    assert!(problem("x.parquet", b"").contains("empty"));
}

#[test]
fn csv_is_read_in_its_own_dialect() {
    let preview = previewed("x.csv", b"id,day,price,note\n1,2026-11-24,2.5,\"a, b\"\n2,2026-11-25,3,\n");
    assert_eq!(columns(&preview), ["id integer", "day date", "price number", "note text?"]);
    assert_eq!(
        (row(&preview, 0), row(&preview, 1)),
        (vec!["1", "2026-11-24", "2.5", "a, b"], vec!["2", "2026-11-25", "3", "NULL"])
    );
    assert_eq!((preview.row_count, preview.num_bad_lines), (Some(2), 0));
    let german = previewed("x.csv", "\u{feff}Nr;Preis\n1;2,5\n".as_bytes());
    let dialect = german.dialect.clone().unwrap();
    assert_eq!((dialect.delimiter, dialect.encoding.as_str()), (';', "UTF-8 with a byte order mark"));
    assert_eq!(columns(&german), ["Nr integer", "Preis text"]);
    let wide: Vec<u8> =
        [0xff, 0xfe].into_iter().chain("a\tb\n1\t✓\n".encode_utf16().flat_map(u16::to_le_bytes)).collect();
    let wide = previewed("x.tsv", &wide);
    assert_eq!(
        (row(&wide, 0), wide.dialect.as_ref().unwrap().encoding.as_str()),
        (vec!["1", "✓"], "UTF-16 little-endian")
    );
    let unmarked: Vec<u8> = "a\tb\n1\t2\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let unmarked = previewed("x.tsv", &unmarked);
    assert_eq!((row(&unmarked, 0), unmarked.num_bad_lines), (vec!["1", "2"], 0));
    let packed = previewed("x.csv.gz", &packed(b"a,b\n1,2\n"));
    assert_eq!(
        (row(&packed, 0), packed.dialect.as_ref().unwrap().compression.as_deref()),
        (vec!["1", "2"], Some("gzip"))
    );
    let unnamed = previewed("export.dat", b"1|a\n2|b\n3|c\n4|d\n");
    assert_eq!(
        (unnamed.format, columns(&unnamed)),
        (Format::Delimited, vec!["column1 integer".into(), "column2 text".into()])
    );
}

#[test]
fn bad_lines_are_told_by_number_and_reason() {
    let preview = previewed("x.csv", b"a,b\n1,2\n3\n4,5,6\n\xff,7\n8,9\n");
    let bad: Vec<_> = preview.bad_lines.iter().map(|bad| format!("{}: {}", bad.line, bad.problem)).collect();
    let expected = [
        "3: 1 value where the first line has 2",
        "4: 3 values where the first line has 2",
        "5: bytes that are not UTF-8",
    ];
    assert_eq!(bad, expected);
    assert_eq!((preview.num_bad_lines, columns(&preview)), (3, vec!["a integer".to_owned(), "b integer".to_owned()]));
    let preview = previewed("x.jsonl", b"{\"a\":1,\"b\":\"x\"}\n{\"a\":2.5\n\n[1]\n{\"c\":{\"d\":[1]},\"a\":null}\n");
    assert_eq!(columns(&preview), ["a integer?", "b text?", "c object?"]);
    assert_eq!(row(&preview, 1), ["NULL", "NULL", "{\"d\":[1]}"]);
    assert_eq!((preview.num_bad_lines, preview.bad_lines[0].line, preview.bad_lines[1].line), (2, 2, 4));
}

#[test]
fn a_line_that_is_no_row_is_counted_as_bad_and_as_no_row() {
    let csv = previewed("x.csv", b"a,b\n1,2\n3\n4,5,6\n8,9\n");
    assert_eq!((csv.row_count, csv.num_bad_lines, csv.rows.len()), (Some(2), 2, 2));
    let lines = previewed("x.jsonl", b"{\"a\":1}\n{\"a\":\n[1]\n{\"a\":2}\n");
    assert_eq!((lines.row_count, lines.num_bad_lines, lines.rows.len()), (Some(2), 2, 2));
    // If only some bytes are invalid, the line is read.
    let csv = previewed("x.csv", b"a,b\n1,x\xff\n2,x\0y\n");
    assert_eq!((csv.row_count, csv.num_bad_lines, row(&csv, 0)), (Some(2), 2, vec!["1", "x\u{fffd}"]));
    assert_eq!(csv.bad_lines[1].problem, "a NUL byte");
    let lines = previewed("x.jsonl", b"{\"a\":\"x\xff\"}\n");
    assert_eq!((lines.row_count, lines.num_bad_lines, row(&lines, 0)), (Some(1), 1, vec!["x\u{fffd}"]));
}

#[test]
fn a_number_of_json_is_shown_with_all_its_digits() {
    let preview = previewed("x.jsonl", b"{\"n\":123456789012345678901234567890,\"x\":0.10,\"o\":{\"a\": 1e400}}\n");
    assert_eq!(row(&preview, 0), ["123456789012345678901234567890", "0.10", "{\"a\": 1e400}"]);
    assert_eq!(columns(&preview), ["n integer", "x number", "o object"]);
}

#[test]
fn damage_that_is_noticed_is_told_and_what_was_read_is_shown() {
    let open = previewed("x.csv", b"a,b\n1,2\n3,\"x\n4,y\n");
    assert_eq!((open.row_count, open.num_bad_lines, open.bad_lines[0].line), (Some(1), 1, 3));
    assert!(open.bad_lines[0].problem.starts_with("unclosed quote"));

    let lines: String = (0..200_000).map(|n| format!("{n},x\n")).collect();
    let packed = |text: &str| packed(text.as_bytes());
    let of = |name: &str, bytes: &[u8]| previewed(name, bytes).problem.unwrap_or_default();
    for text in [&lines[..50_000], &lines] {
        let good = packed(text);
        assert!(good.len() < 1 << 20);
        assert_eq!(of("x.csv.gz", &good), "");
        assert_eq!(of("x.csv.gz", &good[..good.len() - 3]), "it is damaged: its gzip stream is cut off");
        let mut wrong = good.clone();
        let at = wrong.len() - 6;
        wrong[at] ^= 1;
        assert!(of("x.csv.gz", &wrong).starts_with("it is damaged: its gzip stream is invalid"));
        assert!(of("x.csv.gz", &[good, b"more than a header has".to_vec()].concat()).contains("after its gzip stream"));
    }
    let half = previewed("x.csv.gz", &packed(&lines[..50_000])[..5_000]);
    assert_eq!((half.row_count, half.rows.len()), (None, 5));
    assert!(of("x.jsonl.gz", &packed("{\"a\":1}\n{\"a\":2}\n")[..25]).contains("cut off"));
    assert!(of("x.txt.gz", &packed("hello hello hello hello\n")[..20]).contains("cut off"));
    assert!(of("x.csv.gz", b"a,b\n1,2\n").contains("it is not compressed"));
    assert!(problem("x.csv", &packed("a,b\n1,2\n")).contains("its name does not end in .gz"));
    assert!(
        problem("x.csv", &[0x28, 0xb5, 0x2f, 0xfd, 4, 0, 1]).contains("not supported: it is compressed with Zstandard")
    );
    let padded = [b"a,b\n1,2\n".to_vec(), vec![0; 4096]].concat();
    let padded = previewed("x.csv", &padded);
    assert_eq!(
        (padded.row_count, padded.problem.as_deref()),
        (Some(1), Some("it is damaged: it ends with 4096 NUL bytes"))
    );
}

#[test]
fn a_file_of_empty_lines_is_not_called_a_long_line() {
    for (name, bytes) in [("x.csv", &b"\n"[..]), ("x.csv", b"\r\n\r\n"), ("x.jsonl", b"\n\n")] {
        assert!(problem(name, bytes).contains("all its lines are empty"));
    }
}

#[test]
fn lines_before_the_table_are_skipped_and_counted() {
    let preview = previewed("x.csv", b"Sales of 2026\n\nid,price\n1,2.5\n2,3\n# end\n");
    assert_eq!(columns(&preview), ["id integer", "price number"]);
    let dialect = preview.dialect.unwrap();
    assert_eq!((dialect.skip_lines, dialect.has_header), (2, true));
    assert_eq!((preview.row_count, preview.num_bad_lines), (Some(2), 0));
    let short = previewed("x.csv", b"id,name\n1,x,9\n2,y,9\n");
    assert_eq!(columns(&short), ["id integer", "name text", "column3 integer"]);
    assert_eq!(short.bad_lines[0].problem, "2 names where most lines have 3 values");
    let trailing = previewed("x.csv", b"id,name\n1,x,\n2,y,\n");
    assert_eq!((columns(&trailing), trailing.num_bad_lines), (vec!["id integer".into(), "name text".into()], 0));
}

#[test]
fn a_file_without_an_end_of_line_is_not_read_to_its_end() {
    let endless = vec![b'x'; 3 << 20];
    for name in ["x.csv", "x.jsonl"] {
        assert!(problem(name, &endless).contains("megabyte"), "{name}");
    }
    let text = previewed("x.txt", &endless);
    assert_eq!((text.format, text.text.unwrap().len()), (Format::Text, 32 * 1024));
    assert!(text.bytes_read < 2 << 20);
}

#[test]
fn texts_images_and_what_is_neither_are_told_apart() {
    let text = previewed("README.md", "Grüße\n".as_bytes());
    assert_eq!((text.format, text.text.as_deref(), text.problem), (Format::Text, Some("Grüße\n"), None));
    let png = [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, 0];
    assert_eq!(previewed("x.png", &png).media_type.as_deref(), Some("image/png"));
    assert!(problem("x.csv", &png).contains("its name has another"));
    assert_eq!(previewed("x.svg", b"<svg/>").format, Format::Text, "no program is run");
    assert!(problem("x.bin", &[0, 1, 2, 3]).contains("not Parquet"));
    assert!(problem("x.csv", &[0, 1, 2, 3]).contains("not text"));
    assert!(problem("x.csv", b"").contains("empty"));
    assert!(problem("x.csv.gz", b"\x1f\x8bnot gzip").contains("gzip"));
}

#[test]
fn an_inspection_counts_what_a_footer_tells_and_keeps_every_column() {
    let parquet = columns_of("x.parquet", &small_parquet(Compression::SNAPPY));
    assert_eq!((parquet.row_count, parquet.schema.unwrap().columns.len()), (Some(1000), 3));
    let csv = columns_of("x.csv", b"a,b\n1,2\n");
    assert_eq!((csv.row_count, csv.schema.unwrap().columns.len()), (Some(1), 2));
    let text = columns_of("x.txt", b"hello");
    assert_eq!((text.format, text.schema, text.problem), (Format::Text, None, None));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn a_damaged_file_gets_an_answer_and_no_fault(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        compression in 0..3_usize,
    ) {
        let compressions = [Compression::UNCOMPRESSED, Compression::SNAPPY, Compression::GZIP(GzipLevel::default())];
        let mut bytes = small_parquet(compressions[compression]);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        // A panic of the crate is printed, and would end the reader process.
        if let Ok(preview) = catch_unwind(|| previewed("x.parquet", &bytes)) {
            prop_assert!(preview.rows.len() <= 5 && preview.is_within_bounds());
        }
    }

    #[test]
    fn any_text_is_previewed(text in "[a-c0-9,;\t\"\n\r|{}:]{0,200}") {
        for name in ["x.csv", "x.jsonl", "x.txt", "x"] {
            let preview = previewed(name, text.as_bytes());
            let columns = columns(&preview).len();
            prop_assert!(preview.rows.iter().all(|row| row.len() == columns));
        }
    }
}

#[test]
fn a_key_that_comes_twice_in_a_line_of_json_counts_once_and_is_told() {
    let preview = previewed("x.jsonl", b"{\"a\":1,\"b\":2,\"a\":3}\n{\"b\":4}\n");
    assert_eq!(preview.rows, [[Some("3".to_owned()), Some("2".to_owned())], [None, Some("4".to_owned())]]);
    assert_eq!((preview.row_count, preview.num_bad_lines), (Some(2), 1));
    assert!(preview.bad_lines[0].problem.contains("\"a\" occurs twice"), "{:?}", preview.bad_lines);
    assert!(preview.schema.unwrap().columns[0].nullable, "the second line has none");
}
