//! Counts of syncs, for the pages of their list: the table `sync_counts`. In SQLite, triggers write it.

use super::query::{execute, values};
use super::writing::Writing;
use crate::row::id;
use lakeshore::Error;
use lakeshore::model::id::SyncId;
use lakeshore::model::sync::status::{Status, SyncType};

/// Counts a sync in its blocks, under a status, or under another than before. Requires the lock of the history.
pub(super) async fn count_sync(
    writing: &mut Writing,
    sync_id: SyncId,
    sync_type: SyncType,
    before: Option<Status>,
    status: Status,
) -> Result<(), Error> {
    const ADD: &str = "INSERT INTO sync_counts AS c SELECT $1, $2, span, $3 >> span::int, $4 \
         FROM (VALUES (10::bigint), (20)) AS spans (span) \
         ON CONFLICT (sync_type, status, span, block) DO UPDATE SET total = c.total + excluded.total";
    for (status, change) in before.map(|before| (before, -1_i64)).into_iter().chain([(status, 1)]) {
        let values = values![sync_type.as_str(), status.as_str(), id(sync_id.0), change];
        execute(writing, ADD, values).await?;
    }
    Ok(())
}
