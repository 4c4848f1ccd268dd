//! Metadata store in PostgreSQL, for lakes of one node or many.
//!
//! No gate and no cache of this process decides anything: what a transaction relies on is locked in the database
//! ([`writing`]). Statements that SQLite runs too are in the modules above.

mod answers;
mod clock;
mod connection;
mod damage;
mod event_log;
mod folders;
mod gates;
mod held;
mod holds;
mod identity;
mod landed;
mod landing_facts;
mod landing_together;
mod landings;
mod membership;
mod migrations;
mod nodes;
mod observations;
mod open;
mod options;
mod query;
mod search;
mod sync_counts;
mod transfer;
mod writing;

pub use open::OpenError;
pub use options::{CONNECTIONS_MAX, CONNECTIONS_MIN, OptionsError, PostgresOptions, STATEMENT_TIME_MAX};
pub use transfer::TransferError;

use crate::backend::{Backend, MetadataStore};
use crate::lookups::CallerLookups;
use crate::query::Select;
use crate::store::Opening;
use crate::transaction::{Durability, Work};
use answers::answer;
use connection::{SEARCH_TIME_MAX, fault, search_fault};
use lakeshore::Error;
use lakeshore::ports::metadata::upload::{CompletedUpload, FinishedLandings, LandingsId};
use lakeshore::ports::{Space, State};
use membership::{Membership, ServingMode};
use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, SqlSafeStr, Transaction};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use tokio::sync::{Semaphore, SemaphorePermit};
use writing::{Writing, transaction};

/// Lists use at most one of this many connections, since each may visit many rows.
const LISTS_SHARE: u32 = 3;
/// Text searches that run concurrently.
const SEARCHES_MAX: usize = 2;

const BEGIN_SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// For a page of a list. How many rows its folder and its filters leave decides by which index it is read, so it is planned for
/// them.
const BEGIN_PAGE: &str =
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL plan_cache_mode = force_custom_plan";

/// Metadata store in PostgreSQL.
pub type PostgresState = MetadataStore<Postgres>;

#[derive(Clone)]
pub struct Postgres {
    pool: PgPool,
    options: PostgresOptions,
    lists: Arc<Semaphore>,
    searches: Arc<Semaphore>,
    lookups: Arc<CallerLookups>,
    /// Only of a process that serves the lake.
    membership: Option<Arc<Membership>>,
    /// The lake is on object storage, with its namespace here.
    has_namespace: bool,
    #[cfg(feature = "testing")]
    faults: Arc<parking_lot::Mutex<lakeshore::ports::memory::faults::Faults>>,
}

impl PostgresState {
    /// Connects to the database, makes its tables where they are missing, and migrates it.
    pub async fn open(options: &PostgresOptions) -> Result<Self, OpenError> {
        Self::open_for(options, Opening::Migrate).await
    }

    /// Connects to the database, and prepares it as far as `opening` allows.
    pub async fn open_for(options: &PostgresOptions, opening: Opening) -> Result<Self, OpenError> {
        open::prepare(options, opening).await?;
        let lists = usize::try_from(options.connections_max / LISTS_SHARE).unwrap_or(1).max(1);
        Ok(MetadataStore(Postgres {
            pool: options.pool(),
            options: options.clone(),
            lists: Arc::new(Semaphore::new(lists)),
            searches: Arc::new(Semaphore::new(SEARCHES_MAX.min(lists))),
            lookups: Arc::new(CallerLookups::shared()),
            membership: None,
            has_namespace: false,
            #[cfg(feature = "testing")]
            faults: Arc::default(),
        }))
    }

    /// Takes the lake for this node alone, before it is served. `holder` says for people which node that is.
    pub async fn serve_alone(self, holder: &str) -> Result<Self, OpenError> {
        self.serve(holder, ServingMode::Alone).await
    }

    /// Takes a place beside other nodes that serve the lake.
    pub async fn serve_with_others(self, holder: &str) -> Result<Self, OpenError> {
        self.serve(holder, ServingMode::Several).await
    }

    async fn serve(self, holder: &str, mode: ServingMode) -> Result<Self, OpenError> {
        let membership = open::take(&self.options, holder, mode).await?;
        Ok(MetadataStore(Postgres { membership: Some(Arc::new(membership)), ..self.0 }))
    }

    /// A store for a lake on object storage, whose namespace is here.
    #[must_use]
    pub fn with_namespace(self) -> Self {
        MetadataStore(Postgres { has_namespace: true, ..self.0 })
    }

    /// Whether other nodes have taken over from this one.
    pub fn is_taken_over(&self) -> bool {
        self.membership.as_ref().is_some_and(|membership| membership.is_lost())
    }

    /// Host, port and database, for people.
    pub fn shown(&self) -> String {
        self.options.shown()
    }

    /// The next calls of this name end with these errors, before they do anything.
    #[cfg(feature = "testing")]
    pub fn fail_next(&self, call: &'static str, errors: Vec<Error>) {
        self.faults.lock().add(call, errors);
    }

    /// Closes the connections. Later calls are refused.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

impl Postgres {
    /// Name of the nodes that serve the lake together, where there may be several.
    pub fn group(&self) -> Option<&str> {
        let membership = self.membership.as_ref().filter(|membership| membership.mode == ServingMode::Several);
        membership.map(|membership| membership.group.as_str())
    }

