//! Resumable uploads: the table `resumables`. Those that have a row in the history are found by it where they are unfinished,
//! so that what ends an upload ends it here too.

use super::query::{Select, changed, clamp, found};
use super::row::{id, number, parsed, path};
use super::uploads::begin_upload;
use super::writer::Durability::{Synced, Written};
use super::{SqliteState, fault};
use async_trait::async_trait;
use lakeshore::ports::ResumableState;
use lakeshore::ports::resumables::{AnnouncedBytes, NewResumable, ResumableId, ResumableRecord};
use lakeshore::principal::Principal;
use lakeshore::resumable::{Checkpoint, Token};
use lakeshore::sync::{Status, SyncId};
use lakeshore::upload::{Announced, Identity, PartialName, UploadId};
use lakeshore::{Error, Timestamp};
use rusqlite::types::Type;
use rusqlite::{Connection, Row, params};
use std::collections::BTreeMap;

const COLUMNS: &str = "r.resumable_id, r.token, r.upload_id, r.sync_id, r.file_name, r.target, r.partial, r.identity, \
     r.length, r.durable_bytes, r.hash_state, r.metadata, r.sha256, r.sha512, r.is_told, r.parts, r.joined_into, r.owner, r.started_by, \
     r.begun_at, r.expires_at";

/// How a part stands: by what it was joined into.
const OF_PARTS: &str = "FROM resumables r LEFT JOIN resumables j ON j.token = r.joined_into \
     LEFT JOIN uploads u ON u.history_id = j.upload_id AND u.status = 'Finished'";
const STATUS_OF_PARTS: &str = "coalesce(u.status, 'Syncing') AS status, '' AS message";

/// Those of uploads, and those of parts, that have not ended.
fn unfinished(select: &str, select_of_parts: &str) -> [Select; 2] {
    let of_uploads = format!(
        "{select} FROM uploads u JOIN resumables r ON r.upload_id = u.history_id \
         WHERE u.status = 'Syncing'"
    );
    let of_parts = format!("{select_of_parts} {OF_PARTS} WHERE r.upload_id IS NULL AND u.status IS NULL");
    [Select::new(of_uploads), Select::new(of_parts)]
}

fn unfinished_page(after: ResumableId, size: u64) -> [Select; 2] {
    let select = format!("SELECT {COLUMNS}, u.status, u.message");
    let select_of_parts = format!("SELECT {COLUMNS}, {STATUS_OF_PARTS}");
    let mut selects = unfinished(&select, &select_of_parts);
    for select in &mut selects {
        select.push(" AND r.resumable_id > ").bind(id(after.0));
        select.push(" ORDER BY r.resumable_id LIMIT ").bind(clamp(size));
    }
    selects
}

fn announced() -> [Select; 2] {
    let select = "SELECT r.owner, coalesce(sum(r.length - r.durable_bytes), 0) AS bytes, \
                  coalesce(sum(CASE WHEN r.durable_bytes > 0 THEN r.length - r.durable_bytes END), 0) AS begun_bytes";
    let mut selects = unfinished(select, select);
    for select in &mut selects {
        select.push(" GROUP BY r.owner");
    }
    selects
}

/// One row for each that the owner has unfinished, at most `size` of each kind.
fn unfinished_of(owner: Principal, size: u64) -> [Select; 2] {
    let mut selects = unfinished("SELECT 1", "SELECT 1");
    for select in &mut selects {
        select.push(" AND r.owner = ").bind(owner.to_string()).push(" LIMIT ").bind(clamp(size));
    }
    selects
}

fn failed_of(sync_id: SyncId) -> Select {
    let mut select = Select::new(
        "SELECT r.partial FROM resumables r JOIN uploads u ON u.history_id = r.upload_id \
         WHERE u.status = 'Failed' AND r.sync_id = ",
    );
    select.bind(id(sync_id.0));
    select
}

fn expired(before: Timestamp, size: u64) -> Select {
    let mut select = Select::new("SELECT token FROM resumables WHERE expires_at < ");
    select.bind(before.0).push(" ORDER BY expires_at LIMIT ").bind(clamp(size));
    select
}

#[async_trait]
impl ResumableState for SqliteState {
    async fn begin_resumable(&self, new: &NewResumable, unfinished_max: u64) -> Result<Option<UploadId>, Error> {
        let new = new.clone();
        self.writer.write(Synced, move |connection| begin_resumable(connection, &new, unfinished_max)).await
    }

