//! Metadata store in one SQLite file: the embedded default.
//!
//! It runs in WAL mode, with one writer that commits many requests in one transaction ([`writer`]), and readers that
//! never wait for it ([`readers`]). Statements that PostgreSQL runs too are in the modules above; here are those of
//! [`landings`], [`versions`], [`search`], [`identity`] and [`clock`].

mod backup;
mod bounded;
mod clock;
mod connection;
mod damage;
mod deferred;
mod folders;
mod identity;
mod job;
mod landing_facts;
mod landings;
mod log_file;
mod migrations;
mod open;
#[cfg(test)]
mod pages;
mod query;
mod readers;
mod rights;
mod search;
#[cfg(test)]
mod test_uploads;
mod transaction_fault;
mod versions;
mod writer;
mod writing;

pub use backup::{BackupError, NewFile, backup, remove_unfinished_copies};
#[cfg(test)]
pub(crate) use connection::open_writing;
pub use open::{OpenError, Turn, refuse_missing};

use crate::backend::{Backend, MetadataStore};
use crate::disk_reserve::DiskReserve;
use crate::lookups::CallerLookups;
use crate::row;
use crate::store::Opening;
use crate::transaction::{self, Work};
use connection::fault;
use job::Durability;
use lakeshore::Error;
use lakeshore::ports::metadata::event_log::EventLog;
use lakeshore::ports::metadata::node::NodeState;
use lakeshore::ports::metadata::upload::{CompletedUpload, FinishedLandings, LandingsId};
use lakeshore::ports::{Space, State};
use lakeshore_system::space::space_of;
use readers::{List, Look, Readers};
use sqlx::{Connection as _, SqliteConnection};
use std::io;
use std::path::Path;
use std::sync::Arc;
use writer::Writer;
use writing::Writing;

/// Metadata store in SQLite.
pub type SqliteState = MetadataStore<Sqlite>;

#[derive(Clone)]
pub struct Sqlite {
    writer: Arc<Writer>,
    readers: Arc<Readers>,
    lookups: Arc<CallerLookups>,
    /// Only for a server.
    reserve: Option<Arc<DiskReserve>>,
    #[cfg(feature = "testing")]
    faults: Arc<parking_lot::Mutex<lakeshore::ports::memory::faults::Faults>>,
}

impl SqliteState {
    /// Opens the database, creates it where it is missing, and migrates it. Call it in the runtime that stays, which
    /// runs the writes.
    pub async fn open(file: &Path) -> Result<Self, OpenError> {
        Self::open_for(file, Opening::Migrate).await
    }

    /// Opens the database as far as `opening` allows. Waits while another process has it.
    pub async fn open_for(file: &Path, opening: Opening) -> Result<Self, OpenError> {
        refuse_missing(file, opening)?;
        Self::open_in_turn(file, opening, Turn::wait(file).await?).await
    }

    /// Opens the database as far as `opening` allows, and keeps other processes out until it is closed.
    pub async fn open_in_turn(file: &Path, opening: Opening, turn: Turn) -> Result<Self, OpenError> {
        let mut connection = open::open(file, opening, &turn).await?;
        let prepared = landings::prepare(&mut connection).await;
        prepared.map_err(|source| OpenError::of(source, file.display().to_string()))?;
        let lookups = Arc::new(CallerLookups::cached());
        let writer = Arc::new(Writer::new(file, connection, lookups.clone(), turn));
        let readers = Readers::new(file, writer.clone()).map_err(|source| OpenError::Readers(source.to_string()))?;
        if opening == Opening::Migrate {
            let made =
                writer.write(Durability::Synced, |writing| Box::pin(versions::backfill::run_once(writing))).await;
            made.map_err(|source| OpenError::Versions { path: file.display().to_string(), source: Box::new(source) })?;
        }
        Ok(MetadataStore(Sqlite {
            writer,
            readers: Arc::new(readers),
            lookups,
            reserve: None,
            #[cfg(feature = "testing")]
            faults: Arc::default(),
        }))
    }

    /// Adds a reserve of disk space, for a full disk.
    #[must_use]
    pub fn with_reserve(self, reserve: DiskReserve) -> Self {
        MetadataStore(Sqlite { reserve: Some(Arc::new(reserve)), ..self.0 })
    }

    /// Consistent copy of the database, in a file in `folder` whose name is removed. Reads and writes continue
    /// meanwhile.
    pub async fn copy_unnamed(&self, folder: &Path) -> Result<std::fs::File, BackupError> {
        self.readers.catch_up().await;
        backup::copy_unnamed(self.readers.file(), folder).await
    }

    /// The next calls of this name end with these errors, before they do anything.
    #[cfg(feature = "testing")]
    pub fn fail_next(&self, call: &'static str, errors: Vec<Error>) {
        self.faults.lock().add(call, errors);
    }

    /// Whether a query has found damage.
    pub fn is_damaged(&self) -> bool {
        connection::is_damaged()
    }

