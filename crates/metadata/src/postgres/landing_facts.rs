//! Facts about syncs, folders and rows that a group of landings needs, as the database has them.

use super::folders::ensure_folders;
use super::query::{Row, Value, found, rows, values};
use super::writing::Writing;
use crate::counts::Position;
use crate::days::{Counted, counted_of};
use crate::row::{bytes_if_any, duplicate_names, id, number, path};
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

/// Digest of the last upload that the same sync has landed at each path, among the last hundred. A sender that repeats
/// a file has lost nothing.
const EARLIER: &str = "\
    SELECT key AS number, (SELECT sha256 FROM (SELECT history_id, sync_id, status, sha256 FROM uploads \
        WHERE target = value ->> 0 ORDER BY history_id DESC LIMIT 100) AS last \
        WHERE sync_id = (value ->> 1)::bigint AND status = 'Finished' ORDER BY history_id DESC LIMIT 1) AS sha256 \
    FROM json_each($1)";

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
        facts.find_earlier(writing, landed).await?;
        Ok(Some(facts))
    }

    /// Only an upload that replaced a file can have replaced one of its own sync.
    async fn find_earlier(&mut self, writing: &mut Writing, landed: &[LandedUpload]) -> Result<(), Error> {
        let replacing: Vec<_> =
            landed.iter().filter(|landed| landed.trash.is_some()).map(|landed| &landed.upload).collect();
        if replacing.is_empty() {
            return Ok(());
        }
        let asked: Vec<_> = replacing.iter().map(|upload| (upload.target.as_str(), id(upload.sync_id.0))).collect();
        let decode = |row: &Row| Ok((number(row, "number")?, bytes_if_any(row, "sha256")?));
        for (number, sha256) in rows(writing, EARLIER, vec![Value::rows(&asked)?], decode).await? {
            let upload = usize::try_from(number).ok().and_then(|number| replacing.get(number));
            if let Some((upload, sha256)) = upload.zip(sha256) {
                self.earlier.insert((upload.target.clone(), upload.sync_id), sha256);
            }
        }
        Ok(())
    }
}
