//! Uploads: the table `uploads`, and what changes in the same transaction: the counters of their syncs, the counts of
//! blocks, the folders.

use super::counts::{Position, Tally};
use super::days::{self, DayTally};
use super::query::{Select, changed, clamp, found};
use super::row::{UPLOAD_COLUMNS, duplicate_names, id, path, upload};
use super::syncs::record;
use super::trash::insert_trash;
use super::writer::Durability::{Synced, Written};
use super::{SqliteState, content, datasets, fault, history};
use async_trait::async_trait;
use lakeshore::dataset::DayCounts;
use lakeshore::list::UploadQuery;
use lakeshore::path::LakePath;
use lakeshore::ports::state::{
    LandedContent, LandedUpload, LandingsId, NewUpload, RefusedUpload, UnfinishedUpload, UploadState, WholeUpload,
};
use lakeshore::sync::{self, Status, SyncId, may_accept_uploads};
use lakeshore::trash::Totals;
use lakeshore::upload::{Identity, PartialName, Upload, UploadId};
use lakeshore::{Error, Timestamp};
use rusqlite::{Connection, Row, params};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

#[async_trait]
impl UploadState for SqliteState {
    async fn begin_upload(&self, new: &NewUpload) -> Result<UploadId, Error> {
        let new = new.clone();
        self.writer.write(Written, move |connection| begin_upload(connection, &new)).await
    }

    async fn refuse_upload(&self, refused: &RefusedUpload) -> Result<Option<UploadId>, Error> {
        let refused = refused.clone();
        self.writer.write(Written, move |connection| refuse_upload(connection, &refused)).await
    }

    async fn intend_landings(&self, uploads: &[WholeUpload]) -> Result<(LandingsId, Vec<Result<(), Error>>), Error> {
        let uploads = uploads.to_vec();
        self.writer.write_in_place(Synced, move |connection| intend_landings(connection, &uploads)).await
    }

    async fn finish_landings(&self, id: LandingsId, landed: &[LandedUpload], at: Timestamp) -> Result<(), Error> {
        let landed = landed.to_vec();
        self.writer.write_in_place(Synced, move |connection| finish_landings(connection, id, &landed, at)).await
    }

    async fn unfinished_landings(&self) -> Result<Vec<(LandingsId, Vec<WholeUpload>)>, Error> {
        let select = Select::new("SELECT landings_id, intended FROM landings ORDER BY landings_id");
        let rows = move |connection: &Connection| {
            select.rows(connection, |row| Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, String>(1)?)))
        };
        let rows = self.readers.list(rows).await?;
        let read = |(id, text): (u64, String)| {
            serde_json::from_str(&text).map(|uploads| (LandingsId(id), uploads)).map_err(Error::internal)
        };
        rows.into_iter().map(read).collect()
    }

    async fn fail_upload(
        &self,
        upload_id: UploadId,
        message: &str,
        size_bytes: u64,
        at: Timestamp,
    ) -> Result<(), Error> {
        let message = message.to_owned();
        self.writer.write(Written, move |connection| fail_upload(connection, upload_id, &message, size_bytes, at)).await
    }

    async fn upload(&self, upload_id: UploadId) -> Result<Option<Upload>, Error> {
        let sql = format!("SELECT {UPLOAD_COLUMNS} FROM uploads u WHERE history_id = ?");
        self.readers.look(|connection| found(connection, &sql, [id(upload_id.0)], upload))
    }

    async fn landed_contents(&self, files: &[(LakePath, Identity)]) -> Result<Vec<Option<LandedContent>>, Error> {
        if files.len() <= content::FEW_FILES {
            return self.readers.look(|connection| content::landed_contents(connection, files));
        }
        let files = files.to_vec();
        self.readers.list(move |connection| content::landed_contents(connection, &files)).await
    }

    async fn uploads(&self, wanted: &UploadQuery) -> Result<Vec<Upload>, Error> {
        let text = wanted.text.clone();
        let wanted = wanted.clone();
        self.readers
            .list_by(text.as_deref(), move |connection| {
                // One view of the counts and of the rows.
                let view = connection.unchecked_transaction().map_err(fault)?;
                match history::select(&view, &wanted)? {
                    Some(select) => select.rows(&view, upload),
                    None => Ok(Vec::new()),
                }
            })
            .await
    }

    async fn unfinished_uploads(&self) -> Result<Vec<UnfinishedUpload>, Error> {
        let select = Select::new(
            "SELECT history_id, partial FROM uploads WHERE status = 'Syncing' AND NOT EXISTS \
             (SELECT 1 FROM resumables WHERE upload_id = history_id) ORDER BY history_id",
        );
        self.readers
            .list(move |connection| {
                select.rows(connection, |row| {
                    let upload_id = UploadId(row.get::<_, i64>("history_id")?.cast_unsigned());
                    Ok(UnfinishedUpload { upload_id, partial: PartialName::remembered(row.get("partial")?) })
                })
            })
            .await
    }
}

