//! Lines of values: CSV, TSV, and what else has a character between its values (RFC 4180, as far as files keep to it).
//!
//! Which character that is, whether the first line names the columns, and what the columns are, is found by looking at the
//! beginning of the file. A line that has not as many values as the first is a bad one.

use super::Fault;
use super::head::{Head, plain_name};
use super::sniffing::{Guess, cell, is_typed};
use csv::{ByteRecord, ReaderBuilder};
use lakeshore::preview::{BAD_LINES_SHOWN_MAX, BadLine, COLUMNS_SHOWN_MAX, Dialect, Preview};
use lakeshore::schema::{Format, Schema};

const DELIMITERS: [u8; 4] = [b',', b'\t', b';', b'|'];
/// Records that are looked at to find the delimiter.
const RECORDS_LOOKED_AT: usize = 200;
/// Of a file whose name does not say it: so many lines have to agree.
const RECORDS_MIN: usize = 3;

pub(super) fn preview(head: &Head, name: &str, rows_max: usize) -> Result<Preview, Fault> {
    if head.bytes.is_empty() && head.is_whole {
        return Err(Fault::unreadable("it is empty"));
    }
    if head.bytes.contains(&0) {
        return Err(Fault::unreadable("it is no text: it holds bytes that are no characters"));
    }
    let delimiter = sniff(head, name).map_or(b',', |sniffed| sniffed.delimiter);
    let mut records = records(head, delimiter);
    let Some(first) = records.next() else {
        return Err(Fault::unreadable("its first line does not end within the first megabyte"));
    };
    let has_header = is_header(&first);
    let num_columns = first.len();
    let shown = num_columns.min(COLUMNS_SHOWN_MAX);
    let mut guesses = vec![Guess::default(); num_columns];
    let (mut rows, mut row_count, mut bad_lines, mut num_bad_lines) = (Vec::new(), 0_u64, Vec::new(), 0);
    let body = (!has_header).then(|| first.clone()).into_iter().chain(records);
    for record in body {
        row_count += 1;
        if let Some(problem) = problem_of(&record, num_columns) {
            num_bad_lines += 1;
            if bad_lines.len() < BAD_LINES_SHOWN_MAX {
                bad_lines.push(BadLine { line: record.position().map_or(0, csv::Position::line), problem });
            }
        } else {
            for (guess, value) in guesses.iter_mut().zip(&record) {
                see(guess, value);
            }
        }
        if rows.len() < rows_max {
            rows.push((0..shown).map(|index| shown_value(record.get(index))).collect());
        }
    }
    let named = |index: usize| match first.get(index) {
        Some(name) if has_header => cell(String::from_utf8_lossy(name).trim()),
        _ => format!("column{}", index + 1),
    };
    let columns = guesses.iter().enumerate().map(|(index, guess)| guess.column(named(index)));
    // Inspections compare all columns; previews show some.
    let kept = if rows_max == 0 { num_columns } else { shown };
    let schema = Schema::of(Format::Delimited, columns.take(kept));
    let dialect = Dialect {
        delimiter: char::from(delimiter),
        has_header,
        encoding: head.encoding.to_owned(),
        compression: head.compression.map(str::to_owned),
    };
    Ok(Preview {
        schema: Some(schema),
        num_columns: num_columns as u64,
        row_count: head.is_whole.then_some(row_count),
        rows,
        dialect: Some(dialect),
        bad_lines,
        num_bad_lines,
        ..Preview::nothing(Format::Delimited)
    })
}

/// A text whose name says nothing: several lines have the same number of values, more than one.
pub(super) fn looks_like_it(head: &Head, name: &str) -> bool {
    sniff(head, name)
        .is_some_and(|sniffed| sniffed.records >= RECORDS_MIN && sniffed.agreeing * 10 >= sniffed.records * 9)
}

struct Sniffed {
    delimiter: u8,
    records: usize,
    /// Those that have as many values as most.
    agreeing: usize,
}

