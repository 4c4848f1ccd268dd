//! Previews of files that no current writer makes.

use super::leaf::physical;
use super::test_files::{
    Column, File, Part, column, element, fields, file, integers, logical, longs, read, texts, time,
};
use super::thrift::{Fields, I64};
use lakeshore::model::preview::{ColumnStatistics, Preview};

fn kinds(preview: &Preview) -> Vec<String> {
    let columns = &preview.schema.as_ref().unwrap().columns;
    columns.iter().map(|column| format!("{} {}", column.name, column.kind)).collect()
}

fn cells(preview: &Preview, column: usize) -> Vec<&str> {
    preview.rows.iter().map(|row| row[column].as_deref().unwrap_or("NULL")).collect()
}

fn bounds(statistics: &ColumnStatistics) -> (Option<&str>, Option<&str>) {
    (statistics.min.as_deref(), statistics.max.as_deref())
}

#[test]
fn a_group_without_columns_leaves_the_columns_beside_it_in_their_place() {
    let of = |name: &str, value: i32| {
        integers(element(name, &[(1, physical::INT32)]), &[value])
            .with_statistics(&[(5, &value.to_le_bytes()), (6, &value.to_le_bytes())], &[])
    };
    let mut file = file(1, vec![of("id", 1), of("price", 100), of("cost", 7)]);
    file.groups.push((1, element("nothing", &[(5, 0)])));
    let preview = file.read();
    assert_eq!(kinds(&preview), ["id int32", "nothing struct<>", "price int32", "cost int32"]);
    assert_eq!([0, 2, 3].map(|column| cells(&preview, column)[0].to_owned()), ["1", "100", "7"]);
    assert_eq!([0, 2, 3].map(|column| bounds(&preview.statistics[column]).0.unwrap().to_owned()), ["1", "100", "7"]);
    assert!(preview.problem.unwrap().contains("nothing: it is a group without columns"));
    // An empty group within a group, with a column after it.
    file.groups = vec![(1, element("outer", &[(5, 2)])), (2, element("nothing", &[(5, 0)]))];
    file.columns = vec![of("id", 1), of("inner", 2), of("cost", 7)];
    let preview = file.read();
    assert_eq!(kinds(&preview), ["id int32", "outer struct<inner: int32>", "cost int32"]);
    assert_eq!([0, 1, 2].map(|column| cells(&preview, column)[0].to_owned()), ["1", "{inner: 2}", "7"]);
    assert_eq!(preview.problem, None);
}

#[test]
fn dates_and_times_of_any_size_are_shown_as_they_are() {
    let (int32, int64) = (&[(1, physical::INT32)], &[(1, physical::INT64)]);
    let date = logical(element("date", int32), 6, &Fields::default());
    let preview = file(3, vec![integers(date, &[i32::MIN, -719_529, i32::MAX])]).read();
    assert_eq!(cells(&preview, 0), ["-5877641-06-23", "-0001-12-31", "+5881580-07-11"]);
    for (unit, words, least, greatest) in [
        (1, "timestamp[ms, UTC]", "-292275055-05-16T16:47:04.192Z", "+292278994-08-17T07:12:55.807Z"),
        (2, "timestamp[us, UTC]", "-290308-12-21T19:59:05.224192Z", "+294247-01-10T04:00:54.775807Z"),
        (3, "timestamp[ns, UTC]", "1677-09-21T00:12:43.145224192Z", "2262-04-11T23:47:16.854775807Z"),
    ] {
        let preview = file(2, vec![longs(time(element("at", int64), 8, true, unit), &[i64::MIN, i64::MAX])]).read();
        assert_eq!((kinds(&preview), cells(&preview, 0)), (vec![format!("at {words}")], vec![least, greatest]));
    }
    let local = file(1, vec![longs(time(element("at", int64), 8, false, 2), &[-1])]).read();
    assert_eq!((kinds(&local)[0].as_str(), cells(&local, 0)[0]), ("at timestamp[us]", "1969-12-31T23:59:59.999999"));
    let times = [0, 86_399_999_999, 86_400_000_000, -1, 86_400_000_001];
    let preview = file(5, vec![longs(time(element("t", int64), 7, true, 2), &times)]).read();
    assert_eq!(kinds(&preview), ["t time[us, UTC]"]);
    let shown =
        ["00:00:00", "23:59:59.999999", "24:00:00", "not a time of day: -1 us", "not a time of day: 86400000001 us"];
    assert_eq!(cells(&preview, 0), shown);
}

