//! Facts about syncs, folders and rows that a group of landings needs, as the database has them.

use super::folders::ensure_folders;
use super::query::{Row, Value, found, rows, values};
use super::writing::Writing;
use crate::counts::Position;
use crate::days::{Counted, counted_of};
use crate::replaced::earlier_digests;
use crate::row::{duplicate_names, id, number, path};
use crate::uploads::folder_of;
use lakeshore::Error;
use lakeshore::model::id::SyncId;
use lakeshore::model::path::LakePath;
use lakeshore::ports::metadata::upload::{CompletedUpload, LandedUpload, LandingsId};
use sqlx::Row as _;
use std::collections::{BTreeMap, BTreeSet, HashMap};

const SYNCS: &str = "\
    SELECT s.sync_id, s.total_files - s.num_unlisted AS listed, f.folder_id, s.sync_type, s.path, s.duplicate_names \
    FROM syncs s JOIN folders f ON f.path = s.path WHERE s.sync_id = ANY(?)";
const UPLOADS: &str = "\
    SELECT history_id, sync_id, ordinal, folder_id FROM uploads WHERE history_id = ANY(?) AND status = 'Syncing'";

/// Data of the database about a group's syncs, folders and rows.
#[derive(Default)]
pub(super) struct Facts {
    pub(super) last_id: i64,
    /// Uploads that are not finished.
    intended: Vec<CompletedUpload>,
    pub(super) syncs: BTreeMap<SyncId, SyncChange>,
    pub(super) folders: HashMap<String, i64>,
    pub(super) uploads: HashMap<i64, Position>,
    /// Digest of the last file that the sync has landed at a target.
    pub(super) earlier: HashMap<(LakePath, SyncId), [u8; 32]>,
}

/// Changes of a group in one sync.
pub(super) struct SyncChange {
    pub(super) of: Counted,
    pub(super) path: LakePath,
    /// Rows of the sync before the group.
    pub(super) listed: i64,
    pub(super) added: i64,
    pub(super) no_longer_in_flight: i64,
    pub(super) size_bytes: i64,
    pub(super) duplicate_names: Vec<String>,
    pub(super) num_duplicates: i64,
}

fn sync_change(row: &Row) -> sqlx::Result<(SyncId, SyncChange)> {
    let change = SyncChange {
        of: counted_of(row)?,
        path: path(row, "path")?,
        listed: row.try_get("listed")?,
        added: 0,
        no_longer_in_flight: 0,
        size_bytes: 0,
        duplicate_names: duplicate_names(row)?,
        num_duplicates: 0,
    };
    Ok((SyncId(number(row, "sync_id")?), change))
}

impl Facts {
    pub(super) fn is_intended(&self, upload: &CompletedUpload) -> bool {
        self.intended.iter().any(|intended| intended.partial == upload.partial)
    }

    /// Reads the facts. `None` where the group was finished before.
    pub(super) async fn find(
        writing: &mut Writing,
        landings: LandingsId,
        landed: &[LandedUpload],
        last_id: i64,
    ) -> Result<Option<Self>, Error> {
        let sql = "SELECT intended FROM landings WHERE landings_id = ? FOR UPDATE";
        let intended: Option<String> = found(writing, sql, values![id(landings.0)], |row| row.try_get(0)).await?;
        let Some(intended) = intended else { return Ok(None) };
        let intended = serde_json::from_str(&intended).map_err(Error::internal)?;
        let mut facts = Self { intended, last_id, ..Self::default() };
        let uploads = || landed.iter().map(|landed| &landed.upload);
        let syncs: BTreeSet<_> = uploads().map(|upload| id(upload.sync_id.0)).collect();
        let syncs = vec![Value::Integers(syncs.into_iter().collect())];
        facts.syncs = rows(writing, SYNCS, syncs, sync_change).await?.into_iter().collect();
        // Refused before anything is written.
        if let Some(unknown) = uploads().map(|upload| upload.sync_id).find(|sync_id| !facts.syncs.contains_key(sync_id))
        {
            return Err(Error::NoSuchSync(unknown));
        }
        let without_row = uploads().filter(|upload| upload.upload_id.is_none());
        let folders: BTreeSet<_> = without_row.map(|upload| folder_of(&upload.target)).collect();
        if !folders.is_empty() {
            facts.folders = ensure_folders(writing, &folders).await?;
        }
        let with_row: Vec<_> = uploads().filter_map(|upload| upload.upload_id).map(|upload| id(upload.0)).collect();
        if !with_row.is_empty() {
            let found = rows(writing, UPLOADS, values![with_row], Position::of).await?;
            facts.uploads = found.into_iter().map(|position| (position.history_id, position)).collect();
        }
        facts.earlier = earlier_digests(writing, landed).await?;
        Ok(Some(facts))
    }
}
