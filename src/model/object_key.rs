//! Keys of objects below the prefix of the lake in its bucket, made here and nowhere else.
//!
//! The key of an upload's bytes is never used twice, and it is plain ASCII. Real names are in rows. The objects of a dataset
//! lie below the dataset's own prefix, which is the root of its table. Partition folders are kept, because some readers take
//! values from them:
//!
//! ```text
//! data/db/transactions/sync-17/0f3a….parquet                 the bytes of an upload
//! data/db/transactions/dt=2021-12-06/sync-17/0f3a….parquet   the same, of a file in a partition
//! data/db/transactions/_delta_log/…                          the table, for its readers
//! _lakeshore/…                                               the engine's own
//! ```

use crate::model::id::SyncId;
use crate::model::partition::key_folders;
use crate::model::path::LakePath;
use sha2::{Digest as _, Sha256};
use std::fmt;

/// Longest key without the prefix of the lake, in bytes: S3 allows 1024 for a whole key.
const KEY_BYTES_MAX: usize = 768;
/// Longest prefix of a dataset, in bytes.
const DATASET_PREFIX_BYTES_MAX: usize = 512;
/// Longest extension that is kept, in bytes.
const EXTENSION_BYTES_MAX: usize = 16;
/// Parts what is left of a name from the digest of the whole name. No name that is kept as it is contains it.
const DIGEST_MARK: &str = "__";
/// The engine's own folder. No prefix of a dataset begins like this.
const ENGINE_PREFIX: &str = "_lakeshore";

/// The key of an object.
///
/// Guarantees: ASCII letters, digits, `-`, `_`, `.`, `/` and, in partition folders, `=` and `%`; no empty component, none that
/// begins with a dot; at most 1024 bytes with a prefix of the lake of up to 256.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(String);

/// Whose bytes an upload brings: what its key is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadOwner {
    pub sync_id: SyncId,
    /// The path of the sync.
    pub dataset: LakePath,
    pub file: LakePath,
}

impl ObjectKey {
    /// A new key for the bytes of an upload. Without an owner they become part of another upload.
    pub fn of_upload(owner: Option<&UploadOwner>, random: [u8; 16]) -> Self {
        let name = hex::encode(random);
        let Some(UploadOwner { sync_id, dataset, file }) = owner else {
            return Self(format!("{ENGINE_PREFIX}/parts/{name}"));
        };
        let folder = dataset_prefix(dataset);
        let ending = extension(file.leaf()).map_or(String::new(), |extension| format!(".{extension}"));
        let relative = file.as_str().strip_prefix(dataset.as_str()).unwrap_or_default();
        let own = format!("sync-{sync_id}/{name}{ending}");
        let key = format!("{folder}/{}{own}", key_folders(relative));
        Self(if key.len() <= KEY_BYTES_MAX { key } else { format!("{folder}/{own}") })
    }

    /// A new key for the last bytes of an unfinished upload, too few for a part.
    pub fn of_tail(random: [u8; 16]) -> Self {
        Self(format!("{ENGINE_PREFIX}/tails/{}", hex::encode(random)))
    }

    /// A new key for an upload that goes on in another object.
    pub fn beside(old: &Self, random: [u8; 16]) -> Self {
        let (folder, name) = old.0.rsplit_once('/').unwrap_or((ENGINE_PREFIX, &old.0));
        let ending = name.split_once('.').map_or(String::new(), |(_, extension)| format!(".{extension}"));
        Self(format!("{folder}/{}{ending}", hex::encode(random)))
    }

    /// The object by which to see whether writes succeed. It is written again and again.
    pub fn of_probe() -> Self {
        Self(format!("{ENGINE_PREFIX}/probe"))
    }

    /// The object that tells which lake the bucket holds.
    pub fn of_identity() -> Self {
        Self(format!("{ENGINE_PREFIX}/identity"))
    }

    /// The object that tells which server has the lake. It is written again and again.
    pub fn of_server() -> Self {
        Self(format!("{ENGINE_PREFIX}/server"))
    }

    /// An entry of the folder of a dataset's table, such as `_delta_log/00000000000000000000.json`. No upload has such a key.
    pub fn of_table(dataset: &LakePath, entry: &str) -> Self {
        Self(format!("{}/{entry}", dataset_prefix(dataset)))
    }