#[test]
fn an_int96_timestamp_beyond_64_bits_of_nanoseconds_is_exact() {
    let value = |day: i32, nanoseconds: i64| [&nanoseconds.to_le_bytes()[..], &day.to_le_bytes()].concat();
    let values = [value(2_440_588, 1), value(1, 0), value(5_373_484, 86_399_999_999_000), value(i32::MAX, -1)].concat();
    let preview = file(4, vec![column(element("at", &[(1, physical::INT96)]), values)]).read();
    assert_eq!(kinds(&preview), ["at timestamp[ns]"]);
    assert_eq!(
        cells(&preview, 0),
        [
            "1970-01-01T00:00:00.000000001",
            "-4713-11-25T00:00:00",
            "9999-12-31T23:59:59.999999",
            "+5874898-06-02T23:59:59.999999999"
        ]
    );
    assert_eq!(preview.problem, None);
}

#[test]
fn intervals_enumerations_and_uuids_are_shown_as_what_they_are() {
    let interval: Vec<u8> = [14_u32, 3, u32::MAX].iter().flat_map(|part| part.to_le_bytes()).collect();
    let columns = vec![
        column(element("i", &[(1, physical::FIXED), (2, 12), (6, 21)]), interval),
        column(
            logical(element("u", &[(1, physical::FIXED), (2, 16)]), 14, &Fields::default()),
            (0..16).map(|byte| byte * 17).collect(),
        ),
        texts(element("e", &[(1, physical::BYTES), (6, 4)]), &[b"RED"]),
        texts(element("b", &[(1, physical::BYTES)]), &[b"RED"]),
    ];
    let preview = file(1, columns).read();
    assert_eq!(kinds(&preview), ["i interval", "u uuid", "e enum", "b binary"]);
    let row: Vec<_> = preview.rows[0].iter().map(|value| value.as_deref().unwrap()).collect();
    assert_eq!(row, ["14 months 3 days 4294967295 ms", "00112233-4455-6677-8899-aabbccddeeff", "RED", "524544"]);
}

#[test]
fn statistics_of_another_order_are_not_believed() {
    let text = || element("a", &[(1, physical::BYTES), (6, 0)]);
    let of = |column: Column, orders: Option<Vec<i16>>| {
        let preview = File { orders, ..file(1, vec![column]) }.read();
        let (min, max) = bounds(&preview.statistics[0]);
        format!("{} {}", min.unwrap_or("-"), max.unwrap_or("-"))
    };
    let old: &[(i16, &[u8])] = &[(1, b"z"), (2, "é".as_bytes())];
    let new: &[(i16, &[u8])] = &[(5, b"z"), (6, b"a")];
    let words = || texts(text(), &[b"a"]);
    assert_eq!(of(words().with_statistics(old, &[]), None), "- -", "compared as signed bytes");
    assert_eq!(of(words().with_statistics(new, &[]), None), "- -", "in no order that is named");
    assert_eq!(of(words().with_statistics(new, &[]), Some(vec![1])), "a z");
    assert_eq!(of(words().with_statistics(new, &[]), Some(vec![9])), "- -", "in an order that nobody knows");
    let (low, high) = (1_i32.to_le_bytes(), (-1_i32).to_le_bytes());
    let old: &[(i16, &[u8])] = &[(1, &high), (2, &low)];
    let new: &[(i16, &[u8])] = &[(5, &high), (6, &low)];
    let unsigned = || integers(element("n", &[(1, physical::INT32), (6, 13)]), &[1]);
    assert_eq!(of(unsigned().with_statistics(old, &[]), None), "- -", "signed, of unsigned numbers");
    assert_eq!(of(unsigned().with_statistics(new, &[]), Some(vec![1])), "1 4294967295");
    let signed = || integers(element("n", &[(1, physical::INT32)]), &[1]);
    assert_eq!(of(signed().with_statistics(new, &[]), Some(vec![1])), "- -", "the least is greater than the greatest");
    assert_eq!(of(signed().with_statistics(&[(1, &low), (2, &high)], &[]), None), "-1 1");
    let (one, nan) = (1_f64.to_le_bytes(), f64::NAN.to_le_bytes());
    let double = || column(element("d", &[(1, physical::DOUBLE)]), one.to_vec());
    assert_eq!(of(double().with_statistics(&[(5, &nan), (6, &one)], &[]), Some(vec![1])), "- -");
    assert_eq!(of(double().with_statistics(&[(5, &one), (6, &one)], &[]), Some(vec![1])), "1.0 1.0");
    let at = || column(element("t", &[(1, physical::INT96)]), vec![0; 12]);
    assert_eq!(of(at().with_statistics(&[(5, &[1; 12]), (6, &[0; 12])], &[]), Some(vec![1])), "- -");
}

