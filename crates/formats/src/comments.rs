//! Comments of delimited values: lines that begin with `#`, in files that show that these are no rows.
//!
//! Channels, colours and tickets begin with `#` too, so such a line is a row until something speaks against it.

use super::records::Record;
use super::sniffing::{is_missing, is_typed};

/// Lines with `#` that are comments, wherever they are in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comments {
    None,
    /// Lines with another number of values than the table, because no row begins with `#`.
    OfOtherWidth,
    /// Also lines as wide as the table, because other lines are certainly comments.
    All,
}

impl Comments {
    /// Comments of a table whose rows have `usual` values.
    pub(super) fn of(records: &[Record], usual: usize) -> Self {
        let is_full = |record: &&Record| record.len() == usual;
        let Some(begin) = first_without_hash(records, usual) else { return Self::None };
        if usual == 1 {
            return if are_remarks_among_typed(records) { Self::All } else { Self::None };
        }
        let (above, rows) = (&records[..begin], &records[begin + 1..]);
        let marked = |records: &[Record]| records.iter().filter(is_full).filter(|row| row.begins_with_hash()).count();
        let is_other = |record: &&Record| record.begins_with_hash() && record.len() != usual;
        // Below the first row, a line of another width may also be a row that lacks values.
        let is_shown = above.iter().any(|record| is_other(&record)) || rows.iter().filter(is_other).any(is_remark);
        let num_full = rows.iter().chain(above).filter(is_full).count();
        match () {
            // Comments are fewer than rows.
            () if is_shown && (marked(rows) + marked(above)) * 2 <= num_full => Self::All,
            () if marked(rows) == 0 => Self::OfOtherWidth,
            () => Self::None,
        }
    }

    pub(super) fn include(self, record: &Record, usual: usize) -> bool {
        record.begins_with_hash()
            && match self {
                Self::None => false,
                Self::OfOtherWidth => record.len() != usual,
                Self::All => true,
            }
    }
}

/// First record that may be a row, and does not begin with `#`.
pub(super) fn first_without_hash(records: &[Record], usual: usize) -> Option<usize> {
    records.iter().position(|record| record.len() == usual && !record.begins_with_hash())
}

/// Whether all lines with `#` are remarks in a single column of numbers or dates. In a column of texts, any line may be
/// a row.
fn are_remarks_among_typed(records: &[Record]) -> bool {
    let (marked, others): (Vec<&Record>, Vec<&Record>) = records.iter().partition(|record| record.begins_with_hash());
    // The first may be a header.
    let mut values =
        others.iter().skip(1).flat_map(|record| record.texts()).filter(|value| !is_missing(value)).peekable();
    marked.into_iter().all(is_remark) && values.peek().is_some() && values.all(is_typed)
}

/// Whether a line reads as a remark, unlike `#general` or `#ff0000`.
pub(super) fn is_remark(record: &Record) -> bool {
    record.values.get(0).and_then(|value| value.strip_prefix(b"#")).is_some_and(|text| {
        text.trim_ascii().is_empty() || text.contains(&b'#') || text.iter().any(u8::is_ascii_whitespace)
    })
}

#[cfg(test)]
mod tests {
    use crate::tests::{columns, previewed, row};

    #[test]
    fn rows_that_begin_with_a_hash_are_rows() {
        for (text, row_count, num_bad_lines) in [
            ("hex\n#ff0000\n#00ff00\n", 2, 0),
            ("#ff0000\n#00ff00\n", 2, 0),
            ("#general\n#random\nmisc\nmisc\nmisc\n#general\nmisc\n", 6, 0),
            ("channel,members\n#general,10\n#random,5\n#dev\n", 2, 1),
            ("channel;members\n#general;10\nmisc;3\n#random;5\n", 3, 0),
            ("#general,10\n#random,5\n#dev,1\n", 3, 0),
            ("# exported by a tool\nchannel,members\n#general,10\n", 1, 0),
            ("# exported\nhex\n#ff0000\n# ff\n", 2, 0),
            ("id,name\n1,a\n\"#2\",b\n\"#3\"\n", 2, 1),
            ("id\n1\n\"#2\"\n", 2, 0),
        ] {
            let preview = previewed("x.csv", text.as_bytes());
            assert_eq!((preview.row_count, preview.num_bad_lines), (Some(row_count), num_bad_lines), "{text}");
        }
        let preview = previewed("x.csv", b"channel,members\n#general,10\n#random,5\n#dev\n");
        assert_eq!(
            (columns(&preview), row(&preview, 1)),
            (vec!["channel text".into(), "members integer".into()], vec!["#random", "5"])
        );
        assert_eq!(preview.bad_lines[0].problem, "1 value where the first line has 2");
    }

