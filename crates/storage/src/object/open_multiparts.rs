//! Multipart uploads that this process knows to be open. Any other may have been completed without a record, by a process
//! that ended then, and the bucket is asked once before it goes on.

use lakeshore::ports::namespace::ObjectId;
use parking_lot::Mutex;
use std::collections::BTreeSet;

/// Beyond this many, which include those that were given up, all are forgotten: each costs a request.
const KNOWN_MAX: usize = 10_000;

#[derive(Default)]
pub(super) struct OpenMultiparts(Mutex<BTreeSet<ObjectId>>);

impl OpenMultiparts {
    pub(super) fn insert(&self, object: ObjectId) {
        let mut known = self.0.lock();
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(object);
    }

    /// It is about to be completed.
    pub(super) fn remove(&self, object: ObjectId) {
        self.0.lock().remove(&object);
    }

    pub(super) fn contains(&self, object: ObjectId) -> bool {
        self.0.lock().contains(&object)
    }
}
