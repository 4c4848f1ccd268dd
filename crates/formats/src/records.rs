//! Records of delimited values, each with its first line.

use super::head::Head;
use csv::{ByteRecord, Reader, ReaderBuilder};
use std::collections::HashMap;

/// Length from which a quoted value with line breaks was probably never closed.
const QUOTED_BYTES_MAX: usize = 64 << 10;

/// Characters that separate and quote values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Syntax {
    pub(super) delimiter: u8,
    pub(super) quote: u8,
    /// Escapes a quote within quotes. Two quotes stand for one in any case.
    pub(super) escape: Option<u8>,
}

impl Syntax {
    /// Syntax of RFC 4180.
    pub(super) fn usual(delimiter: u8) -> Self {
        Self { delimiter, quote: b'"', escape: None }
    }
}

pub(super) struct Record {
    pub(super) values: ByteRecord,
    /// Counted from 1, with the line breaks within values.
    pub(super) line: u64,
    /// The last value begins with a quote that is never closed, so it is the rest of the file.
    pub(super) is_unclosed: bool,
    pub(super) begins_quoted: bool,
}

impl Record {
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// Values as trimmed text.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.values.iter().map(|value| std::str::from_utf8(value).unwrap_or_default().trim())
    }

    pub(super) fn num_filled(&self) -> usize {
        self.values.iter().filter(|value| !value.trim_ascii().is_empty()).count()
    }

    pub(super) fn ends_empty(&self) -> bool {
        self.values.iter().next_back().is_some_and(<[u8]>::is_empty)
    }

    /// Line after this record, with the line breaks within its values.
    pub(super) fn next_line(&self) -> u64 {
        let values = self.values.as_slice();
        self.line + 1 + line_ends(values, 0, values.len())
    }

    /// Whether the line begins with `#`, and not with a quote before it: see [`comments`](super::comments).
    pub(super) fn begins_with_hash(&self) -> bool {
        !self.begins_quoted && self.values.get(0).is_some_and(|value| value.starts_with(b"#"))
    }
}

/// Number of records of each number of values.
pub(super) fn count_by_len<'a>(records: impl IntoIterator<Item = &'a Record>) -> HashMap<usize, usize> {
    let mut counts = HashMap::new();
    records.into_iter().for_each(|record| *counts.entry(record.len()).or_default() += 1);
    counts
}

/// Reads the records, without empty lines and without a truncated last record.
pub(super) fn records(head: &Head, syntax: Syntax) -> Records<'_> {
    let reader = ReaderBuilder::new()
        .delimiter(syntax.delimiter)
        .quote(syntax.quote)
        .escape(syntax.escape)
        .has_headers(false)
        .flexible(true)
        .from_reader(&head.bytes[..]);
    let mut records = Records { head, syntax, reader, ahead: None, line: 1, counted_bytes: 0 };
    records.ahead = records.read();
    records
}

pub(super) struct Records<'a> {
    head: &'a Head,
    syntax: Syntax,
    reader: Reader<&'a [u8]>,
    ahead: Option<Record>,
    /// Line of the byte up to which line breaks are counted.
    line: u64,
    counted_bytes: usize,
}

impl Records<'_> {
    fn read(&mut self) -> Option<Record> {
        let mut values = ByteRecord::new();
        // Cannot fail: the bytes are in memory, and any length is allowed.
        if !self.reader.read_byte_record(&mut values).ok()? {
            return None;
        }
        let begin = values.position().and_then(|position| usize::try_from(position.byte()).ok()).unwrap_or(0);
        // The reader's position lies before empty lines, and within a line break of two bytes.
        let bytes = &self.head.bytes;
        let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let begin = begin + bytes[begin..].iter().take_while(|byte| is_end(byte)).count();
        self.line += line_ends(bytes, self.counted_bytes, begin);
        self.counted_bytes = begin;
        let begins_quoted = bytes.get(begin) == Some(&self.syntax.quote);
        Some(Record { values, line: self.line, is_unclosed: false, begins_quoted })
    }
}

impl Iterator for Records<'_> {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        let mut record = self.ahead.take()?;
        self.ahead = self.read();
        if self.ahead.is_none() {
            if !self.head.is_whole {
                return None;
            }
            record.is_unclosed = open_quote(&self.head.bytes, self.syntax).is_some();
        }
        Some(record)
    }
}

