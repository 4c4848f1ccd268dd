//! Search by words, with trigram indexes: `dataset_search` and `sync_search`.

use super::SqliteState;
use super::query::{Row, Select, clamp};
use super::row::{SYNC_COLUMNS, number, path, sync, time};
use async_trait::async_trait;
use lakeshore::Error;
use lakeshore::model::id::SyncId;
use lakeshore::model::limits::SHORT_WORDS_LOOKED_AT;
use lakeshore::model::path::LakePath;
use lakeshore::model::search::FoundDataset;
use lakeshore::model::sync::job::SyncJob;
use lakeshore::ports::metadata::search::{SearchQuery, SearchState};

/// Letters in an entry of the index; shorter words are not indexed.
const INDEXED_LETTERS: usize = 3;

#[async_trait]
impl SearchState for SqliteState {
    async fn find_datasets(&self, query: &SearchQuery) -> Result<Vec<FoundDataset>, Error> {
        let mut connection = self.readers.search().await?;
        datasets(query).fetch_all(&mut connection, found_dataset).await
    }

    async fn find_syncs(&self, query: &SearchQuery) -> Result<Vec<SyncJob>, Error> {
        let mut connection = self.readers.search().await?;
        syncs(query).fetch_all(&mut connection, sync).await
    }
}

fn datasets(query: &SearchQuery) -> Select {
    let columns = "SELECT d.path, d.last_sync_id, d.last_landed FROM";
    let indexed = indexed(query, "");
    let mut select = match &indexed {
        Some(expression) => {
            // In the order of the index, so that only the needed part of it is read.
            let mut select = Select::new(format!(
                "{columns} dataset_search s CROSS JOIN folders f ON f.folder_id = s.rowid \
                 CROSS JOIN datasets d ON d.path = f.path WHERE s.path MATCH "
            ));
            select.bind(expression);
            select
        }
        None => {
            let mut select = Select::new(format!("{columns} (SELECT * FROM datasets WHERE path > '/'"));
            select.within("path", query.scope.as_ref());
            select.push(" ORDER BY path LIMIT ").bind(clamp(SHORT_WORDS_LOOKED_AT)).push(") d WHERE 1");
            select
        }
    };
    select.within("d.path", query.scope.as_ref());
    for word in query.words.iter() {
        select.holding::<sqlx::Sqlite>(["d.path", "d.path"], Some(word));
    }
    if indexed.is_some() {
        select.push(" ORDER BY s.rowid DESC");
    }
    select.push(" LIMIT ").bind(clamp(query.size));
    select
}

fn syncs(query: &SearchQuery) -> Select {
    let mut select = Select::new(format!("SELECT {SYNC_COLUMNS} FROM syncs WHERE sync_id"));
    match indexed(query, "path : ") {
        Some(expression) => {
            select.push(" IN (SELECT rowid FROM sync_search WHERE sync_search MATCH ").bind(expression).push(")");
        }
        None => {
            select.push(" > (SELECT max(sync_id) FROM syncs) - ").bind(clamp(SHORT_WORDS_LOOKED_AT));
        }
    }
    // The plus keeps SQLite from using the index of paths, which would need a sort.
    select.within("+path", query.scope.as_ref());
    for word in query.words.iter() {
        select.holding::<sqlx::Sqlite>(["name", "path"], Some(word));
    }
    select.push(" ORDER BY sync_id DESC LIMIT ").bind(clamp(query.size));
    select
}

/// Query of the index: each word that is long enough, and the scope, where `of_path` names the column of paths in an
/// index with several. `None` where no word is long enough.
fn indexed(query: &SearchQuery, of_path: &str) -> Option<String> {
    let is_indexed = |text: &&str| text.chars().count() >= INDEXED_LETTERS;
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let words: Vec<_> = query.words.iter().filter(is_indexed).map(quoted).collect();
    let scope = query.scope.as_ref().map(LakePath::as_str).filter(is_indexed);
    let scope = scope.map(|scope| format!("{of_path}{}", quoted(scope)));
    (!words.is_empty()).then(|| words.into_iter().chain(scope).collect::<Vec<_>>().join(" AND "))
}

fn found_dataset(row: &Row) -> sqlx::Result<FoundDataset> {
    Ok(FoundDataset {
        path: path(row, "path")?,
        last_sync_id: SyncId(number(row, "last_sync_id")?),
        last_landed: time(row, "last_landed")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use lakeshore::model::search::Words;

    #[tokio::test]
    async fn every_search_goes_by_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let state = SqliteState::open(&folder.path().join("lakeshore.db")).await.unwrap();
        let scope = Some(LakePath::parse("/data").unwrap());
        let query = |text| SearchQuery { words: Words::of(text), scope: scope.clone(), size: 10 };
        let asked = [
            (datasets(&query("orders db")), "SCAN s VIRTUAL TABLE INDEX"),
            (datasets(&query("or")), "SEARCH datasets USING PRIMARY KEY (path"),
            (syncs(&query("orders")), "SEARCH syncs USING INTEGER PRIMARY KEY"),
            (syncs(&query("or")), "SEARCH syncs USING INTEGER PRIMARY KEY (rowid>?)"),
        ];
        for (select, index) in asked {
            let plan = select.plan(&mut state.readers.look().await.unwrap()).await.join("; ");
            assert!(plan.contains(index), "{plan}");
            // Only the few rows that the index returned are scanned.
            let plan = plan.replace("CO-ROUTINE d; SEARCH datasets USING PRIMARY KEY (path>?); SCAN d", "");
            let plan = plan.replace("CO-ROUTINE d; MULTI-INDEX OR", "MULTI-INDEX OR");
            let tables = ["syncs", "datasets", "folders", "f", "d"];
            assert!(!plan.split("; ").any(|step| tables.iter().any(|table| step == format!("SCAN {table}"))), "{plan}");
            assert!(!plan.contains("B-TREE"), "sorts: {plan}");
        }
    }
}
