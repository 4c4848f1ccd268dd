//! Lake paths: an untrusted name is parsed once, here, and only [`LakePath`] is passed on.

use crate::model::limits::{NAME_BYTES_MAX, PATH_BYTES_MAX};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Path that readers of the lake can see: a dataset, a folder in it, or a file.
///
/// Guarantees, whatever it was made from:
/// - it begins with `/` and has at least one component; components are separated by single slashes, with none at the
///   end;
/// - no component is empty, `.` or `..`, begins with a dot, or is longer than [`NAME_BYTES_MAX`];
/// - it has no NUL, control or text-direction character and no backslash;
/// - it is at most [`PATH_BYTES_MAX`] long, and never in the engine's own folder (which begins with a dot).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LakePath(String);

/// Reason why a name is not a lake path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    #[error("a lake path begins with \"/\", for example \"/data/db/transactions\"; this one is {0:?}")]
    NotAbsolute(String),
    #[error("the path is empty; name a dataset, for example \"/data/db/transactions\"")]
    Empty,
    #[error("{0:?} is longer than {PATH_BYTES_MAX} bytes; shorten it")]
    TooLong(String),
    #[error("the name {0:?} is longer than {NAME_BYTES_MAX} bytes; shorten it")]
    NameTooLong(String),
    #[error("{0:?} is not the name of a file or folder, because it leads upward or nowhere; write the path without it")]
    Upward(String),
    #[error("{0:?} begins with a dot, and lake readers skip such names; choose another")]
    Hidden(String),
    #[error(
        "{0:?} contains a control character, a text-direction character or a backslash; use plain names, separated by \"/\""
    )]
    Forbidden(String),
    #[error("the file has no name; send one, for example: curl --form file=@sales.parquet")]
    NoFileName,
    #[error("the file name {0:?} is an absolute path; send the bare name, or folders relative to the sync's path")]
    AbsoluteFileName(String),
    #[error("{path} is outside the sync's path {sync_path}; upload below that path, or start another sync")]
    OutsideSync { path: String, sync_path: String },
}

impl LakePath {
    /// Parses an absolute lake path. Doubled and trailing slashes are dropped.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if text.is_empty() {
            return Err(PathError::Empty);
        }
        let Some(rest) = text.strip_prefix('/') else {
            return Err(PathError::NotAbsolute(excerpt(text)));
        };
        Self::from_components(components(rest))
    }

    fn from_components<'a>(components: impl Iterator<Item = &'a str>) -> Result<Self, PathError> {
        let mut path = String::new();
        for component in components {
            check_component(component)?;
            path.push('/');
            path.push_str(component);
            if path.len() > PATH_BYTES_MAX {
                return Err(PathError::TooLong(excerpt(&path)));
            }
        }
        if path.is_empty() { Err(PathError::Empty) } else { Ok(Self(path)) }
    }

    /// Path `relative` below this one. An empty `relative` gives this path itself.
    pub fn join(&self, relative: &str) -> Result<Self, PathError> {
        Self::from_components(self.components().chain(components(relative)))
    }

    /// Target folder of an upload of a sync on `self`. `folder` is the upload's own `path`: absolute, relative, or
    /// absent.
    pub fn upload_folder(&self, folder: Option<&str>) -> Result<Self, PathError> {
        match folder {
            None | Some("") => Ok(self.clone()),
            Some(absolute) if absolute.starts_with('/') => {
                let path = Self::parse(absolute)?;
                if self.contains(&path) {
                    Ok(path)
                } else {
                    Err(PathError::OutsideSync { path: path.0, sync_path: self.0.clone() })
                }
            }
            Some(relative) => self.join(relative),
        }
    }

    /// Path of the file `file_name` in this folder. The name may include folders, as for files of a dropped folder
    /// (HTML, "constructing the entry list"), but it is never absolute and never leads upward.
    pub fn file(&self, file_name: &str) -> Result<Self, PathError> {
        if file_name.trim().is_empty() || file_name.ends_with('/') {
            return Err(PathError::NoFileName);
        }
        if file_name.starts_with('/') {
            return Err(PathError::AbsoluteFileName(excerpt(file_name)));
        }
        self.join(file_name)
    }

    /// True for this path itself and every path below it.
    pub fn contains(&self, other: &Self) -> bool {
        other.0.strip_prefix(&self.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// True when one of the two contains the other.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.contains(other) || other.contains(self)
    }

    /// `other` relative to this path, without a leading slash; `None` when it is not strictly below.
    pub fn relative<'a>(&self, other: &'a Self) -> Option<&'a str> {
        other.0.strip_prefix(&self.0)?.strip_prefix('/')
    }

    /// Deepest path that contains both; `None` for the lake itself.
    pub fn common(&self, other: &Self) -> Option<Self> {
        let both = self.components().zip(other.components());
        let shared: usize = both.take_while(|(one, other)| one == other).map(|(one, _)| one.len() + 1).sum();
        (shared > 0).then(|| Self(self.0[..shared].to_owned()))
    }

    /// The path itself and each above it, the highest first.
    pub fn at_and_above(&self) -> Vec<&str> {
        at_and_above(&self.0)
    }

    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').skip(1)
    }

    /// Last component: the name of the file or folder.
    pub fn leaf(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Bounds of an ordered range (first included, last excluded) with every path strictly below this one.
    pub fn range_below(&self) -> (String, String) {
        // '0' is the character after '/'.
        (format!("{}/", self.0), format!("{}0", self.0))
    }
}

