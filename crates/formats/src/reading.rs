//! Reads a file of any format, within this process. A reader process calls it for each file.

use super::head::{self, Head};
use super::source::Source;
use super::{Fault, delimited, delimiter, json_lines, parquet};
use lakeshore::model::dataset::schema::Format;
use lakeshore::model::preview::{PROBLEM_CHARACTERS_MAX, Preview, TEXT_CHARACTERS_MAX, image_type};
use lakeshore::model::text::truncate;
use lakeshore_delta::footer::FileDescription;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Bytes of a text for detecting its format.
const LOOK_BYTES: usize = 64 * 1024;
/// First bytes of a file, by which some formats are known.
const FIRST_BYTES: usize = 512;
/// Largest image that a page shows.
const IMAGE_BYTES_MAX: u64 = 32 << 20;

/// Extent of a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Depth {
    /// Columns and number of rows.
    Columns,
    /// Also the first rows, up to this number.
    Rows(u64),
    /// A file of Parquet in the terms of tables.
    Table,
}

/// Result of a reading: a preview, or the reason why there is none.
#[derive(Debug, Serialize, Deserialize)]
pub enum Reading {
    /// Without rows after an inspection.
    Preview(Box<Preview>),
    /// `problem` begins in lower case, as a part of a sentence: "the footer is cut off".
    Unreadable { format: Format, problem: String, bytes_read: u64 },
    /// Absent for other formats than Parquet.
    Described(Option<Box<FileDescription>>),
    /// Fault of the disk, by its number in the kernel.
    Disk { errno: Option<i32> },
}

/// Reads a file. Its `name` helps to detect the format.
pub fn read(source: Source, name: &str, depth: Depth) -> Reading {
    let source = Arc::new(source);
    if depth == Depth::Table {
        return described(&source, name);
    }
    let mut format = Format::Other;
    let read = format_of(&source, name).and_then(|found| {
        format = found;
        match depth {
            Depth::Columns | Depth::Table => inspect(&source, name, format),
            Depth::Rows(rows) => preview(&source, name, format, usize::try_from(rows).unwrap_or(usize::MAX)),
        }
    });
    let bytes_read = source.bytes_read();
    match read {
        Ok(preview) => Reading::Preview(Box::new(Preview { bytes_read, ..preview })),
        Err(Fault::Unreadable(problem)) => {
            let problem = truncate(&problem, PROBLEM_CHARACTERS_MAX);
            Reading::Unreadable { format, problem, bytes_read }
        }
        Err(Fault::Disk(error)) => Reading::Disk { errno: error.raw_os_error() },
    }
}

fn described(source: &Arc<Source>, name: &str) -> Reading {
    let described = match is_parquet(source, name) {
        Ok(true) => parquet::describe(source).map(|description| Some(Box::new(description))),
        Ok(false) => Ok(None),
        Err(fault) => Err(fault),
    };
    match described {
        Ok(description) => Reading::Described(description),
        Err(Fault::Unreadable(problem)) => Reading::Described(Some(Box::new(FileDescription::unreadable(&problem)))),
        Err(Fault::Disk(error)) => Reading::Disk { errno: error.raw_os_error() },
    }
}

fn preview(source: &Arc<Source>, name: &str, format: Format, rows: usize) -> Result<Preview, Fault> {
    match format {
        Format::Parquet => parquet::preview(source, rows),
        Format::Delimited => delimited::preview(Head::read(source, name)?, name, rows),
        Format::JsonLines => json_lines::preview(Head::read(source, name)?, rows),
        Format::Text => Ok(text(&Head::read(source, name)?)),
        Format::Image => image(source, name),
        Format::Other => nothing(source, name),
    }
}

/// Reads the columns of a tabular file, without rows.
fn inspect(source: &Arc<Source>, name: &str, format: Format) -> Result<Preview, Fault> {
    match format {
        Format::Parquet => parquet::inspect(source),
        Format::Delimited => delimited::preview(Head::read(source, name)?, name, 0),
        Format::JsonLines => json_lines::preview(Head::read(source, name)?, 0),
        format @ (Format::Text | Format::Image | Format::Other) => Ok(Preview::nothing(format)),
    }
}

fn extension(name: &str) -> String {
    let extension = head::plain_name(name).rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    extension.unwrap_or_default()
}

