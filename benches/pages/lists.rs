//! The measured lists: the query of the port, and the number of its rows.

use crate::fill::{Counter, Examples};
use crate::{print_row, summary};
use lakeshore::model::id::SyncId;
use lakeshore::model::page::{Order, Page, SyncQuery, TrashQuery, UploadQuery};
use lakeshore::model::sync::status::{Status, SyncType};
use lakeshore::ports::metadata::State;
use lakeshore::{Error, LakePath};
use std::time::Instant;

pub struct List {
    pub name: &'static str,
    pub rows: u64,
    query: Query,
}

enum Query {
    Uploads(UploadQuery),
    Syncs(SyncQuery),
    Trash(TrashQuery),
    /// Of a dataset. The newest first, whatever the order.
    Versions(LakePath),
}

impl List {
    /// Asks for a page; returns the number of its rows. `None` where a search was ended because it takes too long.
    pub async fn ask(&self, state: &dyn State, page: Page) -> Option<usize> {
        let given = match &self.query {
            Query::Uploads(query) => {
                state.uploads(&UploadQuery { page, ..query.clone() }).await.map(|uploads| uploads.len())
            }
            Query::Syncs(query) => state.syncs(&SyncQuery { page, ..query.clone() }).await.map(|syncs| syncs.len()),
            Query::Trash(query) => state.trash(&TrashQuery { page, ..query.clone() }).await.map(|items| items.len()),
            Query::Versions(dataset) => {
                state.list_versions(dataset, page.from, page.size).await.map(|versions| versions.len())
            }
        };
        match given {
            Err(Error::SearchTooLong { .. }) => None,
            given => Some(given.unwrap()),
        }
    }
}

const UPLOADS: UploadQuery =
    UploadQuery { page: Page::FIRST, sync_id: None, status: None, path: None, text: None, scope: None };
const SYNCS: SyncQuery =
    SyncQuery { page: Page::FIRST, status: None, sync_type: None, path: None, text: None, scope: None };
const TRASH: TrashQuery = TrashQuery { page: Page::FIRST, sync_id: None, path: None, text: None, scope: None };

/// Every list of the history, of the syncs and of the trash, with each filter.
pub async fn all(counter: &Counter) -> Vec<List> {
    let examples = counter.examples().await;
    let mut lists = Vec::new();
    for (name, query, condition) in uploads(&examples) {
        let rows = counter.count("uploads", &condition).await;
        lists.push(List { name, rows, query: Query::Uploads(query) });
    }
    for (name, query, condition) in syncs(&examples) {
        let rows = counter.count("syncs", &condition).await;
        lists.push(List { name, rows, query: Query::Syncs(query) });
    }
    for (name, query, condition) in trash(&examples) {
        let rows = counter.count("trash", &condition).await;
        lists.push(List { name, rows, query: Query::Trash(query) });
    }
    let rows = counter.count("versions", "1").await;
    lists.push(List { name: "versions of a dataset", rows, query: Query::Versions(lake_path(&examples.versioned)) });
    lists
}

/// Name, query, and the same condition in SQL.
fn uploads(examples: &Examples) -> Vec<(&'static str, UploadQuery, String)> {
    let of_sync = UploadQuery { sync_id: Some(SyncId(examples.sync_id)), ..UPLOADS };
    let in_sync = format!("sync_id = {}", examples.sync_id);
    let with_status = |status| UploadQuery { status: Some(status), ..UPLOADS };
    let at = |path: &str| UploadQuery { path: Some(lake_path(path)), ..UPLOADS };
    vec![
        ("history", UPLOADS, "1".to_owned()),
        ("history, one sync", of_sync.clone(), in_sync.clone()),
        ("history, Finished", with_status(Status::Finished), "status = 'Finished'".to_owned()),
        ("history, Failed", with_status(Status::Failed), "status = 'Failed'".to_owned()),
        ("history, Syncing", with_status(Status::Syncing), "status = 'Syncing'".to_owned()),
        (
            "history, one sync, Finished",
            UploadQuery { status: Some(Status::Finished), ..of_sync },
            format!("{in_sync} AND status = 'Finished'"),
        ),
        ("history, a dataset", at(&examples.dataset), below("target", &examples.dataset)),
        ("history, the folder above", at(&examples.folder), below("target", &examples.folder)),
        ("history, one file", at(&examples.file), below("target", &examples.file)),
        (
            "history, a dataset, Failed",
            UploadQuery { status: Some(Status::Failed), ..at(&examples.dataset) },
            format!("{} AND status = 'Failed'", below("target", &examples.dataset)),
        ),
        (
            "history, common text",
            UploadQuery { text: Some("parquet".to_owned()), ..UPLOADS },
            "file_name LIKE '%parquet%' OR target LIKE '%parquet%'".to_owned(),
        ),
        (
            "history, rare text",
            UploadQuery { text: Some(examples.rare_text.clone()), ..UPLOADS },
            format!("file_name LIKE '%{0}%' OR target LIKE '%{0}%'", examples.rare_text),
        ),
        (
            "history, text in one sync",
            UploadQuery { text: Some("csv".to_owned()), sync_id: Some(SyncId(examples.sync_id)), ..UPLOADS },
            format!("{in_sync} AND (file_name LIKE '%csv%' OR target LIKE '%csv%')"),
        ),
        (
            "history, a key's scope",
            UploadQuery { scope: Some(lake_path(&examples.folder)), ..UPLOADS },
            below("target", &examples.folder),
        ),
    ]
}