/// Uploads of the sync that are in flight, the first `size` of them.
pub(super) fn in_flight(connection: &Connection, sync_id: SyncId, size: u64) -> Result<Vec<Upload>, Error> {
    let mut select = Select::new(format!("SELECT {UPLOAD_COLUMNS} FROM uploads u WHERE sync_id = "));
    select.bind(id(sync_id.0)).push(" AND status = 'Syncing' ORDER BY history_id LIMIT ").bind(clamp(size));
    select.rows(connection, upload)
}

/// From `RETURNING history_id, sync_id, ordinal, folder_id`.
pub(super) fn position(row: &Row<'_>) -> rusqlite::Result<Position> {
    Ok(Position { history_id: row.get(0)?, sync_id: row.get(1)?, ordinal: row.get(2)?, folder_id: row.get(3)? })
}

/// The id of a folder, which gets one where it has none; so do those above it.
pub(super) fn folder_id(connection: &Connection, path: &str) -> Result<i64, Error> {
    if let Some(id) = found(connection, "SELECT folder_id FROM folders WHERE path = ?", [path], |row| row.get(0))? {
        return Ok(id);
    }
    let above = match path.rsplit_once('/') {
        Some((above, _)) if !above.is_empty() => Some(folder_id(connection, above)?),
        _ => None,
    };
    changed(connection, "INSERT INTO folders (path) VALUES (?)", [path])?;
    let id = connection.last_insert_rowid();
    let sql = "INSERT INTO folders_above SELECT ?1, ?1 UNION ALL SELECT ?1, above_id FROM folders_above \
               WHERE folder_id = ?2";
    changed(connection, sql, params![id, above])?;
    Ok(id)
}

fn folder_of(target: &LakePath) -> &str {
    target.as_str().rsplit_once('/').map_or("", |(folder, _)| folder)
}

pub(super) fn begin_upload(connection: &Connection, new: &NewUpload) -> Result<UploadId, Error> {
    let record = record(connection, new.sync_id)?.ok_or(Error::NoSuchSync(new.sync_id))?;
    may_accept_uploads(&record)?;
    let sync_id = id(new.sync_id.0);
    let sql = "UPDATE syncs SET total_files = total_files + 1, num_in_flight = num_in_flight + 1, last_activity = ? \
               WHERE sync_id = ?";
    changed(connection, sql, params![new.at.0, sync_id])?;
    let ordinal = id(record.sync.num_listed() + 1);
    let folder_id = folder_id(connection, folder_of(&new.target))?;
    let sql = "INSERT INTO uploads (sync_id, ordinal, file_name, target, folder_id, status, start_time, partial, \
               identity) VALUES (?, ?, ?, ?, ?, 'Syncing', ?, ?, ?)";
    let target = new.target.as_str();
    let (partial, identity) = (new.partial.as_str(), &new.identity.0);
    changed(connection, sql, params![sync_id, ordinal, new.file_name, target, folder_id, new.at.0, partial, identity])?;
    let history_id = connection.last_insert_rowid();
    let mut tally = Tally::default();
    tally.began(Position { history_id, sync_id, ordinal, folder_id });
    tally.write(connection)?;
    Ok(UploadId(history_id.cast_unsigned()))
}

fn refuse_upload(connection: &Connection, refused: &RefusedUpload) -> Result<Option<UploadId>, Error> {
    let record = record(connection, refused.sync_id)?.ok_or(Error::NoSuchSync(refused.sync_id))?;
    may_accept_uploads(&record)?;
    let sync_id = id(refused.sync_id.0);
    let sql = "UPDATE syncs SET total_files = total_files + 1, num_failed = num_failed + 1, last_activity = ?1, \
               num_unlisted = num_unlisted + (refused_rows >= ?2), refused_rows = refused_rows + (refused_rows < ?2) \
               WHERE sync_id = ?3 RETURNING num_unlisted";
    let values = params![refused.at.0, id(refused.rows_max), sync_id];
    let unlisted = found(connection, sql, values, |row| row.get::<_, i64>(0))?;
    // Neither are they in the counts of pages and of days, which are those of the rows.
    if unlisted.is_some_and(|unlisted| id(record.sync.num_unlisted) < unlisted) {
        return Ok(None);
    }
    let ordinal = id(record.sync.num_listed() + 1);
    let folder = refused.target.as_ref().map_or(refused.folder.as_str(), folder_of);
    let folder_id = folder_id(connection, folder)?;
    let sql = "INSERT INTO uploads (sync_id, ordinal, file_name, target, folder_id, status, start_time, end_time, \
               message, size_bytes) VALUES (?, ?, ?, ?, ?, 'Failed', ?, ?, ?, ?)";
    let target = refused.target.as_ref().unwrap_or(&refused.folder).as_str();
    let (begun_at, at, size_bytes) = (refused.begun_at.0, refused.at.0, id(refused.size_bytes));
    changed(
        connection,
        sql,
        params![sync_id, ordinal, refused.file_name, target, folder_id, begun_at, at, refused.message, size_bytes],
    )?;
    let history_id = connection.last_insert_rowid();
    let position = Position { history_id, sync_id, ordinal, folder_id };
    let mut tally = Tally::default();
    tally.began(position);
    tally.ended(position, Status::Failed);
    tally.write(connection)?;
    DayTally::failed(connection, refused.sync_id, refused.at, 1)?;
    Ok(Some(UploadId(history_id.cast_unsigned())))
}

