//! Trash: the table `trash`. An item that was restored or purged keeps its row, with the time.

use super::query::{Row, Select, Value, changed, clamp, found, values};
use super::syncs::{refuse_above_datasets, refuse_if_held};
use super::writing::Durability::Synced;
use super::writing::{Writing, transaction};
use super::{PostgresState, datasets};
use crate::backend::Backend as _;
use crate::row::{actor, id, number, path, trash_entry, trash_group};
use crate::trash::insert_trash;
use crate::versions::{moved, pinned, pinned_path};
use async_trait::async_trait;
use lakeshore::model::access::actor::Actor;
use lakeshore::model::audit::AuditEntry;
use lakeshore::model::id::SyncId;
use lakeshore::model::id::TrashId;
use lakeshore::model::page::{Page, TrashQuery};
use lakeshore::model::path::LakePath;
use lakeshore::model::storage_path::Identity;
use lakeshore::model::storage_path::TrashKey;
use lakeshore::model::sync::status::SyncType;
use lakeshore::model::totals::Totals;
use lakeshore::model::trash::NewTrash;
use lakeshore::model::trash::{PurgeSelector, TrashEntry, TrashGroup, TrashKind};
use lakeshore::ports::metadata::node::NodeState;
use lakeshore::ports::metadata::trash::{TrashRecord, TrashState, TrashSum};
use lakeshore::{Error, Timestamp};
use sqlx::{PgConnection, Row as _};

/// Items that can be restored, or are being restored.
const KEPT: &str = "restored_at IS NULL AND emptying_at IS NULL";

#[async_trait]
impl TrashState for PostgresState {
    async fn trash(&self, wanted: &TrashQuery) -> Result<Vec<TrashEntry>, Error> {
        let mut connection = self.list_by(wanted.text.as_deref()).await?;
        page(wanted).rows(&mut connection, trash_entry).await
    }

    async fn trash_groups(&self, wanted: &TrashQuery) -> Result<Vec<TrashGroup>, Error> {
        let mut connection = self.list_by(wanted.text.as_deref()).await?;
        groups(wanted).rows(&mut connection, trash_group).await
    }

    async fn trash_sum(&self, scope: Option<&LakePath>) -> Result<TrashSum, Error> {
        let mut select = Select::new("SELECT count(*) AS items, count(*) - count(files) AS uncounted, ");
        select
            .push(
                "coalesce(sum(files), 0)::bigint AS files, coalesce(sum(bytes), 0)::bigint AS bytes FROM trash WHERE ",
            )
            .push(KEPT);
        select.within("origin", scope);
        let sum = |row: &Row| {
            let totals = Totals { files: number(row, "files")?, bytes: number(row, "bytes")? };
            Ok(TrashSum { items: number(row, "items")?, totals, num_uncounted: number(row, "uncounted")? })
        };
        let rows = select.rows(&mut *self.list().await?, sum).await?;
        Ok(rows.into_iter().next().unwrap_or_default())
    }

    async fn trash_record(&self, trash_id: TrashId) -> Result<Option<TrashRecord>, Error> {
        kept(&mut *self.look().await?, trash_id).await
    }

    async fn begin_restore(&self, trash_id: TrashId, identity: &Identity, by: &Actor) -> Result<(), Error> {
        transaction!(self, Synced, |writing| begin_restore(writing, trash_id, identity, by).await)
    }

    async fn finish_restore(&self, trash_id: TrashId, replaced: Option<&NewTrash>, at: Timestamp) -> Result<(), Error> {
        #[cfg(feature = "testing")]
        self.faults().next("finish_restore")?;
        transaction!(self, Synced, |writing| finish_restore(writing, trash_id, replaced, at).await)
    }

    async fn cancel_restore(&self, trash_id: TrashId) -> Result<(), Error> {
        #[cfg(feature = "testing")]
        self.faults().next("cancel_restore")?;
        let sql = "UPDATE trash SET restoring = NULL, restoring_by = NULL, restoring_actor = NULL WHERE trash_id = ?";
        transaction!(self, Synced, |writing| {
            writing.lock_history().await?;
            changed(writing, sql, values![id(trash_id.0)]).await.map(drop)
        })
    }

