//! Reads the contents of files: Parquet, delimited values, JSON lines, text and images.
//!
//! Files are untrusted input. Each is read in a separate process ([`worker`]), few at a time, with limits on memory and
//! time and no rights but to read it ([`reading`]), through a [`Source`](source::Source) that counts and bounds the
//! reads.

#![deny(clippy::print_stderr)]

mod comments;
#[cfg(test)]
mod corpus;
mod delimited;
mod delimiter;
mod dialect;
mod encoding;
mod head;
mod identifiers;
mod json_lines;
mod parquet;
pub mod reading;
mod records;
mod serving;
mod sniffing;
pub mod source;
#[cfg(test)]
mod tests;
pub mod worker;

use async_trait::async_trait;
use lakeshore::Error;
use lakeshore::model::dataset::schema::Format;
use lakeshore::model::fault::FaultKind;
use lakeshore::model::preview::{Inspected, Preview};
use lakeshore::ports::Formats;
use lakeshore::ports::storage::OpenFile;
use lakeshore_delta::footer::FileDescription;
use reading::{Depth, Reading};
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use worker::protocol::Request;
use worker::{Lane, Pool, ReaderFailure};

/// Previews that are read at the same time; more wait.
const PREVIEWS_MAX: usize = 2;
/// Inspections of landed files that are read at the same time.
const INSPECTIONS_MAX: usize = 1;
/// Files that are described for tables at the same time.
const DESCRIPTIONS_MAX: usize = 2;
/// Default time limit of one file.
pub const TIME_MAX: Duration = Duration::from_secs(20);
/// Divisor of the time limit for processor time: the disk may use all of the time, the processor half.
const PROCESSOR_PART: u32 = 2;

/// Reason why a file, or a part of one, is not read.
#[derive(Debug, thiserror::Error)]
enum Fault {
    /// Fault of the file, as a part of a sentence: "the footer is cut off".
    #[error("{0}")]
    Unreadable(String),
    #[error(transparent)]
    Disk(io::Error),
}

impl Fault {
    fn unreadable(problem: impl Into<String>) -> Self {
        Self::Unreadable(problem.into())
    }
}

/// Joins two problems of a file.
fn joined(problems: [Option<String>; 2]) -> Option<String> {
    let problems: Vec<String> = problems.into_iter().flatten().collect();
    (!problems.is_empty()).then(|| problems.join("; "))
}

/// Opens a file of the lake once more, for reading alone: what a reader process is given. `None` where it has no descriptor:
/// then its bytes are served, see [`serving`].
pub type Reopen = fn(&dyn OpenFile) -> Result<Option<File>, Error>;

/// Formats that Lakeshore reads.
pub struct FileFormats {
    reopen: Reopen,
    pool: Pool,
    processor_seconds_max: u64,
}

impl FileFormats {
    /// Starts the readers; `time_max` limits each file.
    pub fn start(reopen: Reopen, time_max: Duration) -> io::Result<Self> {
        let pool = Pool::start(PREVIEWS_MAX, INSPECTIONS_MAX, DESCRIPTIONS_MAX, time_max)?;
        Ok(Self { reopen, pool, processor_seconds_max: (time_max / PROCESSOR_PART).as_secs().max(1) })
    }

    /// Stops inspections, running ones included, because the server is stopping.
    pub fn stop_inspecting(&self) {
        self.pool.inspections.close();
        self.pool.tables.close();
    }

    /// Describes a file for the table of its dataset; `None` for other formats than Parquet. No content causes an error.
    pub async fn describe(&self, file: Arc<dyn OpenFile>, name: &str) -> Result<Option<FileDescription>, Error> {
        match self.read(&self.pool.tables, file, name, Depth::Table).await? {
            Reading::Described(description) => Ok(description.map(|description| *description)),
            Reading::Unreadable { problem, .. } => Ok(Some(FileDescription::unreadable(&problem))),
            Reading::Preview(_) | Reading::Disk { .. } => {
                Ok(Some(FileDescription::unreadable("the file reader gave another answer")))
            }
        }
    }

    async fn read(&self, lane: &Lane, file: Arc<dyn OpenFile>, name: &str, depth: Depth) -> Result<Reading, Error> {
        let size_bytes = file.found().size_bytes;
        let processor_seconds_max = self.processor_seconds_max;
        let (descriptor, is_served) = match (self.reopen)(&*file)? {
            Some(opened) => (opened, false),
            None => (serving::serve(file).map_err(Error::internal)?, true),
        };
        let request = Request { name: name.to_owned(), size_bytes, depth, processor_seconds_max, is_served };
        match lane.read(request, descriptor).await {
            Ok(Reading::Disk { errno }) => {
                let error = errno.map_or_else(|| io::ErrorKind::Other.into(), io::Error::from_raw_os_error);
                Err(Error::internal(error))
            }
            Ok(reading) => Ok(reading),
            Err(ReaderFailure::Reader(problem)) => {
                tracing::warn!(?name, %problem, "file not read");
                Ok(Reading::Unreadable { format: Format::Other, problem, bytes_read: 0 })
            }
            Err(ReaderFailure::Closed) => Err(Error::ShuttingDown),
            // A preview is shown once. What is stored of a file is for good, so another attempt decides.
            Err(late @ ReaderFailure::Late(_)) => match depth {
                Depth::Rows(_) => {
                    Ok(Reading::Unreadable { format: Format::Other, problem: late.to_string(), bytes_read: 0 })
                }
                Depth::Columns | Depth::Table => Err(Error::transient(late).of_kind(FaultKind::NoObjectStorage)),
            },
            Err(
                error
                @ (ReaderFailure::Told | ReaderFailure::Gone | ReaderFailure::Left | ReaderFailure::NotStarted(_)),
            ) => Err(Error::internal(error)),
        }
    }
}

#[async_trait]
impl Formats for FileFormats {
    async fn preview(&self, file: Arc<dyn OpenFile>, name: &str, rows: u64) -> Result<Preview, Error> {
        Ok(previewed(self.read(&self.pool.previews, file, name, Depth::Rows(rows)).await?))
    }

    async fn inspect(&self, file: Arc<dyn OpenFile>, name: &str) -> Result<Inspected, Error> {
        Ok(inspected(self.read(&self.pool.inspections, file, name, Depth::Columns).await?))
    }
}

fn previewed(reading: Reading) -> Preview {
    match reading {
        Reading::Preview(preview) => *preview,
        Reading::Unreadable { format, problem, bytes_read } => {
            Preview { bytes_read, ..Preview::impossible(format, &problem) }
        }
        Reading::Described(_) | Reading::Disk { .. } => Preview::impossible(Format::Other, "the disk failed"),
    }
}

fn inspected(reading: Reading) -> Inspected {
    match reading {
        Reading::Preview(preview) => Inspected {
            format: preview.format,
            row_count: preview.row_count,
            schema: preview.schema,
            problem: preview.problem,
        },
        Reading::Unreadable { format, problem, .. } => {
            Inspected { format, row_count: None, schema: None, problem: Some(problem) }
        }
        Reading::Described(_) | Reading::Disk { .. } => {
            Inspected { format: Format::Other, row_count: None, schema: None, problem: Some("the disk failed".into()) }
        }
    }
}
