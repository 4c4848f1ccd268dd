//! Files of other programs, with readings of them by libraries: `crates/formats/tests/`, where `record.py` makes both.

use super::previewed;
use super::reading::{self, Depth};
use super::source::Source;
use lakeshore::model::preview::Preview;
use serde_json::json;
use std::fs::{self, File};
use std::io::Write;
use std::panic::catch_unwind;
use std::path::Path;

const ROWS: u64 = 50;

fn preview(path: &Path) -> Preview {
    let name = path.file_name().unwrap().to_str().unwrap_or("x");
    let file = File::open(path).unwrap();
    let size_bytes = file.metadata().unwrap().len();
    previewed(reading::read(Source::new(file, size_bytes), name, Depth::Rows(ROWS)))
}

/// Reads every file of a folder, for `compare.py` (`make corpus`).
#[test]
#[ignore = "reads the files that LAKESHORE_CORPUS lists into LAKESHORE_READINGS: make corpus"]
fn the_files_of_a_folder_are_read() {
    let (Ok(list), Ok(readings)) = (std::env::var("LAKESHORE_CORPUS"), std::env::var("LAKESHORE_READINGS")) else {
        panic!("LAKESHORE_CORPUS and LAKESHORE_READINGS name the list of files, and what becomes of it");
    };
    let mut readings = File::create(readings).unwrap();
    for path in fs::read_to_string(list).unwrap().lines() {
        let reading = match catch_unwind(|| preview(Path::new(path))) {
            Ok(preview) => serde_json::to_value(preview).unwrap(),
            Err(_) => json!({ "problem": "the reader has panicked" }),
        };
        writeln!(readings, "{}", json!({ "path": path, "reading": reading })).unwrap();
    }
}

/// Reading of a file by a library.
#[derive(serde::Deserialize)]
struct Recorded {
    by: String,
    columns: Vec<String>,
    row_count: u64,
    rows: Vec<Vec<Option<String>>>,
}

/// Each reader makes up its own names for columns without one, so these are not compared.
fn name(name: &str) -> &str {
    match name.strip_prefix("column").map(|number| number.bytes().all(|byte| byte.is_ascii_digit())) {
        Some(true) => "",
        _ => name,
    }
}

/// Compares two values. The libraries do not quote text within lists, format numbers in their own ways, and show an
/// empty map as a list.
fn agree(shown: Option<&str>, recorded: Option<&str>) -> bool {
    let (Some(shown), Some(recorded)) = (shown, recorded) else { return shown.is_none() && recorded.is_none() };
    let plain = |text: &str| text.replace('"', "");
    if plain(shown) == plain(recorded) || (shown, recorded) == ("{}", "[]") {
        return true;
    }
    // `1e300` equals `1e+300`; and Python shows a float as the double of the same value.
    let (double, other) = (shown.parse::<f64>(), recorded.parse::<f64>());
    let (float, other_float) = (shown.parse::<f32>(), recorded.parse::<f32>());
    let is_shorter = shown.len() < recorded.len() && float.is_ok();
    (double.is_ok() && double == other) || (is_shorter && float == other_float)
}

#[test]
fn every_file_reads_as_pyarrow_duckdb_or_polars_read_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let readings = fs::read_to_string(folder.join("readings.json")).unwrap();
    let readings: std::collections::BTreeMap<String, Recorded> = serde_json::from_str(&readings).unwrap();
    let files = fs::read_dir(folder.join("files")).unwrap().count();
    assert_eq!(files, readings.len(), "record.py makes the files and the readings together");
    let mut differences = Vec::new();
    for (file, recorded) in readings {
        let preview = preview(&folder.join("files").join(&file));
        let columns = preview.schema.iter().flat_map(|schema| &schema.columns);
        let columns: Vec<&str> = columns.map(|column| name(&column.name)).collect();
        let of =
            |what: &str, shown: String, other: String| format!("{file}: {what} {shown}, by {} {other}", recorded.by);
        if let Some(problem) = &preview.problem {
            differences.push(format!("{file}: {problem}"));
        }
        if columns != recorded.columns.iter().map(|column| name(column)).collect::<Vec<_>>() {
            differences.push(of("columns", format!("{columns:?}"), format!("{:?}", recorded.columns)));
        }
        if preview.row_count != Some(recorded.row_count) || preview.rows.len() != recorded.rows.len() {
            differences.push(of("rows", format!("{:?}", preview.row_count), recorded.row_count.to_string()));
        }
        for (row, other) in preview.rows.iter().zip(&recorded.rows) {
            let agrees = row.len() == other.len()
                && row.iter().zip(other).all(|(shown, other)| agree(shown.as_deref(), other.as_deref()));
            if !agrees {
                differences.push(of("row", format!("{row:?}"), format!("{other:?}")));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
