//! Which lake the database belongs to: the table `lake_identity`. And whether a write would succeed.

use super::query::{changed, found};
use super::writer::Durability::Synced;
use super::{SqliteState, fault};
use lakeshore::path::LakePath;
use lakeshore::trash::TrashKey;
use lakeshore::{Error, Timestamp};

/// Rows that are looked at to tell whether a lake is the one that they speak of.
const EVIDENCE_MAX: i64 = 64;

/// The lake that the database knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownLake {
    pub identity: String,
    /// The lake root is known to hold the same identity.
    pub is_paired: bool,
    /// Where it was at the last start.
    pub root: String,
}

/// What should be found in the lake that the database speaks of.
#[derive(Debug, Default)]
pub struct Evidence {
    pub datasets: Vec<LakePath>,
    /// Folders in the trash.
    pub trash: Vec<TrashKey>,
}

impl SqliteState {
    pub fn known_lake(&self) -> Result<Option<KnownLake>, Error> {
        self.readers.look(|connection| {
            found(connection, "SELECT identity, is_paired, root FROM lake_identity", [], |row| {
                Ok(KnownLake { identity: row.get(0)?, is_paired: row.get(1)?, root: row.get(2)? })
            })
        })
    }

    /// Knows this lake from now on, durably, and no other.
    pub async fn know_lake(&self, lake: &KnownLake) -> Result<(), Error> {
        let lake = lake.clone();
        let sql = "INSERT INTO lake_identity (only_row, identity, is_paired, root) VALUES (1, ?, ?, ?) \
                   ON CONFLICT (only_row) DO UPDATE SET identity = excluded.identity, \
                   is_paired = excluded.is_paired, root = excluded.root";
        self.writer
            .write(Synced, move |connection| {
                changed(connection, sql, (lake.identity, lake.is_paired, lake.root)).map(|_| ())
            })
            .await
    }

    /// True when no sync was ever started: the database speaks of no lake.
    pub fn is_unused(&self) -> Result<bool, Error> {
        self.readers.look(|connection| {
            connection.query_row("SELECT NOT EXISTS (SELECT 1 FROM syncs)", [], |row| row.get(0)).map_err(fault)
        })
    }

    pub fn evidence(&self) -> Result<Evidence, Error> {
        self.readers.look(|connection| {
            let names = |sql: &str| -> Result<Vec<String>, Error> {
                let mut statement = connection.prepare(sql).map_err(fault)?;
                let names = statement.query_map([EVIDENCE_MAX], |row| row.get(0)).map_err(fault)?;
                names.collect::<rusqlite::Result<_>>().map_err(fault)
            };
            let datasets = names("SELECT path FROM datasets LIMIT ?")?;
            let trash = names(
                "SELECT trash_key FROM trash WHERE restored_at IS NULL AND emptying_at IS NULL ORDER BY trash_id DESC LIMIT ?",
            )?;
            let datasets = datasets.iter().filter_map(|path| LakePath::parse(path).ok()).collect();
            Ok(Evidence { datasets, trash: trash.into_iter().map(TrashKey::remembered).collect() })
        })
    }

    /// Writes, durably, to find out whether that succeeds.
    pub async fn probe(&self, at: Timestamp) -> Result<(), Error> {
        self.writer
            .write(Synced, move |connection| {
                changed(connection, "UPDATE lake_identity SET probed_at = ?", [at.0]).map(|_| ())
            })
            .await
    }
}
