//! Search by words. Where the database has the extension `pg_trgm`, words of three letters and more are found by its
//! indexes; else each search visits every row.

use super::PostgresState;
use super::query::{Row, Select, clamp};
use crate::row::{SYNC_COLUMNS, number, path, sync, time};
use async_trait::async_trait;
use lakeshore::Error;
use lakeshore::model::id::SyncId;
use lakeshore::model::limits::SHORT_WORDS_LOOKED_AT;
use lakeshore::model::search::FoundDataset;
use lakeshore::model::sync::job::SyncJob;
use lakeshore::ports::metadata::search::{SearchQuery, SearchState};

/// Letters in an entry of the index; shorter words are not found by it.
const INDEXED_LETTERS: usize = 3;

#[async_trait]
impl SearchState for PostgresState {
    async fn find_datasets(&self, query: &SearchQuery) -> Result<Vec<FoundDataset>, Error> {
        self.search(query, |view, query| Box::pin(async move { datasets(query).fetch_all(view, found_dataset).await }))
            .await
    }

    async fn find_syncs(&self, query: &SearchQuery) -> Result<Vec<SyncJob>, Error> {
        self.search(query, |view, query| Box::pin(async move { syncs(query).fetch_all(view, sync).await })).await
    }
}

fn is_indexed(query: &SearchQuery) -> bool {
    query.words.iter().any(|word| word.chars().count() >= INDEXED_LETTERS)
}

fn datasets(query: &SearchQuery) -> Select {
    let mut select = Select::new("SELECT d.path, d.last_sync_id, d.last_landed FROM ");
    if is_indexed(query) {
        select.push("datasets d WHERE true");
    } else {
        select.push("(SELECT * FROM datasets WHERE true").within("path", query.scope.as_ref());
        select.push(" ORDER BY path LIMIT ").bind(clamp(SHORT_WORDS_LOOKED_AT)).push(") AS d WHERE true");
    }
    select.within("d.path", query.scope.as_ref());
    for word in query.words.iter() {
        select.holding::<sqlx::Postgres>(["d.path", "d.path"], Some(word));
    }
    select.push(" LIMIT ").bind(clamp(query.size));
    select
}

fn syncs(query: &SearchQuery) -> Select {
    let mut select = Select::new(format!("SELECT {SYNC_COLUMNS} FROM syncs WHERE true"));
    if !is_indexed(query) {
        select.push(" AND sync_id > (SELECT max(sync_id) FROM syncs) - ").bind(clamp(SHORT_WORDS_LOOKED_AT));
    }
    select.within("path", query.scope.as_ref());
    for word in query.words.iter() {
        select.holding::<sqlx::Postgres>(["name", "path"], Some(word));
    }
    select.push(" ORDER BY sync_id DESC LIMIT ").bind(clamp(query.size));
    select
}

fn found_dataset(row: &Row) -> sqlx::Result<FoundDataset> {
    Ok(FoundDataset {
        path: path(row, "path")?,
        last_sync_id: SyncId(number(row, "last_sync_id")?),
        last_landed: time(row, "last_landed")?,
    })
}
