//! The metadata store over either database, and what a database brings for it: its connections and its transactions.

use crate::lookups::CallerLookups;
use crate::query::{Connection, Dialect, Select, Value, execute};
use crate::transaction::{Durability, Work, WriteTransaction};
use futures_util::future::BoxFuture;
use lakeshore::Error;
use lakeshore::ports::metadata::upload::{CompletedUpload, FinishedLandings, LandingsId};
use sqlx::Database;
use std::ops::Deref;
use std::sync::Arc;

/// Metadata store in a database. The stores that both databases have are implemented once, for any [`Backend`].
#[derive(Clone)]
pub struct MetadataStore<B>(pub(crate) B);

impl<B> Deref for MetadataStore<B> {
    type Target = B;

    fn deref(&self) -> &B {
        &self.0
    }
}

pub(crate) trait Backend: Send + Sync + 'static {
    type Db: Dialect;
    type Look<'a>: Connection<Db = Self::Db>;
    type List<'a>: Connection<Db = Self::Db>;
    type Writing: WriteTransaction<Db = Self::Db>;

    /// Connection for a query that finds a few rows by an index.
    fn look(&self) -> impl Future<Output = Result<Self::Look<'_>, Error>> + Send;

    /// Connection for a query that may visit many rows.
    fn list(&self) -> impl Future<Output = Result<Self::List<'_>, Error>> + Send;

    /// Runs `work` on one snapshot of the database; it visits many rows if `is_list`.
    fn view<A: Send + Sync, T: Send>(
        &self,
        is_list: bool,
        given: A,
        work: Work<<Self::Db as Database>::Connection, A, T>,
    ) -> impl Future<Output = Result<T, Error>> + Send;

    /// Runs `work`, which visits many rows, on one snapshot of the database. A search for a text ends when it takes too
    /// long, with [`Error::SearchTooLong`].
    fn view_by<A: Send + Sync, T: Send>(
        &self,
        text: Option<&str>,
        given: A,
        work: Work<<Self::Db as Database>::Connection, A, T>,
    ) -> impl Future<Output = Result<T, Error>> + Send;

    /// Writes the intent of a group of landings, and the rows of an earlier group: see `UploadState`.
    fn write_intents(
        &self,
        finished: Option<&FinishedLandings>,
        uploads: &[CompletedUpload],
    ) -> impl Future<Output = Result<(LandingsId, Vec<Result<(), Error>>), Error>> + Send;

    /// Writes the rows of a group of landings.
    fn finish_landings(&self, finished: &FinishedLandings) -> impl Future<Output = Result<(), Error>> + Send;

    /// Takes a group of landings whose rows are written later: see `UploadState`.
    fn defer_landings(&self, _finished: &Arc<FinishedLandings>) -> bool {
        false
    }

    /// Writes the rows of all groups that were taken.
    fn finish_deferred_landings(&self) -> impl Future<Output = Result<(), Error>> + Send {
        async { Ok(()) }
    }

    /// Takes back a group that cannot be written.
    fn withdraw_landings(&self, _id: LandingsId) {}

    /// Waits until the versions of all landings whose uploads were answered can be read.
    fn write_versions(&self) -> impl Future<Output = Result<(), Error>> + Send {
        async { Ok(()) }
    }

    /// Fails a call where a test has asked for it.
    fn inject_fault(&self, _call: &'static str) -> Result<(), Error> {
        Ok(())
    }

    /// Adds the condition that another node is not ending a sync, a row of `syncs`.
    fn exclude_ends_of_others(&self, _select: &mut Select) {}

    /// Adds the condition that a restore, a row of `trash`, is not the work of another node.
    fn exclude_restores_of_others(&self, _select: &mut Select) {}

    fn caller_lookups(&self) -> &CallerLookups;

    /// Runs `work` in a transaction, and returns after the commit. The work is completed even if its caller is gone.
    fn write<A: Send + Sync + 'static, T: Send + 'static>(
        &self,
        durability: Durability,
        given: A,
        work: Work<Self::Writing, A, T>,
    ) -> impl Future<Output = Result<T, Error>> + Send;

    /// Like [`Self::write`], for work that changes nothing that the next group of landings relies on.
    fn write_aside<A: Send + Sync + 'static, T: Send + 'static>(
        &self,
        durability: Durability,
        given: A,
        work: Work<Self::Writing, A, T>,
    ) -> impl Future<Output = Result<T, Error>> + Send {
        self.write(durability, given, work)
    }

    /// Runs statements in a transaction.
    fn change(
        &self,
        durability: Durability,
        sql: &'static str,
        values: Vec<Value>,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        self.write(durability, (sql, values), statements)
    }

    /// Like [`Self::change`], with the history locked.
    fn change_locked(
        &self,
        durability: Durability,
        sql: &'static str,
        values: Vec<Value>,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        self.write(durability, (sql, values), |writing, given| {
            Box::pin(async move {
                writing.lock_history().await?;
                statements(writing, given).await
            })
        })
    }

    /// Like [`Self::change`], for statements that change nothing that the next group of landings relies on.
    fn change_aside(
        &self,
        durability: Durability,
        sql: &'static str,
        values: Vec<Value>,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        self.write_aside(durability, (sql, values), statements)
    }
}

/// Work of a transaction: statements with their values.
pub(crate) fn statements<'a, W: WriteTransaction>(
    writing: &'a mut W,
    (sql, values): &'a (&'static str, Vec<Value>),
) -> BoxFuture<'a, Result<(), Error>> {
    Box::pin(async move { execute(writing, *sql, values.clone()).await.map(drop) })
}
