//! Trash: the table `trash`. An item that was restored or purged keeps its row, with the time.

use crate::backend::{Backend, MetadataStore};
use crate::datasets::touch;
use crate::query::{Connection, Dialect, Select, Value, clamp, execute, execute_returning, fetch_optional, values};
use crate::restoring::{lock_open_syncs, refuse_amid_landing};
use crate::row::{DbRow, actor, id, number, path, trash_entry, trash_group};
use crate::syncs::{refuse_above_datasets, refuse_if_held};
use crate::transaction::Durability::{Synced, Written};
use crate::transaction::{Counter, WriteTransaction};
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
use lakeshore::ports::metadata::trash::{TrashRecord, TrashState, TrashSum};
use lakeshore::{Error, Timestamp};

/// Items that can be restored, or are being restored.
const KEPT: &str = "restored_at IS NULL AND emptying_at IS NULL";

/// Number of items, those without totals, and the sums of the totals.
const SUMS: &str = "count(*) AS items, count(*) - count(files) AS uncounted, \
     CAST(coalesce(sum(files), 0) AS BIGINT) AS files, CAST(coalesce(sum(bytes), 0) AS BIGINT) AS bytes";

#[async_trait]
impl<B: Backend> TrashState for MetadataStore<B> {
    async fn trash(&self, wanted: &TrashQuery) -> Result<Vec<TrashEntry>, Error> {
        self.0
            .view_by(wanted.text.as_deref(), wanted, |view, wanted| {
                Box::pin(async move { page(view, wanted).await?.fetch_all(view, trash_entry).await })
            })
            .await
    }

    async fn trash_groups(&self, wanted: &TrashQuery) -> Result<Vec<TrashGroup>, Error> {
        self.0
            .view_by(wanted.text.as_deref(), wanted, |view, wanted| {
                Box::pin(async move { groups::<B::Db>(wanted).fetch_all(view, trash_group).await })
            })
            .await
    }

    async fn trash_sum(&self, scope: Option<&LakePath>) -> Result<TrashSum, Error> {
        let mut select = Select::new(format!("SELECT {SUMS} FROM trash WHERE {KEPT}"));
        select.within("origin", scope);
        let rows = select.fetch_all(&mut self.0.list().await?, trash_sum).await?;
        Ok(rows.into_iter().next().unwrap_or_default())
    }

    async fn trash_record(&self, trash_id: TrashId) -> Result<Option<TrashRecord>, Error> {
        kept(&mut self.0.look().await?, trash_id).await
    }

    async fn begin_restore(&self, trash_id: TrashId, identity: &Identity, by: &Actor) -> Result<(), Error> {
        self.0
            .write(Synced, (trash_id, identity.clone(), by.clone()), |writing, (trash_id, identity, by)| {
                Box::pin(begin_restore(writing, *trash_id, identity, by))
            })
            .await
    }

    async fn finish_restore(&self, trash_id: TrashId, replaced: Option<&NewTrash>, at: Timestamp) -> Result<(), Error> {
        self.0.inject_fault("finish_restore")?;
        self.0
            .write(Synced, (trash_id, replaced.cloned(), at), |writing, (trash_id, replaced, at)| {
                Box::pin(finish_restore(writing, *trash_id, replaced.as_slice(), *at))
            })
            .await
    }

    async fn cancel_restore(&self, trash_id: TrashId) -> Result<(), Error> {
        self.0.inject_fault("cancel_restore")?;
        let sql = "UPDATE trash SET restoring = NULL, restoring_by = NULL, restoring_actor = NULL WHERE trash_id = ?";
        self.0.change_locked(Synced, sql, values![id(trash_id.0)]).await
    }

    async fn unfinished_restores(&self) -> Result<Vec<TrashRecord>, Error> {
        let mut select = Select::new("SELECT * FROM trash WHERE restoring IS NOT NULL");
        self.0.exclude_restores_of_others(&mut select);
        select.push(" ORDER BY trash_id");
        select.fetch_all(&mut self.0.list().await?, trash_record).await
    }

    async fn uncounted_trash(&self, size: u64) -> Result<Vec<TrashRecord>, Error> {
        let mut select = Select::new(format!("SELECT * FROM trash WHERE {KEPT} AND files IS NULL"));
        select.push(" AND restoring IS NULL ORDER BY trash_id LIMIT ").bind(clamp(size));
        select.fetch_all(&mut self.0.list().await?, trash_record).await
    }

    async fn count_trash(&self, trash_id: TrashId, totals: Totals) -> Result<(), Error> {
        // Skips items that were restored meanwhile, as other files may have been counted.
        let sql = "UPDATE trash SET files = ?, bytes = ? WHERE trash_id = ? AND restored_at IS NULL \
                   AND emptying_at IS NULL AND restoring IS NULL";
        self.0.change_locked(Written, sql, values![id(totals.files), id(totals.bytes), id(trash_id.0)]).await
    }