    async fn unfinished_restores(&self) -> Result<Vec<TrashRecord>, Error> {
        // One that another node is at is its own, and one of a node that has ended is recovered with its other work.
        let mut select =
            Select::new("SELECT * FROM trash WHERE restoring IS NOT NULL AND NOT is_at_work(serving_node, ");
        select.bind(self.node()).push(")");
        if !self.is_first_node() {
            select.push(" AND serving_node = ").bind(self.node());
        }
        select.push(" ORDER BY trash_id");
        select.rows(&mut *self.list().await?, trash_record).await
    }

    async fn uncounted_trash(&self, size: u64) -> Result<Vec<TrashRecord>, Error> {
        let mut select = Select::new(format!("SELECT * FROM trash WHERE {KEPT} AND files IS NULL"));
        select.push(" AND restoring IS NULL ORDER BY trash_id LIMIT ").bind(clamp(size));
        select.rows(&mut *self.list().await?, trash_record).await
    }

    async fn count_trash(&self, trash_id: TrashId, totals: Totals) -> Result<(), Error> {
        // Skips items that were restored meanwhile, as other files may have been counted.
        let sql = "UPDATE trash SET files = ?, bytes = ? WHERE trash_id = ? AND restored_at IS NULL \
                   AND emptying_at IS NULL AND restoring IS NULL";
        let values = values![id(totals.files), id(totals.bytes), id(trash_id.0)];
        transaction!(self, Synced, |writing| {
            writing.lock_history().await?;
            changed(writing, sql, values.clone()).await.map(drop)
        })
    }

    async fn begin_emptying(
        &self,
        selector: &PurgeSelector,
        size: u64,
        by: &Actor,
        at: Timestamp,
    ) -> Result<Vec<TrashEntry>, Error> {
        // Read without a lock first: summing up a large trash would hold others up for nothing.
        if let PurgeSelector::Beyond { bytes_max } = selector
            && held_bytes(&mut *self.list().await?).await? <= *bytes_max
        {
            return Ok(Vec::new());
        }
        transaction!(self, Synced, |writing| begin_emptying(writing, *selector, size, by, at).await)
    }

    async fn emptying_trash(&self, after: TrashId, size: u64) -> Result<Vec<(TrashId, TrashKey)>, Error> {
        let mut select = Select::new("SELECT trash_id, trash_key FROM trash");
        select.push(" WHERE emptying_at IS NOT NULL AND emptied_at IS NULL AND trash_id > ").bind(id(after.0));
        select.push(" ORDER BY trash_id LIMIT ").bind(clamp(size));
        let item = |row: &Row| Ok((TrashId(number(row, "trash_id")?), TrashKey::remembered(row.try_get("trash_key")?)));
        select.rows(&mut *self.list().await?, item).await
    }

    async fn finish_emptying(&self, ids: &[TrashId], at: Timestamp) -> Result<(), Error> {
        let ids = ids_of(ids);
        let sql = "UPDATE trash SET emptied_at = $1 WHERE trash_id = ANY($2) AND emptying_at IS NOT NULL \
                   AND emptied_at IS NULL";
        transaction!(self, Synced, |writing| {
            writing.lock_history().await?;
            changed(writing, sql, values![at.0, ids]).await.map(drop)
        })
    }
}

fn ids_of(ids: &[TrashId]) -> Vec<i64> {
    ids.iter().map(|trash_id| id(trash_id.0)).collect()
}

fn page(wanted: &TrashQuery) -> Select {
    let mut select = Select::new(format!("SELECT * FROM trash WHERE {KEPT}"));
    filter(&mut select, wanted);
    let Page { order, size, from } = wanted.page;
    select.page("trash_id", order, size, from);
    select
}

