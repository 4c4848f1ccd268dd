//! Rows of versions: those of files are known some time after they have landed, and count from the first version that holds the
//! file to the last.

use crate::query::{Dialect, Text, Value, WritingConnection, execute};
use lakeshore::Error;

/// `$1`: of each file the id of its upload, and its rows.
fn count_text<D: Dialect>() -> String {
    let copy = format!("f.is_copy{}", D::SET);
    let (history_id, row_count) = ("CAST(value ->> 0 AS BIGINT)", "CAST(value ->> 1 AS BIGINT)");
    format!(
        "UPDATE trees SET row_count = trees.row_count + more.row_count, counted = trees.counted + more.counted FROM ( \
             SELECT tree_id, sum(row_count) AS row_count, count(*) AS counted FROM ( \
                 SELECT f.tree_id, {row_count} AS row_count FROM json_each($1) CROSS JOIN uploads u \
                 CROSS JOIN version_files f WHERE u.history_id = {history_id} AND f.tree_id = u.tree_id \
                 AND f.path = u.target AND f.from_seq = u.tree_seq AND f.history_id = u.history_id \
                 AND f.until_seq IS NULL AND NOT f.is_copy \
                 UNION ALL SELECT f.tree_id, {row_count} FROM json_each($1) CROSS JOIN version_files f \
                 WHERE f.history_id = {history_id} AND {copy} AND f.until_seq IS NULL) AS entries GROUP BY tree_id) AS more \
         WHERE trees.tree_id = more.tree_id; \
         INSERT INTO version_rows SELECT folder_id, span, number >> span, sum(row_count), sum(counted) FROM ( \
             WITH entries AS ( \
                 SELECT f.tree_id, f.from_seq, f.until_seq, {row_count} AS row_count, u.folder_id FROM json_each($1) \
                 CROSS JOIN uploads u CROSS JOIN version_files f WHERE u.history_id = {history_id} \
                 AND f.tree_id = u.tree_id AND f.path = u.target AND f.from_seq = u.tree_seq \
                 AND f.history_id = u.history_id AND NOT f.is_copy \
                 UNION ALL \
                 SELECT f.tree_id, f.from_seq, f.until_seq, {row_count}, u.folder_id FROM json_each($1) \
                 CROSS JOIN uploads u CROSS JOIN version_files f \
                 WHERE u.history_id = {history_id} AND f.history_id = u.history_id AND {copy} \
             ), seen AS ( \
                 SELECT e.row_count, e.folder_id, max(e.from_seq, s.from_seq) AS since, \
                     min(coalesce(e.until_seq, s.until_seq), coalesce(s.until_seq, e.until_seq)) AS until \
                 FROM entries e CROSS JOIN tree_spans s WHERE s.tree_id = e.tree_id \
                 AND (e.until_seq IS NULL OR e.until_seq > s.from_seq) \
                 AND (s.until_seq IS NULL OR s.until_seq > e.from_seq) \
             ) \
             SELECT a.above_id AS folder_id, row_count, 1 AS counted, (SELECT v.number FROM versions v \
                 WHERE v.folder_id = a.above_id AND v.seq >= since ORDER BY v.seq LIMIT 1) AS number \
             FROM seen CROSS JOIN folders_above a WHERE a.folder_id = seen.folder_id \
             UNION ALL \
             SELECT a.above_id, -row_count, -1, (SELECT v.number FROM versions v \
                 WHERE v.folder_id = a.above_id AND v.seq >= until ORDER BY v.seq LIMIT 1) \
             FROM seen CROSS JOIN folders_above a WHERE a.folder_id = seen.folder_id AND until IS NOT NULL \
         ) AS changes CROSS JOIN (SELECT 0 AS span UNION ALL SELECT 10 UNION ALL SELECT 20) AS spans \
         WHERE number IS NOT NULL GROUP BY 1, 2, 3 \
         ON CONFLICT (folder_id, span, block) DO UPDATE SET \
             row_count = version_rows.row_count + excluded.row_count, counted = version_rows.counted + excluded.counted"
    )
}

/// Adds the rows of files, each by the id of its upload. Requires the lock of the history.
pub(crate) async fn count<W: WritingConnection>(writing: &mut W, files: &[(i64, u64)]) -> Result<(), Error> {
    static COUNT: Text = Text::new();
    if files.is_empty() {
        return Ok(());
    }
    execute(writing, COUNT.of::<W::Db>(count_text::<W::Db>), vec![Value::rows(files)?]).await.map(drop)
}
