//! Detects the dialect of delimited values, from all lines that were read rather than from the first.
//!
//! The method resembles DuckDB's sniffer: the delimiter is the one with which most lines have the same number of
//! values ([`delimiter`](super::delimiter)), and the first line is a header if it differs from the lines below. Titles and comments before the table are
//! recognised by their number of values. The crate `qsv-sniffer` (0.12) was rejected: it fails on files with uneven
//! lines, takes letters and quotes for delimiters, and names columns after dates.

use super::comments::{Comments, first_without_hash, is_remark};
use super::delimiter::{RECORDS_LOOKED_AT, RECORDS_MIN, RECORDS_TYPED, sniff};
use super::head::Head;
use super::identifiers::Identifier;
use super::records::{Record, Syntax, count_by_len, records};
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
    pub(super) comments: Comments,
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
    let (header, begin) = sample.header_and_begin(begin);
    let (header, begin) = match sample.names_behind_hash(header, begin) {
        Some(names) => (Some(names), names),
        None => (header, begin),
    };
    let has_trailing = header.is_some_and(|header| sample.ends_empty(header));
    // A first row with `#` is no header, so that lines with `#` are rows.
    let is_row = header.is_none() && sample.records[begin].begins_with_hash();
    Some(Table {
        syntax,
        num_columns: if has_trailing { usual - 1 } else { usual },
        header: header.map(|header| sample.records[header].line),
        begins_at: sample.records[begin].line,
        has_trailing,
        comments: if is_row { Comments::None } else { sample.comments },
    })
}

/// The most frequent number of values; in a tie, that of the first record.
fn usual_len(sample: &[Record]) -> usize {
    let first = sample.first().map_or(1, Record::len);
    count_by_len(sample).into_iter().max_by_key(|&(len, count)| (count, len == first, len)).map_or(1, |(len, _)| len)
}

/// Sample of records, most of which have `usual` values.
struct Sample {
    records: Vec<Record>,
    usual: usize,
    comments: Comments,
    /// Number of lines before the first that may be a row and does not begin with `#`.
    num_above: usize,
}

impl Sample {
    fn new(records: Vec<Record>, usual: usize) -> Self {
        let comments = Comments::of(&records, usual);
        let num_above = first_without_hash(&records, usual).unwrap_or(0);
        let mut sample = Self { records, usual, comments, num_above: 0 };
        // Of a single column, remarks differ from rows by their words, or by a header below them.
        let are_remarks = usual > 1
            || sample.records[..num_above].iter().all(is_remark)
            || sample.first_line(num_above) == FirstLine::Names;
        sample.num_above = if are_remarks { num_above } else { 0 };
        sample
    }

    fn is_usual(&self, at: usize) -> bool {
        self.records.get(at).is_some_and(|record| record.len() == self.usual)
    }

    /// Whether a record is a comment, or the `sep=` line for spreadsheets.
    fn is_comment(&self, at: usize) -> bool {
        let record = &self.records[at];
        let is_for_spreadsheets =
            at == 0 && record.texts().next().is_some_and(|value| value.starts_with("sep=")) && record.num_filled() == 1;
        let is_above = at < self.num_above && record.begins_with_hash() && (self.usual == 1 || !self.is_usual(at));
        is_above || self.comments.include(record, self.usual) || (is_for_spreadsheets && self.records.len() > 1)
    }

