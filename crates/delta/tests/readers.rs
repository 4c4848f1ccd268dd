//! Tables that this package writes into a folder, read by DuckDB, delta-rs, Polars and Sail (Spark Connect): all give the rows that
//! were written. `make reader-libraries` installs them; without them, these tests are skipped with a message.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use bytes::Bytes;
use lakeshore::model::id::VersionNumber;
use lakeshore::model::partition::key_folders;
use lakeshore::model::path::LakePath;
use lakeshore::model::time::Timestamp;
use lakeshore::model::version::VersionKind;
use lakeshore_delta::checkpoint::{CheckpointChunks, FileAction, checkpoint_name, last_checkpoint_name};
use lakeshore_delta::commit::{AddFile, RemoveFile, commit_name};
use lakeshore_delta::footer::FileDescription;
use lakeshore_delta::partition::PartitionValues;
use lakeshore_delta::path::TablePath;
use lakeshore_delta::plan::{Change, FileShape, TableId, TableState, plan};
use lakeshore_delta::schema::Widening;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A table, as `cases.py` describes it.
#[derive(Deserialize)]
struct Case {
    name: String,
    versions: Vec<Version>,
    widening: bool,
    /// Commits that get a checkpoint.
    checkpoints: Vec<u64>,
    /// The log is cleaned, so that commits from this one on stay readable.
    oldest_kept: Option<u64>,
}

#[derive(Deserialize)]
struct Version {
    kind: VersionKind,
    files: Vec<File>,
    remove: Vec<String>,
}

#[derive(Deserialize)]
struct File {
    /// In the dataset.
    name: String,
    source: PathBuf,
    /// Absent where that is not known.
    fits: Option<bool>,
}

/// The readers' Python; `None` where it is not installed.
fn python() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python = root.join("target/readers/bin/python");
    // The last file of a whole installation.
    if root.join("target/readers/requirements.txt").is_file() && python.is_file() {
        return Some(python);
    }
    eprintln!("skipped: no readers of Delta tables at {}; install them with: make reader-libraries", python.display());
    None
}

fn run(python: &Path, script: &str, arguments: &[&str]) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/readers");
    let output = Command::new(python).arg("-B").arg(folder.join(script)).args(arguments).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script} {arguments:?}\n{out}\n{err}");
    out.into_owned()
}

/// A table in a folder, as it was written so far.
struct Table {
    folder: PathBuf,
    state: Option<TableState>,
    /// By the names of the files in the dataset.
    live: BTreeMap<String, AddFile>,
    checkpoints: Vec<u64>,
}

impl Table {
    fn new(folder: PathBuf) -> Self {
        fs::create_dir_all(folder.join("_delta_log")).unwrap();
        Self { folder, state: None, live: BTreeMap::new(), checkpoints: Vec::new() }
    }

    fn at(number: usize) -> Timestamp {
        Timestamp(1_700_000_000_000 + i64::try_from(number).unwrap())
    }

    /// Writes a version. `copies` is how often each of its files is in the table. False where no table comes about.
    fn write(&mut self, number: usize, version: &Version, widening: Widening, copies: usize) -> bool {
        let described: Vec<(FileDescription, PartitionValues)> = version.files.iter().map(describe).collect();
        let shapes = described.iter().map(|(description, partition)| FileShape {
            schema: &description.schema,
            partition_columns: partition.columns().map(str::to_owned).collect(),
        });
        let shapes: Vec<FileShape<'_>> = shapes.collect();
        let replaces_all = version.kind == VersionKind::Publish;
        let change = Change {
            version: VersionNumber(number as u64 + 1),
            at: Self::at(number),
            kind: version.kind,
            replaces_all,
            widening,
            shapes: &shapes,
        };
        let id = TableId::of("lake", &LakePath::parse("/data/a").unwrap());
        let planned = plan(self.state.as_ref(), &id, &change).unwrap();
        let fits: Vec<bool> = planned.outcomes.iter().map(Result::is_ok).collect();
        let expected = version.files.iter().zip(&fits).map(|(file, fits)| file.fits.unwrap_or(*fits));
        let expected: Vec<bool> = expected.collect();
        assert_eq!(fits, expected, "{:?}", planned.outcomes);
        let Some(commit) = planned.commit else {
            eprintln!("{:?} {:?}", version.files[0].source, planned.outcomes[0].as_ref().unwrap_err());
            return false;
        };
        let removed = |add: AddFile| {
            let AddFile { path, partition, size_bytes, .. } = add;
            RemoveFile { path, partition, size_bytes, removed: Self::at(number) }
        };
        let gone: Vec<String> = if replaces_all { self.live.keys().cloned().collect() } else { version.remove.clone() };
        let mut removes: Vec<RemoveFile> = gone.iter().map(|name| removed(self.live.remove(name).unwrap())).collect();
        let mut adds = Vec::new();
        for (at, (file, (description, partition))) in version.files.iter().zip(&described).enumerate() {
            for copy in 0..copies {
                let key = format!("{}{number}-{at}-{copy}.parquet", key_folders(&file.name));
                // Of many copies no reader reads any: they are replaced.
                if copies == 1 {
                    let path = self.folder.join(&key);
                    fs::create_dir_all(path.parent().unwrap()).unwrap();
                    fs::hard_link(&file.source, &path).unwrap();
                }
                if planned.outcomes[at].is_ok() {
                    let add = AddFile {
                        path: TablePath::parse(&key).unwrap(),
                        partition: partition.clone(),
                        size_bytes: fs::metadata(&file.source).unwrap().len(),
                        modified: Self::at(number),
                        stats: Some(description.stats.clone()),
                    };
                    let add = add.with_short_stats(copies as u64);
                    adds.push(add.clone());
                    self.live.insert(format!("{} {copy}", file.name).trim_end_matches(" 0").to_owned(), add);
                }
            }
        }
        removes.sort_unstable_by(|one, other| one.path.cmp(&other.path));
        adds.sort_unstable_by(|one, other| one.path.cmp(&other.path));
        let written = commit.write(adds, removes).unwrap();
        fs::write(self.folder.join(commit_name(written.number)), &written.bytes).unwrap();
        self.state = Some(commit.state);
        true
    }

