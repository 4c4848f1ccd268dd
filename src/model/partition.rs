//! Partition columns: the folders `name=value` between a dataset and a file.
//!
//! Readers take their values from a table's log, and Polars from the key of the object, so a key has these folders too, with
//! values escaped as Hive does.

use percent_encoding::percent_decode_str;
use std::fmt::Write as _;

/// Hive's name for the folder of rows whose value is null.
const NULL_FOLDER: &str = "__HIVE_DEFAULT_PARTITION__";

/// Names and values of the folders of a path, in its order. Percent escapes are resolved, where that gives text; an empty
/// value is null.
pub fn folders(relative: &str) -> impl Iterator<Item = (String, Option<String>)> {
    let above = relative.rsplit_once('/').map_or("", |(above, _)| above);
    above.split('/').filter_map(|folder| {
        let (name, value) = folder.split_once('=').filter(|(name, _)| !name.is_empty())?;
        let value = resolved(value);
        Some((resolved(name), (!value.is_empty() && value != NULL_FOLDER).then_some(value)))
    })
}

fn resolved(text: &str) -> String {
    percent_decode_str(text).decode_utf8().map_or_else(|_| text.to_owned(), Into::into)
}

/// Folders of the object's key for a file with this path, in the order of the path: `dt=2021-12-06/name=a%20b/`. Empty where it
/// has no partition values.
pub fn key_folders(relative: &str) -> String {
    let mut key = String::new();
    for (name, value) in folders(relative) {
        escape(&name, &mut key);
        key.push('=');
        match value {
            Some(value) => escape(&value, &mut key),
            None => key.push_str(NULL_FOLDER),
        }
        key.push('/');
    }
    key
}

fn escape(text: &str, key: &mut String) {
    for byte in text.bytes() {
        // Readers skip names that begin with an underscore or a dot, so these are escaped wherever a component begins.
        let begins = key.is_empty() || key.ends_with('/');
        let is_plain = byte.is_ascii_alphanumeric() || byte == b'-' || (!begins && matches!(byte, b'.' | b'_'));
        if is_plain {
            key.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(key, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_the_folders_in_plain_ascii() {
        assert_eq!(key_folders("x/dt=grüße 50%/y/hr=/f"), "dt=gr%C3%BC%C3%9Fe%2050%25/hr=__HIVE_DEFAULT_PARTITION__/");
        assert_eq!(key_folders("f.parquet"), "");
        assert_eq!(key_folders("a=b.parquet"), "", "it is the file's name");
    }
}