fn intend_landings(
    connection: &Connection,
    uploads: &[WholeUpload],
) -> Result<(LandingsId, Vec<Result<(), Error>>), Error> {
    let mut records = BTreeMap::new();
    let mut permissions = Vec::with_capacity(uploads.len());
    let mut allowed = Vec::with_capacity(uploads.len());
    for upload in uploads {
        let sync_id = upload.sync_id;
        let record = match records.entry(sync_id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(record(connection, sync_id)?),
        };
        let permission = record.as_ref().map_or(Err(Error::NoSuchSync(sync_id)), may_accept_uploads);
        if permission.is_ok() {
            allowed.push(upload);
        }
        permissions.push(permission);
    }
    let intended = serde_json::to_string(&allowed).map_err(Error::internal)?;
    changed(connection, "INSERT INTO landings (intended) VALUES (?)", [intended])?;
    Ok((LandingsId(connection.last_insert_rowid().cast_unsigned()), permissions))
}

/// What a group of landings changes in one sync.
struct SyncChange {
    of: days::Counted,
    /// Its rows before the group.
    listed: i64,
    added: i64,
    no_longer_in_flight: i64,
    size_bytes: i64,
}

fn finish_landings(
    connection: &Connection,
    landings: LandingsId,
    landed: &[LandedUpload],
    at: Timestamp,
) -> Result<(), Error> {
    if changed(connection, "DELETE FROM landings WHERE landings_id = ?", [id(landings.0)])? == 0 {
        return Ok(());
    }
    let mut tally = Tally::default();
    let mut syncs: BTreeMap<SyncId, SyncChange> = BTreeMap::new();
    let mut folders: BTreeMap<&str, i64> = BTreeMap::new();
    // Of datasets.
    let mut touched: BTreeSet<&str> = BTreeSet::new();
    for LandedUpload { upload, trash } in landed {
        // Before it has its own row.
        if trash.is_some() && replaces_own(connection, upload)? {
            note_duplicate(connection, upload)?;
        }
        let sync = match syncs.entry(upload.sync_id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(unchanged(connection, upload.sync_id)?),
        };
        let position = match upload.upload_id {
            Some(upload_id) => {
                let Some(position) = finish_row(connection, upload_id, upload, at)? else { continue };
                sync.no_longer_in_flight += 1;
                position
            }
            None => {
                let path = folder_of(&upload.target);
                let folder_id = match folders.get(path) {
                    Some(id) => *id,
                    None => *folders.entry(path).or_insert(folder_id(connection, path)?),
                };
                sync.added += 1;
                let position = add_row(connection, upload, sync.listed + sync.added, folder_id, at)?;
                tally.began(position);
                position
            }
        };
        tally.ended(position, Status::Finished);
        sync.size_bytes += id(upload.digest.size_bytes);
        if !sync.of.is_full {
            touched.insert(folder_of(&upload.target));
        }
        if let Some(trash) = trash {
            insert_trash(connection, trash)?;
        }
    }
    tally.write(connection)?;
    let mut days = DayTally::default();
    for (sync_id, change) in syncs {
        let sql = "UPDATE syncs SET total_files = total_files + ?, num_in_flight = num_in_flight - ?, \
                   size_bytes = size_bytes + ?, last_activity = ?, held_since = NULL WHERE sync_id = ?";
        let SyncChange { added, no_longer_in_flight, size_bytes, .. } = change;
        changed(connection, sql, params![added, no_longer_in_flight, size_bytes, at.0, id(sync_id.0)])?;
        let files = (added + no_longer_in_flight).cast_unsigned();
        if files == 0 {
            continue;
        }
        let bytes = size_bytes.cast_unsigned();
        days.add(change.of, at, DayCounts { files, bytes, ..DayCounts::default() });
        if !change.of.is_full {
            datasets::remember(connection, sync_id, at)?;
            days.arrived(change.of, at, Totals { files, bytes });
        }
    }
    days.write(connection)?;
    datasets::touch(connection, touched)
}

