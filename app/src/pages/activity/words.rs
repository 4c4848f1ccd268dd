//! Text of audit entries.

use crate::format;
use lakeshore::model::access::actor::AuthMethod;
use lakeshore::model::audit::{Activity, AuditAction, AuditEntry, AuditOutcome};

/// Title of an action, also for the filter.
pub fn title(what: AuditAction) -> &'static str {
    match what {
        AuditAction::SyncStarted => "Sync started",
        AuditAction::SyncEnded => "Sync ended",
        AuditAction::SyncHeld => "Sync held",
        AuditAction::SyncConfirmed => "Held sync confirmed",
        AuditAction::SyncAborted => "Sync aborted",
        AuditAction::SyncExpired => "Sync expired",
        AuditAction::SyncSuperseded => "Sync superseded",
        AuditAction::UploadsDiscarded => "Uploads discarded",
        AuditAction::TrashRestored => "Trash restored",
        AuditAction::TrashEmptied => "Trash emptied",
        AuditAction::KeyCreated => "Key created",
        AuditAction::KeyRevoked => "Key revoked",
        AuditAction::SignIn => "Signed in",
        AuditAction::SessionsEnded => "Sessions ended",
        AuditAction::ScheduleSet => "Schedule set",
        AuditAction::SchemaPolicySet => "Schema policy set",
        AuditAction::VersionPinned => "Version pinned",
        AuditAction::VersionUnpinned => "Version unpinned",
        AuditAction::SettingsChanged => "Settings changed",
    }
}

/// Action of an entry, and the name of its object.
pub fn headline(entry: &AuditEntry) -> String {
    let verb = match (entry.what, entry.outcome) {
        (AuditAction::SignIn, AuditOutcome::Refused | AuditOutcome::Failed) => "Sign-in refused",
        (AuditAction::SyncEnded, AuditOutcome::Failed | AuditOutcome::Refused) => "Sync could not be ended",
        (what, _) => title(what),
    };
    match entry.what {
        AuditAction::SessionsEnded if entry.subject.is_empty() => verb.to_owned(),
        AuditAction::KeyCreated | AuditAction::KeyRevoked | AuditAction::SessionsEnded => {
            format!("{verb}: {}", entry.subject)
        }
        _ => verb.to_owned(),
    }
}

/// Details of an entry in one line; may be empty.
pub fn detail(entry: &AuditEntry) -> String {
    let files = entry.totals.map(|totals| match entry.what {
        AuditAction::UploadsDiscarded => format::counted(totals.files, "upload"),
        _ => format::totals(totals),
    });
    let message = match (entry.what, entry.message.as_str()) {
        (AuditAction::SyncStarted, "FullSync") => "full",
        (AuditAction::SyncStarted, "IncrementalSync") => "incremental",
        // The message has the figures.
        (AuditAction::SyncHeld, message) => return message.to_owned(),
        (_, message) => message,
    };
    let parts = files.into_iter().chain((!message.is_empty()).then(|| message.to_owned()));
    parts.collect::<Vec<_>>().join("; ")
}

/// Actor without a key. `None` for a named one.
pub fn without_a_name(activity: &Activity) -> Option<&'static str> {
    let by = &activity.entry.by;
    match by.trace.means {
        AuthMethod::Lake => Some("System"),
        AuthMethod::CommandLine => Some("Command line"),
        AuthMethod::Key | AuthMethod::Session | AuthMethod::Nothing if by.name.is_empty() => Some("Unknown"),
        AuthMethod::Key | AuthMethod::Session | AuthMethod::Nothing => None,
    }
}

/// Authentication method and role.
pub fn recognised(entry: &AuditEntry) -> String {
    let means = match entry.by.trace.means {
        AuthMethod::Key => "key",
        AuthMethod::Session => "browser",
        AuthMethod::CommandLine | AuthMethod::Lake | AuthMethod::Nothing => return String::new(),
    };
    match entry.by.role {
        Some(role) => format!("{means}, {role}"),
        None => means.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lakeshore::model::access::actor::Actor;
    use lakeshore::model::time::Timestamp;
    use lakeshore::model::totals::Totals;

    fn entry(what: AuditAction, outcome: AuditOutcome, message: &str, totals: Option<Totals>) -> AuditEntry {
        AuditEntry {
            at: Timestamp(1),
            what,
            outcome,
            by: Actor::from("ada"),
            path: None,
            sync_id: None,
            subject: "nightly".into(),
            message: message.into(),
            totals,
        }
    }

    #[test]
    fn an_entry_is_a_headline_and_a_line() {
        let totals = Some(Totals { files: 3, bytes: 12 });
        let ended = entry(AuditAction::SyncEnded, AuditOutcome::Done, "1 upload failed", totals);
        assert_eq!((&*headline(&ended), &*detail(&ended)), ("Sync ended", "3 files, 12 B; 1 upload failed"));
        let started = entry(AuditAction::SyncStarted, AuditOutcome::Done, "FullSync", None);
        assert_eq!(detail(&started), "full");
        let key = entry(AuditAction::KeyCreated, AuditOutcome::Done, "role write", None);
        assert_eq!(headline(&key), "Key created: nightly");
        let refused = entry(AuditAction::SignIn, AuditOutcome::Refused, "not known", None);
        assert_eq!(headline(&refused), "Sign-in refused");
        let dropped = entry(AuditAction::UploadsDiscarded, AuditOutcome::Done, "", Some(Totals { files: 1, bytes: 0 }));
        assert_eq!(detail(&dropped), "1 upload");
    }
}
