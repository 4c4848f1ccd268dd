//! `--include` and `--exclude`: the selection of files.

use super::error::ClientError;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// Glob patterns. A pattern without a slash matches the name of a file or folder at any depth. One with a slash matches
/// the path below the sent folder; `*` stays within a folder, `**` does not. Excludes win over includes.
#[derive(Debug)]
pub struct Pick {
    include: Option<Globs>,
    exclude: Globs,
}

#[derive(Debug)]
struct Globs {
    names: GlobSet,
    paths: GlobSet,
}

impl Pick {
    pub fn new(include: &[String], exclude: &[String]) -> Result<Self, ClientError> {
        let include = if include.is_empty() { None } else { Some(Globs::new(include)?) };
        Ok(Self { include, exclude: Globs::new(exclude)? })
    }

    /// Also called for folders: nothing below an excluded folder is read.
    pub fn excludes(&self, relative: &str) -> bool {
        self.exclude.match_one(relative)
    }

    pub fn includes(&self, relative: &str) -> bool {
        self.include.as_ref().is_none_or(|include| include.match_one(relative))
    }
}

impl Globs {
    fn new(patterns: &[String]) -> Result<Self, ClientError> {
        let (mut names, mut paths) = (GlobSetBuilder::new(), GlobSetBuilder::new());
        for pattern in patterns {
            let plain = pattern.strip_prefix("./").unwrap_or(pattern).trim_end_matches('/');
            let glob =
                GlobBuilder::new(plain.trim_start_matches('/')).literal_separator(true).build().map_err(|error| {
                    ClientError::Usage(format!("the pattern {pattern:?} is not valid: {}", error.kind()))
                })?;
            if plain.contains('/') {
                paths.add(glob)
            } else {
                names.add(glob)
            };
        }
        let built = |set: GlobSetBuilder| set.build().map_err(|error| ClientError::Usage(error.to_string()));
        Ok(Self { names: built(names)?, paths: built(paths)? })
    }

    fn match_one(&self, relative: &str) -> bool {
        let name = relative.rsplit('/').next().unwrap_or(relative);
        self.names.is_match(name) || self.paths.is_match(relative)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick(include: &[&str], exclude: &[&str]) -> Pick {
        let owned = |patterns: &[&str]| patterns.iter().map(|&pattern| pattern.to_owned()).collect::<Vec<_>>();
        Pick::new(&owned(include), &owned(exclude)).unwrap()
    }

    #[test]
    fn a_pattern_without_a_slash_is_for_names_and_one_with_a_slash_for_paths() {
        let names = pick(&["*.parquet"], &[]);
        assert!(names.includes("a.parquet") && names.includes("dt=1/a.parquet") && !names.includes("a.csv"));
        let paths = pick(&["dt=1/*.parquet", "/top.csv"], &[]);
        assert!(paths.includes("dt=1/a.parquet") && !paths.includes("dt=1/b/a.parquet"));
        assert!(paths.includes("top.csv") && !paths.includes("dt=1/top.csv"));
        assert!(pick(&["dt=1/**"], &[]).includes("dt=1/b/a.parquet"));
    }

    #[test]
    fn folders_are_excluded_whole_by_their_name() {
        let pick = pick(&[], &["tmp/", "*.bak"]);
        assert!(pick.excludes("tmp") && pick.excludes("a/tmp") && pick.excludes("a/b.bak"));
        assert!(!pick.excludes("a/b") && pick.includes("a/b"));
    }

    #[test]
    fn a_pattern_that_cannot_be_read_is_refused() {
        assert!(matches!(Pick::new(&["a[".into()], &[]), Err(ClientError::Usage(_))));
    }
}
