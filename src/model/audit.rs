//! Audit log: who did what, to what, when, from where, and with which outcome. Append-only.
//!
//! The functions here build the entry of each action. Every backend calls them in the transaction of the action itself,
//! so no action lacks its entry, whenever the process ends. Files are summed up in the entry of the end of their sync.

mod query;

use crate::model::access::actor::Actor;
use crate::model::access::key::{Key, NewKey};
use crate::model::access::session::SessionEntry;
use crate::model::dataset::schedule::DeliverySchedule;
use crate::model::dataset::schema::SchemaPolicy;
use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::id::VersionNumber;
use crate::model::path::LakePath;
use crate::model::sync::end::Settlement;
use crate::model::sync::hold::Hold;
use crate::model::sync::job::{Closing, SyncJob, SyncRecord};
use crate::model::sync::start::NewSync;
use crate::model::sync::status::Status;
use crate::model::time::Timestamp;
use crate::model::totals::Totals;
use crate::model::trash::{TrashEntry, TrashReason};
use serde::{Deserialize, Serialize};

pub use query::{AuditParameters, AuditQuery};

/// Sequence number of an entry, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AuditId(pub u64);

/// Action that was performed or attempted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::IntoStaticStr, strum::EnumString)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum AuditAction {
    SyncStarted,
    /// A sync was finished, and published if it is a full one; or its end failed.
    SyncEnded,
    /// The end of a sync was refused until somebody confirms it.
    SyncHeld,
    /// A held sync was ended as it is.
    SyncConfirmed,
    SyncAborted,
    /// A sync failed after it was idle for too long.
    SyncExpired,
    /// A held or silent sync ended because a new sync started on its path.
    SyncSuperseded,
    /// Uploads in flight were dropped by the end of their sync.
    UploadsDiscarded,
    TrashRestored,
    TrashEmptied,
    KeyCreated,
    KeyRevoked,
    SignIn,
    /// Sessions were ended by a caller.
    SessionsEnded,
    #[serde(rename = "rhythm_set")]
    #[strum(serialize = "rhythm_set")]
    ScheduleSet,
    SchemaPolicySet,
    /// A version is kept beyond the limits of the trash.
    VersionPinned,
    /// A version is subject to the limits of the trash again.
    VersionUnpinned,
    /// The server started with other settings than before.
    SettingsChanged,
}

impl AuditAction {
    pub const ALL: [Self; 19] = [
        Self::SyncStarted,
        Self::SyncEnded,
        Self::SyncHeld,
        Self::SyncConfirmed,
        Self::SyncAborted,
        Self::SyncExpired,
        Self::SyncSuperseded,
        Self::UploadsDiscarded,
        Self::TrashRestored,
        Self::TrashEmptied,
        Self::KeyCreated,
        Self::KeyRevoked,
        Self::SignIn,
        Self::SessionsEnded,
        Self::ScheduleSet,
        Self::SchemaPolicySet,
        Self::VersionPinned,
        Self::VersionUnpinned,
        Self::SettingsChanged,
    ];

    pub fn as_str(self) -> &'static str {
        self.into()
    }

    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// Outcome of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::IntoStaticStr, strum::EnumString)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum AuditOutcome {
    Done,
    /// The rules of the lake forbade the action.
    Refused,
    /// The action was allowed, but did not succeed.
    Failed,
}

impl AuditOutcome {
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// An actor of whom only the name is known.
impl From<&str> for Actor {
    fn from(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }
}

/// An entry of the audit log, before it has a number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    pub at: Timestamp,
    pub what: AuditAction,
    pub outcome: AuditOutcome,
    pub by: Actor,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<LakePath>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync_id: Option<SyncId>,
    /// Name of the sync or key that the action concerned; empty if it has none.
    #[serde(default)]
    pub subject: String,
    /// Details, as text.
    #[serde(default)]
    pub message: String,
    /// Files that the action concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub totals: Option<Totals>,
}

/// A recorded entry with its number, as the API lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    pub activity_id: AuditId,
    #[serde(flatten)]
    pub entry: AuditEntry,
}

impl AuditEntry {
    fn new(what: AuditAction, by: &Actor, at: Timestamp) -> Self {
        Self {
            at,
            what,
            outcome: AuditOutcome::Done,
            by: by.clone(),
            path: None,
            sync_id: None,
            subject: String::new(),
            message: String::new(),
            totals: None,
        }
    }

    fn of_sync(what: AuditAction, sync: &SyncJob, by: &Actor, at: Timestamp) -> Self {
        let (path, subject) = (Some(sync.path.clone()), sync.name.clone());
        Self { path, subject, sync_id: Some(sync.sync_id), ..Self::new(what, by, at) }
    }

