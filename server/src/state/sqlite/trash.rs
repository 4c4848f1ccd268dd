//! Trash: the table `trash`. A piece that was put back, or removed for good, keeps its row, with the time of it.

use super::activity::record;
use super::query::{Select, changed, clamp, found, is_small};
use super::row::{actor, id, number, trash_entry, trash_group};
use super::syncs::{refuse_above_datasets, refuse_if_held};
use super::writer::Durability::{Synced, Written};
use super::{SqliteState, datasets};
use async_trait::async_trait;
use lakeshore::activity::{Actor, Deed};
use lakeshore::list::{Page, TrashQuery};
use lakeshore::path::LakePath;
use lakeshore::ports::state::{NewTrash, TrashRecord, TrashState, TrashSum};
use lakeshore::sync::{SyncId, SyncType};
use lakeshore::trash::{Doomed, Totals, TrashEntry, TrashGroup, TrashId, TrashKey, TrashKind};
use lakeshore::upload::Identity;
use lakeshore::{Error, Timestamp};
use rusqlite::{Connection, Row, params};

/// What can be restored, or is being restored.
const KEPT: &str = "restored_at IS NULL AND emptying_at IS NULL";

#[async_trait]
impl TrashState for SqliteState {
    async fn trash(&self, wanted: &TrashQuery) -> Result<Vec<TrashEntry>, Error> {
        let wanted = wanted.clone();
        let text = wanted.text.clone();
        let entries = move |connection: &Connection| page(connection, &wanted)?.rows(connection, trash_entry);
        self.readers.list_by(text.as_deref(), entries).await
    }

    async fn trash_groups(&self, wanted: &TrashQuery) -> Result<Vec<TrashGroup>, Error> {
        let select = groups(wanted);
        let groups = move |connection: &Connection| select.rows(connection, trash_group);
        self.readers.list_by(wanted.text.as_deref(), groups).await
    }

