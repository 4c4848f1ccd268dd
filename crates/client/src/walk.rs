//! Walks a folder: every file that can be sent, in a stable order, and a report of skipped files.

use super::error::ClientError;
use super::pick::Pick;
use lakeshore::LakePath;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use walkdir::{DirEntry, WalkDir};

/// Stamp of a file, by which it counts as unchanged, as in backup programs: size, times and inode. Programs cannot set
/// the time of change back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    pub size_bytes: u64,
    /// Seconds and nanoseconds since 1970.
    modified: (i64, i64),
    changed: (i64, i64),
    inode: u64,
}

impl Stamp {
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            size_bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
        }
    }

    /// Time of the last change, in milliseconds since 1970.
    pub fn changed_ms(&self) -> i64 {
        self.changed.0.saturating_mul(1000).saturating_add(self.changed.1 / 1_000_000)
    }
}

/// The folder that is sent, or a single file of it.
#[derive(Debug, Clone)]
pub struct Source {
    /// Canonical.
    pub folder: PathBuf,
    only: Option<String>,
}

impl Source {
    pub fn find(path: &Path) -> Result<Self, ClientError> {
        let unusable = |why: &dyn std::fmt::Display| ClientError::Usage(format!("{}: {why}", path.display()));
        let canonical = path.canonicalize().map_err(|error| unusable(&error))?;
        if canonical.is_dir() {
            return Ok(Self { folder: canonical, only: None });
        }
        // The name as given, which may be that of a link.
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| unusable(&"its name is not UTF-8; rename it"))?;
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = folder.canonicalize().map_err(|error| unusable(&error))?;
        Ok(Self { folder, only: Some(name.to_owned()) })
    }

    /// Path of the source: the folder or the file.
    pub fn path(&self) -> PathBuf {
        self.only.as_ref().map_or_else(|| self.folder.clone(), |name| self.folder.join(name))
    }
}

/// A file of the source.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// Path below the folder, with `/` between folders.
    pub relative: String,
    pub stamp: Stamp,
}