    pub fn sync_started(sync_id: SyncId, new: &NewSync) -> Self {
        Self {
            path: Some(new.path.clone()),
            sync_id: Some(sync_id),
            subject: new.name.clone(),
            message: new.sync_type.as_str().to_owned(),
            ..Self::new(AuditAction::SyncStarted, &new.started_by, new.at)
        }
    }

    /// Entries for the closing of a sync, apart from its end. `record` is the state before the closing; `discarded`
    /// counts the dropped uploads in flight.
    pub fn closing(record: &SyncRecord, closing: &Closing, discarded: u64, at: Timestamp) -> Vec<Self> {
        let sync = &record.sync;
        let mut entries = Vec::new();
        if discarded > 0 {
            let totals = Some(Totals { files: discarded, bytes: 0 });
            entries.push(Self { totals, ..Self::of_sync(AuditAction::UploadsDiscarded, sync, closing.by(), at) });
        }
        if let (Closing::Publish { by, .. }, Some(hold)) = (closing, &sync.held) {
            let message = held_in_words(hold);
            entries.push(Self { message, ..Self::of_sync(AuditAction::SyncConfirmed, sync, by, at) });
        }
        entries
    }

    /// Entry for the end of a sync with all landed files. `sync` is the state after the end.
    pub fn sync_finished(sync: &SyncJob, by: &Actor, at: Timestamp) -> Self {
        Self {
            message: failed_in_words(sync),
            totals: Some(landed(sync)),
            ..Self::of_sync(AuditAction::SyncEnded, sync, by, at)
        }
    }

    /// Entry for the result of a closing. `sync` is the state after the closing.
    pub fn sync_settled(sync: &SyncJob, closing: &Closing, settlement: &Settlement) -> Self {
        let (by, at) = (closing.by(), settlement.at);
        let what = match closing {
            Closing::Abort { reason: TrashReason::Expired, .. } => AuditAction::SyncExpired,
            Closing::Abort { reason: TrashReason::Superseded, .. } => AuditAction::SyncSuperseded,
            Closing::Abort { .. } => AuditAction::SyncAborted,
            Closing::Publish { .. } | Closing::Finish { .. } => AuditAction::SyncEnded,
        };
        let entry = Self { totals: Some(landed(sync)), ..Self::of_sync(what, sync, by, at) };
        match (what, settlement.status) {
            (AuditAction::SyncEnded, Status::Failed) => {
                Self { outcome: AuditOutcome::Failed, message: settlement.message.clone(), ..entry }
            }
            (AuditAction::SyncExpired | AuditAction::SyncSuperseded, _) => {
                Self { message: settlement.message.clone(), ..entry }
            }
            _ => Self { message: failed_in_words(sync), ..entry },
        }
    }

    /// Entry for a publish that failed and left the sync open.
    pub fn sync_reopened(sync: &SyncJob, closing: &Closing, why: &str, at: Timestamp) -> Self {
        let entry = Self::of_sync(AuditAction::SyncEnded, sync, closing.by(), at);
        Self { outcome: AuditOutcome::Failed, message: why.to_owned(), ..entry }
    }

    pub fn sync_held(sync: &SyncJob, hold: &Hold, by: &Actor) -> Self {
        Self {
            outcome: AuditOutcome::Refused,
            message: held_in_words(hold),
            totals: Some(hold.published),
            ..Self::of_sync(AuditAction::SyncHeld, sync, by, hold.since)
        }
    }

    pub fn trash_restored(entry: &TrashEntry, by: &Actor, at: Timestamp) -> Self {
        Self {
            path: Some(entry.origin.clone()),
            sync_id: entry.sync_id,
            totals: entry.totals,
            ..Self::new(AuditAction::TrashRestored, by, at)
        }
    }

    /// One entry for several items purged together; `None` for no items.
    pub fn trash_emptied(items: &[TrashEntry], by: &Actor, at: Timestamp) -> Option<Self> {
        let entry = Self::new(AuditAction::TrashEmptied, by, at);
        match items {
            [] => None,
            [one] => Some(Self { path: Some(one.origin.clone()), sync_id: one.sync_id, totals: one.totals, ..entry }),
            many => {
                let mut totals = Totals::default();
                for counted in many.iter().filter_map(|item| item.totals) {
                    totals.files += counted.files;
                    totals.bytes += counted.bytes;
                }
                let message = format!("{} items", many.len());
                let sync_id = many[0].sync_id.filter(|_| many.iter().all(|item| item.sync_id == many[0].sync_id));
                let mut origins = many.iter().map(|entry| &entry.origin);
                let first = origins.next().cloned();
                let path = origins.fold(first, |common, origin| common?.common(origin));
                Some(Self { message, path, sync_id, totals: Some(totals), ..entry })
            }
        }
    }

