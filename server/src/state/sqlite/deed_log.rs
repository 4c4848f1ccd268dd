//! Deeds in the log: one line for each that was remembered, once its transaction has committed.
//!
//! The one writer runs a transaction on one thread from its beginning to its end, so what waits for the commit waits there.

use lakeshore::activity::Deed;
use lakeshore::path::LakePath;
use std::cell::RefCell;

thread_local! {
    static WAITING: RefCell<Vec<Deed>> = const { RefCell::new(Vec::new()) };
}

/// It is logged when the transaction commits.
pub(super) fn push(deed: &Deed) {
    WAITING.with_borrow_mut(|waiting| waiting.push(deed.clone()));
}

/// How many wait: the place to come back to with [`truncate`].
pub(super) fn len() -> usize {
    WAITING.with_borrow(Vec::len)
}

/// What came later was rolled back.
pub(super) fn truncate(len: usize) {
    WAITING.with_borrow_mut(|waiting| waiting.truncate(len));
}

/// They are committed.
pub(super) fn flush() {
    WAITING.take().iter().for_each(log);
}

/// Every text as `Debug` writes it: with control characters escaped, so that no name can forge a line.
fn log(deed: &Deed) {
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