#[test]
fn a_bound_that_was_cut_is_told_apart_from_a_value() {
    let names = texts(element("a", &[(1, physical::BYTES), (6, 0)]), &[b"Alice"]);
    let names = names.with_statistics(&[(5, b"Kf"), (6, b"Alice")], &[(7, false), (8, true)]);
    let preview = File { orders: Some(vec![1]), ..file(1, vec![names]) }.read();
    let of = &preview.statistics[0];
    assert_eq!((bounds(of), of.upper_bound.as_deref()), ((Some("Alice"), None), Some("Kf")));
    assert_eq!(of.lower_bound, None);
}

#[test]
fn an_element_unknown_to_the_reader_costs_no_more_than_its_column() {
    let id = || integers(element("id", &[(1, physical::INT32)]), &[7]);
    let with = |column: Column| file(1, vec![id(), column, id()]).read();
    let odd = |numbers: &[(i16, i64)]| integers(element("odd", numbers), &[5]);
    // Unknown annotations: the value is shown as stored.
    for numbers in [&[(1, physical::INT32), (6, 24)], &[(1, physical::INT32), (6, 0)], &[(1, physical::INT32), (6, 10)]]
    {
        let preview = with(odd(numbers));
        assert_eq!((cells(&preview, 1), preview.problem.as_deref()), (vec!["5"], None), "{numbers:?}");
    }
    // Unknown chunks: the other columns are shown.
    let changed = |meta: Vec<(i16, Part)>, chunk: Vec<(i16, Part)>| {
        let column = Column { meta, chunk, ..odd(&[(1, physical::INT32)]) };
        let preview = with(column);
        assert_eq!([0, 2].map(|column| cells(&preview, column)[0].to_owned()), ["7", "7"]);
        preview.problem.unwrap_or_default()
    };
    assert!(changed(vec![(4, Part::Number(99))], vec![]).contains("odd: not supported: compression codec 99"));
    assert!(changed(vec![(4, Part::Number(3))], vec![]).contains("odd: not supported: "));
    assert!(changed(vec![], vec![(8, Part::Fields(fields(&[])))]).contains("odd: it is encrypted"));
    assert!(changed(vec![], vec![(8, Part::Fields(fields(&[]))), (3, Part::Left)]).contains("odd: it is encrypted"));
    assert_eq!(changed(vec![(11, Part::Number(0))], vec![]), "");
    // Malformed statistics.
    let wrong = odd(&[(1, physical::INT32)]).with_statistics(&[(5, b"x")], &[]);
    assert_eq!((cells(&with(wrong), 1)), ["5"]);
    let unnamed = File { created_by: vec![0xff], ..file(1, vec![id()]) };
    assert_eq!(cells(&unnamed.read(), 0), ["7"]);
}

#[test]
fn a_value_that_is_no_text_hides_none_of_the_others() {
    let plain = || element("a", &[(1, physical::BYTES)]);
    let string = element("a", &[(1, physical::BYTES), (6, 0)]);
    let json = element("a", &[(1, physical::BYTES), (6, 19)]);
    let [new_string, new_json] = [1, 12].map(|kind| logical(plain(), kind, &Fields::default()));
    for text in [string, json, new_string, new_json] {
        let preview = file(3, vec![texts(text, &[b"x", b"\xff\xfe", "é".as_bytes()])]).read();
        assert_eq!(
            (kinds(&preview), cells(&preview, 0)),
            (vec!["a string".to_owned()], vec!["x", "not UTF-8: fffe", "é"])
        );
        assert_eq!(preview.problem, None);
    }
}

#[test]
fn a_count_of_rows_that_the_row_groups_contradict_is_told() {
    let bytes = file(2, vec![integers(element("id", &[(1, physical::INT32)]), &[1, 2])]).bytes();
    let length = u32::from_le_bytes(*bytes[..bytes.len() - 4].last_chunk::<4>().unwrap()) as usize;
    let (body, footer) = bytes[..bytes.len() - 8].split_at(bytes.len() - 8 - length);
    let mut footer = Fields::parse(footer).unwrap();
    footer.set_number(3, I64, 5);
    let footer = footer.to_bytes();
    let length = u32::try_from(footer.len()).unwrap().to_le_bytes();
    let preview = read([body, &footer, &length, b"PAR1"].concat());
    assert!(preview.problem.unwrap().contains("it declares 5 rows, but its row groups have 2"));
    assert_eq!((preview.row_count, preview.rows.len()), (Some(2), 2));
}

