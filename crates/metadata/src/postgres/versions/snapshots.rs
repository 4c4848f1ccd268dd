//! Snapshots: the table `snapshots`.

use super::super::PostgresState;
use super::super::query::{Row, changed, found, rows, values};
use super::super::writing::Durability::Synced;
use super::super::writing::{Counter, Writing, transaction};
use crate::row::{id, number, parsed, path, time};
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

pub(super) async fn begin(state: &PostgresState, new: &NewSnapshot) -> Result<(), Error> {
    transaction!(state, Synced, |writing| insert(writing, new).await)
}

async fn insert(writing: &mut Writing, new: &NewSnapshot) -> Result<(), Error> {
    // Counted while nobody else begins one.
    let snapshot_id = writing.next_id(Counter::Snapshots).await?;
    let counted = |row: &Row| Ok((number(row, "of_all")?, number(row, "of_owner")?));
    let sql = "SELECT count(*) AS of_all, count(*) FILTER (WHERE owner = ?) AS of_owner FROM snapshots WHERE state <> 'dropped'";
    let owner = new.owner.to_string();
    let (of_all, of_owner) = found(writing, sql, values![owner], counted).await?.unwrap_or_default();
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
    changed(writing, sql, values).await.map(drop)
}

pub(super) async fn find(state: &PostgresState, token: &SnapshotToken) -> Result<Option<Snapshot>, Error> {
    let sql = "SELECT * FROM snapshots WHERE token = ?";
    found(&mut *state.look().await?, sql, values![token.as_str()], snapshot).await
}

pub(super) async fn list(state: &PostgresState) -> Result<Vec<Snapshot>, Error> {
    let sql = "SELECT * FROM snapshots ORDER BY snapshot_id";
    rows(&mut *state.look().await?, sql, values![], snapshot).await
}

pub(super) async fn set(
    state: &PostgresState,
    token: &SnapshotToken,
    to: SnapshotState,
    expires_at: Timestamp,
) -> Result<(), Error> {
    // A dropped snapshot does not become ready again.
    let sql =
        "UPDATE snapshots SET state = $2, expires_at = $3 WHERE token = $1 AND (state <> 'dropped' OR $2 = 'dropped')";
    let values = values![token.as_str(), to.as_str(), expires_at.0];
    transaction!(state, Synced, |writing| changed(writing, sql, values.clone()).await.map(drop))
}

pub(super) async fn delete(state: &PostgresState, token: &SnapshotToken) -> Result<(), Error> {
    let sql = "DELETE FROM snapshots WHERE token = ?";
    transaction!(state, Synced, |writing| changed(writing, sql, values![token.as_str()]).await.map(drop))
}