/// Entry that the walk reports.
#[derive(Debug)]
pub enum WalkEntry {
    File(SourceFile),
    /// Skipped on purpose: the reason, and the path.
    Skipped(Skipped, String),
    /// A file that should be sent but cannot be.
    Problem {
        path: String,
        why: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Skipped {
    Hidden,
    Link,
    Special,
    Excluded,
}

impl Skipped {
    pub fn describe(self) -> &'static str {
        match self {
            Self::Hidden => "hidden (lake readers skip such names)",
            Self::Link => "symbolic links (--follow-links follows them)",
            Self::Special => "neither files nor folders",
            Self::Excluded => "excluded",
        }
    }
}

/// Reports each entry to `seen`, until that returns false. Blocks; memory holds the names of one folder for each level.
pub fn walk(
    source: &Source,
    dataset: &LakePath,
    pick: &Pick,
    follow_links: bool,
    seen: &mut dyn FnMut(WalkEntry) -> bool,
) {
    if let Some(name) = &source.only {
        let reported = match std::fs::metadata(source.path()) {
            Ok(metadata) if metadata.is_file() => found(dataset, name, &metadata),
            Ok(_) => WalkEntry::Problem { path: name.clone(), why: "it is neither a file nor a folder".into() },
            Err(error) => WalkEntry::Problem { path: name.clone(), why: error.to_string() },
        };
        seen(reported);
        return;
    }
    let mut walk =
        WalkDir::new(&source.folder).min_depth(1).follow_links(follow_links).sort_by(files_first).into_iter();
    while let Some(entry) = walk.next() {
        let reported = match entry {
            Ok(entry) => {
                let (reported, descends) = classify(&entry, source, dataset, pick);
                if !descends && entry.file_type().is_dir() {
                    walk.skip_current_dir();
                }
                reported
            }
            Err(error) => Some(WalkEntry::Problem {
                path: error.path().unwrap_or(&source.folder).display().to_string(),
                why: error.io_error().map_or_else(|| error.to_string(), ToString::to_string),
            }),
        };
        if reported.is_some_and(|reported| !seen(reported)) {
            return;
        }
    }
}

/// Sorts the files of a folder before its folders.
fn files_first(one: &DirEntry, other: &DirEntry) -> Ordering {
    let key = |entry: &DirEntry| entry.file_type().is_dir();
    key(one).cmp(&key(other)).then_with(|| one.file_name().cmp(other.file_name()))
}

/// Order of the walk, for paths of files.
pub fn order(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (one.split('/').peekable(), other.split('/').peekable());
    loop {
        match (one.next(), other.next()) {
            (Some(left), Some(right)) if left == right => {}
            (Some(left), Some(right)) => {
                let (left_is_folder, right_is_folder) = (one.peek().is_some(), other.peek().is_some());
                return left_is_folder.cmp(&right_is_folder).then_with(|| left.cmp(right));
            }
            (left, right) => return left.is_some().cmp(&right.is_some()),
        }
    }
}

/// Classifies an entry, and says whether to descend into it.
fn classify(entry: &DirEntry, source: &Source, dataset: &LakePath, pick: &Pick) -> (Option<WalkEntry>, bool) {
    let below = entry.path().strip_prefix(&source.folder).unwrap_or(entry.path());
    let Some(relative) = below.to_str() else {
        let why = "its name is not UTF-8; rename it, or skip it with --exclude".to_owned();
        return (Some(WalkEntry::Problem { path: below.display().to_string(), why }), false);
    };
    let skipped = |kind| (Some(WalkEntry::Skipped(kind, relative.to_owned())), false);
    let kind = entry.file_type();
    if pick.excludes(relative) {
        return skipped(Skipped::Excluded);
    }
    if entry.file_name().as_encoded_bytes().starts_with(b".") {
        return skipped(Skipped::Hidden);
    }
    if kind.is_dir() {
        return (None, true);
    }
    if !pick.includes(relative) {
        return skipped(Skipped::Excluded);
    }
    if kind.is_symlink() {
        return skipped(Skipped::Link);
    }
    if !kind.is_file() {
        return skipped(Skipped::Special);
    }
    let reported = match entry.metadata() {
        Ok(metadata) => found(dataset, relative, &metadata),
        Err(error) => WalkEntry::Problem { path: relative.to_owned(), why: error.to_string() },
    };
    (Some(reported), false)
}

fn found(dataset: &LakePath, relative: &str, metadata: &Metadata) -> WalkEntry {
    match dataset.file(relative) {
        Ok(_) => WalkEntry::File(SourceFile { relative: relative.to_owned(), stamp: Stamp::of(metadata) }),
        Err(error) => WalkEntry::Problem { path: relative.to_owned(), why: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walked(folder: &Path, pick: &Pick, follow_links: bool) -> (Vec<String>, Vec<(Skipped, String)>, Vec<String>) {
        let (mut files, mut skipped, mut problems) = (Vec::new(), Vec::new(), Vec::new());
        let source = Source::find(folder).unwrap();
        let dataset = LakePath::parse("/data/t").unwrap();
        walk(&source, &dataset, pick, follow_links, &mut |entry| {
            match entry {
                WalkEntry::File(found) => files.push(found.relative),
                WalkEntry::Skipped(kind, path) => skipped.push((kind, path)),
                WalkEntry::Problem { path, .. } => problems.push(path),
            }
            true
        });
        (files, skipped, problems)
    }

    fn write(folder: &Path, names: &[&str]) {
        for name in names {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, name).unwrap();
        }
    }

    #[test]
    fn files_come_in_the_order_that_paths_have() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &["b/a", "a/z/a", "a/b", "c", "a-b/c", "a/0/q", "z", "a.d/e"]);
        let (files, ..) = walked(folder.path(), &Pick::new(&[], &[]).unwrap(), false);
        let mut sorted = files.clone();
        sorted.sort_by(|one, other| order(one, other));
        assert_eq!(files, sorted);
        assert_eq!(files, ["c", "z", "a/b", "a/0/q", "a/z/a", "a-b/c", "a.d/e", "b/a"]);
    }

    #[test]
    fn hidden_names_links_and_what_the_lake_refuses_are_told_of() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &["a", ".hidden", ".git/config", "tmp/x", "bad\\name", "linked/y"]);
        std::os::unix::fs::symlink("a", folder.path().join("link")).unwrap();
        let pick = Pick::new(&[], &["tmp".into()]).unwrap();
        let (files, mut skipped, problems) = walked(folder.path(), &pick, false);
        skipped.sort();
        assert_eq!(files, ["a", "linked/y"]);
        let expected = [
            (Skipped::Hidden, ".git"),
            (Skipped::Hidden, ".hidden"),
            (Skipped::Link, "link"),
            (Skipped::Excluded, "tmp"),
        ];
        assert_eq!(skipped, expected.map(|(kind, path)| (kind, path.to_owned())));
        assert_eq!(problems, ["bad\\name"]);
        assert!(walked(folder.path(), &pick, true).0.contains(&"link".to_owned()));
    }

    #[test]
    fn one_file_is_sent_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &["a", "b"]);
        assert_eq!(walked(&folder.path().join("b"), &Pick::new(&[], &[]).unwrap(), false).0, ["b"]);
    }
}
