//! Plan of a push: every file with its size and SHA-256, in the order of the walk. It is a file of the state folder, so
//! that a push of a million files needs little memory.

use super::error::ClientError;
use super::private::PrivateFolder;
use super::walk::{Stamp, order};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Version of the file format. A plan of another version is made again.
const FORM: u32 = 1;
/// Age at which a change is settled: a file that changed just before it was read may have changed again within the same
/// tick of its time.
const SETTLED_MS: i64 = 2000;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedFile {
    /// Path below the folder, and below the dataset.
    pub path: String,
    /// Hexadecimal digest.
    pub sha256: String,
    pub stamp: Stamp,
}

impl PlannedFile {
    pub fn size_bytes(&self) -> u64 {
        self.stamp.size_bytes
    }

    /// Folder of the file; empty for the dataset itself.
    pub fn folder(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

#[derive(Serialize, Deserialize)]
struct Head {
    form: u32,
    /// Start of the walk, in milliseconds since 1970.
    begun_ms: i64,
}

const NAME: &str = "plan.jsonl";
/// Name of the plan until it is complete.
const UNFINISHED: &str = "plan.new";

/// A complete plan.
#[derive(Debug, Clone)]
pub struct Plan {
    folder: Arc<PrivateFolder>,
    pub files: u64,
    pub bytes: u64,
}

impl Plan {
    pub fn read(&self) -> Result<PlanReader, ClientError> {
        PlanReader::open(&self.folder)?.ok_or_else(|| damaged(&self.folder.path(NAME), "it is missing"))
    }
}

/// Writes a plan, which gets its name when it is complete.
pub struct PlanWriter {
    folder: Arc<PrivateFolder>,
    output: BufWriter<File>,
    files: u64,
    bytes: u64,
}

impl PlanWriter {
    pub fn create(folder: &Arc<PrivateFolder>, begun_ms: i64) -> Result<Self, ClientError> {
        let file = folder.create(UNFINISHED).map_err(|error| unwritable(folder, error))?;
        let mut writer = Self { folder: folder.clone(), output: BufWriter::new(file), files: 0, bytes: 0 };
        writer.line(&Head { form: FORM, begun_ms })?;
        Ok(writer)
    }

    pub fn add(&mut self, file: &PlannedFile) -> Result<(), ClientError> {
        self.files += 1;
        self.bytes += file.size_bytes();
        self.line(file)
    }

    fn line(&mut self, value: &impl Serialize) -> Result<(), ClientError> {
        serde_json::to_writer(&mut self.output, value)
            .map_err(std::io::Error::from)
            .and_then(|()| self.output.write_all(b"\n"))
            .map_err(|error| unwritable(&self.folder, error))
    }

    /// Completes the plan. It is not synced, since a lost plan can be made again.
    pub fn finish(mut self) -> Result<Plan, ClientError> {
        self.output
            .flush()
            .and_then(|()| self.folder.rename(UNFINISHED, NAME))
            .map_err(|error| unwritable(&self.folder, error))?;
        Ok(Plan { folder: self.folder, files: self.files, bytes: self.bytes })
    }
}

pub struct PlanReader {
    place: PathBuf,
    input: BufReader<File>,
    begun_ms: i64,
    offset: u64,
}

impl PlanReader {
    /// Opens the plan. `None` if it is missing, or of another format.
    pub fn open(folder: &PrivateFolder) -> Result<Option<Self>, ClientError> {
        let place = folder.path(NAME);
        let file = match folder.read(NAME) {
            Ok(Some(file)) => file,
            Ok(None) => return Ok(None),
            Err(error) => return Err(ClientError::local(format!("cannot read {}", place.display()), error)),
        };
        let mut reader = Self { place, input: BufReader::new(file), begun_ms: 0, offset: 0 };
        match reader.line::<Head>() {
            Ok(Some(head)) if head.form == FORM => {
                reader.begun_ms = head.begun_ms;
                Ok(Some(reader))
            }
            _ => Ok(None),
        }
    }

    /// Offset of the next file, for [`Self::go_to`].
    pub fn offset(&self) -> u64 {
        self.offset
    }

    pub fn go_to(&mut self, offset: u64) -> Result<(), ClientError> {
        self.input.seek(SeekFrom::Start(offset)).map_err(|error| damaged(&self.place, error))?;
        self.offset = offset;
        Ok(())
    }

    pub fn next_file(&mut self) -> Result<Option<PlannedFile>, ClientError> {
        self.line()
    }

    /// Reads at most `count` more files.
    pub fn take(&mut self, count: usize) -> Result<Vec<PlannedFile>, ClientError> {
        let mut files = Vec::new();
        while files.len() < count {
            match self.next_file()? {
                Some(file) => files.push(file),
                None => break,
            }
        }
        Ok(files)
    }

    fn line<T: for<'a> Deserialize<'a>>(&mut self) -> Result<Option<T>, ClientError> {
        let mut line = String::new();
        let read = self.input.read_line(&mut line).map_err(|error| damaged(&self.place, error))?;
        self.offset += read as u64;
        if read == 0 {
            return Ok(None);
        }
        serde_json::from_str(&line).map(Some).map_err(|error| damaged(&self.place, error))
    }
}

/// An earlier plan, read in the order of the walk for its digests.
pub struct PreviousPlan {
    reader: PlanReader,
    next: Option<PlannedFile>,
}

impl PreviousPlan {
    pub fn new(mut reader: PlanReader) -> Self {
        let next = reader.next_file().ok().flatten();
        Self { reader, next }
    }

    /// Digest of a file that is unchanged since the earlier plan, if it was settled then.
    pub fn digest(&mut self, path: &str, stamp: &Stamp) -> Option<String> {
        while self.next.as_ref().is_some_and(|next| order(&next.path, path) == Ordering::Less) {
            // A damaged rest counts as missing.
            self.next = self.reader.next_file().ok().flatten();
        }
        let known = self.next.as_ref().filter(|next| next.path == path && next.stamp == *stamp)?;
        (stamp.changed_ms() + SETTLED_MS < self.reader.begun_ms).then(|| known.sha256.clone())
    }
}

fn unwritable(folder: &PrivateFolder, error: std::io::Error) -> ClientError {
    ClientError::local(format!("cannot write the plan {}", folder.path(UNFINISHED).display()), error)
}

fn damaged(place: &Path, why: impl std::fmt::Display) -> ClientError {
    ClientError::local(format!("cannot read the plan {}; run the command again", place.display()), why)
}
