//! Sealed batches: the declared content of a sync, and its comparison with the landed files.
//!
//! A sync with a declaration ends only when it contains exactly the declared files.

use crate::model::bounded_list::just_beyond_if_any;
use crate::model::digest::Digest;
use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::limits::{EXPECTED_FILES_MAX, MISMATCHES_NAMED_MAX};
use crate::model::path::LakePath;
use crate::model::sync::comparison::{Comparison, Content, DifferentFile, ExpectedTotals, ManifestEntry};
use crate::model::totals::Totals;

use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// JSON form of a declaration: `files` by name, or `count` and `size_bytes`, or one of the two.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Expected {
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "just_beyond_if_any::<_, _, EXPECTED_FILES_MAX>"
    )]
    pub files: Option<Vec<ManifestEntry>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
}

/// A checked declaration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Declaration {
    /// Ordered by target, each target once. Shared, since there may be a hundred thousand.
    Files(Arc<Vec<DeclaredFile>>),
    /// At least one of the two.
    Totals { count: Option<u64>, size_bytes: Option<u64> },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredFile {
    pub target: LakePath,
    pub size_bytes: u64,
    pub sha256: Option<[u8; 32]>,
}

/// A landed file of a sync: the last upload to its target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LandedFile {
    pub target: LakePath,
    pub digest: Digest,
}

impl Expected {
    /// Checks a declaration for a sync on `dataset`. Consumes the input, so that each file is in memory once.
    pub fn parse(self, dataset: &LakePath) -> Result<Declaration, Error> {
        let invalid = |text: String| Err(Error::Invalid(text));
        match (self.files, self.count, self.size_bytes) {
            (Some(files), None, None) => declared(dataset, files).map(|files| Declaration::Files(Arc::new(files))),
            (Some(_), ..) => invalid("\"expected\" has both files and totals; send either \"files\", or \"count\" and \"size_bytes\"".into()),
            (None, None, None) => invalid(
                "\"expected\" is empty; send \"files\": [{\"path\": …, \"size_bytes\": …}], or \"count\" and \"size_bytes\"".into(),
            ),
            (None, count, size_bytes) => {
                if count.max(size_bytes).is_some_and(|number| i64::try_from(number).is_err()) {
                    return invalid(format!("\"expected\" has a number larger than {}; send a smaller one", i64::MAX));
                }
                Ok(Declaration::Totals { count, size_bytes })
            }
        }
    }
}

fn declared(dataset: &LakePath, files: Vec<ManifestEntry>) -> Result<Vec<DeclaredFile>, Error> {
    if files.len() > EXPECTED_FILES_MAX {
        return Err(Error::Invalid(format!(
            "\"expected\" lists more than {EXPECTED_FILES_MAX} files, the maximum; send \"count\" and \"size_bytes\" instead, or several syncs"
        )));
    }
    let mut declared = Vec::with_capacity(files.len());
    let mut bytes = 0_i64;
    for file in files {
        let target = dataset.file(&file.path)?;
        let sha256 = file.sha256.as_deref().map(|text| parse_sha256(text, &target)).transpose()?;
        bytes = i64::try_from(file.size_bytes).ok().and_then(|size| bytes.checked_add(size)).ok_or_else(|| {
            Error::Invalid(format!(
                "the expected files have more than {} bytes in total; correct the size of {target}",
                i64::MAX
            ))
        })?;
        declared.push(DeclaredFile { target, size_bytes: file.size_bytes, sha256 });
    }
    declared.sort_unstable_by(|one, other| one.target.cmp(&other.target));
    match declared.windows(2).find(|pair| pair[0].target == pair[1].target) {
        Some(pair) => Err(Error::Invalid(format!("\"expected\" lists {} twice; list each file once", pair[0].target))),
        None => Ok(declared),
    }
}

fn parse_sha256(text: &str, target: &LakePath) -> Result<[u8; 32], Error> {
    Digest::parse_sha256(text).ok_or_else(|| {
        Error::Invalid(format!(
            "the expected sha256 of {target} is not 64 hexadecimal digits; send the output of sha256sum, or none"
        ))
    })
}

impl Declaration {
    pub fn totals(&self) -> ExpectedTotals {
        match self {
            Self::Files(files) => ExpectedTotals {
                count: Some(files.len() as u64),
                size_bytes: Some(files.iter().map(|file| file.size_bytes).sum()),
                is_named: true,
            },
            Self::Totals { count, size_bytes } => {
                ExpectedTotals { count: *count, size_bytes: *size_bytes, is_named: false }
            }
        }
    }
}

