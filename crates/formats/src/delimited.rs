//! Delimited values: CSV, TSV, and other files with a character between values (RFC 4180, as far as files follow it).
//!
//! The delimiter, the start of the table and the header are decided by all lines that were read
//! ([`dialect`](super::dialect)). A line with another number of values than most is a bad line, and not a row.

use super::Fault;
use super::dialect::{Table, table_of};
use super::head::Head;
use super::records::{Record, lost_quote, records};
use super::sniffing::{Guess, cell};
use lakeshore::model::dataset::schema::{Format, Schema};
use lakeshore::model::preview::{BAD_LINES_SHOWN_MAX, BadLine, COLUMNS_SHOWN_MAX, Dialect, Preview};

pub(super) fn preview(head: Head, name: &str, rows_max: usize) -> Result<Preview, Fault> {
    if head.bytes.is_empty() && head.is_whole {
        return Err(Fault::unreadable("it is empty"));
    }
    let head = head.without_padding();
    if let Some(problem) = super::head::compression_not_read(&head.bytes) {
        return Err(Fault::Unreadable(problem));
    }
    if head.is_binary(3) {
        return Err(Fault::unreadable("it is not text, because it has bytes that are not characters"));
    }
    let Some(table) = table_of(&head, name) else {
        return Err(Fault::unreadable(match (&head.damage, head.is_whole) {
            (Some(damage), _) => damage,
            (None, true) => "all its lines are empty",
            (None, false) => "its first line is longer than one megabyte",
        }));
    };
    let mut seen = Seen::new(&table, rows_max);
    for record in records(&head, table.syntax) {
        seen.see(&record, &table);
    }
    let num_columns = table.num_columns;
    let shown = num_columns.min(COLUMNS_SHOWN_MAX);
    let named = |index: usize| match seen.names.as_ref().map(|names| names.values.get(index)) {
        Some(Some(name)) => cell(String::from_utf8_lossy(name).trim()),
        _ => format!("column{}", index + 1),
    };
    let columns = seen.guesses.iter().enumerate().map(|(index, guess)| guess.column(named(index)));
    // Inspections compare all columns; previews show only some.
    let kept = if rows_max == 0 { num_columns } else { shown };
    let schema = Schema::of(Format::Delimited, columns.take(kept));
    let dialect = Dialect {
        delimiter: char::from(table.syntax.delimiter),
        quote: char::from(table.syntax.quote),
        escape: table.syntax.escape.map(char::from),
        has_header: table.header.is_some(),
        encoding: head.encoding.to_owned(),
        compression: head.compression.map(str::to_owned),
        skip_lines: seen.skip_lines,
    };
    Ok(Preview {
        schema: Some(schema),
        num_columns: num_columns as u64,
        row_count: head.is_whole.then_some(seen.row_count),
        rows: seen.rows,
        dialect: Some(dialect),
        bad_lines: seen.bad_lines,
        num_bad_lines: seen.num_bad_lines,
        problem: lost_quote(&head, table.syntax).or(head.damage),
        ..Preview::nothing(Format::Delimited)
    })
}

/// Table under construction, record by record.
struct Seen {
    guesses: Vec<Guess>,
    names: Option<Record>,
    rows: Vec<Vec<Option<String>>>,
    rows_max: usize,
    row_count: u64,
    bad_lines: Vec<BadLine>,
    num_bad_lines: u64,
    /// Lines before the table.
    skip_lines: u64,
    /// Whether the first line of the file has as many values as the table.
    is_first_usual: Option<bool>,
}

impl Seen {
    fn new(table: &Table, rows_max: usize) -> Self {
        Self {
            guesses: vec![Guess::default(); table.num_columns],
            names: None,
            rows: Vec::new(),
            rows_max,
            row_count: 0,
            bad_lines: Vec::new(),
            num_bad_lines: 0,
            skip_lines: 0,
            is_first_usual: None,
        }
    }

    fn see(&mut self, record: &Record, table: &Table) {
        let num_columns = table.num_columns;
        let is_first_usual = *self.is_first_usual.get_or_insert(record.len() == num_columns);
        if record.line < table.begins_at {
            self.skip_lines = table.begins_at - 1;
            return;
        }
        let has_all = record.len() == num_columns || (table.has_trailing && record.len() == num_columns + 1);
        let usual = if is_first_usual { "the first line has" } else { "most lines have" };
        if table.header == Some(record.line) {
            let is_trailing = record.len() == num_columns + 1 && record.ends_empty();
            if !has_all && !is_trailing {
                let problem = format!("{} where most lines have {num_columns} values", counted(record.len(), "name"));
                self.add_bad_line(record.line, problem);
            }
            self.names = Some(Record { values: record.values.clone(), ..*record });
            return;
        }
        if record.is_comment() && (!has_all || table.has_comments) {
            return;
        }
        if record.is_unclosed {
            let line = record.line;
            let problem = "unclosed quote: the rest of the file is one value".to_owned();
            self.add_bad_line(line, problem);
            return;
        }
        if !has_all {
            let problem = format!("{} where {usual} {num_columns}", counted(record.len(), "value"));
            self.add_bad_line(record.line, problem);
            return;
        }
        if let Some(problem) = wrong_bytes(record) {
            self.add_bad_line(record.line, problem.to_owned());
        } else {
            for (guess, value) in self.guesses.iter_mut().zip(&record.values) {
                see(guess, value);
            }
        }
        self.row_count += 1;
        if self.rows.len() < self.rows_max {
            let shown = num_columns.min(COLUMNS_SHOWN_MAX);
            self.rows.push((0..shown).map(|index| shown_value(record.values.get(index))).collect());
        }
    }

    fn add_bad_line(&mut self, line: u64, problem: String) {
        self.num_bad_lines += 1;
        if self.bad_lines.len() < BAD_LINES_SHOWN_MAX {
            self.bad_lines.push(BadLine { line, problem });
        }
    }
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Problem of a line that still counts as a row, with replacement characters.
fn wrong_bytes(record: &Record) -> Option<&'static str> {
    if record.values.iter().any(|value| std::str::from_utf8(value).is_err()) {
        return Some("bytes that are not UTF-8");
    }
    record.values.iter().any(|value| value.contains(&0)).then_some("a NUL byte")
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
