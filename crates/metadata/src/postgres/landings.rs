//! Writes groups of landings: first their intent, then their rows. A group has one of each, however many uploads it has.
//!
//! Nothing is kept from one group to the next: another node may have written meanwhile. The rows of the syncs are locked
//! first, then the history.

use super::landed;
use super::landing_facts;
use super::query::{Batch, Row, Value, execute, fetch_all, values};
use super::writing::{Counter, SyncLock, Writing};
use crate::counts;
use crate::datasets::{remember_text, touch};
use crate::days;
use crate::landing_facts::Facts;
use crate::landings::{FinishedRow, GroupRows};
use crate::restoring::Restores;
use crate::row::{DbRow, SYNC_COLUMNS, id, sync_record};
use crate::trash::insert_trash;
use lakeshore::model::sync::job::may_accept_uploads;
use lakeshore::ports::metadata::upload::{CompletedUpload, FinishedLandings, LandedUpload, LandingsId};
use lakeshore::{Error, Timestamp};
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// Locks the syncs of a group that is finished, and of uploads that are about to land; and the history for the first. The
/// last id of an upload, where the history is locked.
pub(super) async fn lock_group(
    writing: &mut Writing,
    finished: Option<&FinishedLandings>,
    intended: &[CompletedUpload],
) -> Result<i64, Error> {
    let landed = finished.iter().flat_map(|finished| &finished.landed).map(|landed| &landed.upload);
    let syncs = landed.chain(intended).map(|upload| id(upload.sync_id.0)).collect();
    // An intent changes nothing of the sync: it only has to stay open.
    let lock = if finished.is_some() { SyncLock::Change } else { SyncLock::Share };
    writing.lock_syncs(syncs, lock).await?;
    if finished.is_some() { writing.lock_history().await } else { Ok(0) }
}

/// Writes the intent of a group, whose syncs are locked.
pub(super) async fn write_intents(
    writing: &mut Writing,
    uploads: &[CompletedUpload],
) -> Result<(LandingsId, Vec<Result<(), Error>>), Error> {
    let permissions = permissions(writing, uploads).await?;
    let allowed = uploads.iter().zip(&permissions).filter(|(_, permission)| permission.is_ok());
    let allowed: Vec<_> = allowed.map(|(upload, _)| upload).collect();
    let landings_id = writing.next_id(Counter::Landings).await?;
    insert_intent(writing, landings_id, &allowed).await?;
    Ok((LandingsId(landings_id.cast_unsigned()), permissions))
}

/// Whether each of a group may land. Its syncs are locked.
pub(super) async fn permissions(
    writing: &mut Writing,
    uploads: &[CompletedUpload],
) -> Result<Vec<Result<(), Error>>, Error> {
    static RECORDS: LazyLock<String> = LazyLock::new(|| {
        format!(
            "SELECT {SYNC_COLUMNS}, EXISTS (SELECT 1 FROM trash WHERE restoring IS NOT NULL) AS has_restores \
             FROM syncs WHERE sync_id = ANY(?)"
        )
    });
    let syncs: BTreeSet<_> = uploads.iter().map(|upload| id(upload.sync_id.0)).collect();
    let syncs = Value::Integers(syncs.into_iter().collect());
    let record = |row: &Row| Ok((sync_record(row)?, row.get::<bool>("has_restores")?));
    let (records, has_restores): (Vec<_>, Vec<bool>) =
        fetch_all(writing, RECORDS.as_str(), vec![syncs], record).await?.into_iter().unzip();
    let restores = if has_restores.contains(&true) { Restores::find(writing).await? } else { Restores::default() };
    let permission = |upload: &CompletedUpload| {
        let record = records.iter().find(|record| record.sync.sync_id == upload.sync_id);
        record.map_or(Err(Error::NoSuchSync(upload.sync_id)), may_accept_uploads)?;
        restores.refuse(&upload.target)
    };
    Ok(uploads.iter().map(permission).collect())
}

async fn insert_intent(writing: &mut Writing, landings_id: i64, uploads: &[&CompletedUpload]) -> Result<(), Error> {
    let sql = "INSERT INTO landings (landings_id, intended) VALUES (?, ?)";
    execute(writing, sql, values![landings_id, Value::rows(uploads)?]).await.map(drop)
}

/// Inserts the rows of uploads that had none.
const ADD_ROWS: &str = "\
    INSERT INTO uploads (history_id, sync_id, ordinal, file_name, target, folder_id, status, start_time, end_time, \
        size_bytes, sha256, identity, taken_over, tree_id, tree_seq) \
    SELECT (value ->> 0)::bigint, (value ->> 1)::bigint, (value ->> 2)::bigint, value ->> 3, value ->> 4, \
        (value ->> 5)::bigint, 'Finished', (value ->> 6)::bigint, $2, (value ->> 7)::bigint, decode(value ->> 8, 'hex'), \
        value ->> 9, (value ->> 10)::boolean, (value ->> 11)::bigint, (value ->> 12)::bigint FROM json_each($1)";

