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

/// Of each file, what the query tells of the upload that landed as it. The query is given the place; its first column is the
/// identity.
pub(super) fn of_landed<T>(
    connection: &Connection,
    sql: &str,
    files: &[(LakePath, Identity)],
    decode: fn(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<Option<T>>, Error> {
    let mut statement = connection.prepare_cached(sql).map_err(fault)?;
    let mut of_files = Vec::with_capacity(files.len());
    for (target, identity) in files {
        let if_it_is = |row: &Row<'_>| {
            let is_it = row.get_ref(0)?.as_str_or_null()? == Some(identity.0.as_str());
            is_it.then(|| decode(row)).transpose()
        };
        let rows = statement.query_map([target.as_str()], if_it_is).map_err(fault)?;
        // Most often the first: what lies there has landed last.
        of_files.push(rows.filter_map(Result::transpose).next().transpose().map_err(fault)?);
    }
    Ok(of_files)
}

pub(super) fn landed_contents(
    connection: &Connection,
    files: &[(LakePath, Identity)],
) -> Result<Vec<Option<LandedContent>>, Error> {
    of_landed(connection, LANDED, files, |row| {
        let digest = Digest { size_bytes: row.get::<_, i64>(1)?.cast_unsigned(), sha256: row.get(2)? };
        Ok(LandedContent { digest, landed_at: Timestamp(row.get(3)?) })
    })
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