impl Comparison {
    /// Compares the declaration of a sync on `dataset` with its landed files. Both are ordered by target; of several
    /// `landed` with one target, the last counts.
    pub fn of(
        dataset: &LakePath,
        expected: ExpectedTotals,
        named: impl IntoIterator<Item = DeclaredFile>,
        landed: impl IntoIterator<Item = LandedFile>,
    ) -> Self {
        let mut comparing = Comparing::begin(dataset, expected);
        let mut landed = landed.into_iter().peekable();
        for declared in named {
            while let Some(earlier) = landed.next_if(|landed| landed.target < declared.target) {
                comparing.landed(earlier);
            }
            comparing.declared(declared);
        }
        landed.for_each(|file| comparing.landed(file));
        comparing.end()
    }

    fn add(&mut self, dataset: &LakePath, declared: Option<DeclaredFile>, landed: Option<&LandedFile>) {
        let path = |target: &LakePath| dataset.relative(target).unwrap_or(target.as_str()).to_owned();
        if let Some(LandedFile { digest, .. }) = landed {
            self.landed.files += 1;
            self.landed.bytes += digest.size_bytes;
        }
        let sha256_of = |landed: &LandedFile| Some(hex::encode(landed.digest.sha256));
        match (declared, landed) {
            (Some(declared), Some(landed)) if declared.is(&landed.digest) => self.num_as_expected += 1,
            (Some(declared), Some(landed)) => {
                self.num_different += 1;
                if self.different.len() < MISMATCHES_NAMED_MAX {
                    self.different.push(DifferentFile {
                        path: path(&declared.target),
                        expected: Content { size_bytes: declared.size_bytes, sha256: declared.sha256.map(hex::encode) },
                        landed: Content { size_bytes: landed.digest.size_bytes, sha256: sha256_of(landed) },
                    });
                }
            }
            (Some(declared), None) => {
                self.num_missing += 1;
                if self.missing.len() < MISMATCHES_NAMED_MAX {
                    let sha256 = declared.sha256.map(hex::encode);
                    self.missing.push(ManifestEntry {
                        path: path(&declared.target),
                        size_bytes: declared.size_bytes,
                        sha256,
                    });
                }
            }
            (None, Some(landed)) if self.expected.is_named => {
                self.num_extra += 1;
                if self.extra.len() < MISMATCHES_NAMED_MAX {
                    let (size_bytes, sha256) = (landed.digest.size_bytes, sha256_of(landed));
                    self.extra.push(ManifestEntry { path: path(&landed.target), size_bytes, sha256 });
                }
            }
            (None, _) => {}
        }
    }

    /// Whether the batch matches the declaration.
    pub fn agrees(&self) -> bool {
        let ExpectedTotals { count, size_bytes, is_named } = self.expected;
        if is_named {
            self.num_missing + self.num_extra + self.num_different == 0
        } else {
            count.is_none_or(|count| count == self.landed.files)
                && size_bytes.is_none_or(|size_bytes| size_bytes == self.landed.bytes)
        }
    }
}

impl DeclaredFile {
    fn is(&self, landed: &Digest) -> bool {
        self.size_bytes == landed.size_bytes && self.sha256.is_none_or(|sha256| sha256 == landed.sha256)
    }
}

/// Incremental comparison that keeps no files. Input is ordered by target; of one target, first the declared file, then
/// the landed ones, of which the last counts.
pub struct Comparing {
    dataset: LakePath,
    comparison: Comparison,
    declared: Option<DeclaredFile>,
    landed: Option<LandedFile>,
}

impl Comparing {
    pub fn begin(dataset: &LakePath, expected: ExpectedTotals) -> Self {
        let comparison = Comparison {
            expected,
            landed: Totals::default(),
            num_as_expected: 0,
            missing: Vec::new(),
            num_missing: 0,
            extra: Vec::new(),
            num_extra: 0,
            different: Vec::new(),
            num_different: 0,
        };
        Self { dataset: dataset.clone(), comparison, declared: None, landed: None }
    }

    pub fn declared(&mut self, file: DeclaredFile) {
        self.end_target();
        self.declared = Some(file);
    }

    pub fn landed(&mut self, file: LandedFile) {
        let of_target = self.landed.as_ref().map(|landed| &landed.target);
        let of_target = of_target.or(self.declared.as_ref().map(|declared| &declared.target));
        if of_target != Some(&file.target) {
            self.end_target();
        }
        self.landed = Some(file);
    }

    pub fn end(mut self) -> Comparison {
        self.end_target();
        self.comparison
    }

    fn end_target(&mut self) {
        let (declared, landed) = (self.declared.take(), self.landed.take());
        self.comparison.add(&self.dataset, declared, landed.as_ref());
    }
}