    async fn resumable(&self, token: &Token) -> Result<Option<ResumableRecord>, Error> {
        self.readers.look(|connection| resumable(connection, token))
    }

    async fn advance_resumable(
        &self,
        token: &Token,
        checkpoint: &Checkpoint,
        length: Option<u64>,
        expires_at: Timestamp,
    ) -> Result<(), Error> {
        let (token, checkpoint) = (token.clone(), checkpoint.clone());
        let sql = "UPDATE resumables SET durable_bytes = ?, hash_state = ?, length = ?, is_told = 1, expires_at = ? \
                   WHERE token = ?";
        self.writer
            .write(Synced, move |connection| {
                let (offset, length) = (id(checkpoint.offset), length.map(id));
                let values = params![offset, checkpoint.hash_state, length, expires_at.0, token.as_str()];
                changed(connection, sql, values).map(|_| ())
            })
            .await
    }

    async fn unfinished_resumables(&self, after: ResumableId, size: u64) -> Result<Vec<ResumableRecord>, Error> {
        self.readers
            .list(move |connection| {
                let mut records = Vec::new();
                // One view of both.
                let view = connection.unchecked_transaction().map_err(fault)?;
                for select in unfinished_page(after, size) {
                    records.extend(select.rows(&view, record)?);
                }
                records.sort_by_key(|record| record.resumable_id);
                records.truncate(usize::try_from(size).unwrap_or(usize::MAX));
                Ok(records)
            })
            .await
    }

    async fn failed_resumables_of(&self, sync_id: SyncId) -> Result<Vec<PartialName>, Error> {
        let select = failed_of(sync_id);
        self.readers
            .list(move |connection| select.rows(connection, |row| Ok(PartialName::remembered(row.get("partial")?))))
            .await
    }

    async fn expired_resumables(&self, before: Timestamp, size: u64) -> Result<Vec<Token>, Error> {
        let select = expired(before, size);
        self.readers
            .list(move |connection| select.rows(connection, |row| Ok(Token::remembered(row.get("token")?))))
            .await
    }

    async fn forget_resumable(&self, token: &Token) -> Result<(), Error> {
        let token = token.clone();
        let sql = "DELETE FROM resumables WHERE token = ?";
        self.writer.write(Written, move |connection| changed(connection, sql, [token.as_str()]).map(|_| ())).await
    }

    fn announced_bytes(&self) -> Result<Vec<AnnouncedBytes>, Error> {
        self.readers.look(|connection| {
            let mut by_owner: BTreeMap<Principal, AnnouncedBytes> = BTreeMap::new();
            for select in announced() {
                for AnnouncedBytes { owner, bytes, begun_bytes } in select.rows(connection, announced_bytes)? {
                    let sum = by_owner.entry(owner).or_insert(AnnouncedBytes { owner, bytes: 0, begun_bytes: 0 });
                    sum.bytes += bytes;
                    sum.begun_bytes += begun_bytes;
                }
            }
            Ok(by_owner.into_values().collect())
        })
    }
}

fn announced_bytes(row: &Row<'_>) -> rusqlite::Result<AnnouncedBytes> {
    let owner = Principal::parse(row.get_ref("owner")?.as_str()?);
    Ok(AnnouncedBytes { owner, bytes: number(row, "bytes")?, begun_bytes: number(row, "begun_bytes")? })
}

fn begin_resumable(
    connection: &Connection,
    new: &NewResumable,
    unfinished_max: u64,
) -> Result<Option<UploadId>, Error> {
    let mut count = 0;
    for select in unfinished_of(new.owner, unfinished_max) {
        count += select.rows(connection, |_| Ok(()))?.len() as u64;
    }
    if count >= unfinished_max {
        return Err(Error::TooManyUnfinished { unfinished_max });
    }
    let upload_id = new.upload.as_ref().map(|upload| begin_upload(connection, upload)).transpose()?;
    let sync_id = new.upload.as_ref().map(|upload| id(upload.sync_id.0));
    let file_name = new.upload.as_ref().map_or("", |upload| &upload.file_name);
    let target = new.upload.as_ref().map(|upload| upload.target.as_str());
    let parts: Vec<_> = new.parts.iter().map(Token::as_str).collect();
    let sql = "INSERT INTO resumables (token, upload_id, sync_id, file_name, target, partial, identity, length, \
               durable_bytes, hash_state, metadata, sha256, sha512, is_told, parts, owner, started_by, begun_at, expires_at) \
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    changed(
        connection,
        sql,
        params![
            new.token.as_str(),
            upload_id.map(|upload_id| id(upload_id.0)),
            sync_id,
            file_name,
            target,
            new.partial.as_str(),
            new.identity.0,
            new.length.map(id),
            id(new.checkpoint.offset),
            new.checkpoint.hash_state,
            new.metadata,
            new.digests.sha256,
            new.digests.sha512,
            new.is_told,
            parts.join(" "),
            new.owner.to_string(),
            new.by,
            new.at.0,
            new.expires_at.0,
        ],
    )?;
    for part in &new.parts {
        let sql = "UPDATE resumables SET joined_into = ? WHERE token = ?";
        changed(connection, sql, [new.token.as_str(), part.as_str()])?;
    }
    Ok(upload_id)
}