    async fn begin_emptying(
        &self,
        selector: &PurgeSelector,
        size: u64,
        by: &Actor,
        at: Timestamp,
    ) -> Result<Vec<TrashEntry>, Error> {
        // Read without a lock first: summing up a large trash would hold up writers for nothing.
        if let PurgeSelector::Beyond { bytes_max } = selector
            && held_bytes(&mut self.0.list().await?).await? <= *bytes_max
        {
            return Ok(Vec::new());
        }
        self.0
            .write(Synced, (*selector, size, by.clone(), at), |writing, (selector, size, by, at)| {
                Box::pin(begin_emptying(writing, *selector, *size, by, *at))
            })
            .await
    }

    async fn emptying_trash(&self, after: TrashId, size: u64) -> Result<Vec<(TrashId, TrashKey)>, Error> {
        let mut select = Select::new("SELECT trash_id, trash_key FROM trash");
        select.push(" WHERE emptying_at IS NOT NULL AND emptied_at IS NULL AND trash_id > ").bind(id(after.0));
        select.push(" ORDER BY trash_id LIMIT ").bind(clamp(size));
        select.fetch_all(&mut self.0.list().await?, slot).await
    }

    async fn finish_emptying(&self, ids: &[TrashId], at: Timestamp) -> Result<(), Error> {
        let sql = "UPDATE trash SET emptied_at = $1 \
                   WHERE trash_id IN (SELECT CAST(value ->> 0 AS BIGINT) FROM json_each($2)) \
                   AND emptying_at IS NOT NULL AND emptied_at IS NULL";
        let ids = Value::column(ids.iter().map(|trash_id| id(trash_id.0)))?;
        self.0.change_locked(Synced, sql, values![at.0, ids]).await
    }
}

async fn page<C: Connection>(connection: &mut C, wanted: &TrashQuery) -> Result<Select, Error> {
    let place = wanted.path.as_ref().or(wanted.scope.as_ref());
    let of = |column: &str, index: &str| {
        Select::new(format!("SELECT {column} FROM trash{} WHERE {KEPT}", C::Db::indexed_by(index)))
    };
    let few = |place: &LakePath| {
        let mut rows = of("1", "trash_by_place");
        rows.within_range("origin", Some(place));
        rows
    };
    let mut ids = if wanted.sync_id.is_some() {
        of("trash_id", "trash_of_syncs")
    } else if let Some(place) = place
        && C::Db::is_small(connection.raw(), few(place)).await?
    {
        let mut ids = of("trash_id", "trash_by_place");
        ids.within_range("origin", Some(place));
        ids
    } else {
        of("trash_id", "trash_kept")
    };
    filter::<C::Db>(&mut ids, wanted);
    let Page { order, size, from } = wanted.page;
    ids.page("trash_id", order, size, from);
    Ok(ids.whole_rows("*", "trash", "trash_id", order))
}

fn filter<D: Dialect>(select: &mut Select, wanted: &TrashQuery) {
    if let Some(sync_id) = wanted.sync_id {
        of_sync(select, sync_id);
    }
    select.within("origin", wanted.path.as_ref()).within("origin", wanted.scope.as_ref());
    select.holding::<D>(["origin", "trashed_by"], wanted.text.as_deref());
}

fn of_sync(select: &mut Select, sync_id: SyncId) {
    match sync_id {
        SyncId(0) => select.push(" AND sync_id IS NULL"),
        SyncId(number) => select.push(" AND sync_id = ").bind(id(number)),
    };
}

/// Query of a page of the syncs that have items in the trash, by when the last item of each was added.
fn groups<D: Dialect>(wanted: &TrashQuery) -> Select {
    let mut select = Select::new(format!(
        "SELECT sync_id, min(reason) AS reason, {SUMS}, min(trashed_at) AS first_at, \
         max(trashed_at) AS last_at, (SELECT name FROM syncs WHERE syncs.sync_id = trash.sync_id) AS sync_name, \
         (SELECT path FROM syncs WHERE syncs.sync_id = trash.sync_id) AS sync_path FROM trash WHERE {KEPT}"
    ));
    filter::<D>(&mut select, wanted);
    select.push(" GROUP BY sync_id ORDER BY max(trash_id) DESC");
    select.push(" LIMIT ").bind(clamp(wanted.page.size)).push(" OFFSET ").bind(clamp(wanted.page.from));
    select
}

