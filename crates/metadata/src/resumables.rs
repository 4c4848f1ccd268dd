//! Resumable uploads: the table `resumables`. An unfinished upload is found by its row in the history, so that a change
//! that ends the upload ends it here too.

use crate::backend::{Backend, MetadataStore};
use crate::query::{Select, Value, clamp, execute, fetch_all, fetch_optional, values};
use crate::row::{DbRow, bytes_if_any, id, is_null, number, number_if_any, parsed, path, time};
use crate::transaction::Durability::{Synced, Written};
use crate::transaction::{Counter, WriteTransaction};
use crate::uploads::begin_upload;
use async_trait::async_trait;
use lakeshore::model::access::principal::Principal;
use lakeshore::model::digest::ExpectedDigests;
use lakeshore::model::id::SyncId;
use lakeshore::model::id::UploadId;
use lakeshore::model::storage_path::{Identity, PartialName};
use lakeshore::model::sync::status::Status;
use lakeshore::model::upload::resumable::{Checkpoint, Token};
use lakeshore::ports::ResumableState;
use lakeshore::ports::metadata::resumable::{AnnouncedBytes, NewResumable, ResumableId, ResumableRecord};
use lakeshore::{Error, Timestamp};
use std::collections::BTreeMap;
use std::sync::LazyLock;

const COLUMNS: &str = "r.resumable_id, r.token, r.upload_id, r.sync_id, r.file_name, r.target, r.partial, r.identity, \
     r.length, r.durable_bytes, r.hash_state, r.metadata, r.sha256, r.sha512, r.is_told, r.parts, r.joined_into, r.owner, r.started_by, \
     r.begun_at, r.expires_at";

/// State of a part, by the upload into which it was joined.
const OF_PARTS: &str = "FROM resumables r LEFT JOIN resumables j ON j.token = r.joined_into \
     LEFT JOIN uploads u ON u.history_id = j.upload_id AND u.status = 'Finished'";
const STATUS_OF_PARTS: &str = "coalesce(u.status, 'Syncing') AS status, '' AS message";

/// Queries of the unfinished uploads, and of the unfinished parts.
fn unfinished(select: &str, select_of_parts: &str) -> [String; 2] {
    let of_uploads = format!(
        "{select} FROM uploads u JOIN resumables r ON r.upload_id = u.history_id \
         WHERE u.status = 'Syncing'"
    );
    let of_parts = format!("{select_of_parts} {OF_PARTS} WHERE r.upload_id IS NULL AND u.status IS NULL");
    [of_uploads, of_parts]
}

fn unfinished_page(after: ResumableId, size: u64) -> [Select; 2] {
    let select = format!("SELECT {COLUMNS}, u.status, u.message");
    let select_of_parts = format!("SELECT {COLUMNS}, {STATUS_OF_PARTS}");
    unfinished(&select, &select_of_parts).map(|sql| {
        let mut select = Select::new(sql);
        select.push(" AND r.resumable_id > ").bind(id(after.0));
        select.push(" ORDER BY r.resumable_id LIMIT ").bind(clamp(size));
        select
    })
}

fn announced() -> [String; 2] {
    let select = "SELECT r.owner, CAST(coalesce(sum(r.length - r.durable_bytes), 0) AS BIGINT) AS bytes, \
                  CAST(coalesce(sum(CASE WHEN r.durable_bytes > 0 THEN r.length - r.durable_bytes END), 0) AS BIGINT) AS begun_bytes";
    unfinished(select, select).map(|sql| format!("{sql} GROUP BY r.owner"))
}

/// Queries of an owner's unfinished uploads and parts, each with a limit.
fn unfinished_of() -> [String; 2] {
    unfinished("SELECT 1", "SELECT 1").map(|sql| format!("{sql} AND r.owner = $1 LIMIT $2"))
}

