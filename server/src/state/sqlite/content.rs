//! What is remembered of the bytes of a file.

use super::fault;
use lakeshore::path::LakePath;
use lakeshore::ports::state::LandedContent;
use lakeshore::upload::{Digest, Identity};
use lakeshore::{Error, Timestamp};
use rusqlite::{Connection, Row};

/// So few files are asked for in passing: a download does not wait for lists.
pub(super) const FEW_FILES: usize = 16;
/// The last hundred uploads to one place. The plus keeps SQLite from going by the index of statuses.
const LANDED: &str = "SELECT identity, size_bytes, sha256, end_time FROM uploads \
     WHERE target = ? AND +status = 'Finished' ORDER BY history_id DESC LIMIT 100";

pub(super) fn landed_contents(
    connection: &Connection,
    files: &[(LakePath, Identity)],
) -> Result<Vec<Option<LandedContent>>, Error> {
    let mut statement = connection.prepare_cached(LANDED).map_err(fault)?;
    let mut contents = Vec::with_capacity(files.len());
    for (target, identity) in files {
        let rows = statement.query_map([target.as_str()], |row| landed_content(row, identity)).map_err(fault)?;
        // Most often the first: what lies there has landed last.
        let found = rows.filter_map(Result::transpose).next();
        contents.push(found.transpose().map_err(fault)?);
    }
    Ok(contents)
}

/// What landed, if it was this file.
fn landed_content(row: &Row<'_>, identity: &Identity) -> rusqlite::Result<Option<LandedContent>> {
    if row.get_ref(0)?.as_str_or_null()? != Some(identity.0.as_str()) {
        return Ok(None);
    }
    let digest = Digest { size_bytes: row.get::<_, i64>(1)?.cast_unsigned(), sha256: row.get(2)? };
    Ok(Some(LandedContent { digest, landed_at: Timestamp(row.get(3)?) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::sqlite::SqliteState;

    #[test]
    fn what_has_landed_is_found_by_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lakeshore.db");
        SqliteState::open(&file).unwrap().close();
        let connection = Connection::open(&file).unwrap();
        let plan = format!("EXPLAIN QUERY PLAN {LANDED}");
        let mut statement = connection.prepare(&plan).unwrap();
        let steps = statement.query_map(["/a"], |row| row.get::<_, String>("detail")).unwrap();
        let steps: Vec<_> = steps.map(Result::unwrap).collect();
        assert_eq!(steps, ["SEARCH uploads USING INDEX uploads_by_target (target=?)"]);
    }
}