    #[test]
    fn comments_are_known_by_their_place_or_their_width() {
        for (text, row_count, skip_lines) in [
            ("# made by tool\nid,name\n1,a\n#2,b\n3,c\n", 2, 1),
            ("# made by tool\n# by, whom\nname,city\nann,Rome\nbob,Bern\n", 2, 2),
            ("# made by tool\nvalue\n1\n2\n", 2, 1),
            ("id,name\n1,a\n# a remark\n2,b\n", 2, 0),
            ("#id,name\n1,a\n2,b\n# end\n", 2, 0),
            ("#name,city\nann,Rome\nbob,Bern\n# end\n", 2, 0),
            ("# a, b and c\n# of, two\nvalue\n1\n2\n3\n", 3, 2),
        ] {
            let preview = previewed("x.csv", text.as_bytes());
            let skipped = preview.dialect.map(|dialect| dialect.skip_lines);
            assert_eq!(
                (preview.row_count, preview.num_bad_lines, skipped),
                (Some(row_count), 0, Some(skip_lines)),
                "{text}"
            );
        }
    }

    #[test]
    fn a_remark_below_the_rows_shows_that_lines_with_a_hash_are_comments() {
        let preview = previewed("x.csv", b"id,name\n1,a\n#2,b\n3,c\n# end of file\n");
        assert_eq!((preview.row_count, preview.num_bad_lines), (Some(2), 0));
        assert_eq!(columns(&preview), ["id integer", "name text"]);
        for text in
            ["value\n1\n2\n# end\n", "value\n1\n# half\n2\n# end, or not\n", "# of a tool\nvalue\n1\n2\n# end\n"]
        {
            let preview = previewed("x.csv", text.as_bytes());
            assert_eq!((preview.row_count, preview.num_bad_lines), (Some(2), 0), "{text}");
            assert_eq!(columns(&preview), ["value integer"], "{text}");
        }
        let words = previewed("x.csv", b"value\nmisc\nother\n# end\n");
        assert_eq!(words.row_count, Some(3), "any line of texts may be a row");
    }

    #[test]
    fn names_behind_a_hash_below_a_comment_are_the_header() {
        let vcf = "##fileformat=VCFv4.2\n##INFO=<ID=NS,Number=1>\n#CHROM\tPOS\tID\n20\t14370\trs6\n20\t17330\trs7\n";
        for (name, text, names, skip_lines) in [
            ("x.csv", "# made by tool\n#id,name\n1,a\n2,b\n", vec!["#id integer", "name text"], 1),
            ("x.csv", "# made by tool\n#name,city\nann,Rome\nbob,Bern\n", vec!["#name text", "city text"], 1),
            ("x.tsv", vcf, vec!["#CHROM integer", "POS integer", "ID text"], 2),
        ] {
            let preview = previewed(name, text.as_bytes());
            assert_eq!(
                (columns(&preview), preview.row_count),
                (names.iter().map(|&name| name.into()).collect(), Some(2))
            );
            assert_eq!(preview.dialect.unwrap().skip_lines, skip_lines, "{text}");
        }
        let row = previewed("x.csv", b"# made by tool\n#1,a\n2,b\n3,c\n");
        assert!(!row.dialect.unwrap().has_header, "a value is no name");
    }
}
