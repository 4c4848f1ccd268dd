//! Allowed locations of the data folder and the lake root. Everything in the lake can be read and downloaded, so the
//! database must not be in it. Nor may a lake be inside another one: replacing a dataset of the outer lake would move
//! the inner one to the trash.
//!
//! Folders are compared by device and inode, not by name, so links and bind mounts are resolved.

use lakeshore::model::storage_path::{ENGINE_FOLDER, UPLOADS_FOLDER};
use std::ffi::OsString;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum PlacementError {
    #[error(
        "the data folder {} is inside the lake root {}, so the database could be downloaded; choose a --data-dir outside the lake, or a separate --lake-root, such as {}/lake",
        data_dir.display(), root.display(), data_dir.display()
    )]
    DataInLake { data_dir: PathBuf, root: PathBuf },
    #[error("{} is inside the lake at {}, where it could be downloaded; choose a folder outside the lake", path.display(), lake.display())]
    InsideALake { path: PathBuf, lake: PathBuf },
    #[error(
        "the lake root {} is inside another lake, at {}; choose a --lake-root outside it (if that is no longer a lake, move its folder {ENGINE_FOLDER} away)",
        root.display(), lake.display()
    )]
    LakeInLake { root: PathBuf, lake: PathBuf },
    #[error("cannot read {}: {source}", path.display())]
    Look { path: PathBuf, source: io::Error },
}

/// Refuses a forbidden pair of folders. They may be missing.
pub fn check(data_dir: &Path, database: &Path, root: &Path) -> Result<(), PlacementError> {
    let resolved_root = resolve(root)?;
    let root_is = std::fs::metadata(&resolved_root).ok();
    for path in [data_dir, database] {
        for ancestor in resolve(path)?.ancestors() {
            let is_root = match (&root_is, std::fs::metadata(ancestor)) {
                (Some(root), Ok(ancestor)) => is_same(root, &ancestor),
                _ => ancestor == resolved_root,
            };
            if is_root {
                return Err(PlacementError::DataInLake { data_dir: data_dir.to_owned(), root: root.to_owned() });
            }
        }
        refuse_inside_a_lake(path)?;
    }
    // The lake root itself may, and should, be a lake.
    match resolved_root.ancestors().skip(1).find(|ancestor| is_lake(ancestor)) {
        Some(lake) => Err(PlacementError::LakeInLake { root: root.to_owned(), lake: lake.to_owned() }),
        None => Ok(()),
    }
}

/// Refuses a path for secrets that is inside any lake.
pub fn refuse_inside_a_lake(path: &Path) -> Result<(), PlacementError> {
    match resolve(path)?.ancestors().find(|ancestor| is_lake(ancestor)) {
        Some(lake) => Err(PlacementError::InsideALake { path: path.to_owned(), lake: lake.to_owned() }),
        None => Ok(()),
    }
}

/// Whether a folder is, or was, served as a lake.
fn is_lake(folder: &Path) -> bool {
    folder.join(ENGINE_FOLDER).join(UPLOADS_FOLDER).is_dir()
}

fn is_same(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Limit of the kernel (path_resolution(7)).
const LINKS_MAX: usize = 40;

/// Resolves links in the existing part of the path, and appends the missing part.
fn resolve(path: &Path) -> Result<PathBuf, PlacementError> {
    let failed = |source| PlacementError::Look { path: path.to_owned(), source };
    let mut there = std::path::absolute(path).map_err(failed)?;
    let mut missing: Vec<OsString> = Vec::new();
    let mut links = 0;
    loop {
        match there.canonicalize() {
            Ok(mut resolved) => {
                resolved.extend(missing.iter().rev());
                return Ok(resolved);
            }
            // An obstacle is reported when the folder is made.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(error) => return Err(failed(error)),
        }
        // A link to a missing path.
        if let Ok(target) = there.read_link() {
            links += 1;
            if links > LINKS_MAX {
                return Err(failed(io::ErrorKind::NotFound.into()));
            }
            there.pop();
            there.push(target);
            continue;
        }
        match there.components().next_back() {
            Some(Component::Normal(name)) => missing.push(name.to_owned()),
            // A missing path without a parent.
            _ => return Err(failed(io::ErrorKind::NotFound.into())),
        }
        there.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn checked(data_dir: &Path, root: &Path) -> Result<(), PlacementError> {
        check(data_dir, &data_dir.join("lakeshore.db"), root)
    }

    #[test]
    fn the_data_folder_is_never_in_the_lake_under_any_name() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        std::fs::create_dir_all(at("lake/below")).unwrap();
        std::fs::create_dir(at("data")).unwrap();
        symlink(at("lake"), at("link")).unwrap();
        symlink(at("lake/below"), at("link-below")).unwrap();
        for (data_dir, root) in [
            ("lake", "lake"),
            ("lake/below", "lake"),
            ("lake/not/yet", "lake"),
            ("link/below", "lake"),
            ("link-below/data", "lake"),
            ("lake/below", "link"),
            ("data", "data/../data"),
            ("data", ""),
            ("new", "new"),
            ("new/data", "new"),
        ] {
            let refused = checked(&at(data_dir), &at(root));
            assert!(matches!(refused, Err(PlacementError::DataInLake { .. })), "{data_dir} {root}: {refused:?}");
        }
        for (data_dir, root) in [("data", "data/lake"), ("data", "lake"), ("new", "new/lake"), ("data", "data-lake")] {
            checked(&at(data_dir), &at(root)).unwrap();
        }
        // The database itself may be a link.
        symlink(at("lake/below/file"), at("data/lakeshore.db")).unwrap();
        assert!(matches!(checked(&at("data"), &at("lake")), Err(PlacementError::DataInLake { .. })));
        std::fs::write(at("lake/below/file"), b"").unwrap();
        assert!(matches!(checked(&at("data"), &at("lake")), Err(PlacementError::DataInLake { .. })));
    }

    #[test]
    fn a_lake_or_a_secret_inside_another_lake_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        std::fs::create_dir_all(at("outer/.lakeshore/uploads")).unwrap();
        std::fs::create_dir_all(at("outer/.lakeshore/trash")).unwrap();
        for root in ["outer/inner", "outer/.lakeshore", "outer/.lakeshore/trash/new"] {
            assert!(matches!(checked(&at("data"), &at(root)), Err(PlacementError::LakeInLake { .. })), "{root}");
        }
        assert!(matches!(checked(&at("outer/data"), &at("other")), Err(PlacementError::InsideALake { .. })));
        assert!(refuse_inside_a_lake(&at("outer/backup.db")).is_err());
        checked(&at("data"), &at("outer")).unwrap();
    }
}
