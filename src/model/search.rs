//! Search by a few words: datasets by any parts of their path, syncs by their number, name or path.

use crate::model::id::SyncId;
use crate::model::path::LakePath;
use crate::model::sync::job::SyncJob;
use crate::model::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Search text, and the maximum results of each kind.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SearchParameters {
    pub q: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

/// Results: datasets best first; syncs newest first, after one that is named by its number.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SearchResults {
    pub datasets: Vec<FoundDataset>,
    pub syncs: Vec<SyncJob>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundDataset {
    pub path: LakePath,
    pub last_sync_id: SyncId,
    pub last_landed: Timestamp,
}

/// Words of a search. A match contains each of them, in either case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words(Vec<String>);

impl Words {
    pub fn of(text: &str) -> Self {
        let is_between = |character: char| character.is_whitespace() || character == '\0';
        Self(text.split(is_between).filter(|word| !word.is_empty()).map(str::to_lowercase).collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Sync named by its number: `12`, `#12`, `sync 12`.
    pub fn sync_id(&self) -> Option<SyncId> {
        match self.0.as_slice() {
            [number] => number.strip_prefix('#').unwrap_or(number).parse().ok(),
            [sync, number] if sync == "sync" => number.strip_prefix('#').unwrap_or(number).parse().ok(),
            _ => None,
        }
    }

    /// Rank of a path by the last word, best first: the path ends with the word, its leaf begins with it, another
    /// component begins with it, or it is anywhere within. Among equals the shorter path ranks first.
    pub(crate) fn rank(&self, path: &LakePath) -> (u8, usize) {
        let text = path.as_str().to_lowercase();
        let begun = format!("/{}", self.0.last().map_or("", |word| word.trim_matches('/')));
        let place = match text.rfind(&begun) {
            Some(at) if at + begun.len() == text.len() => 0,
            Some(at) if !text[at + begun.len()..].contains('/') => 1,
            Some(_) => 2,
            None => 3,
        };
        (place, text.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_that_ends_with_the_last_word_ranks_first() {
        let paths = ["/reorders", "/orders/daily", "/data/db/orders_old", "/data/db/orders", "/data/orders"];
        let mut found: Vec<_> = paths.map(|path| LakePath::parse(path).unwrap()).to_vec();
        let words = Words::of(" Orders ");
        found.sort_by_key(|path| words.rank(path));
        let found: Vec<_> = found.iter().map(LakePath::as_str).collect();
        assert_eq!(found, ["/data/orders", "/data/db/orders", "/data/db/orders_old", "/orders/daily", "/reorders"]);
        let orders = LakePath::parse("/data/db/orders").unwrap();
        assert_eq!(Words::of("data db/orders").rank(&orders).0, 0);
    }

    #[test]
    fn a_sync_is_named_by_its_number() {
        for text in ["12", "#12", "sync 12", " Sync #12 "] {
            assert_eq!(Words::of(text).sync_id(), Some(SyncId(12)), "{text}");
        }
        for text in ["", "x12", "12 13", "-1", "job 12"] {
            assert_eq!(Words::of(text).sync_id(), None, "{text}");
        }
    }
}
