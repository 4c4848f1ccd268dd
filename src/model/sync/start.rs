//! The start of a sync: the body of the call, and what is remembered of it.

use crate::model::access::actor::Actor;
use crate::model::access::principal::Principal;
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
    /// What it is to hold when it ends.
    pub expected: Option<Declaration>,
    /// Set for a start that may be asked for again.
    pub once: Option<OnceOnly>,
    pub at: Timestamp,
}

/// What makes a start the same as an earlier one of the same caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnceOnly {
    /// Whose key it is: the same text under another owner is another key.
    pub owner: Principal,
    pub key: IdempotencyKey,
    pub fingerprint: Fingerprint,
    /// Keys that came before this time are forgotten first.
    pub forget_before: Timestamp,
}

/// The body of the documented start call, without its key. The path is text until [`Lake::start_sync`] parses it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartSync {
    pub name: String,
    pub path: String,
    pub sync_type: SyncType,
    /// What it is to hold when it ends; may be declared later, by [`Lake::expect_files`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Expected>,
}
