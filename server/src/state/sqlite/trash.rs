//! Trash: the table `trash`. A piece that was put back keeps its row, with the time of the restore.

use super::SqliteState;
use super::query::{Select, changed, clamp, found};
use super::row::{id, trash_entry};
use super::syncs::refuse_if_held;
use super::writer::Durability::{Synced, Written};
use async_trait::async_trait;
use lakeshore::list::TrashQuery;
use lakeshore::ports::state::{NewTrash, TrashRecord, TrashState};
use lakeshore::sync::SyncType;
use lakeshore::trash::{Totals, TrashEntry, TrashId, TrashKey, TrashKind};
use lakeshore::upload::Identity;
use lakeshore::{Error, Timestamp};
use rusqlite::{Connection, Row, params};

#[async_trait]
impl TrashState for SqliteState {
    async fn trash(&self, wanted: &TrashQuery) -> Result<Vec<TrashEntry>, Error> {
        let mut select = Select::new("SELECT * FROM trash WHERE restored_at IS NULL");
        select.within("origin", wanted.path.as_ref()).within("origin", wanted.scope.as_ref());
        select.holding(["origin", "trashed_by"], wanted.text.as_deref());
        select.page("trash_id", wanted.page.order, wanted.page.size, wanted.page.from);
        self.readers.list(move |connection| select.rows(connection, trash_entry)).await
    }

    async fn trash_record(&self, trash_id: TrashId) -> Result<Option<TrashRecord>, Error> {
        self.readers.look(|connection| kept(connection, trash_id))
    }

    async fn begin_restore(&self, trash_id: TrashId, identity: &Identity, by: &str) -> Result<(), Error> {
        let (identity, by) = (identity.clone(), by.to_owned());
        self.writer.write(Synced, move |connection| begin_restore(connection, trash_id, &identity, &by)).await
    }

    async fn finish_restore(&self, trash_id: TrashId, replaced: Option<&NewTrash>, at: Timestamp) -> Result<(), Error> {
        let replaced = replaced.cloned();
        let sql = "UPDATE trash SET restored_at = ?, restoring = NULL WHERE trash_id = ? AND restored_at IS NULL";
        self.writer
            .write(Synced, move |connection| {
                let restored = changed(connection, sql, params![at.0, id(trash_id.0)])?;
                match &replaced {
                    Some(trash) if restored > 0 => insert_trash(connection, trash),
                    _ => Ok(()),
                }
            })
            .await
    }

    async fn cancel_restore(&self, trash_id: TrashId) -> Result<(), Error> {
        let sql = "UPDATE trash SET restoring = NULL, restoring_by = NULL WHERE trash_id = ?";
        self.writer.write(Synced, move |connection| changed(connection, sql, [id(trash_id.0)]).map(|_| ())).await
    }

    async fn unfinished_restores(&self) -> Result<Vec<TrashRecord>, Error> {
        let select = Select::new("SELECT * FROM trash WHERE restoring IS NOT NULL ORDER BY trash_id");
        self.readers.list(move |connection| select.rows(connection, trash_record)).await
    }

    async fn uncounted_trash(&self, size: u64) -> Result<Vec<TrashRecord>, Error> {
        let mut select = Select::new("SELECT * FROM trash WHERE restored_at IS NULL AND files IS NULL");
        select.push(" AND restoring IS NULL ORDER BY trash_id LIMIT ").bind(clamp(size));
        self.readers.list(move |connection| select.rows(connection, trash_record)).await
    }

    async fn count_trash(&self, trash_id: TrashId, totals: Totals) -> Result<(), Error> {
        // Not when it was restored meanwhile: then something else may have been counted.
        let sql = "UPDATE trash SET files = ?, bytes = ? WHERE trash_id = ? AND restored_at IS NULL \
                   AND restoring IS NULL";
        self.writer
            .write(Written, move |connection| {
                let values = params![id(totals.files), id(totals.bytes), id(trash_id.0)];
                changed(connection, sql, values).map(|_| ())
            })
            .await
    }
}

fn trash_record(row: &Row<'_>) -> rusqlite::Result<TrashRecord> {
    let restoring: Option<String> = row.get("restoring")?;
    let by: Option<String> = row.get("restoring_by")?;
    Ok(TrashRecord {
        entry: trash_entry(row)?,
        key: TrashKey::remembered(row.get("trash_key")?),
        restoring: restoring.map(|identity| (Identity(identity), by.unwrap_or_default())),
    })
}

fn kept(connection: &Connection, trash_id: TrashId) -> Result<Option<TrashRecord>, Error> {
    let sql = "SELECT * FROM trash WHERE trash_id = ? AND restored_at IS NULL";
    found(connection, sql, [id(trash_id.0)], trash_record)
}

fn begin_restore(connection: &Connection, trash_id: TrashId, identity: &Identity, by: &str) -> Result<(), Error> {
    let record = kept(connection, trash_id)?.ok_or(Error::NoSuchTrash(trash_id))?;
    let shares_as = match record.entry.kind {
        TrashKind::Dataset => SyncType::FullSync,
        TrashKind::File => SyncType::IncrementalSync,
    };
    refuse_if_held(connection, &record.entry.origin, shares_as)?;
    let sql = "UPDATE trash SET restoring = ?, restoring_by = ? WHERE trash_id = ?";
    changed(connection, sql, params![identity.0, by, id(trash_id.0)]).map(|_| ())
}

pub(super) fn insert_trash(connection: &Connection, trash: &NewTrash) -> Result<(), Error> {
    let sql = "INSERT INTO trash (trash_key, origin, kind, reason, sync_id, trashed_by, trashed_at) \
               VALUES (?, ?, ?, ?, ?, ?, ?)";
    let values = params![
        trash.key.as_str(),
        trash.origin.as_str(),
        trash.kind.as_str(),
        trash.reason.as_str(),
        trash.sync_id.map(|sync_id| id(sync_id.0)),
        trash.by,
        trash.at.0
    ];
    changed(connection, sql, values).map(|_| ())
}