async fn begin_emptying<W: WriteTransaction>(
    writing: &mut W,
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
            let (pinned_path, pinned) = (pinned_path::<W::Db>(), pinned::<W::Db>());
            let sql = format!("SELECT {pinned_path} AS path FROM trash WHERE trash_id = ? AND {pinned}");
            let pinned = fetch_optional(writing, sql, values![id(trash_id.0)], |row| path(row, "path")).await?;
            if let Some(dataset) = pinned {
                return Err(Error::Pinned { trash_id, origin: record.entry.origin, dataset: Some(dataset) });
            }
            vec![record.entry]
        }
        PurgeSelector::OfSync(sync_id) => {
            let mut select = Select::new(format!("SELECT * FROM trash WHERE {KEPT} AND restoring IS NULL"));
            of_sync(&mut select, sync_id);
            select.push(" AND NOT ").push(pinned::<W::Db>()).push(" ORDER BY trash_id LIMIT ").bind(clamp(size));
            select.fetch_all(writing, trash_entry).await?
        }
        PurgeSelector::Before(before) => oldest::<W::Db>(before, size).fetch_all(writing, trash_entry).await?,
        PurgeSelector::UpTo(last) => up_to::<W::Db>(last, size).fetch_all(writing, trash_entry).await?,
        PurgeSelector::Beyond { bytes_max } => {
            let mut held = held_bytes(writing).await?;
            let mut entries = oldest::<W::Db>(Timestamp(i64::MAX), size).fetch_all(writing, trash_entry).await?;
            entries.retain(|entry| {
                let is_beyond = held > bytes_max;
                held -= if is_beyond { entry.totals.map_or(0, |totals| totals.bytes) } else { 0 };
                is_beyond
            });
            entries
        }
    };
    let Some(entry) = AuditEntry::trash_emptied(&entries, by, at) else { return Ok(entries) };
    let ids = Value::column(entries.iter().map(|entry| id(entry.trash_id.0)))?;
    let sql = "UPDATE trash SET emptying_at = $1, emptying_by = $2 \
               WHERE trash_id IN (SELECT CAST(value ->> 0 AS BIGINT) FROM json_each($3))";
    execute(writing, sql, values![at.0, by.name, ids]).await?;
    writing.record(&entry).await?;
    Ok(entries)
}

pub(crate) async fn held_bytes(connection: &mut impl Connection) -> Result<u64, Error> {
    let sql = format!("SELECT CAST(coalesce(sum(bytes), 0) AS BIGINT) AS bytes FROM trash WHERE {KEPT}");
    Ok(fetch_optional(connection, sql, values![], |row| number(row, "bytes")).await?.unwrap_or(0))
}

/// Query of items older than a time that may be purged, the oldest first.
fn oldest<D: Dialect>(before: Timestamp, size: u64) -> Select {
    let mut select = Select::new(format!("SELECT * FROM trash WHERE {KEPT} AND restoring IS NULL"));
    select.push(" AND trashed_at < ").bind(before.0).push(" AND NOT ").push(pinned::<D>());
    select.push(" ORDER BY trashed_at, trash_id LIMIT ").bind(clamp(size));
    select
}

/// Query of items up to one that may be purged, in the order of their arrival.
fn up_to<D: Dialect>(last: TrashId, size: u64) -> Select {
    let mut select = Select::new(format!("SELECT * FROM trash{} WHERE {KEPT}", D::indexed_by("trash_kept")));
    select.push(" AND restoring IS NULL AND trash_id <= ").bind(id(last.0)).push(" AND NOT ").push(pinned::<D>());
    select.push(" ORDER BY trash_id LIMIT ").bind(clamp(size));
    select
}

fn trash_sum(row: &impl DbRow) -> sqlx::Result<TrashSum> {
    let totals = Totals { files: number(row, "files")?, bytes: number(row, "bytes")? };
    Ok(TrashSum { items: number(row, "items")?, totals, num_uncounted: number(row, "uncounted")? })
}

fn slot(row: &impl DbRow) -> sqlx::Result<(TrashId, TrashKey)> {
    Ok((TrashId(number(row, "trash_id")?), TrashKey::from_stored(row.get("trash_key")?)))
}

pub(crate) fn trash_record(row: &impl DbRow) -> sqlx::Result<TrashRecord> {
    let restoring: Option<String> = row.get("restoring")?;
    let by = actor(row, "restoring_actor", "restoring_by")?;
    Ok(TrashRecord {
        entry: trash_entry(row)?,
        key: TrashKey::from_stored(row.get("trash_key")?),
        restoring: restoring.map(|identity| (Identity(identity), by)),
    })
}

async fn kept(connection: &mut impl Connection, trash_id: TrashId) -> Result<Option<TrashRecord>, Error> {
    let sql = format!("SELECT * FROM trash WHERE trash_id = ? AND {KEPT}");
    fetch_optional(connection, sql, values![id(trash_id.0)], trash_record).await
}

