//! `--expect`: the files that the folder has to hold. The manifest has lines as `sha256sum` prints them, or is CSV with
//! the columns `path`, `size_bytes` and `sha256`. Memory holds it, some hundred bytes for each file.

use super::error::ClientError;
use super::plan::Plan;
use super::scan::Problems;
use lakeshore::model::digest::Digest;
use serde::Deserialize;
use std::collections::HashMap;
use std::path::Path;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Expected {
    size_bytes: Option<u64>,
    sha256: Option<[u8; 32]>,
}

#[derive(Debug)]
pub struct Manifest {
    files: HashMap<String, Expected>,
}

#[derive(Deserialize)]
struct Row {
    path: String,
    #[serde(default)]
    size_bytes: Option<u64>,
    #[serde(default)]
    sha256: Option<String>,
}

impl Manifest {
    pub fn read(file: &Path) -> Result<Self, ClientError> {
        let text = std::fs::read_to_string(file)
            .map_err(|error| ClientError::Usage(format!("cannot read the manifest {}: {error}", file.display())))?;
        Self::parse(&text).map_err(|(line, why)| ClientError::Usage(format!("{}, line {line}: {why}", file.display())))
    }

    fn parse(text: &str) -> Result<Self, (u64, String)> {
        let first = text.lines().next().unwrap_or_default();
        let is_csv = first.split(',').any(|column| column.trim() == "path");
        let rows = if is_csv { parse_csv(text)? } else { parse_sums(text)? };
        let mut files = HashMap::new();
        for (line, path, expected) in rows {
            let path = path.strip_prefix("./").unwrap_or(&path).to_owned();
            if files.insert(path.clone(), expected).is_some() {
                return Err((line, format!("{path:?} is listed twice")));
            }
        }
        if files.is_empty() {
            return Err((1, "the manifest lists no files".into()));
        }
        Ok(Self { files })
    }

    /// Files of the plan that are missing, different, or not in the manifest.
    pub fn compare(&self, plan: &Plan) -> Result<Problems, ClientError> {
        let mut problems = Problems::default();
        let mut left: HashMap<_, _> = self.files.iter().collect();
        let mut reader = plan.read()?;
        while let Some(file) = reader.next_file()? {
            let Some(expected) = left.remove(&file.path) else {
                problems.add(file.path, "not listed in the manifest");
                continue;
            };
            let sha256 = Digest::parse_sha256(&file.sha256);
            if expected.size_bytes.is_some_and(|size| size != file.size_bytes()) {
                let size = expected.size_bytes.unwrap_or_default();
                problems.add(&*file.path, format!("it has {} bytes, the manifest lists {size}", file.size_bytes()));
            } else if expected.sha256.is_some() && expected.sha256 != sha256 {
                problems.add(&*file.path, format!("its SHA-256 is {}, the manifest lists another", file.sha256));
            }
        }
        let mut missing: Vec<_> = left.into_keys().collect();
        missing.sort_unstable();
        for path in missing {
            problems.add(path.as_str(), "listed in the manifest, but not among the files to send");
        }
        Ok(problems)
    }
}

type Rows = Vec<(u64, String, Expected)>;

fn parse_csv(text: &str) -> Result<Rows, (u64, String)> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::Headers).from_reader(text.as_bytes());
    let mut rows = Vec::new();
    for (at, row) in reader.deserialize::<Row>().enumerate() {
        let line = at as u64 + 2;
        let row = row.map_err(|error| (error.position().map_or(line, csv::Position::line), error.to_string()))?;
        let sha256 =
            row.sha256.filter(|digits| !digits.is_empty()).map(|digits| parse_digits(&digits, line)).transpose()?;
        rows.push((line, row.path, Expected { size_bytes: row.size_bytes, sha256 }));
    }
    Ok(rows)
}

/// Parses lines of `sha256sum`: the digest, a blank, a blank or an asterisk, the name. A name with a backslash or a
/// line break is escaped; a backslash before the digest marks it.
fn parse_sums(text: &str) -> Result<Rows, (u64, String)> {
    let mut rows = Vec::new();
    for (at, whole) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let line = at as u64 + 1;
        let wrong =
            || (line, "this is neither \"SHA256  NAME\" nor CSV with the header \"path,size_bytes,sha256\"".to_owned());
        let (is_escaped, rest) = match whole.strip_prefix('\\') {
            Some(rest) => (true, rest),
            None => (false, whole),
        };
        let (digits, name) = rest.split_once(' ').ok_or_else(wrong)?;
        let name = name.strip_prefix([' ', '*']).ok_or_else(wrong)?;
        let name = if is_escaped { unescape(name) } else { name.to_owned() };
        let sha256 = Digest::parse_sha256(digits).ok_or_else(wrong)?;
        rows.push((line, name, Expected { size_bytes: None, sha256: Some(sha256) }));
    }
    Ok(rows)
}

fn parse_digits(digits: &str, line: u64) -> Result<[u8; 32], (u64, String)> {
    Digest::parse_sha256(digits).ok_or_else(|| (line, format!("{digits:?} is not a SHA-256 of 64 hexadecimal digits")))
}

fn unescape(name: &str) -> String {
    let mut plain = String::with_capacity(name.len());
    let mut characters = name.chars();
    while let Some(character) = characters.next() {
        plain.push(match (character, character == '\\') {
            (_, true) => match characters.next() {
                Some('n') => '\n',
                Some('r') => '\r',
                Some(other) => other,
                None => '\\',
            },
            (other, false) => other,
        });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUM: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn names(text: &str) -> Vec<(String, Option<u64>, bool)> {
        let manifest = Manifest::parse(text).unwrap();
        let mut names: Vec<_> = manifest
            .files
            .into_iter()
            .map(|(path, expected)| (path, expected.size_bytes, expected.sha256.is_some()))
            .collect();
        names.sort();
        names
    }

    #[test]
    fn both_forms_are_read() {
        let sums = format!("{SUM}  ./a b.parquet\n{SUM} *dt=1/c\n\\{SUM}  x\\\\y\n");
        let expected = [("a b.parquet", None, true), ("dt=1/c", None, true), ("x\\y", None, true)];
        assert_eq!(names(&sums), expected.map(|(path, size, sum)| (path.to_owned(), size, sum)));
        let csv = format!("path,size_bytes,sha256\n\"a,b\",5,{SUM}\nc,,\n");
        assert_eq!(names(&csv), [("a,b".to_owned(), Some(5), true), ("c".to_owned(), None, false)]);
        assert_eq!(names("size_bytes,path\n3,a\n"), [("a".to_owned(), Some(3), false)]);
    }

    #[test]
    fn a_line_of_neither_format_is_refused_by_its_number() {
        let twice = format!("{SUM}  a\n{SUM}  ./a\n");
        for (text, line) in
            [("", 1), ("no manifest", 1), (&twice, 2), ("path,size_bytes\na,many\n", 2), ("path,sha256\na,123\n", 2)]
        {
            assert_eq!(Manifest::parse(text).unwrap_err().0, line, "{text}");
        }
    }
}
