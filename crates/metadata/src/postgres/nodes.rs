//! Other nodes of the lake, and the work that a fenced one left unfinished.

use super::membership::{ServingMode, await_transactions};
use super::query::{Row, execute, fetch_all, fetch_optional, values};
use super::writing::Durability::{Passing, Synced};
use super::writing::{SyncLock, new_token, transaction};
use super::{PostgresState, event_log, gates, holds, landing_together};
use crate::backend::Backend as _;
use crate::row::{id, number};
use crate::trash::trash_record;
use crate::uploads::unfinished;
use async_trait::async_trait;
use lakeshore::model::access::principal::Principal;
use lakeshore::model::id::SyncId;
use lakeshore::model::storage_path::PartialName;
use lakeshore::model::upload::resumable::Token;
use lakeshore::ports::metadata::node::{Held, LandingUpload, NodeState, ServingNode, UnfinishedWork};
use lakeshore::ports::storage::LandingOutcome;
use lakeshore::{Error, Timestamp};
use sqlx::Row as _;

/// Rows of fenced nodes whose work is recovered are kept this long, for people.
const FORGET: &str = "DELETE FROM serving_nodes WHERE is_recovered AND fenced_at < now() - interval '1 day'";

/// Uploads of a node that have not landed: their files, and their rows, of which either may be gone.
const PARTIALS: &str = "SELECT name FROM nodes WHERE parent_id = 2 AND serving_node = ? ORDER BY name";
const UPLOADS: &str = "\
    SELECT u.history_id, u.partial FROM uploads u WHERE u.status = 'Syncing' AND u.serving_node = ? \
    AND NOT EXISTS (SELECT 1 FROM resumables r WHERE r.upload_id = u.history_id) ORDER BY u.history_id";
const RESTORING_SYNCS: &str = "\
    SELECT sync_id FROM syncs WHERE phase <> 'Ended' AND phase = 'Open' AND restores_version IS NOT NULL \
    AND serving_node = ? ORDER BY sync_id";
const RESTORES: &str = "SELECT * FROM trash WHERE restoring IS NOT NULL AND serving_node = ? ORDER BY trash_id";

#[async_trait]
impl NodeState for PostgresState {
    fn has_other_nodes(&self) -> bool {
        self.group().is_some()
    }

    fn is_joining(&self) -> bool {
        self.membership.as_ref().is_some_and(|membership| membership.is_joining)
    }

    fn is_first_node(&self) -> bool {
        self.membership.as_ref().is_none_or(|membership| membership.is_first())
    }

    async fn mark_ready(&self) -> Result<(), Error> {
        if self.node().is_none() || self.is_joining() {
            return Ok(());
        }
        let start = new_token()?;
        transaction!(self, Synced, |writing| {
            event_log::begin(writing, start).await?;
            execute(writing, "UPDATE serving_nodes SET is_recovered = TRUE WHERE fenced_at IS NOT NULL", vec![])
                .await?;
            execute(writing, "UPDATE serving_nodes SET is_ready = TRUE WHERE serving_node = serving_node()", vec![])
                .await?;
            execute(writing, FORGET, vec![]).await.map(drop)
        })
    }

    async fn leave(&self) -> Result<bool, Error> {
        let Some(membership) = &self.membership else { return Ok(true) };
        membership.stop();
        if membership.mode == ServingMode::Alone {
            return Ok(true);
        }
        transaction!(self, Synced, |writing| {
            let sql = "UPDATE serving_nodes SET fenced_at = now() WHERE serving_node = serving_node()";
            execute(writing, sql, vec![]).await?;
            let sql = "SELECT NOT EXISTS (SELECT 1 FROM serving_nodes WHERE fenced_at IS NULL)";
            Ok(fetch_optional(writing, sql, vec![], |row| row.try_get(0)).await?.unwrap_or(true))
        })
    }

    async fn dead_nodes(&self) -> Result<Vec<ServingNode>, Error> {
        if !self.has_other_nodes() {
            return Ok(Vec::new());
        }
        let sql = "SELECT serving_node FROM serving_nodes WHERE fenced_at IS NOT NULL AND NOT is_recovered ORDER BY serving_node";
        let node = |row: &Row| Ok(ServingNode(number(row, "serving_node")?));
        fetch_all(&mut *self.look().await?, sql, vec![], node).await
    }