fn syncs(examples: &Examples) -> Vec<(&'static str, SyncQuery, String)> {
    let with_status = |status| SyncQuery { status: Some(status), ..SYNCS };
    let of_type = |sync_type| SyncQuery { sync_type: Some(sync_type), ..SYNCS };
    let at = |path: &str| SyncQuery { path: Some(lake_path(path)), ..SYNCS };
    vec![
        ("syncs", SYNCS, "1".to_owned()),
        ("syncs, Finished", with_status(Status::Finished), "status = 'Finished'".to_owned()),
        ("syncs, Failed", with_status(Status::Failed), "status = 'Failed'".to_owned()),
        ("syncs, Syncing", with_status(Status::Syncing), "status = 'Syncing'".to_owned()),
        ("syncs, FullSync", of_type(SyncType::FullSync), "sync_type = 'FullSync'".to_owned()),
        ("syncs, IncrementalSync", of_type(SyncType::IncrementalSync), "sync_type = 'IncrementalSync'".to_owned()),
        (
            "syncs, FullSync, Failed",
            SyncQuery { status: Some(Status::Failed), ..of_type(SyncType::FullSync) },
            "sync_type = 'FullSync' AND status = 'Failed'".to_owned(),
        ),
        ("syncs, a dataset", at(&examples.dataset), below("path", &examples.dataset)),
        ("syncs, the folder above", at(&examples.folder), below("path", &examples.folder)),
        (
            "syncs, text",
            SyncQuery { text: Some("nightly".to_owned()), ..SYNCS },
            "name LIKE '%nightly%' OR path LIKE '%nightly%'".to_owned(),
        ),
    ]
}

fn trash(examples: &Examples) -> Vec<(&'static str, TrashQuery, String)> {
    vec![
        ("trash", TRASH, "1".to_owned()),
        (
            "trash, a dataset",
            TrashQuery { path: Some(lake_path(&examples.dataset)), ..TRASH },
            below("origin", &examples.dataset),
        ),
        (
            "trash, text",
            TrashQuery { text: Some("csv".to_owned()), ..TRASH },
            "origin LIKE '%csv%' OR trashed_by LIKE '%csv%'".to_owned(),
        ),
    ]
}

fn lake_path(text: &str) -> LakePath {
    LakePath::parse(text).unwrap()
}

/// Condition for a path and all paths below it.
fn below(column: &str, place: &str) -> String {
    format!("({column} = '{place}' OR ({column} >= '{place}/' AND {column} < '{place}0'))")
}

/// Queries of the pages that are no lists.
pub async fn others(state: &dyn State) {
    let rows = state.syncs(&SyncQuery { page: Page { order: Order::Desc, ..Page::FIRST }, ..SYNCS }).await.unwrap();
    let (mut one, mut open, mut datasets) = (Vec::new(), Vec::new(), Vec::new());
    for sync in &rows {
        let start = Instant::now();
        state.sync(sync.sync_id).await.unwrap().unwrap();
        one.push(start.elapsed());
        let start = Instant::now();
        state.open_syncs().await.unwrap();
        open.push(start.elapsed());
        let start = Instant::now();
        state.datasets("/", None, 20).await.unwrap();
        datasets.push(start.elapsed());
    }
    for (name, times) in [("one sync", one), ("open syncs", open), ("datasets, as one types", datasets)] {
        let (median, p99) = summary(times);
        let row = [name, "", "", &format!("{median} ({p99})"), "", "", ""];
        print_row(&row.map(str::to_owned));
    }
}