    fn checkpoint(&mut self) {
        let state = self.state.as_ref().unwrap();
        let mut files: Vec<_> = self.live.values().cloned().map(FileAction::Add).collect();
        let old = TablePath::parse("long-gone.parquet").unwrap();
        let partition = PartitionValues::default();
        files.push(FileAction::Remove(RemoveFile { path: old, partition, size_bytes: 1, removed: Self::at(0) }));
        let mut chunks = CheckpointChunks::new(state, files).unwrap();
        let bytes: Vec<Bytes> = chunks.by_ref().map(Result::unwrap).collect();
        fs::write(self.folder.join(checkpoint_name(state.commit)), bytes.concat()).unwrap();
        fs::write(self.folder.join(last_checkpoint_name()), chunks.summary().last_checkpoint().unwrap()).unwrap();
        self.checkpoints.push(state.commit);
    }

    fn clean(&self, oldest_kept: u64) {
        let first = self.checkpoints.iter().copied().filter(|&checkpoint| checkpoint <= oldest_kept).max().unwrap();
        for commit in 0..first {
            fs::remove_file(self.folder.join(commit_name(commit))).unwrap();
            if self.checkpoints.contains(&commit) {
                fs::remove_file(self.folder.join(checkpoint_name(commit))).unwrap();
            }
        }
    }
}

fn describe(file: &File) -> (FileDescription, PartitionValues) {
    let bytes = fs::read(&file.source).unwrap();
    let length = bytes.len();
    let footer = u32::from_le_bytes(bytes[length - 8..length - 4].try_into().unwrap()) as usize;
    let description = FileDescription::of_footer(&bytes[length - 8 - footer..length - 8]);
    (description, PartitionValues::of_path(&file.name).unwrap())
}

/// Makes the tables of a group and compares what the readers find in them. `copies` is how often each file of the first version is in
/// its table.
fn compare(group: &str, copies: usize) {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_str().unwrap();
    let names = run(&python, "cases.py", &[group, root]);
    let names: Vec<&str> = names.lines().collect();
    let mut read = vec![root];
    for name in &names {
        let case: Case =
            serde_json::from_slice(&fs::read(folder.path().join(name).join("case.json")).unwrap()).unwrap();
        let mut table = Table::new(folder.path().join(&case.name).join("table"));
        let widening = if case.widening { Widening::Declared } else { Widening::Refused };
        let mut is_table = false;
        for (number, version) in case.versions.iter().enumerate() {
            is_table = table.write(number, version, widening, if number == 0 { copies } else { 1 });
            if case.checkpoints.contains(&(number as u64)) {
                table.checkpoint();
            }
        }
        if is_table {
            read.push(name);
        }
        if let Some(oldest_kept) = case.oldest_kept {
            table.clean(oldest_kept);
        }
    }
    let report = run(&python, "read.py", &read);
    eprintln!("{group}: {}", report.trim());
}

#[test]
fn each_type_is_read_as_it_was_written() {
    compare("types", 1);
}

#[test]
fn columns_that_come_later_are_null_in_the_files_before() {
    compare("columns", 1);
}

#[test]
fn partition_values_of_any_text_are_read() {
    compare("partitions", 1);
}

#[test]
fn no_row_is_lost_by_statistics() {
    compare("statistics", 1);
}

#[test]
fn replaced_files_checkpoints_and_a_cleaned_log_give_the_files_of_each_commit() {
    compare("history", 1);
}

#[test]
fn a_replace_of_100_000_files_is_read() {
    compare("many", 100_000);
}

/// Of the files below `LAKESHORE_DELTA_CORPUS`, each a table: what fits none is named, and of the others the rows are those that pyarrow
/// reads.
#[test]
#[ignore = "needs a folder of files"]
fn files_of_a_folder_are_read() {
    compare("corpus", 1);
}