/// The character by which most lines have the same number of values; `None` where no line has two.
fn sniff(head: &Head, name: &str) -> Option<Sniffed> {
    let by_name = match plain_name(name).rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()) {
        Some(extension) if extension == "tsv" || extension == "tab" => Some(b'\t'),
        Some(extension) if extension == "psv" => Some(b'|'),
        _ => None,
    };
    let sniffed = DELIMITERS.into_iter().filter_map(|delimiter| {
        let counts: Vec<usize> = records(head, delimiter).take(RECORDS_LOOKED_AT).map(|record| record.len()).collect();
        let agreeing_with = |count: usize| counts.iter().filter(|&&other| other == count).count();
        let usual = counts.iter().copied().max_by_key(|&count| (agreeing_with(count), count))?;
        let sniffed = Sniffed { delimiter, records: counts.len(), agreeing: agreeing_with(usual) };
        // Of two that agree as much, the one that parts more.
        (usual > 1).then_some(((sniffed.agreeing * 1000 / counts.len(), by_name == Some(delimiter), usual), sniffed))
    });
    sniffed.max_by_key(|(rank, _)| *rank).map(|(_, sniffed)| sniffed)
}

/// Without a last one that is cut off, and without empty lines.
fn records(head: &Head, delimiter: u8) -> impl Iterator<Item = ByteRecord> {
    let mut reader =
        ReaderBuilder::new().delimiter(delimiter).has_headers(false).flexible(true).from_reader(&head.bytes[..]);
    let is_whole = head.is_whole;
    let mut next = move || {
        let mut record = ByteRecord::new();
        // In memory, and of any length: it cannot fail.
        reader.read_byte_record(&mut record).ok().filter(|is_one| *is_one).map(|_| record)
    };
    let mut ahead = next();
    std::iter::from_fn(move || {
        let record = ahead.take()?;
        ahead = next();
        (ahead.is_some() || is_whole).then_some(record)
    })
}

/// Names, and no values: none looks like a number, a time or a truth.
fn is_header(first: &ByteRecord) -> bool {
    let mut values = first.iter().map(|value| std::str::from_utf8(value).unwrap_or_default().trim());
    let mut has_name = false;
    let are_names = values.all(|value| {
        has_name |= !value.is_empty();
        !is_typed(value)
    });
    are_names && has_name
}

fn is_null(value: &[u8]) -> bool {
    matches!(value, b"" | b"\\N" | b"NULL" | b"null")
}

fn see(guess: &mut Guess, value: &[u8]) {
    if is_null(value) {
        guess.see_null();
    } else if let Ok(value) = std::str::from_utf8(value) {
        guess.see(value.trim());
    }
}

fn shown_value(value: Option<&[u8]>) -> Option<String> {
    value.filter(|value| !is_null(value)).map(|value| cell(&String::from_utf8_lossy(value)))
}

fn problem_of(record: &ByteRecord, num_columns: usize) -> Option<String> {
    if record.len() != num_columns {
        let values = if record.len() == 1 { "value" } else { "values" };
        return Some(format!("{} {values} where the first line has {num_columns}", record.len()));
    }
    let is_wrong = record.iter().any(|value| std::str::from_utf8(value).is_err());
    is_wrong.then(|| "bytes that are not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Head {
        Head { bytes: text.as_bytes().to_vec(), encoding: "UTF-8", compression: None, is_whole: true }
    }

    #[test]
    fn the_delimiter_is_the_one_by_which_lines_agree() {
        for (text, delimiter) in [
            ("a;b\n1,5;2\n3,25;4\n", ';'),
            ("a\tb,c\n1\t2\n3\t4\n", '\t'),
            ("a,b\n\"x;y;z\",2\n3,4\n", ','),
            ("a|b|c\n1|2|3\n", '|'),
            ("alone\n1\n", ','),
        ] {
            assert_eq!(preview(&head(text), "x.csv", 9).unwrap().dialect.unwrap().delimiter, delimiter, "{text}");
        }
    }

    #[test]
    fn names_in_the_first_line_are_told_from_values() {
        let of = |text| preview(&head(text), "x.csv", 9).unwrap();
        let named = of("id,name\n1,a\n");
        assert!(named.dialect.unwrap().has_header && named.row_count == Some(1));
        let unnamed = of("1,a\n2,b\n");
        assert_eq!(unnamed.row_count, Some(2));
        assert_eq!(unnamed.schema.unwrap().columns[0].name, "column1");
    }
}
