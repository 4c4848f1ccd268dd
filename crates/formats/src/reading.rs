//! Reads a file of any format, within this process. A reader process calls it for each file.

use super::head::{self, Head};
use super::source::Source;
use super::{Fault, delimited, delimiter, json_lines, parquet};
use lakeshore::model::dataset::schema::Format;
use lakeshore::model::preview::{PROBLEM_CHARACTERS_MAX, Preview, TEXT_CHARACTERS_MAX, image_type};
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
            let problem = problem.chars().take(PROBLEM_CHARACTERS_MAX).collect();
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
        Format::Other => nothing(source),
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

fn is_parquet(source: &Source, name: &str) -> Result<bool, Fault> {
    if extension(name) == "parquet" && source.len() > 0 {
        return Ok(true);
    }
    let first = source.read(0, FIRST_BYTES)?;
    Ok(first.starts_with(parquet::MAGIC) || first.starts_with(parquet::MAGIC_ENCRYPTED))
}

/// Detects the format: by the first bytes, else by the name, else by the contents.
fn format_of(source: &Source, name: &str) -> Result<Format, Fault> {
    if is_parquet(source, name)? {
        return Ok(Format::Parquet);
    }
    let first = source.read(0, FIRST_BYTES)?;
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

fn nothing(source: &Source) -> Result<Preview, Fault> {
    if source.len() == 0 {
        return Ok(Preview { problem: Some("it is empty".into()), ..Preview::nothing(Format::Other) });
    }
    if let Some(problem) = head::compression_not_read(&source.read(0, 16)?) {
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