/// Line breaks between two offsets: `\n`, `\r\n`, or `\r` alone.
fn line_ends(bytes: &[u8], from: usize, to: usize) -> u64 {
    let is_end = |at: &usize| bytes[*at] == b'\n' || (bytes[*at] == b'\r' && bytes.get(at + 1) != Some(&b'\n'));
    (from..to).filter(is_end).count() as u64
}

/// Offset of a quoted value that is never closed, by the rules of the reader: a quote counts at the beginning of a
/// value, and two quotes within it stand for one.
fn open_quote(bytes: &[u8], syntax: Syntax) -> Option<usize> {
    let Syntax { delimiter, quote, escape } = syntax;
    let mut at = 0;
    loop {
        // At the beginning of a value.
        if bytes.get(at)? == &quote {
            let begin = at;
            at += 1;
            loop {
                let Some(found) = memchr::memchr2(quote, escape.unwrap_or(quote), bytes.get(at..)?) else {
                    return Some(begin);
                };
                at += found + 1;
                let is_pair = bytes[at - 1] != quote || bytes.get(at) == Some(&quote);
                if !is_pair {
                    break;
                }
                at += 1;
                if at >= bytes.len() {
                    return Some(begin);
                }
            }
        }
        at += memchr::memchr3(delimiter, b'\n', b'\r', bytes.get(at..)?)? + 1;
    }
}

/// Problem of a truncated file with a quote that seems to be left open, with its line.
pub(super) fn lost_quote(head: &Head, syntax: Syntax) -> Option<String> {
    if head.is_whole {
        return None;
    }
    let begin = open_quote(&head.bytes, syntax)?;
    let value = &head.bytes[begin..];
    let line = 1 + line_ends(&head.bytes, 0, begin);
    (value.len() > QUOTED_BYTES_MAX && value.contains(&b'\n'))
        .then(|| format!("the quote in line {line} is not closed within the first megabyte"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str, is_whole: bool) -> Head {
        Head { bytes: text.as_bytes().to_vec(), encoding: "UTF-8", compression: None, is_whole, damage: None }
    }

    const COMMAS: Syntax = Syntax { delimiter: b',', quote: b'"', escape: None };

    fn lines(text: &str) -> Vec<u64> {
        records(&head(text, true), COMMAS).map(|record| record.line).collect()
    }

    #[test]
    fn a_record_has_the_number_of_its_first_line_whatever_ends_lines() {
        for end in ["\n", "\r\n", "\r"] {
            let of = |text: &str| lines(&text.replace('\n', end));
            assert_eq!(of("a,b\n1,2\n3\n4,5\n"), [1, 2, 3, 4]);
            assert_eq!(of("\n\na,b\n\n1,2"), [3, 5]);
            assert_eq!(of("a,b\n\"x\n\ny\",2\n3,4\n"), [1, 2, 5]);
        }
        assert_eq!(lines("a\r\nb\nc\rd\n"), [1, 2, 3, 4]);
    }

    #[test]
    fn a_quote_is_open_where_the_reader_finds_it_so() {
        for (text, is_open) in [
            ("a,\"b\"\n", false),
            ("a,\"b\n", true),
            ("a,\"b\"\"\n", true),
            ("a,\"b\"\"\"\n", false),
            ("a,5\" pipe\n", false),
            ("\"a\"b\",c\n", false),
            ("a\n\"", true),
            ("", false),
        ] {
            let last = records(&head(text, true), COMMAS).last();
            assert_eq!(last.is_some_and(|record| record.is_unclosed), is_open, "{text:?}");
        }
    }

    #[test]
    fn a_quote_behind_an_escape_closes_nothing() {
        let escaping = Syntax { escape: Some(b'\\'), ..COMMAS };
        for (text, is_open) in [(r#"a,"x\"y""#, false), (r#"a,"x\""#, true), (r#"a,"x\\""#, false), (r#"a,"x\"#, true)]
        {
            let record = records(&head(text, true), escaping).last().unwrap();
            assert_eq!(record.is_unclosed, is_open, "{text}");
        }
    }

    #[test]
    fn a_quote_that_is_open_for_long_is_told_of_a_file_that_goes_on() {
        let text = format!("a,b\r\n1,\"x\r\n{}", "2,y\r\n".repeat(20_000));
        assert_eq!(
            lost_quote(&head(&text, false), COMMAS).as_deref(),
            Some("the quote in line 2 is not closed within the first megabyte")
        );
        assert_eq!(lost_quote(&head("a,b\n1,\"x\n", false), COMMAS), None, "it may end behind the first megabyte");
    }
}