#[test]
fn texts_in_lists_are_quoted_where_they_would_be_taken_for_something_else() {
    use arrow_array::builder::{ListBuilder, StringBuilder};
    let mut lists = ListBuilder::new(StringBuilder::new());
    lists.append_value([Some("a"), Some("null"), None, Some("x, y"), Some(""), Some("say \"é\"")]);
    let mut shown = Vec::new();
    super::values::shown_values(&lists.finish(), &[], &mut shown);
    assert_eq!(shown[0].as_deref(), Some(r#"[a, "null", null, "x, y", "", "say \"é\""]"#));
}

fn decimal(kind: i64, length: i64, precision: i64, scale: i64) -> Fields<'static> {
    element("d", &[(1, kind), (2, length), (6, 5), (7, scale), (8, precision)])
}

#[test]
fn decimals_of_any_length_are_shown_with_all_their_digits() {
    let fixed = |length: usize, numbers: &[i128]| -> Vec<u8> {
        let bytes = |number: &i128| {
            let fill = if *number < 0 { 0xff } else { 0 };
            [vec![fill; length.saturating_sub(16)], number.to_be_bytes()[16_usize.saturating_sub(length)..].to_vec()]
                .concat()
        };
        numbers.iter().flat_map(bytes).collect()
    };
    for (length, precision, scale, expected) in [
        (33, 77, 3, ["123456789012345678901234567890.123", "-0.005"]),
        (20, 38, 0, ["123456789012345678901234567890123", "-5"]),
        (16, 38, 33, ["0.123456789012345678901234567890123", "-0.000000000000000000000000000000005"]),
        (16, 50, 2, ["1234567890123456789012345678901.23", "-0.05"]),
        (64, 10, -2, ["123456789012345678901234567890123E+2", "-5E+2"]),
    ] {
        let values = fixed(length, &[123_456_789_012_345_678_901_234_567_890_123, -5]);
        let length = i64::try_from(length).unwrap();
        let preview = file(2, vec![column(decimal(physical::FIXED, length, precision, scale), values)]).read();
        assert_eq!(kinds(&preview), [format!("d decimal({precision}, {scale})")]);
        assert_eq!(cells(&preview, 0), expected);
    }
    let short = file(2, vec![column(decimal(physical::FIXED, 8, 30, 2), fixed(8, &[123, -5]))]).read();
    assert_eq!(cells(&short, 0), ["1.23", "-0.05"]);
    let mut bytes = file(3, vec![texts(decimal(physical::BYTES, 0, 38, 2), &[&[1], &[0xff; 40], &[1, 0]])]);
    bytes.columns[0] = std::mem::replace(&mut bytes.columns[0], integers(element("x", &[]), &[]))
        .with_statistics(&[(5, &[1, 0]), (6, &[0xff])], &[]);
    bytes.orders = Some(vec![1]);
    let bytes = bytes.read();
    assert_eq!(cells(&bytes, 0), ["0.01", "-0.01", "2.56"]);
    assert_eq!(bounds(&bytes.statistics[0]), (Some("-0.01"), Some("2.56")), "numbers, not bytes");
    let long = file(2, vec![longs(decimal(physical::INT64, 0, 30, 2), &[1, -999_999_999])]).read();
    assert_eq!((kinds(&long), cells(&long, 0)), (vec!["d decimal(30, 2)".to_owned()], vec!["0.01", "-9999999.99"]));
}

#[test]
fn an_integer_that_is_too_large_for_its_type_is_shown_as_it_is_stored() {
    for (converted, kind) in [(15, "int8"), (16, "int16"), (11, "uint8"), (12, "uint16")] {
        let column = integers(element("n", &[(1, physical::INT32), (6, converted)]), &[100, 70_000, -1]);
        let preview = file(3, vec![column]).read();
        assert_eq!(kinds(&preview), [format!("n {kind}")]);
        assert_eq!(cells(&preview, 0), ["100", "70000", "-1"]);
    }
}

#[test]
fn a_variant_is_shown_as_json_and_a_damaged_one_leaves_the_others_readable() {
    let bytes = |name| element(name, &[(1, physical::BYTES)]);
    // From the specification of the encoding: version 1 and the field names; an object, a string, and a truncated
    // object.
    let one_name: &[u8] = &[1, 1, 0, 1, b'a'];
    let metadata = texts(bytes("metadata"), &[one_name, &[1, 0, 0], one_name]);
    let value = texts(bytes("value"), &[&[2, 1, 0, 0, 2, 0x0c, 7], b"\x09hi", &[2, 1, 0]]);
    let id = integers(element("id", &[(1, physical::INT32)]), &[1, 2, 3]);
    let mut file = file(3, vec![id, metadata, value]);
    file.groups.push((1, logical(element("v", &[(5, 2)]), 16, &Fields::default())));
    let preview = file.read();
    assert_eq!(kinds(&preview), ["id int32", "v variant"]);
    assert_eq!(cells(&preview, 1)[..2], [r#"{"a":7}"#, "\"hi\""]);
    assert!(cells(&preview, 1)[2].starts_with("damaged: "), "{:?}", preview.rows);
}
