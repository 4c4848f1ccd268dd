//! Partial files that could not be removed at the end of their upload. Their removal is repeated until it succeeds.

use crate::model::error::Error;
use crate::model::storage_path::PartialName;
use crate::service::Lake;
use parking_lot::{Mutex, MutexGuard};
use std::collections::BTreeSet;

/// Maximum waiting names. Others are left to the sweep of the next start.
const WAITING_MAX: usize = 10_000;

#[derive(Default)]
pub(in crate::service) struct Leftovers(Mutex<BTreeSet<PartialName>>);

impl Leftovers {
    fn lock(&self) -> MutexGuard<'_, BTreeSet<PartialName>> {
        self.0.lock()
    }
}

impl Lake {
    /// Removes the partial file of an upload that will not land, now or in the background.
    pub(in crate::service) async fn discard(&self, partial: &PartialName) {
        if self.0.files.discard_partial(partial).await.is_err() {
            let mut waiting = self.0.leftovers.lock();
            if waiting.len() < WAITING_MAX {
                waiting.insert(partial.clone());
            }
        }
    }

    /// Retries the removal of waiting files. Returns their number, or the error of the first that stays.
    pub async fn discard_leftovers(&self) -> Result<usize, Error> {
        let waiting: Vec<_> = self.0.leftovers.lock().iter().cloned().collect();
        for (gone, partial) in waiting.iter().enumerate() {
            if let Err(fault) = self.0.files.discard_partial(partial).await {
                return if gone > 0 { Ok(gone) } else { Err(fault) };
            }
            self.0.leftovers.lock().remove(partial);
        }
        Ok(waiting.len())
    }
}
