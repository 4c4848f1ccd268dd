//! Rows of versions: those of files are known some time after they have landed, and count from the first version that holds the
//! file to the last.

use super::super::query::{Value, changed};
use super::super::writing::Writing;
use lakeshore::Error;

/// `$1`: of each file the id of its upload, and its rows.
const COUNT: &str = "\
    UPDATE trees SET row_count = trees.row_count + more.row_count, counted = trees.counted + more.counted FROM ( \
        SELECT tree_id, sum(row_count) AS row_count, count(*) AS counted FROM ( \
            SELECT f.tree_id, value ->> 1 AS row_count FROM json_each($1) CROSS JOIN uploads u ON u.history_id = value ->> 0 \
            CROSS JOIN version_files f ON f.tree_id = u.tree_id AND f.path = u.target AND f.from_seq = u.tree_seq \
            WHERE f.history_id = u.history_id AND f.until_seq IS NULL AND f.is_copy = 0 \
            UNION ALL SELECT f.tree_id, value ->> 1 FROM json_each($1) CROSS JOIN version_files f \
            ON f.history_id = value ->> 0 AND f.is_copy = 1 WHERE f.until_seq IS NULL) GROUP BY tree_id) AS more \
    WHERE trees.tree_id = more.tree_id; \
    INSERT INTO version_rows SELECT folder_id, span, number >> span, sum(row_count), sum(counted) FROM ( \
        WITH entries AS ( \
            SELECT f.tree_id, f.from_seq, f.until_seq, value ->> 1 AS row_count, u.folder_id FROM json_each($1) \
            CROSS JOIN uploads u ON u.history_id = value ->> 0 \
            CROSS JOIN version_files f ON f.tree_id = u.tree_id AND f.path = u.target AND f.from_seq = u.tree_seq \
            WHERE f.history_id = u.history_id AND f.is_copy = 0 \
            UNION ALL \
            SELECT f.tree_id, f.from_seq, f.until_seq, value ->> 1, u.folder_id FROM json_each($1) \
            CROSS JOIN uploads u ON u.history_id = value ->> 0 \
            CROSS JOIN version_files f ON f.history_id = u.history_id AND f.is_copy = 1 \
        ), seen AS ( \
            SELECT e.row_count, e.folder_id, max(e.from_seq, s.from_seq) AS since, \
                min(coalesce(e.until_seq, s.until_seq), coalesce(s.until_seq, e.until_seq)) AS until \
            FROM entries e CROSS JOIN tree_spans s ON s.tree_id = e.tree_id \
            WHERE (e.until_seq IS NULL OR e.until_seq > s.from_seq) AND (s.until_seq IS NULL OR s.until_seq > e.from_seq) \
        ) \
        SELECT a.above_id AS folder_id, row_count, 1 AS counted, \
            (SELECT v.number FROM versions v WHERE v.folder_id = a.above_id AND v.seq >= since ORDER BY v.seq LIMIT 1) AS number \
        FROM seen CROSS JOIN folders_above a ON a.folder_id = seen.folder_id \
        UNION ALL \
        SELECT a.above_id, -row_count, -1, \
            (SELECT v.number FROM versions v WHERE v.folder_id = a.above_id AND v.seq >= until ORDER BY v.seq LIMIT 1) \
        FROM seen CROSS JOIN folders_above a ON a.folder_id = seen.folder_id WHERE until IS NOT NULL \
    ), (SELECT 0 AS span UNION ALL SELECT 10 UNION ALL SELECT 20) \
    WHERE number IS NOT NULL GROUP BY 1, 2, 3 \
    ON CONFLICT DO UPDATE SET row_count = row_count + excluded.row_count, counted = counted + excluded.counted";

/// Adds the rows of files, each by the id of its upload.
pub(in super::super) async fn count(writing: &mut Writing, files: &[(i64, u64)]) -> Result<(), Error> {
    if files.is_empty() {
        return Ok(());
    }
    changed(writing, COUNT, vec![Value::rows(files)?]).await.map(drop)
}