    async fn unfinished_work(&self, node: ServingNode) -> Result<UnfinishedWork, Error> {
        let number_of = node.0.cast_signed();
        let mut connection = self.options.connection().await.map_err(super::connection::fault)?;
        await_transactions(&mut connection, number_of).await?;
        let of_node = || values![number_of];
        let name = |row: &Row| Ok(PartialName::from_stored(row.try_get("name")?));
        let sync_id = |row: &Row| Ok(SyncId(number(row, "sync_id")?));
        Ok(UnfinishedWork {
            uploads: fetch_all(&mut connection, UPLOADS, of_node(), unfinished).await?,
            partials: fetch_all(&mut connection, PARTIALS, of_node(), name).await?.into_iter().collect(),
            restoring_syncs: fetch_all(&mut connection, RESTORING_SYNCS, of_node(), sync_id).await?,
            restores: fetch_all(&mut connection, RESTORES, of_node(), trash_record).await?,
        })
    }

    async fn mark_recovered(&self, node: ServingNode) -> Result<(), Error> {
        let node = node.0.cast_signed();
        transaction!(self, Passing, |writing| {
            execute(writing, "DELETE FROM sync_gates WHERE serving_node = ?", values![node]).await?;
            let sql = "DELETE FROM uploads_told t WHERE serving_node = ? AND NOT EXISTS \
                       (SELECT 1 FROM uploads u WHERE u.history_id = t.history_id AND u.status = 'Syncing')";
            execute(writing, sql, values![node]).await?;
            execute(writing, "UPDATE serving_nodes SET is_recovered = TRUE WHERE serving_node = ?", values![node])
                .await?;
            execute(writing, FORGET, vec![]).await.map(drop)
        })
    }

    async fn take_gate(&self, sync_id: SyncId) -> Result<Box<dyn Held>, Error> {
        gates::take(self, sync_id).await
    }

    async fn take_inspections(&self) -> Result<Box<dyn Held>, Error> {
        gates::take(self, gates::INSPECTIONS).await
    }

    async fn hold_upload(&self, token: &Token) -> Result<Box<dyn Held>, Error> {
        holds::take(self, token).await
    }

    async fn try_hold_upload(&self, token: &Token) -> Result<Option<Box<dyn Held>>, Error> {
        holds::try_to_take(self, token).await
    }

    async fn wanted_uploads(&self) -> Result<Vec<Token>, Error> {
        holds::wanted(self).await
    }

    async fn note_call(&self, sync_id: SyncId, at: Timestamp) -> Result<(), Error> {
        let sql = "UPDATE syncs SET last_activity = greatest(last_activity, ?) WHERE sync_id = ?";
        transaction!(self, Passing, |writing| {
            writing.lock_syncs(vec![id(sync_id.0)], SyncLock::Change).await?;
            execute(writing, sql, values![at.0, id(sync_id.0)]).await.map(drop)
        })
    }

    async fn set_restorer(&self, sync_id: SyncId, by: Principal) -> Result<(), Error> {
        if self.group().is_none() {
            return Ok(());
        }
        let sql = "UPDATE syncs SET serving_restorer = ? WHERE sync_id = ?";
        transaction!(self, Passing, |writing| {
            execute(writing, sql, values![by.to_string(), id(sync_id.0)]).await.map(drop)
        })
    }

    async fn restorer(&self, sync_id: SyncId) -> Result<Option<Principal>, Error> {
        let sql = "SELECT serving_restorer FROM syncs WHERE sync_id = ? AND serving_restorer IS NOT NULL";
        let by = |row: &Row| Ok(Principal::parse(&row.try_get::<String, _>(0)?));
        fetch_optional(&mut *self.look().await?, sql, values![id(sync_id.0)], by).await
    }

    fn lands_together(&self) -> bool {
        self.has_namespace
    }

    async fn land_together(
        &self,
        group: &[LandingUpload],
        at: Timestamp,
    ) -> Result<Vec<Result<LandingOutcome, Error>>, Error> {
        landing_together::land(self, group, at).await
    }
}