    /// Writes the versions that are written later, for a reader of all tables.
    pub(crate) async fn write_all_versions(&self) -> Result<(), Error> {
        self.writer.write(Durability::Synced, |_| Box::pin(async { Ok(()) })).await
    }

    /// A connection that reads everything.
    pub(crate) async fn reading(&self) -> Result<impl std::ops::DerefMut<Target = sqlx::SqliteConnection>, Error> {
        self.readers.list().await
    }

    /// Closes the database. Later calls are refused.
    pub async fn close(&self) {
        self.readers.close();
        self.writer.close().await;
    }
}

impl Backend for Sqlite {
    type Db = sqlx::Sqlite;
    type Look<'a> = Look;
    type List<'a> = List;
    type Writing = Writing;

    async fn look(&self) -> Result<Look, Error> {
        self.readers.look().await
    }

    async fn list(&self) -> Result<List, Error> {
        self.readers.list_by(None).await
    }

    async fn view<A: Send + Sync, T: Send>(
        &self,
        is_list: bool,
        given: A,
        work: Work<SqliteConnection, A, T>,
    ) -> Result<T, Error> {
        if is_list {
            return self.view_by(None, given, work).await;
        }
        let mut look = self.readers.look().await?;
        work(&mut *look.begin().await.map_err(fault)?, &given).await
    }

    async fn view_by<A: Send + Sync, T: Send>(
        &self,
        text: Option<&str>,
        given: A,
        work: Work<SqliteConnection, A, T>,
    ) -> Result<T, Error> {
        let mut list = self.readers.list_by(text).await?;
        work(&mut *list.begin().await.map_err(fault)?, &given).await
    }

    async fn write_intents(
        &self,
        finished: Option<&FinishedLandings>,
        uploads: &[CompletedUpload],
    ) -> Result<(LandingsId, Vec<Result<(), Error>>), Error> {
        let (finished, uploads) = (finished.cloned(), uploads.to_vec());
        self.writer
            .write_in_place(Durability::Synced, move |writing| {
                Box::pin(async move {
                    if let Some(finished) = &finished {
                        landings::finish_landings(writing, finished).await?;
                    }
                    landings::write_intents(writing, &uploads).await
                })
            })
            .await
    }

    async fn finish_landings(&self, finished: &FinishedLandings) -> Result<(), Error> {
        let finished = finished.clone();
        self.writer
            .write_in_place(Durability::Synced, move |writing| {
                Box::pin(async move { landings::finish_landings(writing, &finished).await })
            })
            .await
    }

    fn defer_landings(&self, finished: &Arc<FinishedLandings>) -> bool {
        self.writer.deferred.add(finished.clone());
        true
    }

    async fn finish_deferred_landings(&self) -> Result<(), Error> {
        self.writer.write_deferred().await
    }

    fn withdraw_landings(&self, id: LandingsId) {
        self.writer.deferred.remove(&[id]);
    }

    async fn write_versions(&self) -> Result<(), Error> {
        self.writer.write_versions().await
    }

    #[cfg(feature = "testing")]
    fn inject_fault(&self, call: &'static str) -> Result<(), Error> {
        self.faults.lock().next(call)
    }

    fn caller_lookups(&self) -> &CallerLookups {
        &self.lookups
    }

    async fn write<A: Send + Sync + 'static, T: Send + 'static>(
        &self,
        durability: transaction::Durability,
        given: A,
        work: Work<Writing, A, T>,
    ) -> Result<T, Error> {
        self.writer.write(durability.into(), move |writing| Box::pin(async move { work(writing, &given).await })).await
    }

    async fn write_aside<A: Send + Sync + 'static, T: Send + 'static>(
        &self,
        durability: transaction::Durability,
        given: A,
        work: Work<Writing, A, T>,
    ) -> Result<T, Error> {
        self.writer
            .write_aside(durability.into(), move |writing| Box::pin(async move { work(writing, &given).await }))
            .await
    }
}

/// One process has the database.
impl NodeState for SqliteState {}

impl EventLog for SqliteState {}

impl State for SqliteState {
    fn space(&self) -> Result<Space, Error> {
        let found =
            rustix::fs::statvfs(self.readers.file()).map_err(|errno| Error::internal(io::Error::from(errno)))?;
        Ok(space_of(&found))
    }

    fn missing_reserve_bytes(&self) -> u64 {
        self.reserve.as_ref().map_or(0, |reserve| reserve.missing_bytes())
    }

    fn release_reserve(&self) -> bool {
        self.reserve.as_ref().is_some_and(|reserve| reserve.release())
    }

    fn refill_reserve(&self) -> Result<(), Error> {
        match self.reserve.as_ref().map_or(Ok(()), |reserve| reserve.refill()) {
            Err(error) if error.kind() == io::ErrorKind::StorageFull => Err(Error::DiskFull),
            refilled => refilled.map_err(Error::internal),
        }
    }
}
