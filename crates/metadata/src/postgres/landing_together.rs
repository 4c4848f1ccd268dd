//! Landing of a group in one transaction, for a lake on object storage: names and rows change together.
//!
//! No intent is needed, as nothing is half done after a crash. The rows of syncs are locked, so an end comes before the
//! whole group or behind it; and the tree and the history, so files of one name are replaced and recorded in one order,
//! whichever node lands them.

use super::PostgresState;
use super::gates;
use super::query::{Row, fetch_all, values};
use super::writing::Durability::Synced;
use super::writing::{Counter, SyncLock, Writing, transaction};
use super::{landing_facts, landings};
use crate::namespace::{self, SqlRows};
use crate::row::{id, number};
use lakeshore::model::id::UploadId;
use lakeshore::model::trash::NewTrash;
use lakeshore::ports::metadata::node::LandingUpload;
use lakeshore::ports::metadata::upload::{CompletedUpload, LandedUpload};
use lakeshore::ports::storage::LandingOutcome;
use lakeshore::{Error, Timestamp};
use lakeshore_system::failpoints::crash_point;
use sqlx::PgConnection;
use std::collections::BTreeSet;

type Outcomes = Vec<Result<LandingOutcome, Error>>;

pub(super) async fn land(state: &PostgresState, group: &[LandingUpload], at: Timestamp) -> Result<Outcomes, Error> {
    let landed = transaction!(state, Synced, |writing| land_group(writing, group, at).await);
    crash_point!("object.landed");
    landed
}

async fn land_group(writing: &mut Writing, group: &[LandingUpload], at: Timestamp) -> Result<Outcomes, Error> {
    let syncs: BTreeSet<_> = group.iter().map(|landing| id(landing.upload.sync_id.0)).collect();
    let syncs: Vec<_> = syncs.into_iter().collect();
    writing.lock_syncs(syncs.clone(), SyncLock::Change).await?;
    let is_free = gates::held_by_others(writing, syncs).await?;
    let last_id = writing.lock_history().await?;
    let in_flight = in_flight(writing, group).await?;
    let uploads: Vec<CompletedUpload> = group.iter().map(|landing| landing.upload.clone()).collect();
    let permissions = landings::permissions(writing, &uploads).await?;
    let permitted = |upload: &CompletedUpload, permission: Result<(), Error>| {
        permission?;
        is_free(upload.sync_id)?;
        match upload.upload_id {
            // Discarded by the end of its sync, which was opened again since.
            Some(upload_id) if !in_flight.contains(&upload_id) => Err(Error::Discarded(upload.sync_id)),
            _ => Ok(()),
        }
    };
    let permissions = uploads.iter().zip(permissions).map(|(upload, permission)| permitted(upload, permission));
    let permissions: Vec<_> = permissions.collect();
    let allowed = group.iter().zip(&permissions).filter(|(_, permission)| permission.is_ok());
    let allowed: Vec<_> = allowed.map(|(landing, _)| landing).collect();
    writing.next_ids(Counter::Namespace, 0).await?;
    let landings: Vec<_> = allowed.iter().map(|landing| landing.landing.clone()).collect();
    let outcomes = match landings.is_empty() {
        true => Vec::new(),
        false => namespace::land(&mut SqlRows::<PgConnection, _>::Writing(writing), &landings, at).await?,
    };
    let landed = |(landing, outcome): (&&LandingUpload, &Result<LandingOutcome, Error>)| {
        let replaced = *outcome.as_ref().ok()? == LandingOutcome::Replaced;
        let trash: Option<NewTrash> = replaced.then(|| landing.replaced.clone());
        Some(LandedUpload { upload: landing.upload.clone(), trash })
    };
    let landed: Vec<_> = allowed.iter().zip(&outcomes).filter_map(landed).collect();
    if !landed.is_empty() {
        let facts = landing_facts::find(writing, &landed, last_id).await?;
        landings::write_rows(writing, &landed, at, facts).await?;
    }
    let mut outcomes = outcomes.into_iter();
    let outcome =
        |permission: Result<(), Error>| permission.and_then(|()| outcomes.next().unwrap_or(Err(Error::BytesLost)));
    Ok(permissions.into_iter().map(outcome).collect())
}

/// Uploads of the group whose rows say that they are in flight.
async fn in_flight(writing: &mut Writing, group: &[LandingUpload]) -> Result<BTreeSet<UploadId>, Error> {
    let ids: Vec<_> = group.iter().filter_map(|landing| landing.upload.upload_id).map(|upload| id(upload.0)).collect();
    if ids.is_empty() {
        return Ok(BTreeSet::new());
    }
    let sql = "SELECT history_id FROM uploads WHERE history_id = ANY(?) AND status = 'Syncing'";
    let upload = |row: &Row| Ok(UploadId(number(row, "history_id")?));
    Ok(fetch_all(writing, sql, values![ids], upload).await?.into_iter().collect())
}
