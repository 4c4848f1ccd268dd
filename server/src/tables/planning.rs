//! Decides which new files of a version enter the table, and plans its commit.

use super::change::{Candidate, Change};
use super::{FollowError, Shared};
use lakeshore::model::id::{UploadId, VersionNumber};
use lakeshore::model::path::LakePath;
use lakeshore::model::table::ReasonOutside;
use lakeshore::model::time::Timestamp;
use lakeshore::model::version::VersionKind;
use lakeshore::ports::metadata::table::{FileOutside, TableSchemaId, VersionHead};
use lakeshore_delta::commit::{AddFile, RemoveFile};
use lakeshore_delta::footer::FileSchema;
use lakeshore_delta::plan::{self, FileShape, PlannedCommit, TableId, TableState, plan};
use lakeshore_delta::schema::Widening;
use lakeshore_delta::unfit::Unfit;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Lists of columns of the files of one version that are considered, and what they are together as JSON.
const SCHEMAS_MAX: usize = 1000;
const SCHEMAS_BYTES_MAX: usize = 32 << 20;

/// Plan of a version: its commit, and the files inside and outside the table.
pub(super) struct Planned {
    /// `None` if there is no table, and this version creates none.
    pub(super) commit: Option<PlannedCommit>,
    /// In the order of their paths.
    pub(super) adds: Vec<AddFile>,
    pub(super) removes: Vec<RemoveFile>,
    pub(super) outside: Vec<FileOutside>,
}

/// Version that the table is to reach.
pub(super) struct TargetVersion {
    pub(super) version: VersionNumber,
    pub(super) at: Timestamp,
    pub(super) kind: VersionKind,
}

impl From<&VersionHead> for TargetVersion {
    fn from(version: &VersionHead) -> Self {
        Self { version: version.version, at: version.at, kind: version.kind }
    }
}

/// Schemas that were read for versions which are planned one after the other: of the last one, and as many again.
#[derive(Default)]
pub(super) struct Schemas {
    /// Each with its length as JSON, in bytes.
    read: HashMap<TableSchemaId, (FileSchema, usize)>,
    /// Of all.
    bytes: usize,
}

/// Schema and partition columns, which decide if files fit.
type Shape = (TableSchemaId, Vec<String>);

impl Shared {
    pub(super) async fn plan(
        &self,
        dataset: &LakePath,
        before: Option<&TableState>,
        target: TargetVersion,
        change: Change,
        schemas: &mut Schemas,
    ) -> Result<Planned, FollowError> {
        let Change { mut removed, mut candidates, kept, .. } = change;
        // Where two files clash, the one that landed first is in the table.
        candidates.sort_by_key(|candidate| candidate.upload_id);
        let shapes = shapes(&candidates);
        let known = self.read_schemas(schemas, &shapes).await?;
        let considered: Vec<_> = shapes
            .iter()
            .filter_map(|(schema, columns)| {
                let (schema, _) = schemas.read.get(schema).filter(|_| known.contains(schema))?;
                Some(FileShape { schema, partition_columns: columns.clone() })
            })
            .collect();
        let planned = plan(
            before,
            &TableId::of(&self.lake, dataset),
            &plan::Change {
                version: target.version,
                at: target.at,
                kind: target.kind,
                replaces_all: kept == 0,
                widening: Widening::Refused,
                shapes: &considered,
            },
        )?;
        let of_known = shapes.iter().filter(|(schema, _)| known.contains(schema));
        let outcomes: BTreeMap<_, _> = of_known.zip(&planned.outcomes).collect();
        let (mut adds, mut outside) = (BTreeMap::new(), Vec::new());
        let num_adds = candidates.len() as u64;
        for candidate in candidates {
            let upload_id = candidate.upload_id;
            match outcome(candidate, &outcomes) {
                Ok(add) if !adds.contains_key(&add.path) => {
                    adds.insert(add.path.clone(), add.with_short_stats(num_adds));
                }
                Ok(_) => outside.push(file_outside(upload_id, &[Unfit::SharedObject])?),
                Err(reasons) => outside.push(file_outside(upload_id, &reasons)?),
            }
        }
        removed.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(Planned { commit: planned.commit, adds: adds.into_values().collect(), removes: removed, outside })
    }

    /// Reads the schemas of shapes, as many as are considered, and returns which these are.
    async fn read_schemas(
        &self,
        schemas: &mut Schemas,
        shapes: &[Shape],
    ) -> Result<HashSet<TableSchemaId>, FollowError> {
        if schemas.bytes > SCHEMAS_BYTES_MAX {
            *schemas = Schemas::default();
        }
        let (mut considered, mut bytes) = (HashSet::new(), 0);
        for (schema, _) in shapes {
            if considered.contains(schema) {
                continue;
            }
            let (_, length) = match schemas.read.entry(*schema) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    let Some((_, content)) = self.state.table_schemas(&[*schema]).await?.pop() else { continue };
                    schemas.bytes += content.len();
                    new.insert((serde_json::from_str(&content)?, content.len()))
                }
            };
            bytes += *length;
            if considered.len() >= SCHEMAS_MAX || (bytes > SCHEMAS_BYTES_MAX && !considered.is_empty()) {
                break;
            }
            considered.insert(*schema);
        }
        Ok(considered)
    }
}

/// Returns the shapes of the files without duplicates, sorted by the first upload of each.
fn shapes(candidates: &[Candidate]) -> Vec<Shape> {
    let mut first: BTreeMap<Shape, UploadId> = BTreeMap::new();
    for candidate in candidates {
        if let Ok((_, partition)) = &candidate.place {
            let columns = partition.columns().map(str::to_owned).collect();
            first.entry((candidate.schema, columns)).or_insert(candidate.upload_id);
        }
    }
    let mut shapes: Vec<_> = first.into_iter().collect();
    shapes.sort_by_key(|(_, first)| *first);
    shapes.into_iter().map(|(shape, _)| shape).collect()
}

fn outcome(candidate: Candidate, outcomes: &BTreeMap<&Shape, &Result<(), Vec<Unfit>>>) -> Result<AddFile, Vec<Unfit>> {
    let Candidate { landed_at, size_bytes, schema, stats, place, .. } = candidate;
    let (path, partition) = place.map_err(|reason| vec![reason])?;
    let shape = (schema, partition.columns().map(str::to_owned).collect());
    match outcomes.get(&shape) {
        None => Err(vec![Unfit::TooManySchemas { max: SCHEMAS_MAX as u64 }]),
        Some(Err(reasons)) => Err(reasons.clone()),
        Some(Ok(())) => Ok(AddFile { path, partition, size_bytes, modified: landed_at, stats }),
    }
}

fn file_outside(upload_id: UploadId, reasons: &[Unfit]) -> Result<FileOutside, FollowError> {
    let mut shown = Vec::with_capacity(reasons.len());
    for reason in reasons {
        let name = serde_json::to_value(reason)?["reason"].as_str().unwrap_or_default().to_owned();
        shown.push(ReasonOutside { reason: name, message: reason.to_string() });
    }
    Ok(FileOutside { upload_id, reasons: serde_json::to_string(&shown)? })
}
