//! Versions of a database from before there were any: what happened to its datasets is done once more to the tables of versions,
//! in the order in which it happened, by the code that does it today. Of files that landed after each other and nothing in
//! between, a thousand make a version.

use super::super::query::{Row, Value, execute, fetch_all, fetch_optional, values};
use super::super::writing::Writing;
use super::landed;
use crate::content::landed_as;
use crate::row::{bytes, id, number, path, time, trash_entry};
use crate::versions::heads::{TreeTotals, digits, held_of_file};
use crate::versions::landing::LandedFile;
use crate::versions::{counting, moved};
use lakeshore::model::access::actor::Actor;
use lakeshore::model::digest::Digest;
use lakeshore::model::id::SyncId;
use lakeshore::model::storage_path::Identity;
use lakeshore::model::trash::{TrashEntry, TrashKind};
use lakeshore::model::version::ListTotals;
use lakeshore::{Error, Timestamp};
use sqlx::Row as _;
use std::collections::{HashMap, HashSet, VecDeque};

/// Files of one version, at most.
const TOGETHER: usize = 1000;

/// Event of the history, ordered by time; at one time, arrivals of files precede their removals.
enum Event {
    Landed(i64),
    Published(SyncId),
    Restored(i64),
}

/// All of it, in the transaction, unless it was done before.
pub(in super::super) async fn run_once(writing: &mut Writing) -> Result<(), Error> {
    let sql = "SELECT is_backfilled FROM version_state";
    let is_done: Option<bool> = fetch_optional(writing, sql, values![], |row| row.try_get(0)).await?;
    if is_done == Some(false) {
        tracing::info!("making versions of what the history tells; this may take some minutes");
        run(writing).await?;
    }
    Ok(())
}

async fn run(writing: &mut Writing) -> Result<(), Error> {
    stage(writing).await?;
    let mut events = events(writing).await?;
    let mut replaced = overwritten(writing).await?;
    while let Some((at, event)) = events.pop_front() {
        match event {
            Event::Landed(first) => {
                let mut ids = vec![first];
                let mut last = at;
                while let Some((at, Event::Landed(next))) = events.front()
                    && ids.len() < TOGETHER
                {
                    ids.push(*next);
                    last = *at;
                    events.pop_front();
                }
                land(writing, &ids, last, &mut replaced).await?;
            }
            Event::Published(sync_id) => publish(writing, sync_id, at).await?,
            Event::Restored(trash_id) => restore(writing, trash_id, at).await?,
        }
    }
    drop_staged(writing).await?;
    count(writing).await?;
    execute(writing, "UPDATE version_state SET is_backfilled = 1", values![]).await.map(drop)
}

/// Trees of all full syncs, with the last upload to each path.
async fn stage(writing: &mut Writing) -> Result<(), Error> {
    let sql = "INSERT INTO trees (tree_id, path, digest) SELECT sync_id, path, unhex($1) FROM syncs \
               WHERE sync_type = 'FullSync'; \
               INSERT INTO version_files (tree_id, path, from_seq, history_id) \
               SELECT u.sync_id, u.target, 0, max(u.history_id) FROM uploads u JOIN syncs s USING (sync_id) \
               WHERE s.sync_type = 'FullSync' AND u.status = 'Finished' GROUP BY u.sync_id, u.target; \
               UPDATE uploads SET tree_id = sync_id, tree_seq = 0 WHERE status = 'Finished' \
               AND sync_id IN (SELECT sync_id FROM syncs WHERE sync_type = 'FullSync')";
    execute(writing, sql, values![digits(&ListTotals::default())]).await?;
    let sql = "SELECT f.tree_id, f.path, u.size_bytes, u.sha256, NULL AS row_count \
               FROM version_files f JOIN uploads u USING (history_id)";
    let mut trees: HashMap<i64, ListTotals> = HashMap::new();
    let add = |row: &Row| {
        let TreeTotals { totals, .. } = held_of_file(row)?;
        let tree = trees.entry(row.try_get("tree_id")?).or_default();
        *tree = tree.plus(totals);
        Ok(())
    };
    fetch_all(writing, sql, values![], add).await?;
    let trees: Vec<_> =
        trees.iter().map(|(tree_id, totals)| (tree_id, totals.files, totals.bytes, digits(totals))).collect();
    let sql = "UPDATE trees SET files = value ->> 1, bytes = value ->> 2, digest = unhex(value ->> 3) \
               FROM json_each($1) WHERE tree_id = value ->> 0";
    execute(writing, sql, vec![Value::rows(&trees)?]).await.map(drop)
}