async fn begin_restore(
    writing: &mut impl WriteTransaction,
    trash_id: TrashId,
    identity: &Identity,
    by: &Actor,
) -> Result<(), Error> {
    writing.lock_starts().await?;
    let record = kept(writing, trash_id).await?.ok_or(Error::NoSuchTrash(trash_id))?;
    lock_open_syncs(writing, &record.entry.origin).await?;
    writing.lock_history().await?;
    let record = kept(writing, trash_id).await?.ok_or(Error::NoSuchTrash(trash_id))?;
    let shares_as = match record.entry.kind {
        TrashKind::Dataset => SyncType::FullSync,
        TrashKind::File => SyncType::IncrementalSync,
    };
    refuse_if_held(writing, &record.entry.origin, shares_as, None).await?;
    refuse_amid_landing(writing, &record.entry.origin).await?;
    if record.entry.kind == TrashKind::Dataset {
        refuse_above_datasets(writing, &record.entry.origin).await?;
    }
    let sql = "UPDATE trash SET restoring = ?, restoring_by = ?, restoring_actor = ? WHERE trash_id = ?";
    let kept = serde_json::to_string(by).map_err(Error::internal)?;
    execute(writing, sql, values![identity.0, by.name, kept, id(trash_id.0)]).await.map(drop)
}

async fn finish_restore(
    writing: &mut impl WriteTransaction,
    trash_id: TrashId,
    replaced: &[NewTrash],
    at: Timestamp,
) -> Result<(), Error> {
    writing.lock_history().await?;
    let sql = "UPDATE trash SET restored_at = ?, restoring = NULL WHERE trash_id = ? AND restored_at IS NULL AND \
               emptying_at IS NULL RETURNING *";
    let identity = kept(writing, trash_id).await?.and_then(|record| record.restoring).map(|(identity, _)| identity);
    let restored = execute_returning(writing, sql, values![at.0, id(trash_id.0)], restored).await?;
    let Some((entry, slot, by)) = restored.into_iter().next() else { return Ok(()) };
    touch(writing, [entry.origin.as_str()]).await?;
    moved::restored(writing, &entry, &slot, identity.as_ref(), !replaced.is_empty(), &by, at).await?;
    writing.record(&AuditEntry::trash_restored(&entry, &by, at)).await?;
    insert_trash(writing, replaced).await
}

fn restored(row: &impl DbRow) -> sqlx::Result<(TrashEntry, String, Actor)> {
    Ok((trash_entry(row)?, row.get("trash_key")?, actor(row, "restoring_actor", "restoring_by")?))
}

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
    execute(writing, sql, values![rows, first]).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::SqliteState;
    use lakeshore::model::page::Order;

    #[tokio::test]
    async fn finding_what_to_remove_goes_by_an_index_and_sorts_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let state = SqliteState::open(&folder.path().join("lakeshore.db")).await.unwrap();
        let mut connection = state.0.look().await.unwrap();
        let plan = oldest::<sqlx::Sqlite>(Timestamp(9), 10).plan(&mut connection).await.join("; ");
        assert!(plan.contains("USING INDEX trash_by_age (trashed_at<?)") && !plan.contains("B-TREE"), "{plan}");
        let plan = up_to::<sqlx::Sqlite>(TrashId(9), 10).plan(&mut connection).await.join("; ");
        assert!(plan.contains("USING INDEX trash_kept (trash_id<?)") && !plan.contains("B-TREE"), "{plan}");
        let all = TrashQuery { page: Page::FIRST, sync_id: None, path: None, text: None, scope: None };
        let plan = groups::<sqlx::Sqlite>(&all).plan(&mut connection).await.join("; ");
        // Only the groups are sorted, not the items.
        assert!(plan.contains("COVERING INDEX trash_of_syncs") && !plan.contains("B-TREE FOR GROUP BY"), "{plan}");
        let of_sync = TrashQuery { sync_id: Some(SyncId(3)), ..all };
        let mut items = Select::new(format!("SELECT * FROM trash WHERE {KEPT}"));
        filter::<sqlx::Sqlite>(&mut items, &of_sync);
        items.page("trash_id", Order::Asc, 10, 0);
        let plan = items.plan(&mut connection).await.join("; ");
        assert!(plan.contains("trash_of_syncs (sync_id=?)") && !plan.contains("B-TREE"), "{plan}");
        let sum = Select::new(format!("SELECT coalesce(sum(bytes), 0) FROM trash WHERE {KEPT}"));
        let plan = sum.plan(&mut connection).await.join("; ");
        assert!(plan.contains("COVERING INDEX trash_by_age"), "{plan}");
    }
}
