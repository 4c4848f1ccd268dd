//! Start of a sync: the body of the call, and the stored values.

use crate::model::access::actor::Actor;
use crate::model::access::principal::Principal;
use crate::model::id::VersionNumber;
use crate::model::path::LakePath;
use crate::model::sync::idempotency::{Fingerprint, IdempotencyKey};
use crate::model::sync::manifest::{Declaration, Expected};
use crate::model::sync::status::SyncType;
use crate::model::time::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSync {
    pub name: String,
    pub path: LakePath,
    pub sync_type: SyncType,
    pub started_by: Actor,
    /// Declared content, compared at the end.
    pub expected: Option<Declaration>,
    /// Set for a start with an `Idempotency-Key`.
    pub once: Option<IdempotentStart>,
    /// Set for a sync by which the lake restores a version of the dataset. Only the lake fills and ends it.
    pub restores_version: Option<VersionNumber>,
    pub at: Timestamp,
}

/// Identity of a start, by which a repeated call is recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotentStart {
    /// Owner of the key: the same text of another owner is another key.
    pub owner: Principal,
    pub key: IdempotencyKey,
    pub fingerprint: Fingerprint,
    /// Time before which stored keys are deleted first.
    pub expired_before: Timestamp,
}

/// Body of the documented start call, without the key. The path is text until [`Lake::start_sync`] parses it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartSync {
    pub name: String,
    pub path: String,
    pub sync_type: SyncType,
    /// Declared content, compared at the end; may be declared later, by [`Lake::expect_files`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Expected>,
}