async fn events(writing: &mut Writing) -> Result<VecDeque<(Timestamp, Event)>, Error> {
    let mut events = Vec::new();
    let sql = "SELECT u.end_time AS at, u.history_id AS what FROM uploads u JOIN syncs s USING (sync_id) \
               WHERE s.sync_type = 'IncrementalSync' AND u.status = 'Finished'";
    let landed = |row: &Row| Ok((time(row, "at")?, Event::Landed(row.try_get("what")?)));
    events.extend(fetch_all(writing, sql, values![], landed).await?);
    let sql = "SELECT end_time AS at, sync_id AS what FROM syncs WHERE sync_type = 'FullSync' AND status = 'Finished'";
    let published = |row: &Row| Ok((time(row, "at")?, Event::Published(SyncId(number(row, "what")?))));
    events.extend(fetch_all(writing, sql, values![], published).await?);
    let sql = "SELECT restored_at AS at, trash_id AS what FROM trash WHERE restored_at IS NOT NULL";
    let restored = |row: &Row| Ok((time(row, "at")?, Event::Restored(row.try_get("what")?)));
    events.extend(fetch_all(writing, sql, values![], restored).await?);
    let kind = |event: &Event| match event {
        Event::Landed(history_id) => (0, *history_id),
        Event::Published(sync_id) => (1, id(sync_id.0)),
        Event::Restored(trash_id) => (2, *trash_id),
    };
    events.sort_by(|(at, event), (other_at, other)| (at, kind(event)).cmp(&(other_at, kind(other))));
    Ok(events.into())
}

/// Slots of files that uploads replaced, by sync and place.
type Replaced = HashMap<(i64, String), Slots>;

/// The slots of what the uploads of one sync to one place have replaced, the first in front; and how many such uploads are still to
/// come. The first may have found nothing there; as many as came last have replaced something.
struct Slots {
    slots: VecDeque<String>,
    uploads: usize,
}

impl Slots {
    /// That of what the next upload has replaced, if it has.
    fn next(&mut self) -> Option<String> {
        let has_replaced = self.slots.len() >= self.uploads;
        self.uploads = self.uploads.saturating_sub(1);
        if has_replaced { self.slots.pop_front() } else { None }
    }
}

async fn overwritten(writing: &mut Writing) -> Result<Replaced, Error> {
    let sql = "SELECT t.sync_id, t.origin, t.trash_key, (SELECT count(*) FROM uploads u WHERE u.target = t.origin \
               AND u.sync_id = t.sync_id AND +u.status = 'Finished') AS uploads \
               FROM trash t WHERE t.kind = 'File' AND t.reason = 'Overwritten' AND t.sync_id IS NOT NULL ORDER BY t.trash_id";
    let mut replaced = Replaced::new();
    let add = |row: &Row| {
        let uploads = usize::try_from(number(row, "uploads")?).unwrap_or(usize::MAX);
        let place = (row.try_get("sync_id")?, row.try_get("origin")?);
        let slots = replaced.entry(place).or_insert_with(|| Slots { slots: VecDeque::new(), uploads });
        slots.slots.push_back(row.try_get("trash_key")?);
        Ok(())
    };
    fetch_all(writing, sql, values![], add).await?;
    Ok(replaced)
}

async fn land(writing: &mut Writing, ids: &[i64], at: Timestamp, replaced: &mut Replaced) -> Result<(), Error> {
    let sql = "SELECT u.history_id, u.sync_id, u.target, u.size_bytes, u.sha256, s.path, s.started_by, f.folder_id \
               FROM json_each($1) w CROSS JOIN uploads u ON u.history_id = w.value CROSS JOIN syncs s USING (sync_id) \
               CROSS JOIN folders f ON f.path = s.path ORDER BY w.key";
    let decode = |row: &Row| {
        Ok(LandedFile {
            history_id: row.try_get("history_id")?,
            group: 0,
            sync_id: SyncId(number(row, "sync_id")?),
            dataset: row.try_get("path")?,
            folder_id: row.try_get("folder_id")?,
            is_full: false,
            target: path(row, "target")?,
            digest: Digest { size_bytes: number(row, "size_bytes")?, sha256: bytes(row, "sha256")? },
            by: row.try_get("started_by")?,
            at,
            trash_key: None,
        })
    };
    let mut landed: Vec<LandedFile> = fetch_all(writing, sql, vec![Value::rows(ids)?], decode).await?;
    // A file that the next one replaces has a version of its own: it may have come back from its slot.
    let (mut group, mut targets) = (0, HashSet::new());
    for landed in &mut landed {
        if !targets.insert(landed.target.clone()) {
            group += 1;
            targets = HashSet::from([landed.target.clone()]);
        }
        landed.group = group;
        let place = (id(landed.sync_id.0), landed.target.as_str().to_owned());
        landed.trash_key = replaced.get_mut(&place).and_then(Slots::next);
    }
    writing.known.versions.forget();
    landed::write(writing, &landed).await
}

