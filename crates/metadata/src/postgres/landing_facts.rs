//! Reads the facts that a group of landings needs.

use super::folders::ensure_folders;
use super::query::{Value, fetch_all, fetch_optional, values};
use super::writing::Writing;
use crate::counts::Position;
use crate::landing_facts::{FactKeys, Facts, sync_change};
use crate::replaced::earlier_digests;
use crate::row::id;
use lakeshore::Error;
use lakeshore::ports::metadata::upload::{CompletedUpload, LandedUpload, LandingsId};
use sqlx::Row as _;

const SYNCS: &str = "\
    SELECT s.sync_id, s.total_files - s.num_unlisted AS listed, f.folder_id, s.sync_type, s.path, s.started_by, \
        s.duplicate_names \
    FROM syncs s JOIN folders f ON f.path = s.path WHERE s.sync_id = ANY(?)";
const UPLOADS: &str = "\
    SELECT history_id, sync_id, ordinal, folder_id FROM uploads WHERE history_id = ANY(?) AND status = 'Syncing'";

/// Reads the uploads of a group that are intended, and not finished. `None` where the group was finished before.
pub(super) async fn intended(
    writing: &mut Writing,
    landings: LandingsId,
) -> Result<Option<Vec<CompletedUpload>>, Error> {
    let sql = "SELECT intended FROM landings WHERE landings_id = ? FOR UPDATE";
    let intended: Option<String> = fetch_optional(writing, sql, values![id(landings.0)], |row| row.try_get(0)).await?;
    intended.map(|intended| serde_json::from_str(&intended).map_err(Error::internal)).transpose()
}

/// Reads the facts of a group of which all is intended.
pub(super) async fn find(writing: &mut Writing, landed: &[LandedUpload], last_id: i64) -> Result<Facts, Error> {
    let mut facts = Facts { last_id, ..Facts::default() };
    let FactKeys { syncs, folders, uploads } = FactKeys::of(landed);
    facts.syncs = fetch_all(writing, SYNCS, vec![Value::Integers(syncs)], sync_change).await?.into_iter().collect();
    facts.refuse_unknown_syncs(landed)?;
    if !folders.is_empty() {
        facts.folders = ensure_folders(writing, &folders).await?;
    }
    if !uploads.is_empty() {
        let found = fetch_all(writing, UPLOADS, vec![Value::Integers(uploads)], Position::of).await?;
        facts.uploads = found.into_iter().map(|position| (position.history_id, position)).collect();
    }
    facts.earlier = earlier_digests(writing, landed).await?;
    Ok(facts)
}