    fn position_of_table(&self) -> Option<usize> {
        let mut usual = (0..self.records.len()).filter(|&at| self.is_usual(at) && !self.is_comment(at));
        let first = usual.next()?;
        // A comment may have as many values as the header below it.
        let is_comment = self.records[first].begins_with_hash() && self.first_line(first + 1) == FirstLine::Names;
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

    /// The header, if any, and the first line of the table, given its first line with the usual number of values.
    fn header_and_begin(&self, begin: usize) -> (Option<usize>, usize) {
        let above = || (0..begin).filter(|&at| !self.is_comment(at));
        let before = self.before(begin);
        if let Some(before) = before
            && self.ends_empty(before)
            && self.first_line(before) != FirstLine::Values
        {
            // Where lines end with a delimiter, the header may not.
            return (Some(before), before);
        }
        // Below several values, a line of texts may be a row to which a column was added.
        let is_header = match self.first_line(begin) {
            FirstLine::Names => true,
            FirstLine::Texts => !self.is_below_rows(begin),
            FirstLine::Values => false,
        };
        if is_header {
            return (Some(begin), begin);
        }
        // Lines with several values may be titles or rows, so they are reported as bad lines.
        let Some(start) = above().find(|&at| self.records[at].len() > 1) else { return (None, begin) };
        // The header has another number of names than there are values.
        let is_of_names = |at: usize| is_of_names(&self.records[at], "");
        match before {
            Some(before) if is_of_names(before) && self.first_line(before) == FirstLine::Names => {
                (Some(before), before)
            }
            _ if is_of_names(start) && self.first_line(start) != FirstLine::Values => (Some(start), start),
            _ => (None, start),
        }
    }

    /// Whether two or more rows of fewer values stand directly above. A single line is a title, and so are lines with a
    /// date or a number, since the column below has texts, and lines above an empty line.
    fn is_below_rows(&self, begin: usize) -> bool {
        let Some(width) = self.before(begin).map(|before| self.records[before].len()) else { return false };
        let is_followed = |&at: &usize| self.records[at].next_line() == self.records[at + 1].line;
        let block = (0..begin).rev().take_while(is_followed).filter(|&at| !self.is_comment(at));
        let block: Vec<&Record> =
            block.map(|at| &self.records[at]).take_while(|record| record.len() == width).collect();
        width < self.usual
            && block.iter().filter(|record| record.num_filled() > 1).count() > 1
            && !block.iter().flat_map(|record| record.texts()).any(is_value)
    }

    /// Names that begin with `#` directly above the table, such as `#id,name`, if it has no header. Where its header is
    /// a line of texts that may as well be a row, `# id, name` is a remark.
    fn names_behind_hash(&self, header: Option<usize>, begin: usize) -> Option<usize> {
        let above = begin.checked_sub(1)?;
        let record = &self.records[above];
        let are_names = record.begins_with_hash() && self.is_usual(above) && is_of_names(record, "#");
        let may_be_row = |header| !is_remark(record) && self.first_line(header) == FirstLine::Texts;
        (are_names && header.is_none_or(may_be_row)).then_some(above)
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
            } else if let Some(class) = Identifier::of_column(&column[..column.len().min(RECORDS_TYPED)]) {
                *(if class.includes(name) { &mut values } else { &mut names }) += 1;
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

/// Whether a record looks like names, judged by itself, without a mark before the first.
fn is_of_names(record: &Record, mark: &str) -> bool {
    let last = record.len() - usize::from(record.ends_empty());
    let mut names = record.texts().take(last);
    let first = names.next().map(|name| name.strip_prefix(mark).unwrap_or(name).trim());
    last > 1 && first.into_iter().chain(names).all(|name| !name.is_empty() && !is_value(name))
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
            ("550e8400-e29b-41d4-a716-446655440000,ann\n6ba7b810-9dad-11d1-80b4-00c04fd430c8,bob\n", false),
            ("f47ac10b-58cc-4372-a567-0e02b2c3d479,ann\n", false),
            ("d41d8cd98f00b204e9800998ecf8427e,a\nb026324c6904b2a9cb4b88d6d61c81d1,b\n", false),
            ("deadbeefdeadbeef,a\nb026324c6904b2a9,b\nc026324c6904b2a9,c\n", false),
            ("aa:bb:cc:dd:ee:ff,desk\nde:ad:be:ef:00:01,door\n", false),
            ("192.168.0.1,desk\n10.0.0.7,door\n", false),
            ("fe80::1,desk\n2001:db8::7,door\n", false),
            ("#ff0000,red\n#00ff00,green\n", false),
            ("sha256,name\nd41d8cd98f00b204e9800998ecf8427e,a\nb026324c6904b2a9cb4b88d6d61c81d1,b\n", true),
            ("deadbeef,cafe\nx,y\n", true),
            ("cafe,mac\nann,aa:bb:cc:dd:ee:ff\nbob,de:ad:be:ef:00:01\n", true),
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
    fn rows_before_a_column_was_added_are_no_lines_before_the_table() {
        let names = |range: std::ops::Range<u8>, end: &str| -> String {
            range.map(|n| format!("{},town{end}\n", char::from(b'a' + n))).collect()
        };
        for (text, header) in [
            (format!("name,city\nann,Rome\nbob,Bern\ncid,Oslo,red\n{}", names(3..8, ",blue")), Some(1)),
            (format!("id,city\n1,Rome\n2,Bern\n3,Oslo,red\n{}", "4,Bonn,blue\n".repeat(5)), Some(1)),
            (format!("name,city\nann,Rome\nbob,Bern\ncid,Oslo,5\n{}", names(3..8, ",6")), Some(1)),
            (format!("1,Rome\n2,Bern\n3,Oslo,red\n{}", "4,Bonn,blue\n".repeat(5)), None),
        ] {
            let table = table(&text);
            assert_eq!((table.header, table.begins_at, table.num_columns), (header, 1, 3), "{text}");
        }
        let titled = table(&format!("Towns,\nname,city,colour\n{}", names(0..5, ",blue")));
        assert_eq!((titled.header, titled.begins_at), (Some(2), 2), "a title is no row");
    }

    #[test]
    fn titles_of_several_values_are_no_rows_before_a_table_of_texts() {
        let rows = "ann,Rome,IT\nbob,Bern,CH\ncid,Oslo,NO\ndan,Bonn,DE\n";
        for (before, line) in [
            ("Exported by,admin\nDate,2024-01-01\n", 3),
            ("Report,2024\n", 2),
            ("Report,towns\n", 2),
            ("Exported by,admin\nOf,towns\n\n", 4),
            ("Exported by,\"admin\nof all\"\nVersion,2\n", 4),
        ] {
            let table = table(&format!("{before}Name,City,Country\n{rows}"));
            assert_eq!((table.header, table.begins_at, table.num_columns), (Some(line), line, 3), "{before}");
        }
        let over_lines =
            table(&format!("name,city\nann,\"Rome\nOld\"\nbob,Bern\ncid,Oslo,NO\n{}", "eve,Bonn,DE\n".repeat(5)));
        assert_eq!((over_lines.header, over_lines.begins_at), (Some(1), 1), "no line is empty");
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
