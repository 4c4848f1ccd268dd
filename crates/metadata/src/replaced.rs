//! Digests of files that a group of landings replaces.

use crate::query::{Connection, RowOf, Value, fetch_all};
use crate::row::{bytes_if_any, id, index};
use lakeshore::Error;
use lakeshore::model::id::SyncId;
use lakeshore::model::path::LakePath;
use lakeshore::ports::metadata::upload::LandedUpload;
use std::collections::HashMap;

/// Digest of the last upload that the same sync has landed at each path, among the last hundred. A sender that repeats
/// a file has lost nothing.
const EARLIER: &str = "\
    SELECT key AS number, (SELECT sha256 FROM (SELECT history_id, sync_id, status, sha256 FROM uploads \
        WHERE target = value ->> 0 ORDER BY history_id DESC LIMIT 100) AS last \
        WHERE sync_id = CAST(value ->> 1 AS BIGINT) AND status = 'Finished' ORDER BY history_id DESC LIMIT 1) AS sha256 \
    FROM json_each($1)";

/// Digest of the last file that the sync of each upload had landed at its target. Only an upload that replaced a file can
/// have replaced one of its own sync, so the others are not looked up.
pub(crate) async fn earlier_digests<C: Connection>(
    connection: &mut C,
    landed: &[LandedUpload],
) -> Result<HashMap<(LakePath, SyncId), [u8; 32]>, Error> {
    let replacing: Vec<_> =
        landed.iter().filter(|landed| landed.trash.is_some()).map(|landed| &landed.upload).collect();
    let mut digests = HashMap::new();
    if replacing.is_empty() {
        return Ok(digests);
    }
    let asked: Vec<_> = replacing.iter().map(|upload| (upload.target.as_str(), id(upload.sync_id.0))).collect();
    let found = |row: &RowOf<C>| Ok((index(row, "number")?, bytes_if_any(row, "sha256")?));
    for (number, sha256) in fetch_all(connection, EARLIER, vec![Value::rows(&asked)?], found).await? {
        if let Some((upload, sha256)) = replacing.get(number).zip(sha256) {
            digests.insert((upload.target.clone(), upload.sync_id), sha256);
        }
    }
    Ok(digests)
}
