//! Syncs: statements of the table `syncs` that both databases run. The others are in the modules of each.

use crate::query::{Connection, found, values};
use crate::row::{SYNC_COLUMNS, id, sync_record};
use lakeshore::Error;
use lakeshore::model::id::SyncId;
use lakeshore::model::sync::job::SyncRecord;
use std::sync::LazyLock;

pub(crate) async fn record(connection: &mut impl Connection, sync_id: SyncId) -> Result<Option<SyncRecord>, Error> {
    static RECORD: LazyLock<String> = LazyLock::new(|| format!("SELECT {SYNC_COLUMNS} FROM syncs WHERE sync_id = ?"));
    found(connection, RECORD.as_str(), values![id(sync_id.0)], sync_record).await
}
