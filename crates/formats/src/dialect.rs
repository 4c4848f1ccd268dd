//! Detects the dialect of delimited values, from all lines that were read rather than from the first.
//!
//! The method resembles DuckDB's sniffer: the delimiter is the one with which most lines have the same number of
//! values ([`delimiter`](super::delimiter)), and the first line is a header if it differs from the lines below. Titles and comments before the table are
//! recognised by their number of values. The crate `qsv-sniffer` (0.12) was rejected: it fails on files with uneven
//! lines, takes letters and quotes for delimiters, and names columns after dates.

use super::delimiter::{RECORDS_LOOKED_AT, RECORDS_MIN, RECORDS_TYPED, sniff};
use super::head::Head;
use super::records::{Record, Syntax, records};
use super::sniffing::{Guess, is_date, is_missing, is_value, shape};
use std::collections::HashMap;

/// Most titles that are padded to the width of the table.
const TITLES_MAX: usize = 10;

/// Table within a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) syntax: Syntax,
    pub(super) num_columns: usize,
    /// Line of the header, if any.
    pub(super) header: Option<u64>,
    /// First line of the table. Earlier lines are neither rows nor counted.
    pub(super) begins_at: u64,
    /// Each line ends with a delimiter, and no value after it.
    pub(super) has_trailing: bool,
    /// Lines that begin with `#` are comments.
    pub(super) has_comments: bool,
}

/// Finds the table. `None` if every line is empty.
pub(super) fn table_of(head: &Head, name: &str) -> Option<Table> {
    let sniffed = sniff(head, name);
    let syntax = sniffed.as_ref().map_or(Syntax::usual(b','), |sniffed| sniffed.syntax);
    let sample: Vec<Record> = records(head, syntax).take(RECORDS_LOOKED_AT).collect();
    let usual = sniffed.map_or_else(|| usual_len(&sample), |sniffed| sniffed.num_columns);
    let sample = Sample::new(sample, usual);
    let first = sample.position_of_table()?;
    let begin = sample.behind_titles(first);
    let (header, begin) = match sample.before(begin) {
        // Where lines end with a delimiter, the header may not.
        Some(before) if sample.ends_empty(before) && sample.first_line(before) != FirstLine::Values => {
            (Some(before), before)
        }
        _ if sample.first_line(begin) != FirstLine::Values => (Some(begin), begin),
        // A header with another number of names than there are values.
        Some(before) if is_of_names(&sample.records[before]) => (Some(before), before),
        // Lines with several values may be titles or rows, so they are reported as bad lines.
        Some(_) => {
            let is_of_values = |&at: &usize| !sample.is_comment(at) && sample.records[at].len() > 1;
            (None, (0..begin).find(is_of_values).unwrap_or(begin))
        }
        None => (None, begin),
    };
    let has_trailing = header.is_some_and(|header| sample.ends_empty(header));
    Some(Table {
        syntax,
        num_columns: if has_trailing { usual - 1 } else { usual },
        header: header.map(|header| sample.records[header].line),
        begins_at: sample.records[begin].line,
        has_trailing,
        has_comments: sample.has_comments,
    })
}

/// The most frequent number of values; in a tie, that of the first record.
fn usual_len(sample: &[Record]) -> usize {
    let mut counts: HashMap<usize, usize> = HashMap::new();
    sample.iter().for_each(|record| *counts.entry(record.len()).or_default() += 1);
    let first = sample.first().map_or(1, Record::len);
    counts.into_iter().max_by_key(|&(len, count)| (count, len == first, len)).map_or(1, |(len, _)| len)
}

/// Sample of records, most of which have `usual` values.
struct Sample {
    records: Vec<Record>,
    usual: usize,
    has_comments: bool,
}

impl Sample {
    fn new(records: Vec<Record>, usual: usize) -> Self {
        // A comment whose width differs from the table's proves that lines with `#` are comments.
        let is_evidence = |record: &Record| record.is_comment() && (record.len() != usual || usual == 1);
        let has_comments = records.iter().any(is_evidence) && !records.iter().all(Record::is_comment);
        Self { records, usual, has_comments }
    }

    fn is_usual(&self, at: usize) -> bool {
        self.records.get(at).is_some_and(|record| record.len() == self.usual)
    }

    /// Whether a record is a comment, or the `sep=` line for spreadsheets.
    fn is_comment(&self, at: usize) -> bool {
        let record = &self.records[at];
        let is_for_spreadsheets =
            at == 0 && record.texts().next().is_some_and(|value| value.starts_with("sep=")) && record.num_filled() == 1;
        (self.has_comments && record.is_comment()) || (is_for_spreadsheets && self.records.len() > 1)
    }

