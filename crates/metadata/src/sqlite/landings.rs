//! Writes groups of landings: first their intent, then their rows. A group has one of each, however many uploads it
//! has; the intent of one group and the rows of another go into one statement, which is their transaction. Facts that a
//! group needs are kept from the group before ([`super::landing_facts::LandingFactsCache`]), or read by one query.
//!
//! The statement is an INSERT into a temporary view, whose triggers write to each table. sqlx answers each statement of
//! a text with a message of its own, which wakes its receiver; ten messages took longer than their work.

use super::landing_facts;
use super::query::{Value, execute, fetch_all, fetch_optional, values};
use super::versions::unversioned;
use super::writing::Writing;
use crate::counts::add_counts;
use crate::datasets::{remember_text, touch_text};
use crate::days::{add_arrivals, add_days};
use crate::landing_facts::Facts;
use crate::landings::GroupRows;
use crate::restoring::Restores;
use crate::row::{SYNC_COLUMNS, id, sync_record};
use crate::trash::insert_trash;
use crate::versions::heads::all_above;
use crate::versions::landing::LandedFile;
use lakeshore::model::sync::job::may_accept_uploads;
use lakeshore::ports::metadata::upload::{CompletedUpload, FinishedLandings, LandedUpload, LandingsId};
use lakeshore::{Error, Timestamp};
use sqlx::{AssertSqlSafe, Executor, Row as _, SqliteConnection};
use std::collections::BTreeSet;
use std::sync::LazyLock;

pub(super) async fn write_intents(
    writing: &mut Writing,
    uploads: &[CompletedUpload],
) -> Result<(LandingsId, Vec<Result<(), Error>>), Error> {
    static RECORDS: LazyLock<String> = LazyLock::new(|| {
        format!("SELECT {SYNC_COLUMNS} FROM syncs WHERE sync_id IN (SELECT value FROM json_each($1))")
    });
    let syncs: BTreeSet<_> = uploads.iter().map(|upload| upload.sync_id).collect();
    let mut records = Vec::new();
    if syncs.iter().any(|sync_id| !writing.known.open_syncs.contains(sync_id)) {
        let ids: Vec<_> = syncs.iter().map(|sync_id| id(sync_id.0)).collect();
        records = fetch_all(writing.settled().await?, RECORDS.as_str(), vec![Value::rows(&ids)?], sync_record).await?;
        let open = records.iter().filter(|record| may_accept_uploads(record).is_ok());
        writing.known.open_syncs = open.map(|record| record.sync.sync_id).collect();
        writing.known.restores = Restores::find(writing.settled().await?).await?;
    }
    let permission = |upload: &CompletedUpload| {
        if !writing.known.open_syncs.contains(&upload.sync_id) {
            let record = records.iter().find(|record| record.sync.sync_id == upload.sync_id);
            record.map_or(Err(Error::NoSuchSync(upload.sync_id)), may_accept_uploads)?;
        }
        writing.known.restores.refuse(&upload.target)
    };
    let permissions: Vec<_> = uploads.iter().map(permission).collect();
    let allowed = uploads.iter().zip(&permissions).filter(|(_, permission)| permission.is_ok());
    let allowed: Vec<_> = allowed.map(|(upload, _)| upload).collect();
    let last_intent = match writing.known.last_intent {
        Some(last) => last,
        None => {
            let sql = "SELECT coalesce(max(landings_id), 0) FROM landings";
            fetch_optional(writing.settled().await?, sql, values![], |row| row.try_get(0)).await?.unwrap_or(0)
        }
    };
    let landings_id: i64 = last_intent + 1;
    writing.write_at_end(intent(landings_id, &allowed)?).await?;
    writing.known.last_intent = Some(landings_id);
    let landings_id = LandingsId(landings_id.cast_unsigned());
    writing.known.intended.insert(landings_id.0);
    Ok((landings_id, permissions))
}

/// View for the common writes of groups. A row is either an intent, or all rows of a finished group: JSON arrays,
/// except for the id and the time.
const GROUP: &str = "CREATE TEMP VIEW IF NOT EXISTS landed_group \
    (landings_id, intended, at, uploads, syncs, counts, days, arrivals, remembered, touched) \
    AS SELECT 1, 2, 3, 4, 5, 6, 7, 8, 9, 10";
const COLUMNS: usize = 10;
const INTENDED: &str = "CREATE TEMP TRIGGER IF NOT EXISTS landings_intended INSTEAD OF INSERT ON landed_group \
    WHEN new.intended IS NOT NULL BEGIN INSERT INTO landings VALUES (new.landings_id, new.intended); END";

