//! The metadata store of a server or a command: either database.

use crate::postgres::PostgresState;
use crate::sqlite::SqliteState;
use lakeshore::model::path::LakePath;
use lakeshore::model::storage_path::TrashKey;
use lakeshore::ports::{Namespace, State};
use lakeshore::{Error, Timestamp};
use std::path::Path;
use std::sync::Arc;

/// Changes that a command may make when it opens the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// Creates a missing database, and migrates an older one, with a copy kept aside. Requires the lock of the data
    /// folder.
    Migrate,
    /// Creates a missing database. An older one is refused: it belongs to a server that may be running.
    Make,
    /// Requires an existing, up-to-date database.
    Existing,
}

/// The lake recorded in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownLake {
    pub identity: String,
    /// Whether the lake root is known to hold the same identity.
    pub is_paired: bool,
    /// Lake root at the last start.
    pub root: String,
}

/// Files and folders that the database expects in its lake.
#[derive(Debug, Default)]
pub struct Evidence {
    pub datasets: Vec<LakePath>,
    /// Folders in the trash.
    pub trash: Vec<TrashKey>,
}

#[derive(Clone)]
pub enum Store {
    Sqlite(SqliteState),
    Postgres(Box<PostgresState>),
}

impl Store {
    pub fn state(&self) -> Arc<dyn State> {
        match self {
            Self::Sqlite(state) => Arc::new(state.clone()),
            Self::Postgres(state) => Arc::new(PostgresState::clone(state)),
        }
    }

    /// Namespace of a lake on object storage.
    pub fn namespace(&self) -> Arc<dyn Namespace> {
        match self {
            Self::Sqlite(state) => Arc::new(state.clone()),
            Self::Postgres(state) => Arc::new(PostgresState::clone(state)),
        }
    }

    /// Where the database is, for people: `data_dir`, or the address of PostgreSQL.
    pub fn shown(&self, data_dir: &Path) -> String {
        match self {
            Self::Sqlite(_) => data_dir.display().to_string(),
            Self::Postgres(state) => state.shown(),
        }
    }

    /// Name of the servers that serve the lake together, where there may be several.
    pub fn group(&self) -> Option<&str> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(state) => state.group(),
        }
    }

    /// Key that only these servers have.
    pub fn group_secret(&self) -> Option<[u8; 32]> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(state) => state.group_secret(),
        }
    }

    pub async fn known_lake(&self) -> Result<Option<KnownLake>, Error> {
        match self {
            Self::Sqlite(state) => state.known_lake().await,
            Self::Postgres(state) => state.known_lake().await,
        }
    }

    /// Records this lake durably, and replaces any earlier one.
    pub async fn know_lake(&self, lake: &KnownLake) -> Result<(), Error> {
        match self {
            Self::Sqlite(state) => state.know_lake(lake).await,
            Self::Postgres(state) => state.know_lake(lake).await,
        }
    }

    /// Whether no sync was ever started, so that the database describes no lake.
    pub async fn is_unused(&self) -> Result<bool, Error> {
        match self {
            Self::Sqlite(state) => state.is_unused().await,
            Self::Postgres(state) => state.is_unused().await,
        }
    }

    pub async fn evidence(&self) -> Result<Evidence, Error> {
        match self {
            Self::Sqlite(state) => state.evidence().await,
            Self::Postgres(state) => state.evidence().await,
        }
    }

    /// Checks by a durable write whether writes succeed.
    pub async fn probe(&self, at: Timestamp) -> Result<(), Error> {
        match self {
            Self::Sqlite(state) => state.probe(at).await,
            Self::Postgres(state) => state.probe(at).await,
        }
    }

    /// Closes the database. Later calls are refused.
    pub async fn close(&self) {
        match self {
            Self::Sqlite(state) => state.close().await,
            Self::Postgres(state) => state.close().await,
        }
    }
}
