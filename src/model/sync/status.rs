//! Type and status of a sync.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::IntoStaticStr)]
pub enum SyncType {
    /// Replaces the dataset in one step, at the end.
    #[serde(alias = "Full Sync")]
    FullSync,
    /// Adds to the dataset, file by file.
    #[serde(alias = "Incremental Sync")]
    IncrementalSync,
}

impl SyncType {
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Accepts the words of the documents, with or without their space.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "FullSync" | "Full Sync" => Some(Self::FullSync),
            "IncrementalSync" | "Incremental Sync" => Some(Self::IncrementalSync),
            _ => None,
        }
    }
}

/// Status of a sync, or of one of its uploads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::IntoStaticStr, strum::EnumString)]
pub enum Status {
    Syncing,
    Finished,
    Failed,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sync_types_parse_as_the_parameter_table_prints_them() {
        assert_eq!(serde_json::from_str::<SyncType>("\"Full Sync\"").unwrap(), SyncType::FullSync);
        assert_eq!(serde_json::from_str::<SyncType>("\"IncrementalSync\"").unwrap(), SyncType::IncrementalSync);
        assert_eq!(serde_json::to_string(&SyncType::FullSync).unwrap(), "\"FullSync\"");
    }
}
