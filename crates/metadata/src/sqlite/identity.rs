//! Identity of the database's lake (the table `lake_identity`), and a probe for writes.

use super::SqliteState;
use super::job::Durability::Synced;
use super::query::{execute, fetch_all, fetch_optional, values};
use crate::store::{Evidence, KnownLake};
use lakeshore::model::path::LakePath;
use lakeshore::model::storage_path::TrashKey;
use lakeshore::{Error, Timestamp};
use sqlx::Row;

/// Rows that are compared to recognise the lake that they describe.
const EVIDENCE_MAX: i64 = 64;

impl SqliteState {
    pub async fn known_lake(&self) -> Result<Option<KnownLake>, Error> {
        let mut connection = self.readers.look().await?;
        fetch_optional(&mut connection, "SELECT identity, is_paired, root FROM lake_identity", vec![], |row| {
            let (identity, is_paired) = (row.try_get("identity")?, row.try_get("is_paired")?);
            Ok(KnownLake { identity, is_paired, root: row.try_get("root")? })
        })
        .await
    }

    /// Records this lake durably, and replaces any earlier one.
    pub async fn know_lake(&self, lake: &KnownLake) -> Result<(), Error> {
        let sql = "INSERT INTO lake_identity (only_row, identity, is_paired, root) VALUES (1, ?, ?, ?) \
                   ON CONFLICT (only_row) DO UPDATE SET identity = excluded.identity, \
                   is_paired = excluded.is_paired, root = excluded.root";
        let values = values![lake.identity, lake.is_paired, lake.root];
        self.writer
            .write(Synced, move |writing| Box::pin(async move { execute(writing, sql, values).await.map(drop) }))
            .await
    }

    /// Whether no sync was ever started, so that the database describes no lake.
    pub async fn is_unused(&self) -> Result<bool, Error> {
        let mut connection = self.readers.look().await?;
        let is_unused = "SELECT NOT EXISTS (SELECT 1 FROM syncs)";
        Ok(fetch_optional(&mut connection, is_unused, vec![], |row| row.try_get(0)).await?.unwrap_or(false))
    }

    pub async fn evidence(&self) -> Result<Evidence, Error> {
        let mut connection = self.readers.look().await?;
        let sql = "SELECT path FROM datasets LIMIT ?";
        let datasets: Vec<String> =
            fetch_all(&mut connection, sql, values![EVIDENCE_MAX], |row| row.try_get(0)).await?;
        let sql = "SELECT trash_key FROM trash WHERE restored_at IS NULL AND emptying_at IS NULL \
                   ORDER BY trash_id DESC LIMIT ?";
        let trash: Vec<String> = fetch_all(&mut connection, sql, values![EVIDENCE_MAX], |row| row.try_get(0)).await?;
        let datasets = datasets.iter().filter_map(|path| LakePath::parse(path).ok()).collect();
        Ok(Evidence { datasets, trash: trash.into_iter().map(TrashKey::from_stored).collect() })
    }

    /// Checks by a durable write whether writes succeed.
    pub async fn probe(&self, at: Timestamp) -> Result<(), Error> {
        let (sql, values) = ("UPDATE lake_identity SET probed_at = ?", values![at.0]);
        self.writer
            .write(Synced, move |writing| Box::pin(async move { execute(writing, sql, values).await.map(drop) }))
            .await
    }
}
