//! Facts about syncs, folders and rows that a group of landings needs: kept from the group before ([`Known`]), or read by
//! one query ([`Facts::find`]).

use super::folders::ensure_folders;
use super::query::{Row, Value, rows};
use super::row::{duplicate_names, id, number, path};
use super::versions::landed;
use super::writing::Writing;
use crate::counts::Position;
use crate::days::{Counted, counted_of};
use crate::replaced::earlier_digests;
use crate::uploads::folder_of;
use lakeshore::Error;
use lakeshore::model::id::SyncId;
use lakeshore::model::path::LakePath;
use lakeshore::ports::metadata::upload::{CompletedUpload, LandedUpload, LandingsId};
use sqlx::Row as _;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

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
pub(super) struct Known {
    /// Syncs that accept uploads.
    pub(super) open_syncs: HashSet<SyncId>,
    last_id: Option<i64>,
    pub(super) last_intent: Option<i64>,
    syncs: HashMap<SyncId, SyncChange>,
    pub(super) folders: HashMap<String, i64>,
    /// Groups whose intent this process wrote, and that are not finished.
    pub(super) intended: HashSet<u64>,
    pub(super) versions: landed::Known,
}

impl Known {
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

/// Data of the database about a group's syncs, folders and rows.
#[derive(Default)]
pub(super) struct Facts {
    pub(super) last_id: i64,
    /// Uploads that are not finished; `None` means all.
    intended: Option<Vec<CompletedUpload>>,
    pub(super) syncs: BTreeMap<SyncId, SyncChange>,
    pub(super) folders: HashMap<String, i64>,
    pub(super) uploads: HashMap<i64, Position>,
    /// Digest of the last file that the sync has landed at a target.
    pub(super) earlier: HashMap<(LakePath, SyncId), [u8; 32]>,
}

/// Changes of a group in one sync.
#[derive(Clone)]
pub(super) struct SyncChange {
    pub(super) of: Counted,
    pub(super) path: LakePath,
    pub(super) started_by: String,
    /// Rows of the sync before the group.
    pub(super) listed: i64,
    pub(super) added: i64,
    pub(super) no_longer_in_flight: i64,
    pub(super) size_bytes: i64,
    pub(super) duplicate_names: Vec<String>,
    pub(super) num_duplicates: i64,
}

enum Found {
    Group { last_id: i64, intended: Vec<CompletedUpload> },
    Sync(SyncId, SyncChange),
    Folder(String, i64),
    Upload(Position),
}

fn found_row(row: &Row) -> sqlx::Result<Found> {
    Ok(match row.try_get("is_of")? {
        "group" => {
            let intended = serde_json::from_str(row.try_get("intended")?);
            let intended = intended.map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
            Found::Group { last_id: row.try_get("last_id")?, intended }
        }
        "sync" => {
            let change = SyncChange {
                of: counted_of(row)?,
                path: path(row, "path")?,
                started_by: row.try_get("started_by")?,
                listed: row.try_get("listed")?,
                added: 0,
                no_longer_in_flight: 0,
                size_bytes: 0,
                duplicate_names: duplicate_names(row)?,
                num_duplicates: 0,
            };
            Found::Sync(SyncId(number(row, "sync_id")?), change)
        }
        "folder" => Found::Folder(row.try_get("path")?, row.try_get("folder_id")?),
        _ => Found::Upload(Position::of(row)?),
    })
}

impl Facts {
    pub(super) fn is_intended(&self, upload: &CompletedUpload) -> bool {
        self.intended.as_ref().is_none_or(|all| all.iter().any(|intended| intended.partial == upload.partial))
    }

    /// Reads the facts. `None` where the group was finished before.
    pub(super) async fn find(
        writing: &mut Writing,
        landings: LandingsId,
        landed: &[LandedUpload],
    ) -> Result<Option<Self>, Error> {
        if let Some(facts) = writing.known.facts(landings, landed) {
            return Ok(Some(facts));
        }
        let uploads = || landed.iter().map(|landed| &landed.upload);
        let syncs: BTreeSet<_> = uploads().map(|upload| id(upload.sync_id.0)).collect();
        let without_row = uploads().filter(|upload| upload.upload_id.is_none());
        let folders: BTreeSet<_> = without_row.map(|upload| folder_of(&upload.target)).collect();
        let with_row: Vec<_> = uploads().filter_map(|upload| upload.upload_id).map(|upload| id(upload.0)).collect();
        let asked = vec![
            Value::Integer(id(landings.0)),
            Value::rows(&syncs.into_iter().collect::<Vec<_>>())?,
            Value::rows(&folders.iter().collect::<Vec<_>>())?,
            Value::rows(&with_row)?,
        ];
        let mut known = Self::default();
        for fact in rows(writing.settled().await?, FOUND, asked, found_row).await? {
            match fact {
                Found::Group { last_id, intended } => {
                    known.last_id = last_id;
                    known.intended = Some(intended);
                }
                Found::Sync(sync_id, change) => drop(known.syncs.insert(sync_id, change)),
                Found::Folder(path, folder_id) => drop(known.folders.insert(path, folder_id)),
                Found::Upload(position) => drop(known.uploads.insert(position.history_id, position)),
            }
        }
        if known.intended.is_none() {
            return Ok(None);
        }
        // Refused before anything is written.
        if let Some(unknown) = uploads().map(|upload| upload.sync_id).find(|sync_id| !known.syncs.contains_key(sync_id))
        {
            return Err(Error::NoSuchSync(unknown));
        }
        let missing: BTreeSet<_> = folders.into_iter().filter(|folder| !known.folders.contains_key(*folder)).collect();
        if !missing.is_empty() {
            known.folders.extend(ensure_folders(writing, &missing).await?);
        }
        known.earlier = earlier_digests(writing.settled().await?, landed).await?;
        Ok(Some(known))
    }
}