fn resumable(connection: &Connection, token: &Token) -> Result<Option<ResumableRecord>, Error> {
    let of_upload = format!(
        "SELECT {COLUMNS}, u.status, u.message FROM resumables r JOIN uploads u ON u.history_id = r.upload_id \
         WHERE r.token = ?"
    );
    if let Some(found) = found(connection, &of_upload, [token.as_str()], record)? {
        return Ok(Some(found));
    }
    let of_part = format!("SELECT {COLUMNS}, {STATUS_OF_PARTS} {OF_PARTS} WHERE r.token = ? AND r.upload_id IS NULL");
    found(connection, &of_part, [token.as_str()], record)
}

/// `None` where none was announced.
fn digest<const N: usize>(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<[u8; N]>> {
    let bytes: Option<Vec<u8>> = row.get(column)?;
    let wrong = |bytes: Vec<u8>| {
        let said = format!("the column {column} holds {} bytes", bytes.len());
        rusqlite::Error::FromSqlConversionFailure(0, Type::Blob, said.into())
    };
    bytes.map(|bytes| bytes.try_into().map_err(wrong)).transpose()
}

fn record(row: &Row<'_>) -> rusqlite::Result<ResumableRecord> {
    let optional = |column: &str| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(i64::cast_unsigned));
    let is_to_land = row.get_ref("target")? != rusqlite::types::ValueRef::Null;
    let parts: String = row.get("parts")?;
    Ok(ResumableRecord {
        resumable_id: ResumableId(number(row, "resumable_id")?),
        token: Token::remembered(row.get("token")?),
        partial: PartialName::remembered(row.get("partial")?),
        identity: Identity(row.get("identity")?),
        upload_id: optional("upload_id")?.map(UploadId),
        sync_id: optional("sync_id")?.map(SyncId),
        file_name: row.get("file_name")?,
        target: if is_to_land { Some(path(row, "target")?) } else { None },
        parts: parts.split_whitespace().map(|part| Token::remembered(part.to_owned())).collect(),
        joined_into: row.get::<_, Option<String>>("joined_into")?.map(Token::remembered),
        checkpoint: Checkpoint { offset: number(row, "durable_bytes")?, hash_state: row.get("hash_state")? },
        length: optional("length")?,
        metadata: row.get("metadata")?,
        digests: Announced { sha256: digest(row, "sha256")?, sha512: digest(row, "sha512")? },
        is_told: row.get("is_told")?,
        owner: Principal::parse(row.get_ref("owner")?.as_str()?),
        by: row.get("started_by")?,
        begun_at: Timestamp(row.get("begun_at")?),
        expires_at: Timestamp(row.get("expires_at")?),
        status: parsed(row, "status", Status::parse)?,
        message: row.get("message")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_query_goes_by_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let state = SqliteState::open(&folder.path().join("lakeshore.db")).unwrap();
        let selects = unfinished_page(ResumableId(7), 9).into_iter().chain(announced());
        let selects = selects.chain(unfinished_of(Principal::Guest, 9));
        for select in selects.chain([failed_of(SyncId(1)), expired(Timestamp(9), 9)]) {
            let plan = state.readers.look(|connection| Ok(select.plan(connection))).unwrap();
            // Parts are few, and have an index of their own.
            let is_scan = |step: &&String| step.starts_with("SCAN") && !step.contains("resumables_that_are_parts");
            assert_eq!(plan.iter().find(is_scan), None, "{plan:?}");
        }
    }
}