    /// A key that was made by one of the above and remembered.
    pub fn from_stored(key: String) -> Self {
        Self(key)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key as seen from the root of the dataset's table; `None` where the object lies elsewhere.
    pub fn relative_to(&self, dataset: &LakePath) -> Option<&str> {
        self.0.strip_prefix(&dataset_prefix(dataset))?.strip_prefix('/')
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The prefix of a dataset's objects, and the root of its table. Two datasets never have the same.
pub fn dataset_prefix(dataset: &LakePath) -> String {
    let components: Vec<_> = dataset.components().map(slug).collect();
    let prefix = components.join("/");
    if prefix.len() <= DATASET_PREFIX_BYTES_MAX {
        return prefix;
    }
    let digest = digest(dataset.as_str());
    let mut kept = String::new();
    for component in components {
        if kept.len() + component.len() + digest.len() + 4 > DATASET_PREFIX_BYTES_MAX {
            break;
        }
        kept.push_str(&component);
        kept.push('/');
    }
    format!("{kept}x{DIGEST_MARK}{digest}")
}

/// A name as a component of a key: itself where it is plain, else what is left of it, with its digest.
fn slug(name: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let is_kept = name.bytes().all(is_plain)
        && name.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
        && !name.contains(DIGEST_MARK)
        && !name.starts_with("sync-");
    if is_kept {
        return name.to_owned();
    }
    const KEPT_BYTES_MAX: usize = 40;
    let kept: String = name.bytes().filter(u8::is_ascii_alphanumeric).take(KEPT_BYTES_MAX).map(char::from).collect();
    format!("x{kept}{DIGEST_MARK}{}", digest(name))
}

/// 96 bits: nobody finds two names that share them.
fn digest(name: &str) -> String {
    const DIGEST_BYTES: usize = 12;
    hex::encode(&Sha256::digest(name)[..DIGEST_BYTES])
}

/// The extension, by which readers recognise a format; all of `.csv.gz`.
fn extension(leaf: &str) -> Option<String> {
    let (_, extension) = leaf.split_once('.')?;
    let from = extension.rfind(|character: char| !character.is_ascii_alphanumeric() && character != '.');
    let extension = from.map_or(extension, |from| extension[from..].split_once('.').map_or("", |(_, rest)| rest));
    let extension = match extension.rsplit_once('.') {
        Some((before, _)) if extension.len() > EXTENSION_BYTES_MAX => extension[before.len() + 1..].to_owned(),
        _ => extension.to_owned(),
    };
    let is_kept = !extension.is_empty()
        && extension.len() <= EXTENSION_BYTES_MAX
        && extension.split('.').all(|part| !part.is_empty());
    is_kept.then(|| extension.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn path(text: &str) -> LakePath {
        LakePath::parse(text).unwrap()
    }

    fn key(dataset: &str, file: &str) -> ObjectKey {
        let owner = UploadOwner { sync_id: SyncId(7), dataset: path(dataset), file: path(file) };
        ObjectKey::of_upload(Some(&owner), [0xAB; 16])
    }

    #[test]
    fn a_plain_dataset_keeps_its_names_and_a_file_its_extension() {
        let name = "ab".repeat(16);
        let dataset = "/data/db/transactions";
        for (file, ending) in [
            ("a.parquet", ".parquet"),
            ("a.CSV.gz", ".csv.gz"),
            ("part.0001-é.json", ".json"),
            ("a b.csv", ".csv"),
            ("none", ""),
            ("dot.", ""),
            ("a.this-is.odd", ".odd"),
            ("a.averyveryverylongextension", ""),
            ("a.averyveryverylong.csv", ".csv"),
        ] {
            let key = key(dataset, &format!("{dataset}/x/{file}"));
            assert_eq!(key.as_str(), format!("data/db/transactions/sync-7/{name}{ending}"), "{file}");
            assert_eq!(key.relative_to(&path(dataset)), Some(&*format!("sync-7/{name}{ending}")));
            assert_eq!(key.relative_to(&path("/data/db/trans")), None);
        }
    }

    #[test]
    fn a_key_has_the_partition_folders_where_they_fit() {
        let name = "ab".repeat(16);
        let kept = key("/d", "/d/dt=2021-12-06/x/name=a b/a.csv");
        assert_eq!(kept.as_str(), format!("d/dt=2021-12-06/name=a%20b/sync-7/{name}.csv"));
        assert_eq!(
            ObjectKey::beside(&kept, [1; 16]).as_str().rsplit_once('/').unwrap().0,
            "d/dt=2021-12-06/name=a%20b/sync-7"
        );
        let rest = key("/d", "/d/dt=/a").as_str().len() - "__HIVE_DEFAULT_PARTITION__".len();
        let fits = "v".repeat(200);
        let folders = |last: usize| format!("/d/a={fits}/b={fits}/c={fits}/dt={}/a", "v".repeat(last));
        let last = KEY_BYTES_MAX - rest - 3 * (200 + "a=/".len());
        assert_eq!(key("/d", &folders(last)).as_str().len(), KEY_BYTES_MAX);
        assert_eq!(key("/d", &folders(last + 1)).as_str(), format!("d/sync-7/{name}"));
    }

    #[test]
    fn every_key_is_plain_and_no_two_datasets_share_a_prefix() {
        let long = "/long".repeat(200);
        let names = [
            "/a b",
            "/a-b",
            "/a_b",
            "/ab",
            "/é",
            "/e",
            "/dt=1",
            "/dt1",
            "/_lakeshore",
            "/_delta_log",
            "/sync-7",
            "/a__b",
            "/x__",
            "/a/b",
            "/a%20b",
            "/A",
            "/a",
            &long,
            &format!("{long}/x"),
            &"/é".repeat(300),
        ];
        let mut prefixes = BTreeSet::new();
        for name in names {
            let prefix = dataset_prefix(&path(name));
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
            assert!(prefix.bytes().all(is_plain) && prefix.len() <= DATASET_PREFIX_BYTES_MAX, "{prefix}");
            assert!(prefix.split('/').all(|part| part.as_bytes()[0].is_ascii_alphanumeric()), "{prefix}");
            // The prefix of an awkward name is not what another name is kept as.
            assert!(prefixes.insert(prefix.clone()), "{name} has the prefix {prefix} of another");
            assert_eq!(
                dataset_prefix(&path(&format!("/{prefix}"))) == prefix,
                !prefix.contains(DIGEST_MARK),
                "{prefix}"
            );
        }
    }
}
