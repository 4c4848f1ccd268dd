//! Versions of a dataset: its state after each publish, each group of landings, and each restore.

use crate::model::digest::Digest;
use crate::model::id::KeyId;
use crate::model::id::SyncId;
use crate::model::id::TrashId;
use crate::model::id::UploadId;
use crate::model::id::VersionNumber;
use crate::model::path::LakePath;
use crate::model::storage_path::Identity;
use crate::model::storage_path::StoragePath;
use crate::model::storage_path::TrashKey;
use crate::model::time::Timestamp;
use crate::model::trash::TrashKind;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Cause of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::IntoStaticStr, strum::EnumString)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum VersionKind {
    /// A full sync was published.
    Publish,
    /// Files of incremental syncs landed together.
    Landing,
    /// A version or a trash item was restored.
    Restore,
}

impl VersionKind {
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// Digest of a list of files in any order: the sum, modulo 2^256, of a SHA-256 of each file's path, size and SHA-256.
/// So adding or removing a file costs one hash. Equal digests mean equal lists, unless an attacker chooses thousands of
/// files to make them collide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ListDigest([u8; 32]);

impl ListDigest {
    /// Digest of a list of one file.
    pub fn of(path: &LakePath, content: &Digest) -> Self {
        Self::of_text(path.as_str(), content)
    }

    /// [`Self::of`] for a path that was parsed before.
    fn of_text(path: &str, content: &Digest) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(path.as_bytes());
        hasher.update([0]);
        hasher.update(content.size_bytes.to_be_bytes());
        hasher.update(content.sha256);
        Self(hasher.finalize().into())
    }

    /// Restores a stored digest.
    pub fn from_stored(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let mut sum = [0; 32];
        let mut carry = 0;
        for at in (0..sum.len()).rev() {
            let digit = u16::from(self.0[at]) + u16::from(other.0[at]) + carry;
            sum[at] = digit.to_be_bytes()[1];
            carry = digit >> 8;
        }
        Self(sum)
    }

    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        // Two's complement of the other.
        let mut one = Self::default();
        one.0[31] = 1;
        self.plus(Self(other.0.map(|digit| !digit))).plus(one)
    }
}

/// Number of files, their bytes, and the digest of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ListTotals {
    pub files: i64,
    pub bytes: i64,
    pub digest: ListDigest,
}

impl ListTotals {
    /// Totals of a list of one file.
    pub fn of(path: &str, content: &Digest) -> Self {
        let digest = ListDigest::of_text(path, content);
        Self { files: 1, bytes: content.size_bytes.cast_signed(), digest }
    }

    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            files: self.files.saturating_add(other.files),
            bytes: self.bytes.saturating_add(other.bytes),
            digest: self.digest.plus(other.digest),
        }
    }

    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self {
            files: self.files.saturating_sub(other.files),
            bytes: self.bytes.saturating_sub(other.bytes),
            digest: self.digest.minus(other.digest),
        }
    }
}

/// A version, as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    pub version: VersionNumber,
    /// Lake path of the dataset.
    pub path: LakePath,
    pub at: Timestamp,
    pub kind: VersionKind,
    /// True for the newest version.
    pub is_current: bool,
    /// Sync that made it; absent for a restore from the trash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync_id: Option<SyncId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync_name: Option<String>,
    /// Path of that sync, which may be above the dataset.
    #[serde(skip)]
    pub sync_path: Option<LakePath>,
    /// For a restore: the restored version, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored_version: Option<VersionNumber>,
    /// Key that made it, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<KeyId>,
    /// Name of that key.
    pub made_by: String,
    pub files: u64,
    pub size_bytes: u64,
    /// Rows of the files with known rows.
    pub rows: u64,
    /// Files without known rows: not read yet, or of a format without rows.
    pub num_rows_unknown: u64,
    /// Digest of its file list, in hexadecimal. Equal when all paths, sizes and SHA-256 are equal.
    pub list_digest: String,
    /// Columns of most files of its sync, as a number that is equal for equal columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_id: Option<u64>,
    /// False where the folder has files unknown to the lake, which the list lacks.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub is_complete: bool,
    /// Set while the version is kept beyond the limits of the trash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<Pin>,
}

fn yes() -> bool {
    true
}

fn is_yes(answer: &bool) -> bool {
    *answer
}

/// Pin of a version, which keeps it beyond the limits of the trash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    pub note: String,
    pub pinned_by: String,
    pub pinned_at: Timestamp,
}

/// Selection of a version of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhichVersion {
    #[default]
    Current,
    Number(VersionNumber),
    /// Version that was current at this time.
    AsOf(Timestamp),
}

/// Location of the bytes of a file of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileLocation {
    /// In the dataset, under its path.
    Live,
    /// In a trash item.
    Trash { trash_id: TrashId, key: TrashKey, origin: LakePath, kind: TrashKind },
    /// Purged.
    Gone,
}

/// A stored file of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionFile {
    pub path: LakePath,
    pub upload_id: UploadId,
    pub sync_id: SyncId,
    pub content: Digest,
    /// Absent for files that landed before identities were recorded.
    pub identity: Option<Identity>,
    /// Time until which the changes of the file are known to have kept its bytes: of its landing, or of the last change
    /// by the lake since.
    pub landed_at: Timestamp,
    pub rows: Option<u64>,
    pub schema_id: Option<u64>,
    pub location: FileLocation,
}

impl VersionFile {
    /// Storage path, unless the file was purged.
    pub fn place(&self) -> Option<StoragePath> {
        match &self.location {
            FileLocation::Live => Some(StoragePath::Live(self.path.clone())),
            FileLocation::Trash { key, origin, kind: TrashKind::File, .. } => Some(StoragePath::trashed(key, origin)),
            FileLocation::Trash { key, origin, kind: TrashKind::Dataset, .. } => {
                let relative = origin.relative(&self.path)?.to_owned();
                Some(StoragePath::InTrash { key: key.clone(), leaf: origin.leaf().to_owned(), relative })
            }
            FileLocation::Gone => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(number: u8) -> ListTotals {
        ListTotals::of(&format!("/a/{number}"), &Digest { size_bytes: number.into(), sha256: [number; 32] })
    }

    proptest! {
        #[test]
        fn list_totals_ignore_the_order_and_a_removed_file_leaves_no_trace(
            numbers in proptest::collection::vec(0_u8..9, 0..20), gone in 0_u8..9,
        ) {
            let sum = |numbers: &[u8]| numbers.iter().fold(ListTotals::default(), |sum, &number| sum.plus(one(number)));
            let mut other_way = numbers.clone();
            other_way.reverse();
            prop_assert_eq!(sum(&numbers), sum(&other_way));
            prop_assert_eq!(sum(&numbers).plus(one(gone)).minus(one(gone)), sum(&numbers));
            prop_assert_eq!(sum(&numbers).minus(one(gone)).plus(one(gone)), sum(&numbers));
        }
    }

    #[test]
    fn a_list_of_another_path_size_or_content_has_another_digest() {
        let content = Digest { size_bytes: 1, sha256: [1; 32] };
        let this = ListDigest::of_text("/a/b", &content);
        assert_ne!(this, ListDigest::of_text("/a/c", &content));
        assert_ne!(this, ListDigest::of_text("/a/b", &Digest { size_bytes: 2, ..content }));
        assert_ne!(this, ListDigest::of_text("/a/b", &Digest { sha256: [2; 32], ..content }));
        assert_eq!(this.plus(ListDigest::default()), this);
        assert_eq!(this.minus(this), ListDigest::default());
    }
}
