//! The type of a sync, and how it stands.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::IntoStaticStr)]
pub enum SyncType {
    /// Replaces the dataset all at once, at the end.
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

    /// The words of the documents, with or without their space.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "FullSync" | "Full Sync" => Some(Self::FullSync),
            "IncrementalSync" | "Incremental Sync" => Some(Self::IncrementalSync),
            _ => None,
        }
    }
}

/// How a sync, or one of its uploads, stands.
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
    fn types_are_understood_as_the_parameter_table_prints_them() {
        assert_eq!(serde_json::from_str::<SyncType>("\"Full Sync\"").unwrap(), SyncType::FullSync);
        assert_eq!(serde_json::from_str::<SyncType>("\"IncrementalSync\"").unwrap(), SyncType::IncrementalSync);
        assert_eq!(serde_json::to_string(&SyncType::FullSync).unwrap(), "\"FullSync\"");
    }
}
