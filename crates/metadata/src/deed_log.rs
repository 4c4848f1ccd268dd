//! Writes a log line for each audit entry, after its transaction has committed.

use lakeshore::model::audit::AuditEntry;
use lakeshore::model::path::LakePath;

/// Texts are logged by `Debug`, which escapes control characters, so that a name cannot forge a line.
pub(crate) fn log(deed: &AuditEntry) {
    let (trace, origin) = (&deed.by.trace, &deed.by.trace.origin);
    tracing::info!(
        who = ?deed.by.name,
        key_id = trace.key_id.map(|key_id| key_id.0),
        by = trace.means.as_str(),
        address = origin.address.as_ref().map(tracing::field::debug),
        program = origin.program.as_ref().map(tracing::field::debug),
        path = deed.path.as_ref().map(LakePath::as_str).map(tracing::field::debug),
        sync_id = deed.sync_id.map(|sync_id| sync_id.0),
        subject = (!deed.subject.is_empty()).then(|| tracing::field::debug(&deed.subject)),
        files = deed.totals.map(|totals| totals.files),
        bytes = deed.totals.map(|totals| totals.bytes),
        detail = (!deed.message.is_empty()).then(|| tracing::field::debug(&deed.message)),
        outcome = deed.outcome.as_str(),
        "{}", deed.what.as_str()
    );
}
