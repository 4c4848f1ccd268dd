//! Rows of versions: those of files are known some time after they have landed, and count from the first version that holds the
//! file to the last.

use super::super::query::{Value, changed};
use super::super::writing::Writing;
use lakeshore::Error;

/// Entries of the files, each with their number of rows: those that they made as they landed, and those of restores.
const ENTRIES: &str = "\
    WITH counted AS (SELECT (value ->> 0)::bigint AS history_id, (value ->> 1)::bigint AS row_count FROM json_rows($1)), \
    entries AS ( \
        SELECT f.tree_id, f.from_seq, f.until_seq, c.row_count, u.folder_id FROM counted c \
        JOIN uploads u ON u.history_id = c.history_id \
        JOIN version_files f ON f.tree_id = u.tree_id AND f.path = u.target AND f.from_seq = u.tree_seq \
        WHERE f.history_id = u.history_id AND NOT f.is_copy \
        UNION ALL \
        SELECT f.tree_id, f.from_seq, f.until_seq, c.row_count, u.folder_id FROM counted c \
        JOIN uploads u ON u.history_id = c.history_id \
        JOIN version_files f ON f.history_id = u.history_id AND f.is_copy)";
const COUNT_TREES: &str = "\
    UPDATE trees SET row_count = trees.row_count + more.row_count, counted = trees.counted + more.counted FROM ( \
        SELECT tree_id, sum(row_count)::bigint AS row_count, count(*) AS counted FROM entries \
        WHERE until_seq IS NULL GROUP BY tree_id) AS more WHERE trees.tree_id = more.tree_id";
const COUNT_VERSIONS: &str = ", \
    seen AS ( \
        SELECT e.row_count, e.folder_id, greatest(e.from_seq, s.from_seq) AS since, \
            least(e.until_seq, s.until_seq) AS until FROM entries e JOIN tree_spans s ON s.tree_id = e.tree_id \
        WHERE (e.until_seq IS NULL OR e.until_seq > s.from_seq) AND (s.until_seq IS NULL OR s.until_seq > e.from_seq) \
    ), changes AS ( \
        SELECT a.above_id AS folder_id, row_count, 1 AS counted, \
            (SELECT v.number FROM versions v WHERE v.folder_id = a.above_id AND v.seq >= since ORDER BY v.seq LIMIT 1) AS number \
        FROM seen JOIN folders_above a ON a.folder_id = seen.folder_id \
        UNION ALL \
        SELECT a.above_id, -row_count, -1, \
            (SELECT v.number FROM versions v WHERE v.folder_id = a.above_id AND v.seq >= until ORDER BY v.seq LIMIT 1) \
        FROM seen JOIN folders_above a ON a.folder_id = seen.folder_id WHERE until IS NOT NULL \
    ) \
    INSERT INTO version_rows AS r SELECT folder_id, span, number >> span::int, sum(row_count)::bigint, sum(counted)::bigint \
    FROM changes CROSS JOIN (VALUES (0::bigint), (10), (20)) AS spans (span) WHERE number IS NOT NULL GROUP BY 1, 2, 3 \
    ON CONFLICT (folder_id, span, block) DO UPDATE SET row_count = r.row_count + excluded.row_count, \
        counted = r.counted + excluded.counted";

/// Adds the rows of files, each by the id of its upload. Requires the lock of the history.
pub(in super::super) async fn count(writing: &mut Writing, files: &[(i64, u64)]) -> Result<(), Error> {
    if files.is_empty() {
        return Ok(());
    }
    let files = Value::rows(files)?;
    changed(writing, &format!("{ENTRIES} {COUNT_TREES}"), vec![files.clone()]).await?;
    changed(writing, &format!("{ENTRIES}{COUNT_VERSIONS}"), vec![files]).await.map(drop)
}