fn components(text: &str) -> impl Iterator<Item = &str> {
    text.split('/').filter(|component| !component.is_empty())
}

fn check_component(component: &str) -> Result<(), PathError> {
    if component == "." || component == ".." {
        return Err(PathError::Upward(component.to_owned()));
    }
    if component.contains(forbidden) {
        return Err(PathError::Forbidden(excerpt(component)));
    }
    if component.starts_with('.') {
        return Err(PathError::Hidden(excerpt(component)));
    }
    if component.len() > NAME_BYTES_MAX {
        return Err(PathError::NameTooLong(excerpt(component)));
    }
    Ok(())
}

/// Characters forbidden in names: they disguise a name, or end it early in some other program.
fn forbidden(character: char) -> bool {
    character.is_control()
        || matches!(character, '\\' | '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{FEFF}')
        || matches!(character, '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Start of an untrusted text, short enough for a message.
fn excerpt(text: &str) -> String {
    const CHARACTERS_MAX: usize = 80;
    match text.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

impl fmt::Display for LakePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for LakePath {
    type Error = PathError;

    fn try_from(text: String) -> Result<Self, PathError> {
        Self::parse(&text)
    }
}

impl From<LakePath> for String {
    fn from(path: LakePath) -> Self {
        path.0
    }
}

/// A place and each above it, the highest first. A place is a path, or a text that ends at a folder of one.
pub fn at_and_above(place: &str) -> Vec<&str> {
    let ends = place.match_indices('/').map(|(at, _)| at).skip(1).chain([place.len()]);
    ends.map(|end| &place[..end]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(text: &str) -> LakePath {
        LakePath::parse(text).unwrap()
    }

    #[test]
    fn paths_above_are_whole_components() {
        let above = |path: &str| {
            LakePath::parse(path).unwrap().at_and_above().into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(above("/data/db \"x\"/t"), ["/data", "/data/db \"x\"", "/data/db \"x\"/t"]);
        assert_eq!(above("/a"), ["/a"]);
    }

    #[test]
    fn doubled_and_trailing_slashes_name_the_same_place() {
        assert_eq!(path("//data//db/").as_str(), "/data/db");
    }

    #[test]
    fn names_that_lead_out_of_the_lake_are_refused() {
        for text in [
            "",
            "/",
            "//",
            "data",
            "/..",
            "/data/../..",
            "/data/./x",
            "/.lakeshore/trash",
            "/data/.hidden",
            "/a\0b",
            "/a\\b",
            "/a\u{202E}b",
            "/a\nb",
            "C:\\data",
        ] {
            assert!(LakePath::parse(text).is_err(), "{text:?} was taken");
        }
        for name in ["", " ", "/etc/passwd", "../../etc/passwd", "a/../../b", "..\\x", "folder/", ".DS_Store"] {
            assert!(path("/data").file(name).is_err(), "{name:?} was taken");
        }
    }

    #[test]
    fn a_dropped_folders_file_keeps_its_folders() {
        assert_eq!(path("/data").file("dt=1/part 0.csv").unwrap().as_str(), "/data/dt=1/part 0.csv");
    }

    #[test]
    fn lengths_are_bounded_just_above_their_limit() {
        let name = "x".repeat(NAME_BYTES_MAX);
        assert!(path("/data").file(&name).is_ok());
        assert!(path("/data").file(&format!("{name}x")).is_err());
        let long = "/abcdefg".repeat(PATH_BYTES_MAX / 8);
        assert!(LakePath::parse(&long).is_ok());
        assert!(LakePath::parse(&format!("{long}/a")).is_err());
    }

    #[test]
    fn an_uploads_path_is_absent_equal_below_or_relative_and_never_outside() {
        let sync = path("/data/db");
        assert_eq!(sync.upload_folder(None).unwrap(), sync);
        assert_eq!(sync.upload_folder(Some("/data/db/")).unwrap(), sync);
        assert_eq!(sync.upload_folder(Some("/data/db/dt=1")).unwrap(), path("/data/db/dt=1"));
        assert_eq!(sync.upload_folder(Some("dt=1")).unwrap(), path("/data/db/dt=1"));
        for outside in ["/data", "/data/db2", "/other", "../x", "/data/db/../x"] {
            assert!(sync.upload_folder(Some(outside)).is_err(), "{outside:?} was taken");
        }
    }

    proptest! {
        #[test]
        fn parsed_paths_stay_inside_and_parse_to_themselves(text in "\\PC{0,40}|[/.a\\\\\0]{0,30}") {
            if let Ok(path) = LakePath::parse(&text) {
                prop_assert!(path.as_str().starts_with('/'));
                for component in path.components() {
                    prop_assert!(!component.is_empty() && !component.starts_with('.'));
                }
                prop_assert_eq!(LakePath::parse(path.as_str()).unwrap(), path);
            }
        }

        #[test]
        fn a_joined_name_is_always_below(text in "\\PC{0,40}|[/.a]{0,30}") {
            let base = LakePath::parse("/data/db").unwrap();
            if let Ok(file) = base.file(&text) {
                prop_assert!(base.relative(&file).is_some());
                let (first, last) = base.range_below();
                prop_assert!(first.as_str() <= file.as_str() && file.as_str() < last.as_str());
            }
        }
    }
}