    fn position_of_table(&self) -> Option<usize> {
        let mut usual = (0..self.records.len()).filter(|&at| self.is_usual(at) && !self.is_comment(at));
        let first = usual.next()?;
        // A comment may have as many values as the header below it.
        let is_comment = self.records[first].is_comment() && self.first_line(first + 1) == FirstLine::Names;
        if is_comment { usual.next() } else { Some(first) }
    }

    /// Skips titles, which may be padded with delimiters to the width of the table.
    fn behind_titles(&self, first: usize) -> usize {
        let is_title = |&at: &usize| self.usual > 2 && self.is_usual(at) && self.records[at].num_filled() < 2;
        let behind = first + (first..self.records.len()).take(TITLES_MAX).take_while(is_title).count();
        if behind > first && self.first_line(behind) != FirstLine::Values { behind } else { first }
    }

    /// The last line above that is not a comment.
    fn before(&self, begin: usize) -> Option<usize> {
        (0..begin).rev().find(|&at| !self.is_comment(at))
    }

    /// Whether all lines below this header end with a delimiter, and the header does not.
    fn ends_empty(&self, header: usize) -> bool {
        let mut body = (header + 1..self.records.len()).filter(|&at| self.is_usual(at)).peekable();
        self.usual > 1
            && self.records[header].len() + 1 == self.usual
            && body.peek().is_some()
            && body.all(|at| self.records[at].ends_empty())
    }

