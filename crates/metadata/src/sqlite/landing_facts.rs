//! Facts about syncs, folders and rows that a group of landings needs: kept from the group before ([`LandingFactsCache`]), or read by
//! one query ([`find`]).

use super::folders::ensure_folders;
use super::query::{Row, Value, fetch_all};
use super::writing::Writing;
use crate::counts::Position;
use crate::landing_facts::{FactKeys, Facts, SyncChange, sync_change};
use crate::replaced::earlier_digests;
use crate::restoring::Restores;
use crate::row::id;
use crate::uploads::folder_of;
use crate::versions::landing::KnownTrees;
use lakeshore::Error;
use lakeshore::model::id::SyncId;
use lakeshore::ports::metadata::upload::{CompletedUpload, LandedUpload, LandingsId};
use sqlx::Row as _;
use std::collections::btree_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};

/// Reads what a group needs; the first column of a row names its kind.
const FOUND: &str = "\
    SELECT 'group' AS is_of, (SELECT coalesce(max(history_id), 0) FROM uploads) AS last_id, intended \
    FROM landings WHERE landings_id = $1; \
    SELECT 'sync' AS is_of, s.sync_id, s.total_files - s.num_unlisted AS listed, f.folder_id, s.sync_type, s.path, \
        s.started_by, s.duplicate_names \
    FROM json_each($2) CROSS JOIN syncs s ON s.sync_id = value CROSS JOIN folders f ON f.path = s.path; \
    SELECT 'folder' AS is_of, f.path, f.folder_id FROM json_each($3) CROSS JOIN folders f ON f.path = value; \
    SELECT 'upload' AS is_of, history_id, sync_id, ordinal, folder_id \
    FROM json_each($4) CROSS JOIN uploads ON history_id = value WHERE status = 'Syncing'";

/// Limit of the folders that are kept.
pub(super) const FOLDERS_KNOWN_MAX: usize = 4096;

/// Facts kept between groups. Only this process writes to these tables, by one connection, so they hold until something
/// other than a landing is written.
#[derive(Default)]
pub(super) struct LandingFactsCache {
    /// Syncs that accept uploads.
    pub(super) open_syncs: HashSet<SyncId>,
    /// As they were when `open_syncs` was read.
    pub(super) restores: Restores,
    last_id: Option<i64>,
    pub(super) last_intent: Option<i64>,
    syncs: HashMap<SyncId, SyncChange>,
    pub(super) folders: HashMap<String, i64>,
    /// Groups whose intent this process wrote, and that are not finished.
    pub(super) intended: HashSet<u64>,
    pub(super) versions: KnownTrees,
}

impl LandingFactsCache {
    /// Something other than a landing was written: only folders and intents stay valid.
    pub(super) fn forget(&mut self) {
        self.open_syncs.clear();
        self.last_id = None;
        self.syncs.clear();
        self.versions.forget();
    }

    /// Facts of a group; `None` where something has to be read. The last id is taken, so no other group uses it until
    /// this one is written.
    pub(super) fn facts(&mut self, landings: LandingsId, landed: &[LandedUpload]) -> Option<Facts> {
        let is_known = |LandedUpload { upload, trash }: &LandedUpload| {
            upload.upload_id.is_none() && trash.is_none() && self.folders.contains_key(folder_of(&upload.target))
        };
        if !self.intended.contains(&landings.0) || !landed.iter().all(is_known) {
            return None;
        }
        let mut facts = Facts { last_id: self.last_id.take()?, ..Facts::default() };
        for LandedUpload { upload, .. } in landed {
            if let Entry::Vacant(sync) = facts.syncs.entry(upload.sync_id) {
                sync.insert(self.syncs.get(&upload.sync_id)?.clone());
            }
            let folder = folder_of(&upload.target);
            if !facts.folders.contains_key(folder) {
                facts.folders.insert(folder.to_owned(), *self.folders.get(folder)?);
            }
        }
        Some(facts)
    }

    pub(super) fn remember(&mut self, landings: LandingsId, facts: Facts) {
        self.intended.remove(&landings.0);
        self.last_id = Some(facts.last_id);
        for (sync_id, change) in facts.syncs {
            let listed = change.listed + change.added;
            let unchanged =
                SyncChange { listed, added: 0, no_longer_in_flight: 0, size_bytes: 0, num_duplicates: 0, ..change };
            self.syncs.insert(sync_id, unchanged);
        }
        if self.folders.len() > FOLDERS_KNOWN_MAX {
            self.folders.clear();
        }
        self.folders.extend(facts.folders);
    }
}

enum FactRow {
    Group { last_id: i64, intended: Vec<CompletedUpload> },
    Sync(SyncId, SyncChange),
    Folder(String, i64),
    Upload(Position),
}

fn found_row(row: &Row) -> sqlx::Result<FactRow> {
    Ok(match row.try_get("is_of")? {
        "group" => {
            let intended = serde_json::from_str(row.try_get("intended")?);
            let intended = intended.map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
            FactRow::Group { last_id: row.try_get("last_id")?, intended }
        }
        "sync" => {
            let (sync_id, change) = sync_change(row)?;
            FactRow::Sync(sync_id, change)
        }
        "folder" => FactRow::Folder(row.try_get("path")?, row.try_get("folder_id")?),
        _ => FactRow::Upload(Position::of(row)?),
    })
}

/// Reads the facts of a group. `None` where it was finished before.
pub(super) async fn find(
    writing: &mut Writing,
    landings: LandingsId,
    landed: &[LandedUpload],
) -> Result<Option<Facts>, Error> {
    if let Some(facts) = writing.known.facts(landings, landed) {
        return Ok(Some(facts));
    }
    let FactKeys { syncs, folders, uploads } = FactKeys::of(landed);
    let asked = vec![
        Value::Integer(id(landings.0)),
        Value::rows(&syncs)?,
        Value::rows(&folders.iter().collect::<Vec<_>>())?,
        Value::rows(&uploads)?,
    ];
    let mut facts = Facts::default();
    for found in fetch_all(writing.settled().await?, FOUND, asked, found_row).await? {
        match found {
            FactRow::Group { last_id, intended } => {
                facts.last_id = last_id;
                facts.intended = Some(intended);
            }
            FactRow::Sync(sync_id, change) => drop(facts.syncs.insert(sync_id, change)),
            FactRow::Folder(path, folder_id) => drop(facts.folders.insert(path, folder_id)),
            FactRow::Upload(position) => drop(facts.uploads.insert(position.history_id, position)),
        }
    }
    if facts.intended.is_none() {
        return Ok(None);
    }
    facts.refuse_unknown_syncs(landed)?;
    let missing: BTreeSet<_> = folders.into_iter().filter(|folder| !facts.folders.contains_key(*folder)).collect();
    if !missing.is_empty() {
        facts.folders.extend(ensure_folders(writing, &missing).await?);
    }
    facts.earlier = earlier_digests(writing.settled().await?, landed).await?;
    Ok(Some(facts))
}
