//! What is in files: Parquet, delimited values, JSON lines, text and images.
//!
//! The files are strangers'. So each reading runs on a blocking thread of its own, few at a time, so that uploads do not feel
//! it; it reads little, through a [`Source`] that counts and bounds it; and it has a time, after which nobody waits for it
//! and its next read ends it. A library that panics ends its thread and nothing else.

mod delimited;
mod head;
mod json_lines;
mod parquet;
mod sniffing;
mod source;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use head::Head;
use lakeshore::Error;
use lakeshore::ports::Formats;
use lakeshore::ports::files::OpenFile;
use lakeshore::preview::{Inspected, Preview, TEXT_CHARACTERS_MAX};
use lakeshore::schema::Format;
use source::Source;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

/// Files that are read at the same time for somebody who waits; more wait.
const PREVIEWS_MAX: usize = 2;
/// Files that are read at the same time as they land.
const INSPECTIONS_MAX: usize = 1;
/// How long one may take.
const TIME_MAX: Duration = Duration::from_secs(20);
/// Bytes of a text that are looked at to tell what it is.
const LOOK_BYTES: usize = 64 * 1024;
/// The largest image that a page shows.
const IMAGE_BYTES_MAX: u64 = 32 << 20;

/// Why a file, or a part of one, is not read.
#[derive(Debug, thiserror::Error)]
enum Fault {
    /// The file's own fault, as a part of a sentence: "the footer is cut off".
    #[error("{0}")]
    Unreadable(String),
    /// The disk's, or the server's.
    #[error(transparent)]
    Lake(#[from] Error),
}

impl Fault {
    fn unreadable(problem: impl Into<String>) -> Self {
        Self::Unreadable(problem.into())
    }
}

/// Reads the formats that Lakeshore knows.
pub struct FileFormats {
    previews: Arc<Semaphore>,
    inspections: Arc<Semaphore>,
}

impl Default for FileFormats {
    fn default() -> Self {
        Self {
            previews: Arc::new(Semaphore::new(PREVIEWS_MAX)),
            inspections: Arc::new(Semaphore::new(INSPECTIONS_MAX)),
        }
    }
}

#[async_trait]
impl Formats for FileFormats {
    async fn preview(&self, file: Arc<dyn OpenFile>, name: &str, rows: u64) -> Result<Preview, Error> {
        let rows = usize::try_from(rows).unwrap_or(usize::MAX);
        read_aside(&self.previews, file, name, move |source, name| preview(source, name, rows)).await
    }