fn filter(select: &mut Select, wanted: &TrashQuery) {
    if let Some(sync_id) = wanted.sync_id {
        of_sync(select, sync_id);
    }
    select.within("origin", wanted.path.as_ref()).within("origin", wanted.scope.as_ref());
    select.holding::<sqlx::Postgres>(["origin", "trashed_by"], wanted.text.as_deref());
}

fn of_sync(select: &mut Select, sync_id: SyncId) {
    match sync_id {
        SyncId(0) => select.push(" AND sync_id IS NULL"),
        SyncId(number) => select.push(" AND sync_id = ").bind(id(number)),
    };
}

/// Query of a page of the syncs that have items in the trash, by when the last item of each was added.
fn groups(wanted: &TrashQuery) -> Select {
    let mut select = Select::new(
        "SELECT sync_id, min(reason) AS reason, count(*) AS items, count(*) - count(files) AS uncounted, \
         coalesce(sum(files), 0)::bigint AS files, coalesce(sum(bytes), 0)::bigint AS bytes, min(trashed_at) AS first_at, \
         max(trashed_at) AS last_at, (SELECT name FROM syncs WHERE syncs.sync_id = trash.sync_id) AS sync_name, \
         (SELECT path FROM syncs WHERE syncs.sync_id = trash.sync_id) AS sync_path FROM trash WHERE ",
    );
    select.push(KEPT);
    filter(&mut select, wanted);
    select.push(" GROUP BY sync_id ORDER BY max(trash_id) DESC");
    select.push(" LIMIT ").bind(clamp(wanted.page.size)).push(" OFFSET ").bind(clamp(wanted.page.from));
    select
}

async fn begin_emptying(
    writing: &mut Writing,
    selector: PurgeSelector,
    size: u64,
    by: &Actor,
    at: Timestamp,
) -> Result<Vec<TrashEntry>, Error> {
    writing.lock_history().await?;
    let entries = match selector {
        PurgeSelector::Item(trash_id) => {
            let record = kept(writing, trash_id).await?.ok_or(Error::NoSuchTrash(trash_id))?;
            if record.restoring.is_some() {
                let origin = record.entry.origin;
                return Err(Error::PathRestoring { path: origin.clone(), trash_id, origin });
            }
            let sql = format!(
                "SELECT {} AS path FROM trash WHERE trash_id = ? AND {}",
                pinned_path::<sqlx::Postgres>(),
                pinned::<sqlx::Postgres>()
            );
            let pinned = found(writing, sql, values![id(trash_id.0)], |row| path(row, "path")).await?;
            if let Some(dataset) = pinned {
                return Err(Error::Pinned { trash_id, origin: record.entry.origin, dataset: Some(dataset) });
            }
            vec![record.entry]
        }
        PurgeSelector::OfSync(sync_id) => {
            let mut select = Select::new(format!("SELECT * FROM trash WHERE {KEPT} AND restoring IS NULL"));
            of_sync(&mut select, sync_id);
            select
                .push(" AND NOT ")
                .push(pinned::<sqlx::Postgres>())
                .push(" ORDER BY trash_id LIMIT ")
                .bind(clamp(size));
            select.rows(writing, trash_entry).await?
        }
        PurgeSelector::Before(before) => oldest(before, size).rows(writing, trash_entry).await?,
        PurgeSelector::Beyond { bytes_max } => {
            let mut held = held_bytes(writing).await?;
            let mut entries = oldest(Timestamp(i64::MAX), size).rows(writing, trash_entry).await?;
            entries.retain(|entry| {
                let is_beyond = held > bytes_max;
                held -= if is_beyond { entry.totals.map_or(0, |totals| totals.bytes) } else { 0 };
                is_beyond
            });
            entries
        }
    };
    let Some(deed) = AuditEntry::trash_emptied(&entries, by, at) else { return Ok(entries) };
    let ids: Vec<_> = entries.iter().map(|entry| id(entry.trash_id.0)).collect();
    let sql = "UPDATE trash SET emptying_at = $1, emptying_by = $2 WHERE trash_id = ANY($3)";
    changed(writing, sql, values![at.0, by.name, ids]).await?;
    writing.record(&deed);
    Ok(entries)
}