    async fn trash_sum(&self, scope: Option<&LakePath>) -> Result<TrashSum, Error> {
        let mut select = Select::new("SELECT count(*) AS pieces, count(*) - count(files) AS uncounted, ");
        select.push("coalesce(sum(files), 0) AS files, coalesce(sum(bytes), 0) AS bytes FROM trash WHERE ").push(KEPT);
        select.within("origin", scope);
        let sum = |row: &Row<'_>| {
            let totals = Totals { files: number(row, "files")?, bytes: number(row, "bytes")? };
            Ok(TrashSum { pieces: number(row, "pieces")?, totals, num_uncounted: number(row, "uncounted")? })
        };
        let rows = self.readers.list(move |connection| select.rows(connection, sum)).await?;
        Ok(rows.into_iter().next().unwrap_or_default())
    }

    async fn trash_record(&self, trash_id: TrashId) -> Result<Option<TrashRecord>, Error> {
        self.readers.look(|connection| kept(connection, trash_id))
    }

    async fn begin_restore(&self, trash_id: TrashId, identity: &Identity, by: &Actor) -> Result<(), Error> {
        let (identity, by) = (identity.clone(), by.clone());
        self.writer.write(Synced, move |connection| begin_restore(connection, trash_id, &identity, &by)).await
    }

    async fn finish_restore(&self, trash_id: TrashId, replaced: Option<&NewTrash>, at: Timestamp) -> Result<(), Error> {
        let replaced = replaced.cloned();
        let sql = "UPDATE trash SET restored_at = ?, restoring = NULL WHERE trash_id = ? AND restored_at IS NULL AND \
                   emptying_at IS NULL RETURNING *";
        self.writer
            .write(Synced, move |connection| {
                let restored = |row: &Row<'_>| Ok((trash_entry(row)?, actor(row, "restoring_actor", "restoring_by")?));
                let Some((entry, by)) = found(connection, sql, params![at.0, id(trash_id.0)], restored)? else {
                    return Ok(());
                };
                datasets::touch(connection, [entry.origin.as_str()])?;
                record(connection, &Deed::trash_restored(&entry, &by, at))?;
                replaced.as_ref().map_or(Ok(()), |trash| insert_trash(connection, trash))
            })
            .await
    }

    async fn cancel_restore(&self, trash_id: TrashId) -> Result<(), Error> {
        let sql = "UPDATE trash SET restoring = NULL, restoring_by = NULL, restoring_actor = NULL WHERE trash_id = ?";
        self.writer.write(Synced, move |connection| changed(connection, sql, [id(trash_id.0)]).map(|_| ())).await
    }

    async fn unfinished_restores(&self) -> Result<Vec<TrashRecord>, Error> {
        let select = Select::new("SELECT * FROM trash WHERE restoring IS NOT NULL ORDER BY trash_id");
        self.readers.list(move |connection| select.rows(connection, trash_record)).await
    }

    async fn uncounted_trash(&self, size: u64) -> Result<Vec<TrashRecord>, Error> {
        let mut select = Select::new(format!("SELECT * FROM trash WHERE {KEPT} AND files IS NULL"));
        select.push(" AND restoring IS NULL ORDER BY trash_id LIMIT ").bind(clamp(size));
        self.readers.list(move |connection| select.rows(connection, trash_record)).await
    }

    async fn count_trash(&self, trash_id: TrashId, totals: Totals) -> Result<(), Error> {
        // Not when it was restored meanwhile: then something else may have been counted.
        let sql = "UPDATE trash SET files = ?, bytes = ? WHERE trash_id = ? AND restored_at IS NULL \
                   AND emptying_at IS NULL AND restoring IS NULL";
        self.writer
            .write(Written, move |connection| {
                let values = params![id(totals.files), id(totals.bytes), id(trash_id.0)];
                changed(connection, sql, values).map(|_| ())
            })
            .await
    }

    async fn begin_emptying(
        &self,
        doomed: &Doomed,
        size: u64,
        by: &Actor,
        at: Timestamp,
    ) -> Result<Vec<TrashEntry>, Error> {
        let (doomed, by) = (*doomed, by.clone());
        // Asked of a reader first: adding up a large trash must not hold up the writer for nothing.
        if let Doomed::Beyond { bytes_max } = doomed
            && self.readers.list(held_bytes).await? <= bytes_max
        {
            return Ok(Vec::new());
        }
        self.writer.write(Synced, move |connection| begin_emptying(connection, doomed, size, &by, at)).await
    }

    async fn emptying_trash(&self, after: TrashId, size: u64) -> Result<Vec<(TrashId, TrashKey)>, Error> {
        let mut select = Select::new("SELECT trash_id, trash_key FROM trash");
        select.push(" WHERE emptying_at IS NOT NULL AND emptied_at IS NULL AND trash_id > ").bind(id(after.0));
        select.push(" ORDER BY trash_id LIMIT ").bind(clamp(size));
        let piece = |row: &Row<'_>| {
            Ok((TrashId(row.get::<_, i64>(0)?.cast_unsigned()), TrashKey::remembered(row.get("trash_key")?)))
        };
        self.readers.list(move |connection| select.rows(connection, piece)).await
    }

    async fn finish_emptying(&self, ids: &[TrashId], at: Timestamp) -> Result<(), Error> {
        let ids = ids.to_vec();
        let sql = "UPDATE trash SET emptied_at = ? WHERE trash_id = ? AND emptying_at IS NOT NULL AND \
                   emptied_at IS NULL";
        self.writer
            .write(Synced, move |connection| {
                ids.iter().try_for_each(|trash_id| changed(connection, sql, params![at.0, id(trash_id.0)]).map(drop))
            })
            .await
    }
}