    async fn inspect(&self, file: Arc<dyn OpenFile>, name: &str) -> Result<Inspected, Error> {
        let inspected = |preview: Preview| Inspected {
            format: preview.format,
            row_count: preview.row_count,
            schema: preview.schema,
            problem: preview.problem,
        };
        read_aside(&self.inspections, file, name, inspect).await.map(inspected)
    }
}

/// Reads a file where it may block, and be waited for no longer.
async fn read_aside(
    turns: &Arc<Semaphore>,
    file: Arc<dyn OpenFile>,
    name: &str,
    read: impl FnOnce(&Arc<Source>, &str) -> Result<Preview, Fault> + Send + 'static,
) -> Result<Preview, Error> {
    let turn = turns.clone().acquire_owned().await.map_err(|_| Error::ShuttingDown)?;
    let source = Arc::new(Source::new(file, Handle::current()));
    let name = name.to_owned();
    let reading = {
        let source = source.clone();
        tokio::task::spawn_blocking(move || {
            // Kept until it has truly ended, also when nobody waits any more.
            let _turn = turn;
            let format = format_of(&source, &name)?;
            match read(&source, &name) {
                Err(Fault::Unreadable(problem)) => Ok(Preview::impossible(format, &problem)),
                read => read,
            }
        })
    };
    let read = match tokio::time::timeout(TIME_MAX, reading).await {
        Ok(Ok(read)) => read,
        Ok(Err(ended)) if ended.is_panic() => {
            Ok(Preview::impossible(Format::Other, "its reader gave up on it: it is damaged, or not what its name says"))
        }
        Ok(Err(ended)) => return Err(Error::internal(ended)),
        Err(_) => {
            source.give_up();
            Ok(Preview::impossible(Format::Other, "reading it takes too long"))
        }
    };
    match read {
        Ok(preview) => Ok(Preview { bytes_read: source.bytes_read(), ..preview }),
        Err(Fault::Lake(error)) => Err(error),
        Err(Fault::Unreadable(problem)) => Ok(Preview::impossible(Format::Other, &problem)),
    }
}

fn preview(source: &Arc<Source>, name: &str, rows: usize) -> Result<Preview, Fault> {
    match format_of(source, name)? {
        Format::Parquet => parquet::preview(source, rows),
        Format::Delimited => delimited::preview(&Head::read(source, name)?, name, rows),
        Format::JsonLines => json_lines::preview(&Head::read(source, name)?, rows),
        Format::Text => Ok(text(&Head::read(source, name)?)),
        Format::Image => image(source, name),
        Format::Other => Ok(nothing(source)),
    }
}

/// The same, of what has columns, and without its rows.
fn inspect(source: &Arc<Source>, name: &str) -> Result<Preview, Fault> {
    match format_of(source, name)? {
        Format::Parquet => parquet::inspect(source),
        Format::Delimited => delimited::preview(&Head::read(source, name)?, name, 0),
        Format::JsonLines => json_lines::preview(&Head::read(source, name)?, 0),
        format @ (Format::Text | Format::Image | Format::Other) => Ok(Preview::nothing(format)),
    }
}

/// By its first bytes where they say it, else by its name, else by what it looks like.
fn format_of(source: &Source, name: &str) -> Result<Format, Fault> {
    let first = source.read(0, LOOK_BYTES.min(512))?;
    if first.starts_with(parquet::MAGIC) || first.starts_with(parquet::MAGIC_ENCRYPTED) {
        return Ok(Format::Parquet);
    }
    let extension = head::plain_name(name).rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    let extension = extension.as_deref().unwrap_or_default();
    if extension == "parquet" && source.len() > 0 {
        return Ok(Format::Parquet);
    }
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
        _ if delimited::looks_like_it(&look, name) => Format::Delimited,
        _ => Format::Text,
    })
}

fn text(head: &Head) -> Preview {
    let mut text: String = head.lossy().chars().take(TEXT_CHARACTERS_MAX + 1).collect();
    let is_cut = text.chars().nth(TEXT_CHARACTERS_MAX).is_some() || !head.is_whole;
    if text.chars().nth(TEXT_CHARACTERS_MAX).is_some() {
        text.pop();
    }
    let problem = is_cut.then(|| "only its beginning is shown".to_owned());
    Preview { text: Some(text), problem, ..Preview::nothing(Format::Text) }
}

fn nothing(source: &Source) -> Preview {
    if source.len() == 0 {
        return Preview { problem: Some("it is empty".into()), ..Preview::nothing(Format::Other) };
    }
    Preview::impossible(Format::Other, "it is neither Parquet, nor text, nor an image that browsers show")
}

/// What browsers show, but no SVG, which is a program too.
fn image_type(first: &[u8]) -> Option<&'static str> {
    match first {
        [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}

/// The page shows it from the address of its download, which says what its name says.
fn image(source: &Source, name: &str) -> Result<Preview, Fault> {
    let media_type = image_type(&source.read(0, 16)?);
    if source.len() > IMAGE_BYTES_MAX {
        return Err(Fault::unreadable("the image is too large to be shown on a page"));
    }
    if mime_guess::from_path(name).first_raw() != media_type {
        return Err(Fault::unreadable("it is an image, and its name says another kind of file"));
    }
    Ok(Preview { media_type: media_type.map(str::to_owned), ..Preview::nothing(Format::Image) })
}
