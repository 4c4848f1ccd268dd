//! Schema policy of a dataset, as requests set and show it.

use crate::model::dataset::schema::{Schema, SchemaPolicy};
use crate::model::id::SyncId;
use crate::model::path::LakePath;
use serde::{Deserialize, Serialize};

/// Body of the call that sets a policy, without the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetSchemaPolicy {
    pub path: String,
    pub policy: SchemaPolicy,
}

/// Columns and schema policy of a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetSchema {
    pub path: LakePath,
    pub policy: SchemaPolicy,
    /// Columns of most files of the last finished sync with any columns; absent if there is none.
    pub schema: Option<Schema>,
    /// Id of that sync.
    pub sync_id: Option<SyncId>,
    /// Files of that sync whose columns differ from those before it.
    pub num_differences: u64,
}