/// Body of the call that declares files, without the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpectFiles {
    pub sync_id: SyncId,
    pub expected: Expected,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dataset() -> LakePath {
        LakePath::parse("/d").unwrap()
    }

    fn file(path: &str, size_bytes: u64) -> ManifestEntry {
        ManifestEntry { path: path.into(), size_bytes, sha256: None }
    }

    fn named(files: Vec<ManifestEntry>) -> Result<Declaration, Error> {
        Expected { files: Some(files), ..Expected::default() }.parse(&dataset())
    }

    fn landed(path: &str, size_bytes: u64, sha256: u8) -> LandedFile {
        LandedFile { target: dataset().file(path).unwrap(), digest: Digest { size_bytes, sha256: [sha256; 32] } }
    }

    #[test]
    fn a_batch_agrees_when_it_holds_each_file_as_declared_and_no_other() {
        let mut exact = file("c", 3);
        exact.sha256 = Some("0A".repeat(32));
        let Declaration::Files(files) = named(vec![exact, file("a", 1), file("sub/b", 2)]).unwrap() else { panic!() };
        let totals = Declaration::Files(files.clone()).totals();
        assert_eq!((totals.count, totals.size_bytes), (Some(3), Some(6)));
        let compare = |landed: Vec<_>| Comparison::of(&dataset(), totals, files.iter().cloned(), landed);
        // The second "a" replaces the first.
        let whole = compare(vec![landed("a", 9, 1), landed("a", 1, 1), landed("c", 3, 10), landed("sub/b", 2, 1)]);
        assert!(whole.agrees());
        assert_eq!((whole.num_as_expected, whole.landed), (3, Totals { files: 3, bytes: 6 }));
        let wrong = compare(vec![landed("c", 3, 11), landed("d", 5, 1), landed("sub/b", 3, 1)]);
        assert!(!wrong.agrees());
        let paths = |files: &[ManifestEntry]| files.iter().map(|file| file.path.clone()).collect::<Vec<_>>();
        assert_eq!((paths(&wrong.missing), paths(&wrong.extra)), (vec!["a".to_owned()], vec!["d".to_owned()]));
        assert_eq!(wrong.different.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["c", "sub/b"]);
        assert_eq!(compare(vec![]).num_missing, 3);
    }

    #[test]
    fn totals_alone_are_compared_with_what_has_landed() {
        let compare = |count, size_bytes| {
            let expected = ExpectedTotals { count, size_bytes, is_named: false };
            let landed = vec![landed("a", 1, 1), landed("a", 4, 1), landed("b", 2, 1)];
            Comparison::of(&dataset(), expected, Vec::new(), landed).agrees()
        };
        assert!(compare(Some(2), Some(6)) && compare(Some(2), None) && compare(None, Some(6)));
        assert!(!compare(Some(3), Some(6)) && !compare(Some(2), Some(7)));
    }

    #[test]
    fn comparison_lists_are_bounded_and_their_numbers_count_all() {
        let many = (0..MISMATCHES_NAMED_MAX + 1).map(|n| file(&format!("{n:05}"), 1)).collect();
        let Declaration::Files(files) = named(many).unwrap() else { panic!() };
        let totals = Declaration::Files(files.clone()).totals();
        let compared = Comparison::of(&dataset(), totals, files.iter().cloned(), Vec::new());
        assert_eq!(
            (compared.missing.len(), compared.num_missing),
            (MISMATCHES_NAMED_MAX, MISMATCHES_NAMED_MAX as u64 + 1)
        );
    }

    #[test]
    fn a_declaration_that_does_not_hold_together_is_refused() {
        assert!(matches!(named(vec![file("../a", 1)]), Err(Error::Path(_))));
        assert!(matches!(named(vec![file("/d/a", 1)]), Err(Error::Path(_))));
        assert!(named(vec![file("a", 1), file("b", 1), file("./a".trim_start_matches("./"), 2)]).is_err());
        assert!(named(vec![file("a", u64::MAX)]).is_err());
        assert!(named(vec![file("a", i64::MAX as u64), file("b", 1)]).is_err());
        for sha256 in ["", "00", &"g".repeat(64), &"é".repeat(32), &"+1".repeat(32)] {
            let wrong = ManifestEntry { sha256: Some(sha256.into()), ..file("a", 1) };
            assert!(named(vec![wrong]).is_err(), "{sha256:?} was taken");
        }
        assert!(Expected::default().parse(&dataset()).is_err());
        let both = Expected { files: Some(Vec::new()), count: Some(1), size_bytes: None };
        assert!(both.parse(&dataset()).is_err());
        assert!(Expected { count: Some(u64::MAX), ..Expected::default() }.parse(&dataset()).is_err());
        assert!(named(Vec::new()).is_ok());
    }

    #[test]
    fn a_declaration_names_at_most_the_maximum_of_files() {
        let files: Vec<_> = (0..=EXPECTED_FILES_MAX).map(|n| file(&n.to_string(), 1)).collect();
        assert!(named(files[1..].to_vec()).is_ok());
        assert!(named(files).is_err());
    }
}
