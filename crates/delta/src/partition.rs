//! Partition columns: the folders `name=value` between a dataset and a file.
//!
//! Delta takes the values from the log. Polars takes them from the object's key, so a key has these folders too
//! ([`lakeshore::model::partition`]).

use crate::unfit::{Unfit, shortened};
use lakeshore::model::partition::folders;
use std::collections::BTreeMap;

/// Partition values of a file, by column. An empty value is null, as in Delta.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
pub struct PartitionValues(pub(crate) BTreeMap<String, Option<String>>);

impl PartitionValues {
    /// Reads the partition values from a file's path relative to the dataset, as its sender named it. Decodes percent escapes in
    /// values, unless the result is not UTF-8.
    ///
    /// # Errors
    /// [`Unfit::DuplicatePartitionColumn`] if two folders name one column; upper and lower case do not count.
    pub fn of_path(relative: &str) -> Result<Self, Unfit> {
        let mut values = BTreeMap::new();
        for (name, value) in folders(relative) {
            let twice = values.keys().any(|other: &String| other.to_lowercase() == name.to_lowercase());
            if twice {
                return Err(Unfit::DuplicatePartitionColumn { column: shortened(&name) });
            }
            values.insert(name, value);
        }
        Ok(Self(values))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_deref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::TablePath;
    use lakeshore::model::partition::key_folders;
    use proptest::prelude::*;

    fn values(path: &str) -> Vec<(String, Option<String>)> {
        PartitionValues::of_path(path).unwrap().0.into_iter().collect()
    }

    #[test]
    fn folders_with_an_equals_sign_are_partition_values_and_nothing_else_is() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(values("part-0.parquet"), []);
        assert_eq!(values("a=b.parquet"), [], "it is the file's name");
        assert_eq!(values("2021/=x/a.parquet"), []);
        assert_eq!(values("dt=2021-12-06/x/hr=1/a"), [("dt".into(), some("2021-12-06")), ("hr".into(), some("1"))]);
        assert_eq!(values("dt=a=b/f"), [("dt".into(), some("a=b"))]);
        assert_eq!(values("dt=a%20b%2Fc/f"), [("dt".into(), some("a b/c"))]);
        assert_eq!(values("dt=50%/f"), [("dt".into(), some("50%"))]);
        assert_eq!(values("dt=%FF/f"), [("dt".into(), some("%FF"))], "what is no text stays");
        assert_eq!(values("dt=/f"), [("dt".into(), None)]);
        assert_eq!(values("dt=__HIVE_DEFAULT_PARTITION__/f"), [("dt".into(), None)]);
        assert!(PartitionValues::of_path("dt=1/DT=2/f").is_err());
    }

    proptest! {
        #[test]
        fn a_key_gives_the_same_values_as_the_path(
            folders in prop::collection::btree_map("[a-z._ %ü]{1,4}", "\\PC{0,8}", 0..4),
        ) {
            let path: String = folders.iter()
                .map(|(name, value)| format!("{name}={}/", value.replace('/', "")))
                .chain(["f".to_owned()]).collect();
            let key = key_folders(&path) + "1.parquet";
            prop_assert!(TablePath::parse(&key).is_ok() || key.len() > crate::path::PATH_BYTES_MAX, "{}", key);
            prop_assert_eq!(PartitionValues::of_path(&key), PartitionValues::of_path(&path));
        }
    }
}
