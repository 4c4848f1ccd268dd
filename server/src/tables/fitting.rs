//! Tells before a publish which files the table of the dataset could not have.

use super::change::Members;
use super::planning::{Schemas, TargetVersion};
use super::{FollowError, Follower, Shared};
use async_trait::async_trait;
use lakeshore::Error;
use lakeshore::model::id::{SyncId, VersionNumber};
use lakeshore::model::path::LakePath;
use lakeshore::model::table::ReasonOutside;
use lakeshore::model::version::VersionKind;
use lakeshore::ports::Clock;
use lakeshore::ports::metadata::table::FileOutside;
use lakeshore::ports::table_fit::{Misfit, TableFit};
use lakeshore_delta::plan::TableState;
use lakeshore_system::clock::SystemClock;

#[async_trait]
impl TableFit for Follower {
    async fn misfits(&self, sync: SyncId, dataset: &LakePath) -> Result<Vec<Misfit>, Error> {
        self.0.misfits(sync, dataset).await.map_err(|error| match error {
            FollowError::Lake(error) => error,
            error => Error::internal(error),
        })
    }
}

impl Shared {
    /// Returns the files of a full sync that would be outside the table, and why. Plans the publish as the next version of the
    /// table, and discards the plan; only descriptions of files that were read for it are stored.
    async fn misfits(&self, sync: SyncId, dataset: &LakePath) -> Result<Vec<Misfit>, FollowError> {
        // One at a time: each holds the descriptions of all files of its sync in memory.
        let _alone = self.fitting.lock().await;
        let table = self.state.table(dataset).await?.unwrap_or_default();
        let state: Option<TableState> = table.state.as_deref().map(serde_json::from_str).transpose()?;
        let at = SystemClock.now();
        let change = self.difference(dataset, &table, Members::Staged(sync, None), at).await?;
        let target = TargetVersion { version: VersionNumber(table.version + 1), at, kind: VersionKind::Publish };
        let plan = self.plan(dataset, state.as_ref(), target, change, &mut Schemas::default()).await?;
        let mut outside = plan.outside;
        outside.sort_unstable_by_key(|file| file.upload_id);
        let misfit = |file: &FileOutside| {
            let reasons: Vec<ReasonOutside> = serde_json::from_str(&file.reasons)?;
            let reasons = reasons.into_iter().map(|reason| reason.message).collect();
            Ok(Misfit { upload_id: file.upload_id, reasons })
        };
        outside.iter().map(misfit).collect()
    }
}
