//! Trash: the table `trash`. An item that was restored or purged keeps its row, with the time.

use crate::query::{Value, changed, values};
use crate::row::id;
use crate::transaction::{Counter, WriteTransaction};
use lakeshore::Error;
use lakeshore::model::trash::NewTrash;

/// Inserts items with ascending ids. Requires the lock of the history.
pub(crate) async fn insert_trash(writing: &mut impl WriteTransaction, trash: &[NewTrash]) -> Result<(), Error> {
    if trash.is_empty() {
        return Ok(());
    }
    let first = writing.new_ids(Counter::Trash, trash.len()).await?;
    let rows = trash.iter().map(|NewTrash { key, origin, kind, reason, sync_id, by, at }| {
        let sync_id = sync_id.map(|sync_id| id(sync_id.0));
        (key.as_str(), origin.as_str(), kind.as_str(), reason.as_str(), sync_id, by, at.0)
    });
    let rows = Value::rows(&rows.collect::<Vec<_>>())?;
    let sql = "INSERT INTO trash (trash_id, trash_key, origin, kind, reason, sync_id, trashed_by, trashed_at) \
               SELECT $2 + key, value ->> 0, value ->> 1, value ->> 2, value ->> 3, CAST(value ->> 4 AS BIGINT), \
               value ->> 5, CAST(value ->> 6 AS BIGINT) FROM json_each($1) ORDER BY key";
    changed(writing, sql, values![rows, first]).await.map(drop)
}