async fn publish(writing: &mut Writing, sync_id: SyncId, at: Timestamp) -> Result<(), Error> {
    writing.known.versions.forget();
    let sql = "SELECT s.path, s.started_by, (SELECT t.trash_key FROM trash t WHERE t.sync_id = s.sync_id \
               AND t.kind = 'Dataset' AND t.reason = 'Replaced' ORDER BY t.trash_id LIMIT 1) AS slot \
               FROM syncs s WHERE s.sync_id = ?";
    let decode = |row: &Row| {
        let by: String = row.try_get("started_by")?;
        Ok((row.try_get::<String, _>("path")?, row.try_get::<Option<String>, _>("slot")?, by))
    };
    let Some((path, slot, by)) = fetch_optional(writing, sql, values![id(sync_id.0)], decode).await? else {
        return Ok(());
    };
    moved::published(writing, sync_id, &path, slot.as_deref(), &Actor::from(by.as_str()), at).await
}

async fn restore(writing: &mut Writing, trash_id: i64, at: Timestamp) -> Result<(), Error> {
    writing.known.versions.forget();
    // The slot of the replaced file was recorded in the same transaction.
    let sql = "SELECT t.*, EXISTS (SELECT 1 FROM trash n WHERE n.trash_key = t.trash_key AND n.trash_id > t.trash_id \
               AND n.reason = 'Restored') AS has_replaced FROM trash t WHERE t.trash_id = ?";
    let decode = |row: &Row| {
        let by: Option<String> = row.try_get("restoring_by")?;
        let slot: String = row.try_get("trash_key")?;
        Ok((trash_entry(row)?, slot, row.try_get::<bool, _>("has_replaced")?, by.unwrap_or_default()))
    };
    let Some((entry, slot, has_replaced, by)) = fetch_optional(writing, sql, values![trash_id], decode).await? else {
        return Ok(());
    };
    if entry.kind == TrashKind::Dataset {
        stage_dropped(writing, &entry, &slot).await?;
    }
    let identity = of_slot(writing, &entry, &slot).await?;
    let by = Actor::from(by.as_str());
    moved::restored(writing, &entry, &slot, identity.as_ref(), has_replaced, &by, at).await
}

/// Moves the staged files of an unpublished sync to the trash, from its end on.
async fn stage_dropped(writing: &mut Writing, entry: &TrashEntry, slot: &str) -> Result<(), Error> {
    let sql = "SELECT 1 FROM syncs WHERE sync_id = ? AND status = 'Failed'";
    if let Some(sync_id) = entry.sync_id
        && fetch_optional(writing, sql, values![id(sync_id.0)], |_| Ok(())).await?.is_some()
    {
        moved::dropped(writing, sync_id, slot).await?;
    }
    Ok(())
}

/// Which file a slot holds: the one whose entry says so; else the last that has landed there.
async fn of_slot(writing: &mut Writing, entry: &TrashEntry, slot: &str) -> Result<Option<Identity>, Error> {
    let sql = "SELECT u.identity FROM version_files f JOIN uploads u USING (history_id) WHERE f.trash_key = ?";
    let identity = |row: &Row| row.try_get::<Option<String>, _>(0);
    let identity = fetch_optional(writing, sql, values![slot], identity).await?.flatten().map(Identity);
    match identity {
        Some(identity) if landed_as(writing, entry.origin.as_str(), &identity).await?.is_some() => Ok(Some(identity)),
        _ => Ok(None),
    }
}

/// Those of the full syncs that failed, and lie in the trash still.
async fn drop_staged(writing: &mut Writing) -> Result<(), Error> {
    let sql = "SELECT t.sync_id, t.trash_key FROM trash t JOIN syncs s USING (sync_id) WHERE t.kind = 'Dataset' \
               AND t.restored_at IS NULL AND t.emptied_at IS NULL AND s.sync_type = 'FullSync' AND s.status = 'Failed' \
               AND t.reason <> 'Restored'";
    let dropped = |row: &Row| Ok((SyncId(number(row, "sync_id")?), row.try_get::<String, _>("trash_key")?));
    for (sync_id, slot) in fetch_all(writing, sql, values![], dropped).await? {
        moved::dropped(writing, sync_id, &slot).await?;
    }
    Ok(())
}

/// Rows of all files that were looked at.
async fn count(writing: &mut Writing) -> Result<(), Error> {
    // The replaced files were subtracted above without having been added.
    execute(writing, "DELETE FROM version_rows; UPDATE trees SET row_count = 0, counted = 0", values![]).await?;
    let sql = "SELECT history_id, row_count FROM file_schemas WHERE row_count IS NOT NULL";
    let counted = |row: &Row| Ok((row.try_get("history_id")?, number(row, "row_count")?));
    let files: Vec<(i64, u64)> = fetch_all(writing, sql, values![], counted).await?;
    for some in files.chunks(TOGETHER) {
        counting::count(writing, some).await?;
    }
    Ok(())
}