fn page(connection: &Connection, wanted: &TrashQuery) -> Result<Select, Error> {
    let place = wanted.path.as_ref().or(wanted.scope.as_ref());
    let is_few = |place: &LakePath| {
        let mut rows = Select::new(format!("SELECT 1 FROM trash INDEXED BY trash_by_place WHERE {KEPT}"));
        rows.within_range("origin", Some(place));
        is_small(connection, rows)
    };
    let of = |index: &str| Select::new(format!("SELECT trash_id FROM trash INDEXED BY {index} WHERE {KEPT}"));
    let mut ids = match (wanted.sync_id, place) {
        (Some(_), _) => of("trash_of_syncs"),
        (None, Some(place)) if is_few(place)? => {
            let mut ids = of("trash_by_place");
            ids.within_range("origin", Some(place));
            ids
        }
        (None, _) => of("trash_kept"),
    };
    filter(&mut ids, wanted);
    let Page { order, size, from } = wanted.page;
    ids.page("trash_id", order, size, from);
    Ok(ids.whole_rows("*", "trash", "trash_id", order))
}

fn filter(select: &mut Select, wanted: &TrashQuery) {
    if let Some(sync_id) = wanted.sync_id {
        of_sync(select, sync_id);
    }
    select.within("origin", wanted.path.as_ref()).within("origin", wanted.scope.as_ref());
    select.holding(["origin", "trashed_by"], wanted.text.as_deref());
}

fn of_sync(select: &mut Select, sync_id: SyncId) {
    match sync_id {
        SyncId(0) => select.push(" AND sync_id IS NULL"),
        SyncId(number) => select.push(" AND sync_id = ").bind(id(number)),
    };
}

/// A page of the syncs that have something in the trash.
fn groups(wanted: &TrashQuery) -> Select {
    let mut select = Select::new(
        "SELECT sync_id, min(reason) AS reason, count(*) AS pieces, count(*) - count(files) AS uncounted, \
         coalesce(sum(files), 0) AS files, coalesce(sum(bytes), 0) AS bytes, min(trashed_at) AS first_at, \
         max(trashed_at) AS last_at, (SELECT name FROM syncs WHERE syncs.sync_id = trash.sync_id) AS sync_name, \
         (SELECT path FROM syncs WHERE syncs.sync_id = trash.sync_id) AS sync_path FROM trash WHERE ",
    );
    select.push(KEPT);
    filter(&mut select, wanted);
    select.push(" GROUP BY sync_id ORDER BY sync_id DESC");
    select.push(" LIMIT ").bind(clamp(wanted.page.size)).push(" OFFSET ").bind(clamp(wanted.page.from));
    select
}

fn begin_emptying(
    connection: &Connection,
    doomed: Doomed,
    size: u64,
    by: &Actor,
    at: Timestamp,
) -> Result<Vec<TrashEntry>, Error> {
    let entries = match doomed {
        Doomed::Piece(trash_id) => {
            let record = kept(connection, trash_id)?.ok_or(Error::NoSuchTrash(trash_id))?;
            if record.restoring.is_some() {
                let origin = record.entry.origin;
                return Err(Error::PathRestoring { path: origin.clone(), trash_id, origin });
            }
            vec![record.entry]
        }
        Doomed::OfSync(sync_id) => {
            let mut select = Select::new(format!("SELECT * FROM trash WHERE {KEPT} AND restoring IS NULL"));
            of_sync(&mut select, sync_id);
            select.push(" ORDER BY trash_id LIMIT ").bind(clamp(size));
            select.rows(connection, trash_entry)?
        }
        Doomed::Before(before) => oldest(before, size).rows(connection, trash_entry)?,
        Doomed::Beyond { bytes_max } => {
            let mut held = held_bytes(connection)?;
            let mut entries = oldest(Timestamp(i64::MAX), size).rows(connection, trash_entry)?;
            entries.retain(|entry| {
                let is_beyond = held > bytes_max;
                held -= if is_beyond { entry.totals.map_or(0, |totals| totals.bytes) } else { 0 };
                is_beyond
            });
            entries
        }
    };
    let sql = "UPDATE trash SET emptying_at = ?, emptying_by = ? WHERE trash_id = ?";
    for entry in &entries {
        changed(connection, sql, params![at.0, by.name, id(entry.trash_id.0)])?;
    }
    if let Some(deed) = Deed::trash_emptied(&entries, by, at) {
        record(connection, &deed)?;
    }
    Ok(entries)
}

