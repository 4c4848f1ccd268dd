//! Writes groups of landings: first their intent, then their rows. A group has one of each, however many uploads it has.
//!
//! Nothing is kept from one group to the next: another node may have written meanwhile. The rows of the syncs are locked
//! first, then the history.

use super::landed;
use super::landing_facts::{Facts, SyncChange};
use super::query::{Batch, Value, changed, rows, values};
use super::writing::{Counter, SyncLock, Writing};
use crate::counts::{self, Position, Tally};
use crate::datasets::{remember_text, touch};
use crate::days::{self, DayTally};
use crate::row::{SYNC_COLUMNS, id, sync_record};
use crate::trash::insert_trash;
use crate::uploads::folder_of;
use lakeshore::model::dataset::record::DayCounts;
use lakeshore::model::id::SyncId;
use lakeshore::model::sync::job;
use lakeshore::model::sync::job::may_accept_uploads;
use lakeshore::model::sync::status::Status;
use lakeshore::model::totals::Totals;
use lakeshore::model::trash::NewTrash;
use lakeshore::ports::metadata::upload::{CompletedUpload, FinishedLandings, LandedUpload, LandingsId};
use lakeshore::{Error, Timestamp};
use std::collections::{BTreeSet, HashMap};
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
    static RECORDS: LazyLock<String> =
        LazyLock::new(|| format!("SELECT {SYNC_COLUMNS} FROM syncs WHERE sync_id = ANY(?)"));
    let syncs: BTreeSet<_> = uploads.iter().map(|upload| id(upload.sync_id.0)).collect();
    let syncs = Value::Integers(syncs.into_iter().collect());
    let records = rows(writing, RECORDS.as_str(), vec![syncs], sync_record).await?;
    let permission = |upload: &CompletedUpload| {
        let record = records.iter().find(|record| record.sync.sync_id == upload.sync_id);
        record.map_or(Err(Error::NoSuchSync(upload.sync_id)), may_accept_uploads)
    };
    let permissions: Vec<_> = uploads.iter().map(permission).collect();
    let allowed = uploads.iter().zip(&permissions).filter(|(_, permission)| permission.is_ok());
    let allowed: Vec<_> = allowed.map(|(upload, _)| upload).collect();
    let landings_id = writing.next_id(Counter::Landings).await?;
    insert_intent(writing, landings_id, &allowed).await?;
    Ok((LandingsId(landings_id.cast_unsigned()), permissions))
}

async fn insert_intent(writing: &mut Writing, landings_id: i64, uploads: &[&CompletedUpload]) -> Result<(), Error> {
    let sql = "INSERT INTO landings (landings_id, intended) VALUES (?, ?)";
    changed(writing, sql, values![landings_id, Value::rows(uploads)?]).await.map(drop)
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
    let Some(mut facts) = Facts::find(writing, *landings, landed, last_id).await? else { return Ok(()) };
    let mut group = Group::default();
    for LandedUpload { upload, trash } in landed {
        // An upload without an intent was finished before.
        if facts.is_intended(upload) {
            group.add(&mut facts, upload, trash.as_ref())?;
        }
    }
    let left: Vec<_> = left.iter().filter(|upload| facts.is_intended(upload)).collect();
    let landings = id(landings.0);
    changed(writing, "DELETE FROM landings WHERE landings_id = ?", values![landings]).await?;
    group.write(writing, *at, facts).await?;
    if left.is_empty() { Ok(()) } else { insert_intent(writing, landings, &left).await }
}

/// Rows that a group writes.
#[derive(Default)]
struct Group<'a> {
    tally: Tally,
    /// Uploads that had no row.
    new_rows: Vec<NewRow<'a>>,
    /// Uploads that had a row: its id, the size, and the digest.
    finished_rows: Vec<(i64, u64, String)>,
    /// Folders within datasets.
    touched: BTreeSet<&'a str>,
    trash: Vec<NewTrash>,
    landed: Vec<Landed<'a>>,
}

/// An upload with its row, and the slot of the file that it replaced.
struct Landed<'a> {
    history_id: i64,
    upload: &'a CompletedUpload,
    trash_key: Option<&'a str>,
}