    /// Key that only the nodes of the group have, where there may be several.
    pub fn group_secret(&self) -> Option<[u8; 32]> {
        let membership = self.membership.as_ref().filter(|membership| membership.mode == ServingMode::Several);
        membership.map(|membership| membership.group_secret)
    }

    fn node(&self) -> Option<i64> {
        self.membership.as_ref().map(|membership| membership.node)
    }

    /// One snapshot for several queries, which `begin` begins.
    async fn snapshot<'a>(
        &self,
        begin: impl SqlSafeStr + Send,
        permit: Option<SemaphorePermit<'a>>,
    ) -> Result<List<'a>, Error> {
        Ok(List { transaction: answer(self.pool.begin_with(begin)).await.map_err(fault)?, _permit: permit })
    }

    async fn list_from(&self, begin: impl SqlSafeStr + Send) -> Result<List<'_>, Error> {
        let permit = self.lists.acquire().await.map_err(|_| Error::ShuttingDown)?;
        self.snapshot(begin, Some(permit)).await
    }

    /// Runs `work`, a text search, on one snapshot. It ends when it takes too long: see [`connection::search_fault`].
    async fn search<A: Sync, T>(&self, given: &A, work: Work<PgConnection, A, T>) -> Result<T, Error> {
        let permit = self.searches.acquire().await.map_err(|_| Error::ShuttingDown)?;
        let limit = SEARCH_TIME_MAX.as_millis();
        let begin = AssertSqlSafe(format!("{BEGIN_PAGE}; SET LOCAL statement_timeout = {limit}"));
        let mut list = self.snapshot(begin, Some(permit)).await?;
        work(&mut list, given).await.map_err(search_fault)
    }
}

/// A transaction that only reads. It ends when it is dropped.
pub(crate) struct List<'a> {
    transaction: Transaction<'static, sqlx::Postgres>,
    /// Of a list or a search.
    _permit: Option<SemaphorePermit<'a>>,
}

impl Deref for List<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.transaction
    }
}

impl DerefMut for List<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }
}

impl Backend for Postgres {
    type Db = sqlx::Postgres;
    type Look<'a> = PoolConnection<sqlx::Postgres>;
    type List<'a> = List<'a>;
    type Writing = Writing;

    fn caller_lookups(&self) -> &CallerLookups {
        &self.lookups
    }

    async fn look(&self) -> Result<PoolConnection<sqlx::Postgres>, Error> {
        self.pool.acquire().await.map_err(fault)
    }

    async fn list(&self) -> Result<List<'_>, Error> {
        self.list_from(BEGIN_SNAPSHOT).await
    }

    async fn view<A: Send + Sync, T: Send>(
        &self,
        is_list: bool,
        given: A,
        work: Work<PgConnection, A, T>,
    ) -> Result<T, Error> {
        let mut view = if is_list { self.list().await? } else { self.snapshot(BEGIN_SNAPSHOT, None).await? };
        work(&mut view, &given).await
    }

    async fn view_by<A: Send + Sync, T: Send>(
        &self,
        text: Option<&str>,
        given: A,
        work: Work<PgConnection, A, T>,
    ) -> Result<T, Error> {
        match text {
            Some(_) => self.search(&given, work).await,
            None => work(&mut *self.list_from(BEGIN_PAGE).await?, &given).await,
        }
    }

    async fn write_intents(
        &self,
        finished: Option<&FinishedLandings>,
        uploads: &[CompletedUpload],
    ) -> Result<(LandingsId, Vec<Result<(), Error>>), Error> {
        transaction!(self, Durability::Synced, |writing| {
            let last_id = landings::lock_group(writing, finished, uploads).await?;
            if let Some(finished) = finished {
                landings::finish_landings(writing, finished, last_id).await?;
            }
            landings::write_intents(writing, uploads).await
        })
    }

    async fn finish_landings(&self, finished: &FinishedLandings) -> Result<(), Error> {
        transaction!(self, Durability::Synced, |writing| {
            let last_id = landings::lock_group(writing, Some(finished), &[]).await?;
            landings::finish_landings(writing, finished, last_id).await
        })
    }

    async fn write<A: Send + Sync + 'static, T: Send + 'static>(
        &self,
        durability: Durability,
        given: A,
        work: Work<Writing, A, T>,
    ) -> Result<T, Error> {
        transaction!(self, durability, |writing| work(writing, &given).await)
    }

    #[cfg(feature = "testing")]
    fn inject_fault(&self, call: &'static str) -> Result<(), Error> {
        self.faults.lock().next(call)
    }

    fn exclude_ends_of_others(&self, select: &mut Select) {
        select.push(" AND NOT EXISTS (SELECT 1 FROM sync_gates g WHERE g.sync_id = syncs.sync_id");
        select.push(" AND is_at_work(g.serving_node, ").bind(self.node()).push("))");
    }

    fn exclude_restores_of_others(&self, select: &mut Select) {
        // A restore that another node is at is its own, and one of a node that has ended is recovered with its other work.
        select.push(" AND NOT is_at_work(serving_node, ").bind(self.node()).push(")");
        if self.membership.as_ref().is_some_and(|membership| !membership.is_first()) {
            select.push(" AND serving_node = ").bind(self.node());
        }
    }
}

impl State for PostgresState {
    fn space(&self) -> Result<Space, Error> {
        // The disk of the database server is not seen from here: where it is full, a write says so.
        Ok(Space::UNBOUNDED)
    }
}
