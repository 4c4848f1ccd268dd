//! Reads a file by the server's reader processes, and again in this process if its reader survived.

use lakeshore::model::preview::Preview;
use lakeshore::model::storage_path::Identity;
use lakeshore::ports::Formats;
use lakeshore::ports::storage::{FoundFile, OpenFile};
use lakeshore::{Error, Timestamp};
use lakeshore_formats::FileFormats;
use lakeshore_formats::reading::{self, Depth, Reading};
use lakeshore_formats::source::Source;
use rustix::fs::{MemfdFlags, memfd_create};
use std::any::Any;
use std::fs::File;
use std::io::Write;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

/// Time limit of one file, and the overhead of starting and ending a reader.
const TIME_MAX: Duration = Duration::from_secs(2);
const OVERHEAD_MAX: Duration = Duration::from_secs(5);
/// Memory of the server's side, in kB.
const MEMORY_KB_MAX: u64 = 150_000;
const ROWS: u64 = 20;

static FORMATS: LazyLock<FileFormats> =
    LazyLock::new(|| FileFormats::start(reopen, TIME_MAX).expect("the threads of the readers start"));

struct InMemory(File, FoundFile);

#[async_trait::async_trait]
impl OpenFile for InMemory {
    fn found(&self) -> &FoundFile {
        &self.1
    }

    async fn read(&self, _: u64, _: usize) -> Result<Vec<u8>, Error> {
        unreachable!("only readers read")
    }
}

fn reopen(file: &dyn OpenFile) -> Result<File, Error> {
    let any: &dyn Any = file;
    let file = any.downcast_ref::<InMemory>().expect("every file here is of this kind");
    file.0.try_clone().map_err(Error::internal)
}

/// Runs this program as a reader if it was started as one, as the server does.
pub fn be_a_reader_if_asked() {
    if std::env::args().nth(1).as_deref() == Some("inspect-worker") {
        let ended = lakeshore_formats::worker::child::run();
        std::process::exit(i32::from(ended.is_err()));
    }
}

/// Reads any file, and checks that the answer is in time and within its bounds, and that this process uses little
/// memory.
pub fn read(name: &str, bytes: &[u8]) {
    let mut file = File::from(memfd_create("file", MemfdFlags::CLOEXEC).expect("memory for a file"));
    file.write_all(bytes).expect("memory for a file");
    let (identity, at) = (Identity(String::new()), Timestamp(1));
    let found = FoundFile { identity, size_bytes: bytes.len() as u64, modified_at: at, changed_at: at };
    let file: Arc<dyn OpenFile> = Arc::new(InMemory(file, found));
    let begun = Instant::now();
    let preview = pollster::block_on(FORMATS.preview(file.clone(), name, ROWS)).expect("no disk fails");
    let inspected = pollster::block_on(FORMATS.inspect(file, name)).expect("no disk fails");
    assert!(begun.elapsed() < 2 * (TIME_MAX + OVERHEAD_MAX), "late: {:?}", begun.elapsed());
    assert!(preview.is_within_bounds());
    assert!(memory_kb() < MEMORY_KB_MAX || bytes.len() > 1 << 20, "{} kB", memory_kb());
    // Files that their reader survived are also read here, so that fuzzing covers their branches.
    if has_survived(preview.problem.as_deref()) && has_survived(inspected.problem.as_deref()) {
        let here = reading::read(Source::new(bytes.to_vec(), bytes.len() as u64), name, Depth::Rows(ROWS));
        if let Reading::Preview(here) = here {
            assert_eq!(json(&preview), json(&here));
        }
    }
}

fn json(preview: &Preview) -> String {
    serde_json::to_string(preview).expect("it is plain data")
}

fn has_survived(problem: Option<&str>) -> bool {
    !problem.is_some_and(|problem| {
        ["reading it", "the file reader", "nested too deeply"].iter().any(|words| problem.contains(words))
    })
}

fn memory_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}
