//! Partial files that could not be removed at the end of their upload, and parts of joined uploads. Their removal is repeated
//! until it succeeds.

use crate::model::error::Error;
use crate::model::storage_path::PartialName;
use crate::model::sync::status::Status;
use crate::model::upload::resumable::Token;
use crate::service::Lake;
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashSet};

/// Maximum waiting names. Others are left to the sweep of the next start.
const WAITING_MAX: usize = 10_000;

#[derive(Default)]
pub(in crate::service) struct Leftovers {
    partials: Mutex<BTreeSet<PartialName>>,
    /// Uploads whose parts are removed once they are known to have landed.
    joined: Mutex<HashSet<Token>>,
}

impl Lake {
    /// Removes the partial file of an upload that will not land, now or in the background.
    pub(in crate::service) async fn discard(&self, partial: &PartialName) {
        if self.0.files.discard_partial(partial).await.is_err() {
            let mut waiting = self.0.leftovers.partials.lock();
            if waiting.len() < WAITING_MAX {
                waiting.insert(partial.clone());
            }
        }
    }

    /// Leaves the parts of an upload to the background, which removes them if it has landed.
    pub(in crate::service) fn drop_parts_later(&self, joined: &Token) {
        let mut waiting = self.0.leftovers.joined.lock();
        if waiting.len() < WAITING_MAX {
            waiting.insert(joined.clone());
        }
    }

    /// Retries the removal of waiting files. Returns their number, or the error of the first that stays.
    pub async fn discard_leftovers(&self) -> Result<usize, Error> {
        let joined: Vec<_> = self.0.leftovers.joined.lock().iter().cloned().collect();
        for joined in joined {
            match self.0.state.resumable(&joined).await? {
                Some(record) if record.status == Status::Syncing => continue,
                Some(record) if record.status == Status::Finished => self.drop_parts(&record.parts).await?,
                // Its parts may be joined once more.
                _ => {}
            }
            self.0.leftovers.joined.lock().remove(&joined);
        }
        let waiting: Vec<_> = self.0.leftovers.partials.lock().iter().cloned().collect();
        for (gone, partial) in waiting.iter().enumerate() {
            if let Err(fault) = self.0.files.discard_partial(partial).await {
                return if gone > 0 { Ok(gone) } else { Err(fault) };
            }
            self.0.leftovers.partials.lock().remove(partial);
        }
        Ok(waiting.len())
    }
}
