//! Plan of the commit for a version of a dataset, made of the state before and the change.
//!
//! Every version makes one commit once the table exists, also where none of its files are in the table; so versions and commits keep
//! their distance, and `txn` in each commit says which version it is. A table exists from the first version on that has a file
//! that fits one.

use crate::commit::{
    Action, AddFile, CommitChunks, CommitError, CommitInfoAction, FormatOfFiles, MetaDataAction, Pairs, RemoveFile,
    TxnAction, write_line,
};
use crate::footer::FileSchema;
use crate::protocol::{Feature, Protocol};
use crate::schema::{TableSchema, Widening};
use crate::types::{DataType, schema_string};
use crate::unfit::Unfit;
use bytes::Bytes;
use lakeshore::model::id::VersionNumber;
use lakeshore::model::path::LakePath;
use lakeshore::model::time::Timestamp;
use lakeshore::model::version::VersionKind;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Application id in the `txn` actions of Delta.
pub(crate) const APP_ID: &str = "lakeshore";

/// The id of a table: a UUID.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TableId(String);

impl TableId {
    /// Id derived from lake and dataset: equal for the same dataset of the same lake, and for no other.
    pub fn of(lake: &str, dataset: &LakePath) -> Self {
        let mut hasher = Sha256::new();
        for part in ["delta table", lake, dataset.as_str()] {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hasher.finalize()[..16]);
        // A UUID of version 8: its bits are whatever its maker likes (RFC 9562).
        bytes[6] = bytes[6] & 0x0f | 0x80;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let digits = hex::encode(bytes);
        Self(format!("{}-{}-{}-{}-{}", &digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// State of a table after a commit, without its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableState {
    pub id: TableId,
    pub created: Timestamp,
    /// Number of the last commit.
    pub commit: u64,
    /// The version of the dataset that it holds, and its time.
    pub version: VersionNumber,
    pub at: Timestamp,
    pub schema: TableSchema,
    pub protocol: Protocol,
}

/// Shape that decides whether files fit: the columns within, and those of their paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileShape<'a> {
    pub schema: &'a FileSchema,
    pub partition_columns: Vec<String>,
}

/// A new version of a dataset.
#[derive(Debug, Clone)]
pub struct Change<'a> {
    pub version: VersionNumber,
    pub at: Timestamp,
    pub kind: VersionKind,
    /// No file of the version before stays, so the columns may be others.
    pub replaces_all: bool,
    pub widening: Widening,
    /// Shapes of the added files, without duplicates. If two clash, the first one wins, so their order has to be stable, such as that
    /// of the first upload of each.
    pub shapes: &'a [FileShape<'a>],
}

/// Outcome of planning a version.
#[derive(Debug)]
pub struct Plan {
    /// Commit of the version. `None` if there is no table, and this version creates none.
    pub commit: Option<PlannedCommit>,
    /// For each shape of the change, whether its files are in the table.
    pub outcomes: Vec<Result<(), Vec<Unfit>>>,
}

/// A commit that lacks only the lines of its files.
#[derive(Debug)]
pub struct PlannedCommit {
    /// State of the table after the commit.
    pub state: TableState,
    head: Vec<u8>,
}

/// The bytes of an entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    pub number: u64,
    pub bytes: Bytes,
}

#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error(
        "the table holds version {held} already, so version {wanted} cannot follow; write the versions in their order"
    )]
    NotNewer { held: VersionNumber, wanted: VersionNumber },
    #[error("the schema could not be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// Plans the commit of a version.
///
/// # Errors
/// [`PlanError::NotNewer`] if the table already holds this version or a newer one.
pub fn plan(before: Option<&TableState>, id: &TableId, change: &Change<'_>) -> Result<Plan, PlanError> {
    if let Some(before) = before.filter(|before| before.version >= change.version) {
        return Err(PlanError::NotNewer { held: before.version, wanted: change.version });
    }
    let (schema, outcomes) = schema_after(before, change);
    let Some(schema) = schema else { return Ok(Plan { commit: None, outcomes }) };
    let mut wanted = Vec::new();
    if schema.any(&|kind| *kind == DataType::TimestampNtz) {
        wanted.push(Feature::TimestampNtz);
    }
    if schema.is_widened() {
        wanted.push(Feature::TypeWidening);
    }
    let state = TableState {
        id: before.map_or(id, |before| &before.id).clone(),
        created: before.map_or(change.at, |before| before.created),
        commit: before.map_or(0, |before| before.commit + 1),
        version: change.version,
        at: change.at,
        protocol: before.map(|before| before.protocol.clone()).unwrap_or_default().with(wanted, before.is_none()),
        schema,
    };
    let head = head(before, &state, change)?;
    Ok(Plan { commit: Some(PlannedCommit { state, head }), outcomes })
}