/// Columns in the order of [`ADD_ROWS`]; behind them the tree of its entry, and the change from which on it is there.
type NewRow<'a> = (i64, i64, i64, &'a str, &'a str, i64, i64, u64, String, &'a str, bool);

impl<'a> Group<'a> {
    fn add(
        &mut self,
        known: &mut Facts,
        upload: &'a CompletedUpload,
        trash: Option<&'a NewTrash>,
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
                    upload.taken_over,
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
        let trash_key = trash.map(|trash| trash.key.as_str());
        self.landed.push(Landed { history_id: position.history_id, upload, trash_key });
        Ok(())
    }

    /// Makes the entries and versions of the group; of each upload, the tree of its entry and the change since which it is
    /// there.
    async fn versions(
        &self,
        writing: &mut Writing,
        batch: &mut Batch,
        facts: &Facts,
        at: Timestamp,
    ) -> Result<HashMap<i64, (i64, i64)>, Error> {
        let arrival = |landed: &Landed<'a>| {
            let sync = facts.syncs.get(&landed.upload.sync_id)?;
            let Landed { history_id, upload, trash_key } = *landed;
            Some(landed::Arrival {
                history_id,
                upload,
                dataset: sync.path.as_str(),
                is_full: sync.of.is_full,
                trash_key,
            })
        };
        let arrivals: Vec<_> = self.landed.iter().filter_map(arrival).collect();
        let folder_ids = facts.syncs.iter().map(|(sync_id, sync)| (*sync_id, sync.of.folder_id)).collect();
        landed::landed(writing, batch, &arrivals, &folder_ids, at).await
    }

    async fn write(self, writing: &mut Writing, at: Timestamp, facts: Facts) -> Result<(), Error> {
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
        let mut batch = Batch::default();
        let of_uploads = self.versions(writing, &mut batch, &facts, at).await?;
        let entry_of = |history_id: i64| of_uploads.get(&history_id).copied().unzip();
        if !self.finished_rows.is_empty() {
            let with_entry = |(history_id, bytes, sha256): &(i64, u64, String)| {
                let (tree_id, from_seq) = entry_of(*history_id);
                (*history_id, *bytes, sha256.clone(), tree_id, from_seq)
            };
            let rows: Vec<_> = self.finished_rows.iter().map(with_entry).collect();
            batch.add(FINISH_ROWS, values![Value::rows(&rows)?, at.0]);
        }
        if !self.new_rows.is_empty() {
            let with_entry = |row: &NewRow<'a>| {
                let (tree_id, from_seq) = entry_of(row.0);
                let (a, b, c, d, e, f, g, h, i, j, k) = row;
                (*a, *b, *c, *d, *e, *f, *g, *h, i.clone(), *j, *k, tree_id, from_seq)
            };
            let rows: Vec<_> = self.new_rows.iter().map(with_entry).collect();
            batch.add(ADD_ROWS, values![Value::rows(&rows)?, at.0]);
            batch.add(TAKE_IDS, values![facts.last_id]);
        }
        let finished = self.finished_rows.iter().map(|(history_id, ..)| *history_id);
        let uninspected: Vec<i64> = finished.chain(self.new_rows.iter().map(|row| row.0)).collect();
        if !uninspected.is_empty() {
            batch.add("INSERT INTO uninspected (history_id) SELECT unnest($1)", values![uninspected]);
        }
        batch.add(CHANGE_SYNCS, values![Value::rows(&syncs)?, at.0]);
        if !self.tally.is_empty() {
            batch.add(counts::addition::<sqlx::Postgres>(), vec![Value::rows(&self.tally.rows())?]);
        }
        let rows = vec![Value::rows(&days.days())?, Value::rows(&days.arrivals())?];
        batch.add(days::addition::<sqlx::Postgres>(), rows);
        if !remembered.is_empty() {
            let remember = remember_text::<sqlx::Postgres>("$1", "$2");
            batch.add(&remember, values![Value::column(remembered)?, at.0]);
        }
        batch.run(writing).await?;
        if !self.touched.is_empty() {
            touch(writing, self.touched).await?;
        }
        insert_trash(writing, &self.trash).await
    }
}