/// Detects Parquet by the name, else by the contents.
fn is_parquet(source: &Source, name: &str) -> Result<bool, Fault> {
    Ok(is_named_parquet(source, name)? || is_parquet_inside(source, &source.read(0, FIRST_BYTES)?)?)
}

/// Whether the name is that of a Parquet file. Bytes are read only if it may be compressed, since each read from object
/// storage takes a request.
fn is_named_parquet(source: &Source, name: &str) -> Result<bool, Fault> {
    if extension(name) != "parquet" || source.len() == 0 {
        return Ok(false);
    }
    let may_be_gzip = head::plain_name(name) != name;
    Ok(!(may_be_gzip && head::is_gzip(&source.read(0, head::GZIP.len())?, name)))
}

/// Whether the first bytes and the last ones are those of Parquet: a text may begin with `PAR1` too.
fn is_parquet_inside(source: &Source, first: &[u8]) -> Result<bool, Fault> {
    if !parquet::is_magic(first) {
        return Ok(false);
    }
    let magic_bytes = parquet::MAGIC.len();
    let last = source.read(source.len().saturating_sub(magic_bytes as u64), magic_bytes)?;
    let num_controls = first.iter().filter(|byte| byte.is_ascii_control() && !byte.is_ascii_whitespace()).count();
    // A file that was cut off has lost its last bytes, but is no text.
    Ok((num_controls > 0 && parquet::is_magic(&last)) || num_controls * 10 > first.len())
}

/// Detects the format: by the first bytes, else by the name, else by the contents.
fn format_of(source: &Source, name: &str) -> Result<Format, Fault> {
    if is_named_parquet(source, name)? {
        return Ok(Format::Parquet);
    }
    let first = source.read(0, FIRST_BYTES)?;
    if is_parquet_inside(source, &first)? {
        return Ok(Format::Parquet);
    }
    let extension = extension(name);
    let extension = extension.as_str();
    if image_type(&first).is_some() {
        return Ok(Format::Image);
    }
    match extension {
        "csv" | "tsv" | "tab" | "psv" => return Ok(Format::Delimited),
        "jsonl" | "ndjson" => return Ok(Format::JsonLines),
        _ => {}
    }
    let look = Head::look(source, name, LOOK_BYTES)?;
    Ok(match extension {
        _ if !look.is_text() => Format::Other,
        "json" if json_lines::looks_like_it(&look) => Format::JsonLines,
        "json" | "md" | "xml" | "html" | "yaml" | "yml" | "toml" | "sql" | "log" | "py" | "js" => Format::Text,
        _ if json_lines::looks_like_it(&look) => Format::JsonLines,
        _ if delimiter::looks_like_it(&look, name) => Format::Delimited,
        _ => Format::Text,
    })
}

fn text(head: &Head) -> Preview {
    let mut text: String = head.lossy().chars().take(TEXT_CHARACTERS_MAX + 1).collect();
    let is_cut = text.chars().nth(TEXT_CHARACTERS_MAX).is_some() || !head.is_whole;
    if text.chars().nth(TEXT_CHARACTERS_MAX).is_some() {
        text.pop();
    }
    let cut = is_cut.then(|| "only its beginning is shown".to_owned());
    let problem = head.damage.clone().or(cut);
    Preview { text: Some(text), problem, ..Preview::nothing(Format::Text) }
}

fn nothing(source: &Source, name: &str) -> Result<Preview, Fault> {
    let empty = || Preview { problem: Some("it is empty".into()), ..Preview::nothing(Format::Other) };
    if source.len() == 0 {
        return Ok(empty());
    }
    let first = source.read(0, 16)?;
    if head::is_gzip(&first, name) {
        let look = Head::look(source, name, LOOK_BYTES)?;
        if look.bytes.is_empty() {
            return Ok(empty());
        }
        if parquet::is_magic(&look.bytes) {
            let problem = "not supported: it is a Parquet file within a gzip file";
            return Err(Fault::unreadable(problem));
        }
        let problem = look.compression_not_read().or(look.damage);
        return Err(Fault::Unreadable(problem.unwrap_or_else(|| "it is a gzip file of binary data".to_owned())));
    }
    if let Some(problem) = head::compression_not_read(&first) {
        return Err(Fault::Unreadable(problem));
    }
    Err(Fault::unreadable("its format is not Parquet, text or a supported image"))
}