/// Of the last hundred uploads to its place, the last that its own sync has landed there: had it other bytes? A sender that sends
/// the same file again has lost nothing.
const EARLIER: &str = "SELECT sha256 FROM (SELECT sync_id, status, sha256 FROM uploads WHERE target = ? \
     ORDER BY history_id DESC LIMIT 100) WHERE sync_id = ? AND status = 'Finished' LIMIT 1";

fn replaces_own(connection: &Connection, upload: &WholeUpload) -> Result<bool, Error> {
    let values = params![upload.target.as_str(), id(upload.sync_id.0)];
    let earlier: Option<Option<[u8; 32]>> = found(connection, EARLIER, values, |row| row.get(0))?;
    Ok(earlier.flatten().is_some_and(|sha256| sha256 != upload.digest.sha256))
}

fn note_duplicate(connection: &Connection, upload: &WholeUpload) -> Result<(), Error> {
    let sql = "SELECT path, duplicate_names FROM syncs WHERE sync_id = ?";
    let sync_id = id(upload.sync_id.0);
    let noted = found(connection, sql, [sync_id], |row| Ok((path(row, "path")?, duplicate_names(row)?)))?;
    let Some((path, mut names)) = noted else { return Ok(()) };
    sync::note_duplicate(&mut names, &path, &upload.target);
    let names = serde_json::to_string(&names).map_err(Error::internal)?;
    let sql = "UPDATE syncs SET num_duplicates = num_duplicates + 1, duplicate_names = ? WHERE sync_id = ?";
    changed(connection, sql, params![names, sync_id]).map(|_| ())
}

fn unchanged(connection: &Connection, sync_id: SyncId) -> Result<SyncChange, Error> {
    let sql = "SELECT total_files - num_unlisted FROM syncs WHERE sync_id = ?";
    let listed = found(connection, sql, [id(sync_id.0)], |row| row.get(0))?;
    let listed = listed.ok_or(Error::NoSuchSync(sync_id))?;
    let of = days::counted(connection, sync_id)?;
    Ok(SyncChange { of, listed, added: 0, no_longer_in_flight: 0, size_bytes: 0 })
}

fn add_row(
    connection: &Connection,
    upload: &WholeUpload,
    ordinal: i64,
    folder_id: i64,
    at: Timestamp,
) -> Result<Position, Error> {
    let sql = "INSERT INTO uploads (sync_id, ordinal, file_name, target, folder_id, status, start_time, end_time, \
               size_bytes, sha256, identity, taken_over) VALUES (?, ?, ?, ?, ?, 'Finished', ?, ?, ?, ?, ?, ?)";
    let sync_id = id(upload.sync_id.0);
    let values = params![
        sync_id,
        ordinal,
        upload.file_name,
        upload.target.as_str(),
        folder_id,
        upload.begun_at.0,
        at.0,
        id(upload.digest.size_bytes),
        upload.digest.sha256,
        upload.identity.0,
        upload.taken_over,
    ];
    changed(connection, sql, values)?;
    Ok(Position { history_id: connection.last_insert_rowid(), sync_id, ordinal, folder_id })
}

fn finish_row(
    connection: &Connection,
    upload_id: UploadId,
    upload: &WholeUpload,
    at: Timestamp,
) -> Result<Option<Position>, Error> {
    // The identity stays: by it the file is known again.
    let sql = "UPDATE uploads SET status = 'Finished', end_time = ?, size_bytes = ?, sha256 = ?, partial = NULL \
               WHERE history_id = ? AND status = 'Syncing' RETURNING history_id, sync_id, ordinal, folder_id";
    let values = params![at.0, id(upload.digest.size_bytes), upload.digest.sha256, id(upload_id.0)];
    found(connection, sql, values, position)
}

fn fail_upload(
    connection: &Connection,
    upload_id: UploadId,
    message: &str,
    size_bytes: u64,
    at: Timestamp,
) -> Result<(), Error> {
    let sql = "UPDATE uploads SET status = 'Failed', end_time = ?, size_bytes = ?, message = ?, partial = NULL, \
               identity = NULL WHERE history_id = ? AND status = 'Syncing' \
               RETURNING history_id, sync_id, ordinal, folder_id";
    let values = params![at.0, id(size_bytes), message, id(upload_id.0)];
    let Some(position) = found(connection, sql, values, position)? else { return Ok(()) };
    let sql = "UPDATE syncs SET num_in_flight = num_in_flight - 1, num_failed = num_failed + 1, last_activity = ? \
               WHERE sync_id = ?";
    changed(connection, sql, params![at.0, position.sync_id])?;
    let mut tally = Tally::default();
    tally.ended(position, Status::Failed);
    tally.write(connection)?;
    DayTally::failed(connection, SyncId(position.sync_id.cast_unsigned()), at, 1)
}
