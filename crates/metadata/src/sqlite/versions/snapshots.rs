//! Snapshots: the table `snapshots`.

use super::super::SqliteState;
use super::super::job::Durability::Synced;
use super::super::query::{Row, changed, found, rows, values};
use super::super::row::{id, number, parsed, path, time};
use super::super::writing::Writing;
use lakeshore::model::access::principal::Principal;
use lakeshore::model::id::VersionNumber;
use lakeshore::model::limits::{SNAPSHOTS_MAX, SNAPSHOTS_SHARE_MAX};
use lakeshore::model::snapshot::{NewSnapshot, Snapshot, SnapshotState, SnapshotToken};
use lakeshore::{Error, Timestamp};
use sqlx::Row as _;

fn snapshot(row: &Row) -> sqlx::Result<Snapshot> {
    Ok(Snapshot {
        token: SnapshotToken::remembered(row.try_get("token")?),
        path: path(row, "path")?,
        version: VersionNumber(number(row, "number")?),
        owner: Principal::parse(row.try_get("owner")?),
        made_by: row.try_get("made_by")?,
        made_at: time(row, "made_at")?,
        expires_at: time(row, "expires_at")?,
        state: parsed(row, "state", SnapshotState::parse)?,
    })
}

pub(super) async fn begin(state: &SqliteState, new: &NewSnapshot) -> Result<(), Error> {
    let new = new.clone();
    state.writer.write(Synced, move |writing| Box::pin(async move { insert(writing, &new).await })).await
}

async fn insert(writing: &mut Writing, new: &NewSnapshot) -> Result<(), Error> {
    let counted = |row: &Row| Ok((number(row, "of_all")?, number(row, "of_owner")?));
    let sql =
        "SELECT count(*) AS of_all, coalesce(sum(owner = ?), 0) AS of_owner FROM snapshots WHERE state <> 'dropped'";
    let owner = new.owner.to_string();
    let (of_all, of_owner) = found(writing, sql, values![owner], counted).await?.unwrap_or_default();
    if of_owner >= SNAPSHOTS_SHARE_MAX {
        let share_max = usize::try_from(SNAPSHOTS_SHARE_MAX).unwrap_or(usize::MAX);
        return Err(Error::OverShare { what: "snapshots", share_max });
    }
    if of_all >= SNAPSHOTS_MAX {
        return Err(Error::TooManySnapshots { snapshots_max: SNAPSHOTS_MAX });
    }
    let sql = "INSERT INTO snapshots (token, path, number, owner, made_by, made_at, expires_at, state) \
               VALUES (?, ?, ?, ?, ?, ?, ?, 'making')";
    let values = values![
        new.token.as_str(),
        new.path.as_str(),
        id(new.version.0),
        owner,
        new.made_by,
        new.at.0,
        new.expires_at.0
    ];
    changed(writing, sql, values).await.map(drop)
}

pub(super) async fn find(state: &SqliteState, token: &SnapshotToken) -> Result<Option<Snapshot>, Error> {
    let sql = "SELECT * FROM snapshots WHERE token = ?";
    found(&mut *state.readers.look().await?, sql, values![token.as_str()], snapshot).await
}

pub(super) async fn list(state: &SqliteState) -> Result<Vec<Snapshot>, Error> {
    let sql = "SELECT * FROM snapshots ORDER BY snapshot_id";
    rows(&mut *state.readers.look().await?, sql, values![], snapshot).await
}

pub(super) async fn set(
    state: &SqliteState,
    token: &SnapshotToken,
    to: SnapshotState,
    expires_at: Timestamp,
) -> Result<(), Error> {
    // A dropped snapshot never becomes ready again.
    let sql =
        "UPDATE snapshots SET state = $2, expires_at = $3 WHERE token = $1 AND (state <> 'dropped' OR $2 = 'dropped')";
    let values = values![token.as_str(), to.as_str(), expires_at.0];
    state
        .writer
        .write(Synced, move |writing| Box::pin(async move { changed(writing, sql, values).await.map(drop) }))
        .await
}

pub(super) async fn delete(state: &SqliteState, token: &SnapshotToken) -> Result<(), Error> {
    let sql = "DELETE FROM snapshots WHERE token = ?";
    let values = values![token.as_str()];
    state
        .writer
        .write(Synced, move |writing| Box::pin(async move { changed(writing, sql, values).await.map(drop) }))
        .await
}