/// Returns the columns after a version, `None` if there is no table then, and for each shape whether it fits.
fn schema_after(
    before: Option<&TableState>,
    change: &Change<'_>,
) -> (Option<TableSchema>, Vec<Result<(), Vec<Unfit>>>) {
    let kept = before.map(|before| before.schema.clone());
    let mut schema = kept.clone().filter(|_| !change.replaces_all);
    let mut outcomes = Vec::with_capacity(change.shapes.len());
    for shape in change.shapes {
        let table = schema.clone().unwrap_or_else(|| TableSchema::new(shape.partition_columns.clone()));
        if table.partition_columns != shape.partition_columns {
            let (table, file) = (table.partition_columns, shape.partition_columns.clone());
            outcomes.push(Err(vec![Unfit::OtherPartitionColumns { table, file }]));
            continue;
        }
        outcomes.push(table.with(shape.schema, change.widening).map(|after| schema = Some(after)));
    }
    (schema.or(kept), outcomes)
}

fn head(before: Option<&TableState>, state: &TableState, change: &Change<'_>) -> Result<Vec<u8>, PlanError> {
    let mut head = Vec::new();
    let version = change.version.to_string();
    let (operation, mode) = match change.kind {
        VersionKind::Publish => ("WRITE", "Overwrite"),
        VersionKind::Landing => ("WRITE", "Append"),
        VersionKind::Restore => ("RESTORE", "Overwrite"),
    };
    let operation_parameters = Pairs(&[("mode", mode), ("lakeshoreVersion", &version)]);
    let info = CommitInfoAction { timestamp: change.at, operation, operation_parameters, engine_info: "Lakeshore" };
    write_line(&Action::CommitInfo(info), &mut head)?;
    if before.is_none_or(|before| before.protocol != state.protocol) {
        write_line(&Action::Protocol(state.protocol.action()), &mut head)?;
    }
    let is_same = match before {
        Some(before) => {
            before.configuration() == state.configuration()
                && before.schema.partition_columns == state.schema.partition_columns
                && before.schema_string()? == state.schema_string()?
        }
        None => false,
    };
    if !is_same {
        write_line(&Action::MetaData(state.meta_data()?), &mut head)?;
    }
    write_line(&Action::Txn(state.txn()), &mut head)?;
    Ok(head)
}

impl TableState {
    pub(crate) fn schema_string(&self) -> Result<String, serde_json::Error> {
        schema_string(&self.schema.all_fields())
    }

    pub(crate) fn configuration(&self) -> &'static [(&'static str, &'static str)] {
        if self.protocol.has(Feature::TypeWidening) { &[("delta.enableTypeWidening", "true")] } else { &[] }
    }

    pub(crate) fn meta_data(&self) -> Result<MetaDataAction<'_>, serde_json::Error> {
        Ok(MetaDataAction {
            id: self.id.as_str(),
            format: FormatOfFiles::PARQUET,
            schema_string: self.schema_string()?,
            partition_columns: &self.schema.partition_columns,
            configuration: Pairs(self.configuration()),
            created_time: self.created,
        })
    }

    pub(crate) fn txn(&self) -> TxnAction<'static> {
        TxnAction { app_id: APP_ID, version: self.version.0, last_updated: self.at }
    }
}

impl PlannedCommit {
    pub fn number(&self) -> u64 {
        self.state.commit
    }

    /// Returns the bytes of the commit, chunk by chunk. Adds and removes have to be sorted by the bytes of their paths (PostgreSQL:
    /// `COLLATE "C"`), without files that do not fit.
    pub fn chunks<A, R>(&self, adds: A, removes: R) -> CommitChunks<A::IntoIter, R::IntoIter>
    where
        A: IntoIterator<Item = AddFile>,
        R: IntoIterator<Item = RemoveFile>,
    {
        CommitChunks::new(&self.head, adds.into_iter(), removes.into_iter())
    }

    /// Returns the commit with all its bytes.
    ///
    /// # Errors
    /// [`CommitError`] if a chunk cannot be written.
    pub fn write(
        &self,
        adds: impl IntoIterator<Item = AddFile>,
        removes: impl IntoIterator<Item = RemoveFile>,
    ) -> Result<Commit, CommitError> {
        let mut bytes = Vec::new();
        for chunk in self.chunks(adds, removes) {
            bytes.extend_from_slice(&chunk?);
        }
        Ok(Commit { number: self.number(), bytes: bytes.into() })
    }
}

#[cfg(test)]
mod tests;
