//! Writes a log line for each audit entry, after its transaction has committed.

use lakeshore::model::audit::AuditEntry;
use lakeshore::model::path::LakePath;

/// Texts are logged by `Debug`, which escapes control characters, so that a name cannot forge a line.
pub(crate) fn log(entry: &AuditEntry) {
    let (trace, origin) = (&entry.by.trace, &entry.by.trace.origin);
    tracing::info!(
        who = ?entry.by.name,
        key_id = trace.key_id.map(|key_id| key_id.0),
        by = trace.means.as_str(),
        address = origin.address.as_ref().map(tracing::field::debug),
        program = origin.program.as_ref().map(tracing::field::debug),
        path = entry.path.as_ref().map(LakePath::as_str).map(tracing::field::debug),
        sync_id = entry.sync_id.map(|sync_id| sync_id.0),
        subject = (!entry.subject.is_empty()).then(|| tracing::field::debug(&entry.subject)),
        files = entry.totals.map(|totals| totals.files),
        bytes = entry.totals.map(|totals| totals.bytes),
        detail = (!entry.message.is_empty()).then(|| tracing::field::debug(&entry.message)),
        outcome = entry.outcome.as_str(),
        "{}", entry.what.as_str()
    );
}