pub(super) async fn held_bytes(connection: &mut PgConnection) -> Result<u64, Error> {
    let sql = format!("SELECT coalesce(sum(bytes), 0)::bigint AS bytes FROM trash WHERE {KEPT}");
    Ok(found(connection, sql, values![], |row| number(row, "bytes")).await?.unwrap_or(0))
}

/// Query of items older than a time that may be purged, the oldest first.
fn oldest(before: Timestamp, size: u64) -> Select {
    let mut select = Select::new(format!("SELECT * FROM trash WHERE {KEPT} AND restoring IS NULL"));
    select.push(" AND trashed_at < ").bind(before.0).push(" AND NOT ").push(pinned::<sqlx::Postgres>());
    select.push(" ORDER BY trashed_at, trash_id LIMIT ").bind(clamp(size));
    select
}

pub(super) fn trash_record(row: &Row) -> sqlx::Result<TrashRecord> {
    let restoring: Option<String> = row.try_get("restoring")?;
    let by = actor(row, "restoring_actor", "restoring_by")?;
    Ok(TrashRecord {
        entry: trash_entry(row)?,
        key: TrashKey::remembered(row.try_get("trash_key")?),
        restoring: restoring.map(|identity| (Identity(identity), by)),
    })
}

async fn kept(connection: &mut PgConnection, trash_id: TrashId) -> Result<Option<TrashRecord>, Error> {
    let sql = format!("SELECT * FROM trash WHERE trash_id = ? AND {KEPT}");
    found(connection, sql, values![id(trash_id.0)], trash_record).await
}

async fn begin_restore(writing: &mut Writing, trash_id: TrashId, identity: &Identity, by: &Actor) -> Result<(), Error> {
    writing.lock_starts().await?;
    writing.lock_history().await?;
    let record = kept(writing, trash_id).await?.ok_or(Error::NoSuchTrash(trash_id))?;
    let shares_as = match record.entry.kind {
        TrashKind::Dataset => SyncType::FullSync,
        TrashKind::File => SyncType::IncrementalSync,
    };
    refuse_if_held(writing, &record.entry.origin, shares_as, None).await?;
    if record.entry.kind == TrashKind::Dataset {
        refuse_above_datasets(writing, &record.entry.origin).await?;
    }
    let sql = "UPDATE trash SET restoring = ?, restoring_by = ?, restoring_actor = ? WHERE trash_id = ?";
    let kept = serde_json::to_string(by).map_err(Error::internal)?;
    changed(writing, sql, values![identity.0, by.name, kept, id(trash_id.0)]).await.map(drop)
}

async fn finish_restore(
    writing: &mut Writing,
    trash_id: TrashId,
    replaced: Option<&NewTrash>,
    at: Timestamp,
) -> Result<(), Error> {
    writing.lock_history().await?;
    let sql = "UPDATE trash SET restored_at = ?, restoring = NULL WHERE trash_id = ? AND restored_at IS NULL AND \
               emptying_at IS NULL RETURNING *";
    let identity = kept(writing, trash_id).await?.and_then(|record| record.restoring).map(|(identity, _)| identity);
    let restored = |row: &Row| {
        let slot: String = row.try_get("trash_key")?;
        Ok((trash_entry(row)?, slot, actor(row, "restoring_actor", "restoring_by")?))
    };
    let restored = found(writing, sql, values![at.0, id(trash_id.0)], restored).await?;
    let Some((entry, slot, by)) = restored else { return Ok(()) };
    datasets::touch(writing, [entry.origin.as_str()]).await?;
    moved::restored(writing, &entry, &slot, identity.as_ref(), replaced.is_some(), &by, at).await?;
    writing.record(&AuditEntry::trash_restored(&entry, &by, at));
    insert_trash(writing, replaced.map_or(&[], std::slice::from_ref)).await
}
