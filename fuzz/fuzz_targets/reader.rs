//! Reader processes as a whole: files of any format and any bytes, and answers of a reader that a file has taken over.
//!
//! The first byte of the input selects an answer, or a file with one of several names.

#![no_main]

mod common;

use lakeshore::model::dataset::schema::{COLUMNS_KEPT_MAX, SCHEMA_BYTES_MAX};
use lakeshore::model::preview::{COLUMNS_SHOWN_MAX, ROWS_MAX};
use lakeshore_formats::reading::Reading;
use lakeshore_formats::worker::protocol::{ANSWER_BYTES_MAX, Answer, decode, encode};
use libfuzzer_sys::fuzz_target;

const NAMES: [&str; 9] = ["x", "x.csv", "x.tsv", "x.csv.gz", "x.jsonl", "x.json", "x.txt", "x.png", "x.parquet"];

fuzz_target!(
    init: common::be_a_reader_if_asked(),
    |input: &[u8]| {
        let Some((&kind, rest)) = input.split_first() else { return };
        match NAMES.get(usize::from(kind) % (NAMES.len() + 1)) {
            Some(name) => common::read(name, rest),
            None => answer(rest),
        }
    }
);

/// Decodes an answer with a possibly false length, and checks that it keeps its bounds and survives another round trip.
fn answer(bytes: &[u8]) {
    let framed = [&(bytes.len() as u32).to_le_bytes(), bytes].concat();
    for frame in [bytes, &framed] {
        let Ok(answer) = decode::<Answer>(&mut &*frame, ANSWER_BYTES_MAX) else { continue };
        if let Reading::Preview(preview) = &answer.reading {
            // One more than the maximum marks an answer as too long.
            assert!(preview.rows.len() as u64 <= ROWS_MAX + 1);
            assert!(preview.rows.iter().all(|row| row.len() <= COLUMNS_SHOWN_MAX + 1));
            if let Some(schema) = &preview.schema {
                let bytes: usize = schema.columns.iter().map(|column| column.name.len() + column.kind.len()).sum();
                assert!(schema.columns.len() <= COLUMNS_KEPT_MAX && bytes <= SCHEMA_BYTES_MAX);
            }
        }
        let again =
            encode(&answer, ANSWER_BYTES_MAX).and_then(|frame| decode::<Answer>(&mut &*frame, ANSWER_BYTES_MAX));
        assert_eq!(format!("{again:?}"), format!("Ok({answer:?})"));
    }
}
