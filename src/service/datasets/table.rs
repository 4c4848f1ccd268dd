//! Tables of datasets on object storage, as readers of the bucket find them.

use crate::model::access::key::Caller;
use crate::model::error::Error;
use crate::model::id::VersionNumber;
use crate::model::object_key::dataset_prefix;
use crate::model::path::LakePath;
use crate::model::sync::job::SyncJob;
use crate::model::table::{DatasetTable, FILES_OUTSIDE_SHOWN_MAX, FileOutsideTable};
use crate::model::time::Timestamp;
use crate::ports::TableFit;
use crate::ports::table_fit::Misfit;
use crate::service::Lake;
use std::sync::Arc;

/// Tables of a lake on object storage.
pub(in crate::service) struct Tables {
    /// Address below which they are.
    root: String,
    fit: Arc<dyn TableFit>,
}

impl Lake {
    /// Datasets of this lake are tables below an address. Called once, before the lake is used.
    pub fn set_tables(&self, root: String, fit: Arc<dyn TableFit>) {
        let _ = self.0.tables.set(Tables { root, fit });
    }

    /// Files of an open full sync that could not be in the table of its dataset; none where the lake has no tables.
    pub(in crate::service) async fn misfits(&self, sync: &SyncJob) -> Result<Vec<Misfit>, Error> {
        match self.0.tables.get() {
            Some(tables) => tables.fit.misfits(sync.sync_id, &sync.path).await,
            None => Ok(Vec::new()),
        }
    }

    /// Time from which the logs of tables have every version, as long as the trash keeps what these have replaced. `None` where it is
    /// kept until somebody purges it.
    pub fn table_log_kept_from(&self) -> Option<Timestamp> {
        self.0.limits.trash_kept().map(|kept| self.older_than(kept))
    }

    /// The table of a dataset; `None` where the lake is in a folder, and has none.
    pub async fn dataset_table(&self, caller: &Caller, path: &str) -> Result<Option<DatasetTable>, Error> {
        let prefix = caller.may_read()?;
        let sees_all = prefix.is_none();
        let path = LakePath::parse(path)?;
        let unknown = || Error::NoSuchDataset(path.clone());
        if !caller.sees(&path) {
            return Err(unknown());
        }
        let Some(Tables { root, .. }) = self.0.tables.get() else { return Ok(None) };
        self.0.state.dataset_record(&path).await?.ok_or_else(unknown)?;
        let newest = self.0.state.current_version(&path).await?.map_or(0, |newest| newest.0);
        let table = self.0.state.table(&path).await?.unwrap_or_default();
        let unwritten = self.0.state.versions_unwritten(&path).await?;
        let mut outside = Vec::new();
        for (path, file) in self.0.state.files_outside(&path, FILES_OUTSIDE_SHOWN_MAX).await? {
            let reasons = serde_json::from_str(&file.reasons).map_err(Error::internal)?;
            outside.push(FileOutsideTable { path, reasons });
        }
        let number = |version: u64| (version > 0).then_some(VersionNumber(version));
        Ok(Some(DatasetTable {
            location: sees_all.then(|| format!("{}/{}", root.trim_end_matches('/'), dataset_prefix(&path))),
            commit: table.commit,
            version: number(table.version),
            versions_behind: newest.saturating_sub(table.version) + unwritten,
            table_files: table.table_files,
            dataset_files: table.dataset_files,
            manifest: table.manifest.map(VersionNumber),
            problem: table.problem,
            outside,
            path,
        }))
    }
}