    pub fn key_created(new: &NewKey, by: &Actor, at: Timestamp) -> Self {
        let message = match &new.path_prefix {
            Some(prefix) => format!("role {}, for {prefix}", new.role),
            None => format!("role {}, for the whole lake", new.role),
        };
        Self { subject: new.name.clone(), message, ..Self::new(AuditAction::KeyCreated, by, at) }
    }

    pub fn key_revoked(key: &Key, by: &Actor, at: Timestamp) -> Self {
        let message = format!("role {}, {}…", key.role, key.hint);
        Self { subject: key.name.clone(), message, ..Self::new(AuditAction::KeyRevoked, by, at) }
    }

    /// Entry for ended sessions, newest first.
    pub fn sessions_ended(sessions: &[SessionEntry], by: &Actor, at: Timestamp) -> Self {
        let mut names: Vec<_> = sessions.iter().map(|session| session.key_name.as_str()).collect();
        names.dedup();
        let subject = if let [name] = names[..] { name.to_owned() } else { String::new() };
        let message = if sessions.len() == 1 { "1 session".to_owned() } else { format!("{} sessions", sessions.len()) };
        Self { subject, message, ..Self::new(AuditAction::SessionsEnded, by, at) }
    }

    pub fn signed_in(by: &Actor, at: Timestamp) -> Self {
        Self::new(AuditAction::SignIn, by, at)
    }

    /// `unlisted`: refusals since the last listed one, which were too many to list.
    pub fn sign_in_refused(by: &Actor, refusal: &Error, unlisted: u64, at: Timestamp) -> Self {
        let more = if unlisted > 0 { format!(" ({unlisted} earlier ones not listed)") } else { String::new() };
        let message = format!("{refusal}{more}");
        Self { outcome: AuditOutcome::Refused, message, ..Self::new(AuditAction::SignIn, by, at) }
    }

    pub fn schedule_set(path: &LakePath, schedule: Option<&DeliverySchedule>, by: &Actor, at: Timestamp) -> Self {
        let message = schedule.map_or_else(|| "removed".to_owned(), ToString::to_string);
        Self { path: Some(path.clone()), message, ..Self::new(AuditAction::ScheduleSet, by, at) }
    }

    pub fn schema_policy_set(path: &LakePath, policy: SchemaPolicy, by: &Actor, at: Timestamp) -> Self {
        let message = policy.as_str().to_owned();
        Self { path: Some(path.clone()), message, ..Self::new(AuditAction::SchemaPolicySet, by, at) }
    }

    /// Entry for a pin; without a note, for an unpin.
    pub fn version_pinned(
        path: &LakePath,
        version: VersionNumber,
        note: Option<&str>,
        by: &Actor,
        at: Timestamp,
    ) -> Self {
        let what = if note.is_some() { AuditAction::VersionPinned } else { AuditAction::VersionUnpinned };
        let (subject, message) = (format!("version {version}"), note.unwrap_or_default().to_owned());
        Self { path: Some(path.clone()), subject, message, ..Self::new(what, by, at) }
    }

    pub fn settings_changed(settings: String, at: Timestamp) -> Self {
        Self { message: settings, ..Self::new(AuditAction::SettingsChanged, &Actor::command_line(), at) }
    }
}

fn landed(sync: &SyncJob) -> Totals {
    Totals { files: sync.num_landed(), bytes: sync.size_bytes }
}

fn failed_in_words(sync: &SyncJob) -> String {
    match sync.num_failed {
        0 => String::new(),
        1 => "1 upload failed".to_owned(),
        many => format!("{many} uploads failed"),
    }
}

fn held_in_words(hold: &Hold) -> String {
    let Hold { replaced, published, differing_files, .. } = hold;
    let counted = |files: u64| if files == 1 { "1 file".to_owned() } else { format!("{files} files") };
    let shrinks = format!("{} instead of {}", counted(published.files), counted(replaced.files));
    if *differing_files > 0 { format!("{shrinks}; schema mismatch: {}", counted(*differing_files)) } else { shrinks }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::access::actor::AuthMethod;

    #[test]
    fn audit_actions_have_the_same_text_in_json() {
        for what in AuditAction::ALL {
            assert_eq!(serde_json::to_value(what).unwrap(), what.as_str());
            assert_eq!(AuditAction::parse(what.as_str()), Some(what));
        }
        for means in
            [AuthMethod::Key, AuthMethod::Session, AuthMethod::CommandLine, AuthMethod::Lake, AuthMethod::Nothing]
        {
            assert_eq!(serde_json::to_value(means).unwrap(), means.as_str());
        }
    }
}
