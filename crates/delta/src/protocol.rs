//! Protocol version and table features that a table requires.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A table feature that this writer uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, strum::IntoStaticStr)]
#[serde(rename_all = "camelCase")]
#[strum(serialize_all = "camelCase")]
pub enum Feature {
    /// Timestamps of no zone.
    TimestampNtz,
    /// Columns whose type was narrower before. delta-rs 1.6 and Polars 2.1 refuse a table that has it.
    TypeWidening,
    /// Implied by writer version 2, as is `Invariants`; a table that had that version has to name both.
    AppendOnly,
    Invariants,
}

impl Feature {
    pub(crate) fn name(self) -> &'static str {
        self.into()
    }

    fn is_for_readers(self) -> bool {
        matches!(self, Self::TimestampNtz | Self::TypeWidening)
    }
}

/// Features that readers and writers of a table have to know. The set only grows: no feature is ever taken from a table.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Protocol {
    features: BTreeSet<Feature>,
}

/// The action of the log.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProtocolAction {
    pub(crate) min_reader_version: i32,
    pub(crate) min_writer_version: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reader_features: Option<Vec<Feature>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) writer_features: Option<Vec<Feature>>,
}

impl Protocol {
    pub fn has(&self, feature: Feature) -> bool {
        self.features.contains(&feature)
    }

    /// Returns the protocol with more features. `is_new`: the table has no commit yet.
    #[must_use]
    pub(crate) fn with(&self, wanted: impl IntoIterator<Item = Feature>, is_new: bool) -> Self {
        let mut features = self.features.clone();
        features.extend(wanted);
        // A table of writer version 2 has these two, and says so when it goes on as one of features.
        if !is_new && self.features.is_empty() && !features.is_empty() {
            features.extend([Feature::AppendOnly, Feature::Invariants]);
        }
        Self { features }
    }

    pub(crate) fn action(&self) -> ProtocolAction {
        if self.features.is_empty() {
            let (min_reader_version, min_writer_version) = (1, 2);
            return ProtocolAction {
                min_reader_version,
                min_writer_version,
                reader_features: None,
                writer_features: None,
            };
        }
        ProtocolAction {
            min_reader_version: 3,
            min_writer_version: 7,
            reader_features: Some(self.features.iter().copied().filter(|one| one.is_for_readers()).collect()),
            writer_features: Some(self.features.iter().copied().collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(protocol: &Protocol) -> String {
        serde_json::to_string(&protocol.action()).unwrap()
    }

    #[test]
    fn a_table_that_needs_no_feature_is_of_the_oldest_protocol() {
        assert_eq!(json(&Protocol::default()), r#"{"minReaderVersion":1,"minWriterVersion":2}"#);
    }

    #[test]
    fn a_new_table_names_what_it_uses_and_an_old_one_also_what_it_had() {
        let new = Protocol::default().with([Feature::TimestampNtz], true);
        assert_eq!(
            json(&new),
            r#"{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["timestampNtz"],"writerFeatures":["timestampNtz"]}"#
        );
        let upgraded = Protocol::default().with([Feature::TimestampNtz], false);
        assert_eq!(
            json(&upgraded),
            concat!(
                r#"{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["timestampNtz"],"#,
                r#""writerFeatures":["timestampNtz","appendOnly","invariants"]}"#
            )
        );
        assert_eq!(upgraded.with([], false), upgraded);
    }
}
