//! Snapshots: the table `snapshots`.

use crate::backend::Backend;
use crate::query::{execute, fetch_all, fetch_optional, values};
use crate::row::{DbRow, id, number, parsed, path, time};
use crate::transaction::Durability::Synced;
use crate::transaction::{Counter, WriteTransaction};
use lakeshore::model::access::principal::Principal;
use lakeshore::model::id::VersionNumber;
use lakeshore::model::limits::{SNAPSHOTS_MAX, SNAPSHOTS_SHARE_MAX};
use lakeshore::model::snapshot::{NewSnapshot, Snapshot, SnapshotState, SnapshotToken};
use lakeshore::{Error, Timestamp};

fn snapshot(row: &impl DbRow) -> sqlx::Result<Snapshot> {
    Ok(Snapshot {
        token: SnapshotToken::from_stored(row.get("token")?),
        path: path(row, "path")?,
        version: VersionNumber(number(row, "number")?),
        owner: Principal::parse(row.text("owner")?),
        made_by: row.get("made_by")?,
        made_at: time(row, "made_at")?,
        expires_at: time(row, "expires_at")?,
        state: parsed(row, "state", SnapshotState::parse)?,
    })
}

pub(crate) async fn begin<B: Backend>(backend: &B, new: &NewSnapshot) -> Result<(), Error> {
    backend.write(Synced, new.clone(), |writing, new| Box::pin(insert(writing, new))).await
}

async fn insert(writing: &mut impl WriteTransaction, new: &NewSnapshot) -> Result<(), Error> {
    // Counted while nobody else begins one.
    let snapshot_id = writing.new_id(Counter::Snapshots).await?;
    let sql = "SELECT count(*) AS of_all, count(*) FILTER (WHERE owner = ?) AS of_owner FROM snapshots \
               WHERE state <> 'dropped'";
    let owner = new.owner.to_string();
    let counted =
        fetch_optional(writing, sql, values![owner], |row| Ok((number(row, "of_all")?, number(row, "of_owner")?)));
    let (of_all, of_owner) = counted.await?.unwrap_or_default();
    if of_owner >= SNAPSHOTS_SHARE_MAX {
        let share_max = usize::try_from(SNAPSHOTS_SHARE_MAX).unwrap_or(usize::MAX);
        return Err(Error::OverShare { what: "snapshots", share_max });
    }
    if of_all >= SNAPSHOTS_MAX {
        return Err(Error::TooManySnapshots { snapshots_max: SNAPSHOTS_MAX });
    }
    let sql = "INSERT INTO snapshots (snapshot_id, token, path, number, owner, made_by, made_at, expires_at, state) \
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'making')";
    let values = values![
        snapshot_id,
        new.token.as_str(),
        new.path.as_str(),
        id(new.version.0),
        owner,
        new.made_by,
        new.at.0,
        new.expires_at.0
    ];
    execute(writing, sql, values).await.map(drop)
}

pub(crate) async fn find<B: Backend>(backend: &B, token: &SnapshotToken) -> Result<Option<Snapshot>, Error> {
    let sql = "SELECT * FROM snapshots WHERE token = ?";
    fetch_optional(&mut backend.look().await?, sql, values![token.as_str()], snapshot).await
}

pub(crate) async fn list<B: Backend>(backend: &B) -> Result<Vec<Snapshot>, Error> {
    fetch_all(&mut backend.look().await?, "SELECT * FROM snapshots ORDER BY snapshot_id", values![], snapshot).await
}

pub(crate) async fn set<B: Backend>(
    backend: &B,
    token: &SnapshotToken,
    to: SnapshotState,
    expires_at: Timestamp,
) -> Result<(), Error> {
    // A dropped snapshot never becomes ready again.
    let sql =
        "UPDATE snapshots SET state = $2, expires_at = $3 WHERE token = $1 AND (state <> 'dropped' OR $2 = 'dropped')";
    backend.change(Synced, sql, values![token.as_str(), to.as_str(), expires_at.0]).await
}

pub(crate) async fn delete<B: Backend>(backend: &B, token: &SnapshotToken) -> Result<(), Error> {
    backend.change(Synced, "DELETE FROM snapshots WHERE token = ?", values![token.as_str()]).await
}
