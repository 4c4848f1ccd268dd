//! Delimited values: CSV, TSV, and other files with a character between values (RFC 4180, as far as files follow it).
//!
//! The delimiter, the start of the table and the header are decided by all lines that were read
//! ([`dialect`](super::dialect)). A line with another number of values than most is a bad line, and not a row.

use super::dialect::{Table, table_of};
use super::encoding::undamaged;
use super::head::Head;
use super::records::{Record, lost_quote, records};
use super::sniffing::{Guess, cell};
use super::{Fault, joined};
use lakeshore::model::dataset::schema::{Format, Schema};
use lakeshore::model::preview::{BAD_LINES_SHOWN_MAX, BadLine, COLUMNS_SHOWN_MAX, Dialect, Preview};

pub(super) fn preview(head: Head, name: &str, rows_max: usize) -> Result<Preview, Fault> {
    if head.bytes.is_empty() && head.is_whole {
        return Err(Fault::unreadable("it is empty"));
    }
    let head = head.without_padding();
    if let Some(problem) = head.compression_not_read() {
        return Err(Fault::Unreadable(problem));
    }
    let head = head.in_older_encoding();
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
        problem: joined([lost_quote(&head, table.syntax), head.damage]),
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
        if table.comments.include(record, num_columns + usize::from(table.has_trailing)) {
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
        }
        for (guess, value) in self.guesses.iter_mut().zip(&record.values) {
            see(guess, value);
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
    } else if let Some(value) = undamaged(value) {
        guess.see(value.trim());
    }
}

fn shown_value(value: Option<&[u8]>) -> Option<String> {
    value.filter(|value| !is_null(value)).map(|value| cell(&String::from_utf8_lossy(value)))
}

#[cfg(test)]
mod tests {
    use crate::tests::{columns, previewed, row};

    #[test]
    fn values_of_windows_1252_are_decoded_and_typed() {
        let preview = previewed("x.csv", b"id,name\n1,M\xfcller\n2,K\xf6ln\n");
        assert_eq!(columns(&preview), ["id integer", "name text"]);
        assert_eq!((row(&preview, 0), row(&preview, 1)), (vec!["1", "M\u{fc}ller"], vec!["2", "K\u{f6}ln"]));
        assert_eq!((preview.row_count, preview.num_bad_lines, preview.problem), (Some(2), 0, None));
        assert_eq!(preview.dialect.unwrap().encoding, "windows-1252");
        let named = previewed("x.csv", b"Nr;Stra\xdfe\n1;Am Tor\n2;Wall\n");
        assert_eq!(columns(&named), ["Nr integer", "Stra\u{df}e text"]);
    }

    #[test]
    fn damaged_lines_of_utf_8_are_told_and_their_values_typed() {
        let mut text = "id,code\n".to_owned();
        (0..30).for_each(|n| text.push_str(&format!("{n},{}\n", n + 1)));
        let text = [text.as_bytes(), b"30,M\xfcller\n31,\xff\n"].concat();
        let preview = previewed("x.csv", &text);
        assert_eq!((preview.row_count, preview.num_bad_lines), (Some(32), 2));
        assert_eq!(columns(&preview), ["id integer", "code text"], "a value of letters is no integer");
        assert_eq!(preview.bad_lines[0].problem, "bytes that are not UTF-8");
        assert_eq!(preview.dialect.unwrap().encoding, "UTF-8");
        let mixed = previewed("x.csv", b"id,name\n1,M\xc3\xbcller\n2,K\xf6ln\n");
        assert_eq!((mixed.num_bad_lines, row(&mixed, 0)), (1, vec!["1", "M\u{fc}ller"]));
    }

    #[test]
    fn a_damaged_number_leaves_the_type_of_its_column() {
        let rows: String = (1..=30).map(|n| format!("{n},{n}5\n")).collect();
        for (last, problem) in [(&b"31,1\xff5\n"[..], "bytes that are not UTF-8"), (b"31,15\0\n", "a NUL byte")] {
            let preview = previewed("x.csv", &[b"id,price\n", rows.as_bytes(), last].concat());
            assert_eq!(columns(&preview), ["id integer", "price integer"], "{problem}");
            assert_eq!((preview.row_count, preview.num_bad_lines), (Some(31), 1), "{problem}");
            assert_eq!(preview.bad_lines[0].problem, problem);
        }
    }

    #[test]
    fn rows_before_a_column_was_added_are_reported() {
        let text =
            format!("name,city\nann,Rome\nbob,Bern\ncid,Oslo,red\n{}", "dan,Bonn,blue\neve,Prague,green\n".repeat(3));
        let preview = previewed("x.csv", text.as_bytes());
        assert_eq!(columns(&preview), ["name text", "city text", "column3 text"]);
        assert_eq!((preview.row_count, preview.dialect.unwrap().skip_lines), (Some(7), 0));
        let bad: Vec<_> = preview.bad_lines.iter().map(|bad| bad.line).collect();
        assert_eq!((bad, preview.num_bad_lines), (vec![1, 2, 3], 3));
    }

    #[test]
    fn damage_of_utf_16_is_told() {
        let units = "a,b\n1,x\n".encode_utf16().chain([0x32, 0x2c, 0xd800, 0x0a]);
        let bytes: Vec<u8> = [0xfeff].into_iter().chain(units).flat_map(u16::to_le_bytes).collect();
        let preview = previewed("x.csv", &bytes);
        assert_eq!(row(&preview, 1), ["2", "\u{fffd}"]);
        assert!(preview.problem.unwrap().contains("1 half character of UTF-16"));
        let wide: Vec<u8> = "\u{feff}a,b\n1,2\n".chars().flat_map(|one| u32::from(one).to_le_bytes()).collect();
        for name in ["x.csv", "x.txt", "x.jsonl"] {
            let problem = previewed(name, &wide).problem.unwrap();
            assert!(problem.contains("not supported: its encoding is UTF-32"), "{problem}");
        }
    }
}