    /// Classifies a line by comparison with the lines below it.
    ///
    /// If a column has a type, a name does not match it. If it has none, but its values share a shape, such as `$9.50`
    /// or `A12`, a name has another shape. Columns of texts only show whether the first line occurs again below.
    fn first_line(&self, at: usize) -> FirstLine {
        let Some(first) = self.records.get(at) else { return FirstLine::Values };
        let mut columns: Vec<Vec<&str>> = vec![Vec::new(); first.len()];
        // A repeated header, as in concatenated files, is not a value.
        let is_below = |&below: &usize| {
            self.is_usual(below) && !self.is_comment(below) && self.records[below].values != first.values
        };
        for below in (at + 1..self.records.len()).filter(is_below) {
            let values = self.records[below].texts();
            columns
                .iter_mut()
                .zip(values)
                .filter(|(_, value)| !is_missing(value))
                .for_each(|(column, value)| column.push(value));
        }
        let (mut names, mut values, mut comes_again) = (0, 0, false);
        for (name, column) in first.texts().zip(columns).filter(|(name, _)| !is_missing(name)) {
            comes_again |= column.len() >= RECORDS_MIN && column.contains(&name);
            let mut guess = Guess::default();
            column.iter().for_each(|value| guess.see(value));
            let begins_with_digit = |value: &str| value.starts_with(|character: char| character.is_ascii_digit());
            // A date above numbers is a name, as in tables with a column for each day.
            if is_date(name) && guess.fits(name) == Some(false) {
                names += 1;
            } else if begins_with_digit(name) && column.iter().all(|value| begins_with_digit(value)) {
                values += 1;
            } else if let Some(fits) = guess.fits(name) {
                *(if fits { &mut values } else { &mut names }) += 1;
            } else if let Some(usual) = usual_shape(&column) {
                values += usize::from(shape(name) == usual);
                names += usize::from(!name.bytes().any(|byte| byte.is_ascii_digit()));
            }
        }
        let is_of_texts = first.texts().all(|name| !is_value(name)) && first.num_filled() > 0;
        match () {
            () if names > 0 => FirstLine::Names,
            () if values == 0 && is_of_texts && !comes_again => FirstLine::Texts,
            () => FirstLine::Values,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FirstLine {
    /// Differs from the lines below.
    Names,
    /// Possibly names: texts that do not occur again below.
    Texts,
    Values,
}

/// Whether a record looks like names, judged by itself.
fn is_of_names(record: &Record) -> bool {
    let last = record.len() - usize::from(record.ends_empty());
    last > 1 && record.texts().take(last).all(|value| !value.is_empty() && !is_value(value))
}

/// Shape of nine in ten values, if it contains digits.
fn usual_shape(values: &[&str]) -> Option<String> {
    let values = &values[..values.len().min(RECORDS_TYPED)];
    let mut shapes: HashMap<String, usize> = HashMap::new();
    values.iter().for_each(|value| *shapes.entry(shape(value)).or_default() += 1);
    let count = values.len();
    let (usual, agreeing) = shapes.into_iter().max_by_key(|(_, count)| *count)?;
    // A few words with a number may share a shape by chance.
    let is_telling = usual.contains('9') && (!usual.contains('a') || count >= RECORDS_MIN);
    (is_telling && agreeing * 10 >= count * 9).then_some(usual)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Table {
        let bytes = text.as_bytes().to_vec();
        let head = Head { bytes, encoding: "UTF-8", compression: None, is_whole: true, damage: None };
        table_of(&head, "x.csv").unwrap()
    }

    #[test]
    fn names_in_the_first_line_are_told_from_values_by_the_lines_below() {
        for (text, header) in [
            ("id,name\n1,a\n", true),
            ("1,a\n2,b\n", false),
            ("1/1/2020,x\n1/1/2020,y\n5/7/1995,z\n", false),
            ("05/06/2019,12:30\n06/06/2019,13:30\n", false),
            ("24.11.2026;1,5\n25.11.2026;2,5\n", false),
            ("$5.00,10%\n$6.00,11%\n", false),
            ("price,share\n$5.00,10%\n$6.00,11%\n", true),
            ("A12,Berlin\nB34,Paris\nC56,Rome\nD78,Bonn\n", false),
            ("col1,col2\nval1,val2\n", true),
            ("24.11.2026,12:30\n", false),
            ("24-Nov-2026,x\n25-Nov-2026,y\n", false),
            ("01234,Berlin\n10115,Paris\n", false),
            ("a@x.org,Berlin\nb@y.org,Paris\n", false),
            ("id,name\n1,a\nid,name\n2,b\n", true),
            ("code,city\nA12,Berlin\nB34,Paris\n", true),
            ("name,city\nann,Berlin\nbob,Paris\n", true),
            ("ann,Berlin\nbob,Paris\ncid,Bonn\nann,Rome\n", false),
            ("id,name,2024\n1,a,5\n2,b,6\n", true),
            ("n/a,x,3\n1,y,4\n2,z,5\n", false),
            ("name,2020-01-01,2020-01-02\na,1,2\nb,3,4\n", true),
            ("a,2020-01-01\nb,2020-01-02\n", false),
            (",a,b\n0,1,2\n1,3,4\n", true),
            ("id,name\n", true),
            ("1,a\n", false),
        ] {
            assert_eq!(table(text).header.is_some(), header, "{text}");
        }
    }

    #[test]
    fn lines_before_the_table_are_no_part_of_it() {
        let rows = "1,x,2\n2,y,3\n3,z,4\n";
        for (before, line) in [
            ("", 1),
            ("Report generated 2026-11-24\n\n", 3),
            ("# made by tool\n# v1\n", 3),
            ("# id, name, cost\n", 2),
            ("# made by tool\n# by, whom, when\n", 3),
            ("Vendor,Test\nFrom,2024\nTo,2025\n", 4),
            ("Report, 2026\n", 2),
            ("Report,,\n,,\n", 3),
            ("sep=,\n", 2),
        ] {
            let table = table(&format!("{before}id,name,amount\n{rows}"));
            assert_eq!((table.header, table.begins_at, table.num_columns), (Some(line), line, 3), "{before}");
        }
        let unnamed = table(&format!("Report of 2026\n{rows}"));
        assert_eq!((unnamed.header, unnamed.begins_at), (None, 2));
        let broken = table(&format!("0,w\n{rows}"));
        assert_eq!((broken.header, broken.begins_at), (None, 1), "a bad line, and no title");
    }

    #[test]
    fn lines_that_do_not_agree_are_a_table_of_the_width_of_most() {
        for (text, num_columns) in [("a,b\rc,d,e", 2), ("One,two,three\n1,2,3,4\n1,2,3\n1,2,3,4,5\n1,2,3,4,5\n", 3)] {
            assert_eq!(table(text).num_columns, num_columns, "{text}");
        }
    }

    #[test]
    fn a_delimiter_at_the_end_of_lines_is_no_column_unless_the_header_has_it_too() {
        let of = |text| {
            let table = table(text);
            (table.num_columns, table.has_trailing)
        };
        assert_eq!(of("a,b\n1,2,\n3,4,\n"), (2, true));
        assert_eq!(of("a,b,\n1,2\n3,4\n"), (2, false));
        assert_eq!(of("a,b,\n1,2,\n3,4,\n"), (3, false));
        assert_eq!(of("a,b\n1,2,\n3,4,5\n"), (3, false));
    }
}