/// Prepares a connection to write groups. The tables have to exist.
pub(super) async fn prepare(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    connection.execute(GROUP).await?;
    connection.execute(INTENDED).await?;
    let finished = format!(
        "CREATE TEMP TRIGGER IF NOT EXISTS landings_finished INSTEAD OF INSERT ON landed_group \
         WHEN new.intended IS NULL BEGIN \
         DELETE FROM landings WHERE landings_id = new.landings_id; \
         INSERT INTO uploads (history_id, sync_id, ordinal, file_name, target, folder_id, status, start_time, end_time, \
             size_bytes, sha256, identity, taken_over, tree_seq, landed_by) \
         SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, 'Finished', value ->> 6, new.at, \
             value ->> 7, unhex(value ->> 8), value ->> 9, value ->> 10, value ->> 11, value ->> 12 \
         FROM json_each(new.uploads); \
         UPDATE syncs SET total_files = total_files + (value ->> 1), num_in_flight = num_in_flight - (value ->> 2), \
             size_bytes = size_bytes + (value ->> 3), last_activity = new.at, held_since = NULL, \
             num_duplicates = num_duplicates + (value ->> 4), \
             duplicate_names = coalesce(value ->> 5, duplicate_names) \
         FROM json_each(new.syncs) WHERE sync_id = value ->> 0; \
         {counts}; {days}; {arrivals}; {remember}; {touch}; END",
        counts = add_counts::<sqlx::Sqlite>("new.counts"),
        days = add_days::<sqlx::Sqlite>("new.days"),
        arrivals = add_arrivals::<sqlx::Sqlite>("new.arrivals"),
        remember = remember_text::<sqlx::Sqlite>("new.remembered", "new.at"),
        touch = touch_text::<sqlx::Sqlite>("new.touched"),
    );
    connection.execute(AssertSqlSafe(finished)).await?;
    Ok(())
}

/// Statement that writes `count` rows of the view.
pub(super) fn write_groups(count: usize) -> String {
    let row = format!("({})", ["?"; COLUMNS].join(", "));
    format!("INSERT INTO temp.landed_group VALUES {}", vec![row; count].join(", "))
}

/// Finishes rows that existed before. The identity stays, as the file is recognised by it.
const FINISH_ROWS: &str = "\
    UPDATE uploads SET status = 'Finished', end_time = $2, size_bytes = value ->> 1, sha256 = unhex(value ->> 2), \
        partial = NULL FROM json_each($1) WHERE history_id = value ->> 0 AND status = 'Syncing'";

pub(super) async fn finish_landings(writing: &mut Writing, finished: &FinishedLandings) -> Result<(), Error> {
    let FinishedLandings { id: landings, landed, left, at } = finished;
    let Some(mut facts) = landing_facts::find(writing, *landings, landed).await? else {
        writing.finished.push(*landings);
        return Ok(());
    };
    let mut rows = GroupRows::default();
    for LandedUpload { upload, trash } in landed {
        // An upload without an intent was finished before.
        if facts.is_intended(upload) {
            rows.add(&mut facts, upload, trash.as_ref(), *at)?;
        }
    }
    let left: Vec<_> = left.iter().filter(|upload| facts.is_intended(upload)).collect();
    let intended = if left.is_empty() { None } else { Some(intent(id(landings.0), &left)?) };
    write(rows, writing, *landings, *at, facts).await?;
    writing.finished.push(*landings);
    match intended {
        Some(intended) => writing.write_at_end(intended).await,
        None => Ok(()),
    }
}

/// Row of [`GROUP`] for an intent.
fn intent(landings_id: i64, uploads: &[&CompletedUpload]) -> Result<Vec<Value>, Error> {
    let mut row = values![landings_id, serde_json::to_string(uploads).map_err(Error::internal)?];
    row.resize(COLUMNS, Value::Null);
    Ok(row)
}

async fn write(
    rows: GroupRows<'_>,
    writing: &mut Writing,
    landings: LandingsId,
    at: Timestamp,
    facts: Facts,
) -> Result<(), Error> {
    let days = facts.day_counts(at);
    let syncs = facts.sync_rows()?;
    let GroupRows { tally, new_rows, finished_rows, touched, trash, landed } = rows;
    if !finished_rows.is_empty() {
        execute(writing, FINISH_ROWS, vec![Value::rows(&finished_rows)?, Value::Integer(at.0)]).await?;
    }
    let first_id = new_rows.first().map(|row| row.history_id);
    let values = vec![
        Value::Integer(id(landings.0)),
        Value::Null,
        Value::Integer(at.0),
        // The first new row identifies the group.
        Value::rows_of(new_rows.iter().map(|row| row.columns((i64::from(row.taken_over), first_id, row.landed_by))))?,
        Value::rows(&syncs)?,
        Value::rows(&tally.rows())?,
        Value::rows(&days.days())?,
        Value::rows(&days.arrivals())?,
        Value::column(facts.visible_syncs())?,
        Value::column(all_above(touched))?,
    ];
    if !trash.is_empty() {
        insert_trash(writing, &trash).await?;
    }
    writing.write_at_end(values).await?;
    if let Some(first) = landed.first().map(|landed| landed.history_id) {
        let is_urgent = !finished_rows.is_empty() || !trash.is_empty();
        let group = first_id.unwrap_or(first);
        let landed = landed.into_iter().map(|landed| LandedFile { group, ..landed }).collect();
        unversioned::add(writing, landed, is_urgent).await?;
    }
    writing.known.remember(landings, facts);
    Ok(())
}