/// Queries of the upload, and of the part, with a token.
fn of_token() -> [String; 2] {
    let of_upload = format!(
        "SELECT {COLUMNS}, u.status, u.message FROM resumables r JOIN uploads u ON u.history_id = r.upload_id \
         WHERE r.token = $1"
    );
    let of_part = format!("SELECT {COLUMNS}, {STATUS_OF_PARTS} {OF_PARTS} WHERE r.token = $1 AND r.upload_id IS NULL");
    [of_upload, of_part]
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
impl<B: Backend> ResumableState for MetadataStore<B> {
    async fn begin_resumable(&self, new: &NewResumable, unfinished_max: u64) -> Result<Option<UploadId>, Error> {
        self.0
            .write(Synced, (new.clone(), unfinished_max), |writing, (new, unfinished_max)| {
                Box::pin(begin_resumable(writing, new, *unfinished_max))
            })
            .await
    }

    async fn resumable(&self, token: &Token) -> Result<Option<ResumableRecord>, Error> {
        static OF_TOKEN: LazyLock<String> = LazyLock::new(|| of_token().join("; "));
        self.0.inject_fault("resumable")?;
        let mut connection = self.0.look().await?;
        fetch_optional(&mut connection, OF_TOKEN.as_str(), values![token.as_str()], record).await
    }

    async fn advance_resumable(
        &self,
        token: &Token,
        checkpoint: &Checkpoint,
        length: Option<u64>,
        expires_at: Timestamp,
    ) -> Result<(), Error> {
        let sql = "UPDATE resumables SET durable_bytes = ?, hash_state = ?, length = ?, is_told = TRUE, expires_at = ? \
                   WHERE token = ?";
        let (offset, length) = (id(checkpoint.offset), length.map(id));
        let values = values![offset, checkpoint.hash_state, length, expires_at.0, token.as_str()];
        self.0.change(Synced, sql, values).await
    }

    async fn unfinished_resumables(&self, after: ResumableId, size: u64) -> Result<Vec<ResumableRecord>, Error> {
        let unfinished = self.0.view(true, (after, size), |view, (after, size)| {
            Box::pin(async move {
                let mut records = Vec::new();
                for select in unfinished_page(*after, *size) {
                    records.extend(select.fetch_all(view, record).await?);
                }
                Ok(records)
            })
        });
        let mut records: Vec<ResumableRecord> = unfinished.await?;
        records.sort_by_key(|record| record.resumable_id);
        records.truncate(usize::try_from(size).unwrap_or(usize::MAX));
        Ok(records)
    }

    async fn failed_resumables_of(&self, sync_id: SyncId) -> Result<Vec<PartialName>, Error> {
        let mut connection = self.0.list().await?;
        failed_of(sync_id).fetch_all(&mut connection, |row| row.get("partial").map(PartialName::from_stored)).await
    }

    async fn expired_resumables(&self, before: Timestamp, size: u64) -> Result<Vec<Token>, Error> {
        let mut connection = self.0.list().await?;
        expired(before, size).fetch_all(&mut connection, |row| row.get("token").map(Token::from_stored)).await
    }

    async fn delete_resumable(&self, token: &Token) -> Result<(), Error> {
        self.0.change(Written, "DELETE FROM resumables WHERE token = ?", values![token.as_str()]).await
    }

    async fn announced_bytes(&self) -> Result<Vec<AnnouncedBytes>, Error> {
        static ANNOUNCED: LazyLock<String> = LazyLock::new(|| announced().join("; "));
        let mut connection = self.0.look().await?;
        let mut by_owner: BTreeMap<Principal, AnnouncedBytes> = BTreeMap::new();
        for one in fetch_all(&mut connection, ANNOUNCED.as_str(), values![], announced_bytes).await? {
            let AnnouncedBytes { owner, bytes, begun_bytes } = one;
            let sum = by_owner.entry(owner).or_insert(AnnouncedBytes { owner, bytes: 0, begun_bytes: 0 });
            sum.bytes += bytes;
            sum.begun_bytes += begun_bytes;
        }
        Ok(by_owner.into_values().collect())
    }
}

fn announced_bytes(row: &impl DbRow) -> sqlx::Result<AnnouncedBytes> {
    let owner = Principal::parse(row.text("owner")?);
    Ok(AnnouncedBytes { owner, bytes: number(row, "bytes")?, begun_bytes: number(row, "begun_bytes")? })
}

async fn begin_resumable(
    writing: &mut impl WriteTransaction,
    new: &NewResumable,
    unfinished_max: u64,
) -> Result<Option<UploadId>, Error> {
    static UNFINISHED_OF: LazyLock<String> = LazyLock::new(|| unfinished_of().join("; "));
    // Counted while nobody else begins one.
    let resumable_id = writing.new_id(Counter::Resumables).await?;
    let asked = values![new.owner.to_string(), clamp(unfinished_max)];
    let unfinished = fetch_all(writing, UNFINISHED_OF.as_str(), asked, |_| Ok(())).await?;
    if unfinished.len() as u64 >= unfinished_max {
        return Err(Error::TooManyUnfinished { unfinished_max });
    }
    let upload_id = match &new.upload {
        Some(upload) => Some(begin_upload(writing, upload).await?),
        None => None,
    };
    let parts: Vec<_> = new.parts.iter().map(Token::as_str).collect();
    let joined = parts.join(" ");
    let sql = "INSERT INTO resumables (resumable_id, token, upload_id, sync_id, file_name, target, partial, identity, length, \
               durable_bytes, hash_state, metadata, sha256, sha512, is_told, parts, owner, started_by, begun_at, expires_at) \
               VALUES ($21, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19); \
               UPDATE resumables SET joined_into = $1 WHERE token IN (SELECT value ->> 0 FROM json_each($20))";
    let values = values![
        new.token.as_str(),
        upload_id.map(|upload_id| id(upload_id.0)),
        new.upload.as_ref().map(|upload| id(upload.sync_id.0)),
        new.upload.as_ref().map_or("", |upload| &upload.file_name),
        new.upload.as_ref().map(|upload| upload.target.as_str()),
        new.partial.as_str(),
        new.identity.0,
        new.length.map(id),
        id(new.checkpoint.offset),
        new.checkpoint.hash_state,
        new.metadata,
        new.digests.sha256,
        new.digests.sha512,
        new.is_told,
        joined,
        new.owner.to_string(),
        new.by,
        new.at.0,
        new.expires_at.0,
        Value::column(parts)?,
        resumable_id,
    ];
    execute(writing, sql, values).await?;
    Ok(upload_id)
}

fn record(row: &impl DbRow) -> sqlx::Result<ResumableRecord> {
    let is_to_land = !is_null(row, "target")?;
    let parts = row.text("parts")?;
    Ok(ResumableRecord {
        resumable_id: ResumableId(number(row, "resumable_id")?),
        token: Token::from_stored(row.get("token")?),
        partial: PartialName::from_stored(row.get("partial")?),
        identity: Identity(row.get("identity")?),
        upload_id: number_if_any(row, "upload_id")?.map(UploadId),
        sync_id: number_if_any(row, "sync_id")?.map(SyncId),
        file_name: row.get("file_name")?,
        target: if is_to_land { Some(path(row, "target")?) } else { None },
        parts: parts.split_whitespace().map(|part| Token::from_stored(part.to_owned())).collect(),
        joined_into: row.get::<Option<String>>("joined_into")?.map(Token::from_stored),
        checkpoint: Checkpoint { offset: number(row, "durable_bytes")?, hash_state: row.get("hash_state")? },
        length: number_if_any(row, "length")?,
        metadata: row.get("metadata")?,
        digests: ExpectedDigests { sha256: bytes_if_any(row, "sha256")?, sha512: bytes_if_any(row, "sha512")? },
        is_told: row.get("is_told")?,
        owner: Principal::parse(row.text("owner")?),
        by: row.get("started_by")?,
        begun_at: time(row, "begun_at")?,
        expires_at: time(row, "expires_at")?,
        status: parsed(row, "status", Status::parse)?,
        message: row.get("message")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::SqliteState;

    #[tokio::test]
    async fn every_query_goes_by_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let state = SqliteState::open(&folder.path().join("lakeshore.db")).await.unwrap();
        let plain = [announced(), unfinished_of(), of_token()].into_iter().flatten().map(Select::new);
        let selects = plain.chain(unfinished_page(ResumableId(7), 9));
        for select in selects.chain([failed_of(SyncId(1)), expired(Timestamp(9), 9)]) {
            let plan = select.plan(&mut state.0.look().await.unwrap()).await;
            assert!(!plan.is_empty());
            // Parts are few, and have an index of their own.
            let is_scan = |step: &&String| step.starts_with("SCAN") && !step.contains("resumables_that_are_parts");
            assert_eq!(plan.iter().find(is_scan), None, "{plan:?}");
        }
    }
}