/// Describes an image. The page loads it from the download, whose media type depends on the name, so the two have to
/// agree.
fn image(source: &Source, name: &str) -> Result<Preview, Fault> {
    let media_type = image_type(&source.read(0, 16)?);
    if source.len() > IMAGE_BYTES_MAX {
        return Err(Fault::unreadable("the image is too large"));
    }
    if mime_guess::from_path(name).first_raw() != media_type {
        return Err(Fault::unreadable("it is an image, but its name has another extension"));
    }
    Ok(Preview { media_type: media_type.map(str::to_owned), ..Preview::nothing(Format::Image) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{columns, packed, previewed, small_parquet};
    use ::parquet::basic::Compression;

    fn problem(name: &str, bytes: &[u8]) -> String {
        previewed(name, bytes).problem.unwrap_or_default()
    }

    #[test]
    fn a_gzip_file_is_described_by_its_contents() {
        let binary: Vec<u8> = (0..=255_u8).cycle().take(4096).collect();
        for name in ["x.bin.gz", "backup.tar.gz", "X.GZ"] {
            assert!(problem(name, &packed(&binary)).contains("it is a gzip file of binary data"), "{name}");
        }
        let mut archive = vec![b'a'; 100_000];
        archive[257..262].copy_from_slice(b"ustar");
        assert!(problem("backup.tar.gz", &packed(&archive)).contains("it is a gzip file of binary data"));
        for name in ["x.bin.gz", "x.csv.gz", "x.jsonl.gz", "x.txt.gz", "x.parquet.gz"] {
            let problem = problem(name, &packed(b""));
            assert!(problem.contains("it is empty"), "{name}: {problem}");
        }
        for name in ["x.csv.gz", "x.jsonl.gz", "x.gz"] {
            let problem = problem(name, &packed(&packed(b"a,b\n1,2\n")));
            assert!(problem.contains("compressed with gzip twice"), "{name}: {problem}");
        }
        assert!(problem("x.bin", &packed(&binary)).contains("its name does not end in .gz"));
        assert!(problem("x.bin.gz", &packed(&binary)[..40]).contains("gzip stream"));
    }

    #[test]
    fn a_parquet_file_within_a_gzip_file_is_not_called_damaged() {
        let bytes = small_parquet(Compression::SNAPPY);
        for name in ["x.parquet.gz", "x.gz"] {
            let problem = problem(name, &packed(&bytes));
            assert!(problem.contains("a Parquet file within a gzip file"), "{name}: {problem}");
        }
        assert_eq!(previewed("x.parquet.gz", &bytes).row_count, Some(1000), "it is not compressed");
    }

    #[test]
    fn the_format_of_a_file_is_detected_with_few_reads() {
        let bytes = small_parquet(Compression::SNAPPY);
        for (name, bytes, format, expected) in [
            ("x.parquet", &bytes[..], Format::Parquet, 0),
            ("x.parquet.gz", &bytes, Format::Parquet, 2),
            ("part-0", &bytes, Format::Parquet, FIRST_BYTES as u64 + 4),
            ("x.csv", b"a,b\n1,2\n", Format::Delimited, 8),
        ] {
            let source = Source::new(bytes.to_vec(), bytes.len() as u64);
            assert_eq!((format_of(&source, name).unwrap(), source.bytes_read()), (format, expected), "{name}");
        }
    }

    #[test]
    fn a_file_without_the_extension_is_parquet_if_it_begins_and_ends_so() {
        for name in ["x.csv", "x.dat", "x.csv.gz"] {
            let preview = previewed(name, b"PAR1,PAR2\n1,2\n3,4\n5,6\n");
            assert_eq!((preview.format, preview.row_count), (Format::Delimited, Some(3)), "{name}");
            assert_eq!(columns(&preview), ["PAR1 integer", "PAR2 integer"]);
        }
        for text in ["PAR1", "PAR1\nx\nPAR1"] {
            assert_eq!(previewed("x.txt", text.as_bytes()).format, Format::Text);
        }
        let bytes = small_parquet(Compression::SNAPPY);
        assert_eq!(previewed("part-0", &bytes).row_count, Some(1000));
        assert!(problem("part-0", &bytes[..bytes.len() - 9]).contains("truncated"));
    }
}
