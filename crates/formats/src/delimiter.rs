//! Detects the syntax of delimited values: the delimiter, the quote and the escape with which most lines have the same
//! number of values.

use super::head::{Head, plain_name};
use super::records::{Record, Syntax, count_by_len, records};
use super::sniffing::is_value;

/// Candidates. Of equally good ones, the last wins: numbers contain commas too.
const DELIMITERS: [u8; 4] = [b',', b'\t', b';', b'|'];
/// Records that take part in the decision.
pub(super) const RECORDS_LOOKED_AT: usize = 5000;
/// Records whose values are classified in a comparison of delimiters.
pub(super) const RECORDS_TYPED: usize = 200;
/// Lines that have to agree if the file name does not tell the format.
pub(super) const RECORDS_MIN: usize = 3;

pub(super) struct Sniffed {
    pub(super) syntax: Syntax,
    /// Number of records in the sample, without comments.
    records: usize,
    /// Number of records with the most frequent number of values.
    agreeing: usize,
    pub(super) num_columns: usize,
}

/// Whether a text of unknown format is delimited: several lines have the same number of values, and more than one
/// value.
pub(super) fn looks_like_it(head: &Head, name: &str) -> bool {
    sniff(head, name)
        .is_some_and(|sniffed| sniffed.records >= RECORDS_MIN && sniffed.agreeing * 10 >= sniffed.records * 9)
}

/// Finds the delimiter with which most lines have the same number of values. `None` if no line has two values.
pub(super) fn sniff(head: &Head, name: &str) -> Option<Sniffed> {
    let by_name = match plain_name(name).rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()) {
        Some(extension) if extension == "tsv" || extension == "tab" => Some(b'\t'),
        Some(extension) if extension == "psv" => Some(b'|'),
        _ => None,
    };
    let candidates = DELIMITERS.into_iter().flat_map(|delimiter| syntaxes(head, delimiter));
    let sniffed = candidates.filter_map(|syntax| {
        let sample: Vec<Record> = records(head, syntax).take(RECORDS_LOOKED_AT).collect();
        let sample = without_comments(&sample);
        let (num_columns, agreeing) = usual_width(&sample)?;
        let begin = sample.iter().position(|record| record.len() == num_columns)?;
        // Most lines of the file, or nearly all lines after the first that fits.
        let is_most = agreeing * 2 + usize::from(begin == 0) > sample.len();
        let is_table = is_most || (agreeing >= RECORDS_MIN && agreeing * 10 >= (sample.len() - begin) * 9);
        let rank = (
            agreeing * 1000 / sample.len(),
            by_name == Some(syntax.delimiter),
            // A wrong quote merges lines.
            agreeing,
            syntax == Syntax::usual(syntax.delimiter),
            typed(&sample, num_columns),
            num_columns,
        );
        is_table.then_some((rank, Sniffed { syntax, records: sample.len(), agreeing, num_columns }))
    });
    sniffed.max_by_key(|(rank, _)| *rank).map(|(_, sniffed)| sniffed)
}

/// The most frequent number of values, if it is more than one, and the number of records that have it.
fn usual_width(sample: &[&Record]) -> Option<(usize, usize)> {
    let several = sample.iter().copied().filter(|record| record.len() > 1);
    count_by_len(several).into_iter().max_by_key(|&(columns, count)| (count, columns))
}

/// Leaves out lines with `#`, except those that are as wide as the others: these may be rows.
fn without_comments(sample: &[Record]) -> Vec<&Record> {
    let others: Vec<&Record> = sample.iter().filter(|record| !record.begins_with_hash()).collect();
    let all = || sample.iter().collect();
    match usual_width(&others) {
        Some((usual, _)) => {
            sample.iter().filter(|record| !record.begins_with_hash() || record.len() == usual).collect()
        }
        // Every row begins with `#`.
        None if sample.first().is_some_and(|first| others.is_empty() || !first.begins_with_hash()) => all(),
        None => others,
    }
}

/// Variants of the syntax with the quotes and escapes that occur in the file.
fn syntaxes(head: &Head, delimiter: u8) -> Vec<Syntax> {
    let has = |text: &[u8]| memchr::memmem::find(&head.bytes, text).is_some();
    let usual = Syntax::usual(delimiter);
    let mut syntaxes = vec![usual];
    if has(b"\\\"") {
        syntaxes.push(Syntax { escape: Some(b'\\'), ..usual });
    }
    if has(&[delimiter, b'\'']) {
        syntaxes.push(Syntax { quote: b'\'', ..usual });
        if has(b"\\'") {
            syntaxes.push(Syntax { quote: b'\'', escape: Some(b'\\'), ..usual });
        }
    }
    syntaxes
}

/// Share of numbers, dates and times, in thousandths. A delimiter that splits numbers leaves fragments of another type.
fn typed(sample: &[&Record], num_columns: usize) -> usize {
    let records = sample.iter().filter(|record| record.len() == num_columns).take(RECORDS_TYPED);
    let (mut values, mut typed) = (0, 0);
    for value in records.flat_map(|record| record.texts()) {
        values += 1;
        typed += usize::from(is_value(value));
    }
    (typed * 1000).checked_div(values).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::table_of;

    /// The syntax of the table, also where no line has two values.
    fn syntax(text: &str) -> Syntax {
        let bytes = text.as_bytes().to_vec();
        let head = Head { bytes, encoding: "UTF-8", compression: None, is_whole: true, damage: None };
        table_of(&head, "x.csv").unwrap().syntax
    }

    #[test]
    fn the_delimiter_is_the_one_by_which_lines_agree() {
        for (text, delimiter) in [
            ("a;b\n1,5;2\n3,25;4\n", ';'),
            ("a\tb,c\n1\t2\n3\t4\n", '\t'),
            ("a,b\n\"x;y;z\",2\n3,4\n", ','),
            ("a|b|c\n1|2|3\n", '|'),
            ("alone\n1\n", ','),
            ("1,5;2,5\n3,5;4,5\n", ';'),
            ("24.11.2026;1,5\n25.11.2026;2,5\n", ';'),
            ("Report, by day\nfor us\na;b\n1;2\n3;4\n5;6\n7;8\n", ';'),
        ] {
            assert_eq!(char::from(syntax(text).delimiter), delimiter, "{text}");
        }
    }

    #[test]
    fn other_quotes_and_escapes_are_found_where_lines_agree_by_them() {
        let usual = Syntax::usual(b',');
        for (text, expected) in [
            ("a,b\n1,'x,y'\n2,'z,w'\n", Syntax { quote: b'\'', ..usual }),
            ("a,b\n1,\"say \\\"x, y\\\"\"\n2,\"z\"\n", Syntax { escape: Some(b'\\'), ..usual }),
            ("a,b\n1,'tis\n2,'twas\n", usual),
            ("a,b\n1,\"x,y\"\n2,\"z,w\"\n", usual),
        ] {
            assert_eq!(syntax(text), expected, "{text}");
        }
    }
}