pub(super) fn held_bytes(connection: &Connection) -> Result<u64, Error> {
    let sql = format!("SELECT coalesce(sum(bytes), 0) FROM trash WHERE {KEPT}");
    Ok(found(connection, &sql, [], |row| row.get(0))?.map_or(0, i64::cast_unsigned))
}

/// Pieces from before a time that may be removed, the oldest first.
fn oldest(before: Timestamp, size: u64) -> Select {
    let mut select = Select::new(format!("SELECT * FROM trash WHERE {KEPT} AND restoring IS NULL"));
    select.push(" AND trashed_at < ").bind(before.0);
    select.push(" ORDER BY trashed_at, trash_id LIMIT ").bind(clamp(size));
    select
}

fn trash_record(row: &Row<'_>) -> rusqlite::Result<TrashRecord> {
    let restoring: Option<String> = row.get("restoring")?;
    let by = actor(row, "restoring_actor", "restoring_by")?;
    Ok(TrashRecord {
        entry: trash_entry(row)?,
        key: TrashKey::remembered(row.get("trash_key")?),
        restoring: restoring.map(|identity| (Identity(identity), by)),
    })
}

fn kept(connection: &Connection, trash_id: TrashId) -> Result<Option<TrashRecord>, Error> {
    found(connection, &format!("SELECT * FROM trash WHERE trash_id = ? AND {KEPT}"), [id(trash_id.0)], trash_record)
}

fn begin_restore(connection: &Connection, trash_id: TrashId, identity: &Identity, by: &Actor) -> Result<(), Error> {
    let record = kept(connection, trash_id)?.ok_or(Error::NoSuchTrash(trash_id))?;
    let shares_as = match record.entry.kind {
        TrashKind::Dataset => SyncType::FullSync,
        TrashKind::File => SyncType::IncrementalSync,
    };
    refuse_if_held(connection, &record.entry.origin, shares_as, None)?;
    if record.entry.kind == TrashKind::Dataset {
        refuse_above_datasets(connection, &record.entry.origin)?;
    }
    let sql = "UPDATE trash SET restoring = ?, restoring_by = ?, restoring_actor = ? WHERE trash_id = ?";
    let kept = serde_json::to_string(by).map_err(Error::internal)?;
    changed(connection, sql, params![identity.0, by.name, kept, id(trash_id.0)]).map(|_| ())
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

#[cfg(test)]
mod tests {
    use super::*;
    use lakeshore::list::Order;

    #[test]
    fn finding_what_to_remove_goes_by_an_index_and_sorts_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let state = SqliteState::open(&folder.path().join("lakeshore.db")).unwrap();
        let plan = state.readers.look(|connection| Ok(oldest(Timestamp(9), 10).plan(connection))).unwrap().join("; ");
        assert!(plan.contains("USING INDEX trash_by_age (trashed_at<?)") && !plan.contains("B-TREE"), "{plan}");
        let all = TrashQuery { page: Page::FIRST, sync_id: None, path: None, text: None, scope: None };
        let plan = state.readers.look(|connection| Ok(groups(&all).plan(connection))).unwrap().join("; ");
        assert!(plan.contains("COVERING INDEX trash_of_syncs") && !plan.contains("B-TREE"), "{plan}");
        let of_sync = TrashQuery { sync_id: Some(SyncId(3)), ..all };
        let mut pieces = Select::new(format!("SELECT * FROM trash WHERE {KEPT}"));
        filter(&mut pieces, &of_sync);
        pieces.page("trash_id", Order::Asc, 10, 0);
        let plan = state.readers.look(|connection| Ok(pieces.plan(connection))).unwrap().join("; ");
        assert!(plan.contains("trash_of_syncs (sync_id=?)") && !plan.contains("B-TREE"), "{plan}");
        let sum = Select::new(format!("SELECT coalesce(sum(bytes), 0) FROM trash WHERE {KEPT}"));
        let plan = state.readers.look(|connection| Ok(sum.plan(connection))).unwrap().join("; ");
        assert!(plan.contains("COVERING INDEX trash_by_age"), "{plan}");
    }
}