/// The history is locked, so that its counter is where it was read.
const TAKE_IDS: &str = "UPDATE counters SET last = $1 WHERE name = 'uploads'";

/// Finishes rows that existed before. The identity stays, as the file is recognised by it.
const FINISH_ROWS: &str = "\
    UPDATE uploads SET status = 'Finished', end_time = $2, size_bytes = (value ->> 1)::bigint, \
        sha256 = decode(value ->> 2, 'hex'), partial = NULL, tree_id = (value ->> 3)::bigint, \
        tree_seq = (value ->> 4)::bigint FROM json_each($1) \
    WHERE history_id = (value ->> 0)::bigint AND status = 'Syncing'";

const CHANGE_SYNCS: &str = "\
    UPDATE syncs SET total_files = total_files + (value ->> 1)::bigint, \
        num_in_flight = num_in_flight - (value ->> 2)::bigint, size_bytes = size_bytes + (value ->> 3)::bigint, \
        last_activity = $2, held_since = NULL, num_duplicates = num_duplicates + (value ->> 4)::bigint, \
        duplicate_names = coalesce(value ->> 5, duplicate_names) \
    FROM json_each($1) WHERE sync_id = (value ->> 0)::bigint";

/// Writes how a group has ended. Its syncs and the history are locked, with the last id of an upload.
pub(super) async fn finish_landings(
    writing: &mut Writing,
    finished: &FinishedLandings,
    last_id: i64,
) -> Result<(), Error> {
    let FinishedLandings { id: landings, landed, left, at } = finished;
    let Some(intended) = landing_facts::intended(writing, *landings).await? else { return Ok(()) };
    let facts = Facts { intended: Some(intended), ..landing_facts::find(writing, landed, last_id).await? };
    let left: Vec<_> = left.iter().filter(|upload| facts.is_intended(upload)).collect();
    let landings = id(landings.0);
    execute(writing, "DELETE FROM landings WHERE landings_id = ?", values![landings]).await?;
    if !left.is_empty() {
        insert_intent(writing, landings, &left).await?;
    }
    write_rows(writing, landed, *at, facts).await
}

/// Writes the rows of uploads that have landed, but for those that are not intended: they were finished before.
pub(super) async fn write_rows(
    writing: &mut Writing,
    landed: &[LandedUpload],
    at: Timestamp,
    mut facts: Facts,
) -> Result<(), Error> {
    let mut group = GroupRows::default();
    for LandedUpload { upload, trash } in landed {
        if facts.is_intended(upload) {
            group.add(&mut facts, upload, trash.as_ref(), at)?;
        }
    }
    write(group, writing, at, facts).await
}

async fn write(group: GroupRows<'_>, writing: &mut Writing, at: Timestamp, facts: Facts) -> Result<(), Error> {
    let days = facts.day_counts(at);
    let syncs = facts.sync_rows()?;
    let GroupRows { tally, new_rows, finished_rows, touched, trash, landed } = group;
    let mut batch = Batch::default();
    // Tree of the entry of each upload, and the change since which it is there.
    let entries = landed::landed(writing, &mut batch, &landed, at).await?;
    let entry_of = |history_id: i64| entries.get(&history_id).copied().unzip();
    if !finished_rows.is_empty() {
        let with_entry = |(history_id, size_bytes, sha256): &FinishedRow| {
            let (tree_id, from_seq) = entry_of(*history_id);
            (*history_id, *size_bytes, sha256.clone(), tree_id, from_seq)
        };
        batch.add(FINISH_ROWS, values![Value::rows_of(finished_rows.iter().map(with_entry))?, at.0]);
    }
    if !new_rows.is_empty() {
        let rows = new_rows.iter().map(|row| {
            let (tree_id, from_seq) = entry_of(row.history_id);
            row.columns((row.taken_over, tree_id, from_seq))
        });
        batch.add(ADD_ROWS, values![Value::rows_of(rows)?, at.0]);
        batch.add(TAKE_IDS, values![facts.last_id]);
    }
    let finished = finished_rows.iter().map(|(history_id, ..)| *history_id);
    let uninspected: Vec<i64> = finished.chain(new_rows.iter().map(|row| row.history_id)).collect();
    if !uninspected.is_empty() {
        batch.add("INSERT INTO uninspected (history_id) SELECT unnest($1)", values![uninspected]);
    }
    batch.add(CHANGE_SYNCS, values![Value::rows(&syncs)?, at.0]);
    if !tally.is_empty() {
        batch.add(counts::addition::<sqlx::Postgres>(), vec![Value::rows(&tally.rows())?]);
    }
    let rows = vec![Value::rows(&days.days())?, Value::rows(&days.arrivals())?];
    batch.add(days::addition::<sqlx::Postgres>(), rows);
    let visible = facts.visible_syncs();
    if !visible.is_empty() {
        let remember = remember_text::<sqlx::Postgres>("$1", "$2");
        batch.add(&remember, values![Value::column(visible)?, at.0]);
    }
    batch.run(writing).await?;
    if !touched.is_empty() {
        touch(writing, touched).await?;
    }
    insert_trash(writing, &trash).await
}
