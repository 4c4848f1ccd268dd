//! Writes groups of landings: first their intent, then their rows. A group has one of each, however many uploads it
//! has; the intent of one group and the rows of another go into one statement, which is their transaction. Facts that a
//! group needs are kept from the group before ([`super::landing_facts::Known`]), or read by one query.
//!
//! The statement is an INSERT into a temporary view, whose triggers write to each table. sqlx answers each statement of
//! a text with a message of its own, which wakes its receiver; ten messages took longer than their work.

use super::landing_facts::{Facts, SyncChange};
use super::query::{Value, changed, found, rows, values};
use super::row::{SYNC_COLUMNS, id, sync_record};
use super::versions::unversioned::{self, Landed};
use super::writing::Writing;
use crate::counts::add_counts;
use crate::counts::{Position, Tally};
use crate::datasets::{remember_text, touch_text};
use crate::days::DayTally;
use crate::days::{add_arrivals, add_days};
use crate::trash::insert_trash;
use crate::uploads::folder_of;
use crate::versions::heads::all_above;
use lakeshore::model::dataset::record::DayCounts;
use lakeshore::model::id::SyncId;
use lakeshore::model::sync::job;
use lakeshore::model::sync::job::may_accept_uploads;
use lakeshore::model::sync::status::Status;
use lakeshore::model::totals::Totals;
use lakeshore::model::trash::NewTrash;

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
        records = rows(writing.settled().await?, RECORDS.as_str(), vec![Value::rows(&ids)?], sync_record).await?;
        let open = records.iter().filter(|record| may_accept_uploads(record).is_ok());
        writing.known.open_syncs = open.map(|record| record.sync.sync_id).collect();
    }
    let permission = |upload: &CompletedUpload| {
        let record = records.iter().find(|record| record.sync.sync_id == upload.sync_id);
        record.map_or(Err(Error::NoSuchSync(upload.sync_id)), may_accept_uploads)
    };
    let is_open = |upload: &CompletedUpload| writing.known.open_syncs.contains(&upload.sync_id);
    let permissions: Vec<_> =
        uploads.iter().map(|upload| if is_open(upload) { Ok(()) } else { permission(upload) }).collect();
    let allowed = uploads.iter().zip(&permissions).filter(|(_, permission)| permission.is_ok());
    let allowed: Vec<_> = allowed.map(|(upload, _)| upload).collect();
    let last_intent = match writing.known.last_intent {
        Some(last) => last,
        None => {
            let sql = "SELECT coalesce(max(landings_id), 0) FROM landings";
            found(writing.settled().await?, sql, values![], |row| row.try_get(0)).await?.unwrap_or(0)
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
    let Some(mut facts) = Facts::find(writing, *landings, landed).await? else {
        writing.finished.push(*landings);
        return Ok(());
    };
    let mut group = Group::default();
    for LandedUpload { upload, trash } in landed {
        // An upload without an intent was finished before.
        if facts.is_intended(upload) {
            group.add(&mut facts, upload, trash.as_ref(), *at)?;
        }
    }
    let left: Vec<_> = left.iter().filter(|upload| facts.is_intended(upload)).collect();
    let intended = if left.is_empty() { None } else { Some(intent(id(landings.0), &left)?) };
    group.write(writing, *landings, *at, facts).await?;
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

/// Rows that a group writes.
#[derive(Default)]
struct Group<'a> {
    tally: Tally,
    /// Uploads that had no row.
    new_rows: Vec<NewRow<'a>>,
    /// Id of the first new row.
    first_id: Option<i64>,
    /// Uploads that had a row: its id, the size, and the digest.
    finished_rows: Vec<(i64, u64, String)>,
    /// Folders within datasets.
    touched: BTreeSet<&'a str>,
    trash: Vec<NewTrash>,
    landed: Vec<Landed>,
}

/// Columns in the order of [`prepare`].
type NewRow<'a> = (i64, i64, i64, &'a str, &'a str, i64, i64, u64, String, &'a str, i64, i64, Option<&'a str>);

impl<'a> Group<'a> {
    fn add(
        &mut self,
        known: &mut Facts,
        upload: &'a CompletedUpload,
        trash: Option<&'a NewTrash>,
        at: Timestamp,
    ) -> Result<(), Error> {
        let sync_id = upload.sync_id;
        let sync = known.syncs.get_mut(&sync_id).ok_or(Error::NoSuchSync(sync_id))?;
        let sha256 = upload.digest.sha256;
        // Uploads of the same group count too, so each is noted below.
        let place = (upload.target.clone(), sync_id);
        if trash.is_some() && known.earlier.get(&place).is_some_and(|earlier| *earlier != sha256) {
            job::note_duplicate(&mut sync.duplicate_names, &sync.path, &upload.target);
            sync.num_duplicates += 1;
        }
        let size_bytes = upload.digest.size_bytes;
        let position = match upload.upload_id {
            Some(upload_id) => {
                let Some(position) = known.uploads.remove(&id(upload_id.0)) else { return Ok(()) };
                self.finished_rows.push((position.history_id, size_bytes, hex::encode(sha256)));
                sync.no_longer_in_flight += 1;
                position
            }
            None => {
                let folder_id =
                    known.folders.get(folder_of(&upload.target)).copied().ok_or(Error::NoSuchSync(sync_id))?;
                known.last_id += 1;
                sync.added += 1;
                let (history_id, ordinal) = (known.last_id, sync.listed + sync.added);
                let position = Position { history_id, sync_id: id(sync_id.0), ordinal, folder_id };
                self.new_rows.push((
                    history_id,
                    id(sync_id.0),
                    ordinal,
                    &upload.file_name,
                    upload.target.as_str(),
                    folder_id,
                    upload.begun_at.0,
                    size_bytes,
                    hex::encode(sha256),
                    &upload.identity.0,
                    upload.taken_over.into(),
                    *self.first_id.get_or_insert(history_id),
                    (upload.by != sync.started_by).then_some(upload.by.as_str()),
                ));
                self.tally.began(position);
                position
            }
        };
        known.earlier.insert(place, sha256);
        self.tally.ended(position, Status::Finished);
        sync.size_bytes += id(size_bytes);
        if !sync.of.is_full {
            self.touched.insert(folder_of(&upload.target));
        }
        self.trash.extend(trash.cloned());
        self.landed.push(Landed {
            history_id: position.history_id,
            group: 0,
            sync_id,
            dataset: sync.path.as_str().to_owned(),
            folder_id: sync.of.folder_id,
            is_full: sync.of.is_full,
            target: upload.target.clone(),
            digest: upload.digest,
            by: upload.by.clone(),
            at,
            trash_key: trash.map(|trash| trash.key.as_str().to_owned()),
        });
        Ok(())
    }

    async fn write(
        self,
        writing: &mut Writing,
        landings: LandingsId,
        at: Timestamp,
        facts: Facts,
    ) -> Result<(), Error> {
        let mut days = DayTally::default();
        let mut remembered = Vec::new();
        for (sync_id, change) in &facts.syncs {
            let files = (change.added + change.no_longer_in_flight).cast_unsigned();
            if files == 0 {
                continue;
            }
            let bytes = change.size_bytes.cast_unsigned();
            days.add(change.of, at, DayCounts { files, bytes, ..DayCounts::default() });
            if !change.of.is_full {
                remembered.push(id(sync_id.0));
                days.arrived(change.of, at, Totals { files, bytes });
            }
        }
        let sync_row = |(sync_id, change): (&SyncId, &SyncChange)| {
            let names = (change.num_duplicates > 0).then(|| serde_json::to_string(&change.duplicate_names));
            let names = names.transpose().map_err(Error::internal)?;
            let SyncChange { added, no_longer_in_flight, size_bytes, num_duplicates, .. } = change;
            Ok((id(sync_id.0), *added, *no_longer_in_flight, *size_bytes, *num_duplicates, names))
        };
        let syncs = facts.syncs.iter().map(sync_row).collect::<Result<Vec<_>, Error>>()?;
        if !self.finished_rows.is_empty() {
            changed(writing, FINISH_ROWS, vec![Value::rows(&self.finished_rows)?, Value::Integer(at.0)]).await?;
        }
        let values = vec![
            Value::Integer(id(landings.0)),
            Value::Null,
            Value::Integer(at.0),
            Value::rows(&self.new_rows)?,
            Value::rows(&syncs)?,
            Value::rows(&self.tally.rows())?,
            Value::rows(&days.days())?,
            Value::rows(&days.arrivals())?,
            Value::column(&remembered)?,
            Value::column(all_above(self.touched))?,
        ];
        if !self.trash.is_empty() {
            insert_trash(writing, &self.trash).await?;
        }
        writing.write_at_end(values).await?;
        if let Some(first) = self.landed.first().map(|landed| landed.history_id) {
            let is_urgent = !self.finished_rows.is_empty() || !self.trash.is_empty();
            let group = self.first_id.unwrap_or(first);
            let landed = self.landed.into_iter().map(|landed| Landed { group, ..landed }).collect();
            unversioned::add(writing, landed, is_urgent).await?;
        }
        writing.known.remember(landings, facts);
        Ok(())
    }
}
