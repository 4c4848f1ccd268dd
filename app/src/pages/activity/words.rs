//! Deeds in words.

use crate::format;
use lakeshore::model::access::actor::Means;
use lakeshore::model::audit::{Activity, Deed, Outcome, What};

/// What is done, as the filter offers it.
pub fn title(what: What) -> &'static str {
    match what {
        What::SyncStarted => "Sync started",
        What::SyncEnded => "Sync ended",
        What::SyncHeld => "Sync held",
        What::SyncConfirmed => "Held sync confirmed",
        What::SyncAborted => "Sync aborted",
        What::SyncExpired => "Sync expired",
        What::SyncSuperseded => "Sync superseded",
        What::UploadsDiscarded => "Uploads discarded",
        What::TrashRestored => "Trash restored",
        What::TrashEmptied => "Trash emptied",
        What::KeyCreated => "Key created",
        What::KeyRevoked => "Key revoked",
        What::SignIn => "Signed in",
        What::SessionsEnded => "Sessions ended",
        What::RhythmSet => "Schedule set",
        What::SchemaPolicySet => "Schema policy set",
        What::SettingsChanged => "Settings changed",
    }
}

/// What was done, and to what by its name.
pub fn headline(deed: &Deed) -> String {
    let verb = match (deed.what, deed.outcome) {
        (What::SignIn, Outcome::Refused | Outcome::Failed) => "Sign-in refused",
        (What::SyncEnded, Outcome::Failed | Outcome::Refused) => "Sync could not be ended",
        (what, _) => title(what),
    };
    match deed.what {
        What::SessionsEnded if deed.subject.is_empty() => verb.to_owned(),
        What::KeyCreated | What::KeyRevoked | What::SessionsEnded => format!("{verb}: {}", deed.subject),
        _ => verb.to_owned(),
    }
}

/// The rest of it in a line; empty where there is no more to say.
pub fn detail(deed: &Deed) -> String {
    let files = deed.totals.map(|totals| match deed.what {
        What::UploadsDiscarded => format::counted(totals.files, "upload"),
        _ => format::totals(totals),
    });
    let message = match (deed.what, deed.message.as_str()) {
        (What::SyncStarted, "FullSync") => "full",
        (What::SyncStarted, "IncrementalSync") => "incremental",
        // Said by the figures of the message.
        (What::SyncHeld, message) => return message.to_owned(),
        (_, message) => message,
    };
    let parts = files.into_iter().chain((!message.is_empty()).then(|| message.to_owned()));
    parts.collect::<Vec<_>>().join("; ")
}

/// Who did it, where that is no key: `None` for one that has a name.
pub fn without_a_name(activity: &Activity) -> Option<&'static str> {
    let by = &activity.deed.by;
    match by.trace.means {
        Means::Lake => Some("System"),
        Means::CommandLine => Some("Command line"),
        Means::Key | Means::Session | Means::Nothing if by.name.is_empty() => Some("Unknown"),
        Means::Key | Means::Session | Means::Nothing => None,
    }
}

/// By what they were recognised, and with which role.
pub fn recognised(deed: &Deed) -> String {
    let means = match deed.by.trace.means {
        Means::Key => "key",
        Means::Session => "browser",
        Means::CommandLine | Means::Lake | Means::Nothing => return String::new(),
    };
    match deed.by.role {
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

    fn deed(what: What, outcome: Outcome, message: &str, totals: Option<Totals>) -> Deed {
        Deed {
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
    fn a_deed_is_a_headline_and_a_line() {
        let totals = Some(Totals { files: 3, bytes: 12 });
        let ended = deed(What::SyncEnded, Outcome::Done, "1 upload failed", totals);
        assert_eq!((&*headline(&ended), &*detail(&ended)), ("Sync ended", "3 files, 12 B; 1 upload failed"));
        let started = deed(What::SyncStarted, Outcome::Done, "FullSync", None);
        assert_eq!(detail(&started), "full");
        let key = deed(What::KeyCreated, Outcome::Done, "role write", None);
        assert_eq!(headline(&key), "Key created: nightly");
        let refused = deed(What::SignIn, Outcome::Refused, "not known", None);
        assert_eq!(headline(&refused), "Sign-in refused");
        let dropped = deed(What::UploadsDiscarded, Outcome::Done, "", Some(Totals { files: 1, bytes: 0 }));
        assert_eq!(detail(&dropped), "1 upload");
    }
}
