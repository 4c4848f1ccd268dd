//! Several nodes on one PostgreSQL: starts, landings and ends beside each other, connections that break at any moment,
//! commits whose answers are lost, and a folder that only one node may serve.

#![allow(clippy::unwrap_used)]

#[path = "nodes/ends.rs"]
mod ends;
#[path = "nodes/namespace.rs"]
mod namespace;
#[path = "support/proxy.rs"]
mod proxy;
#[path = "support/postgres.rs"]
mod support;

use futures_util::future::join_all;
use lakeshore::model::access::actor::Actor;
use lakeshore::model::digest::Digest;
use lakeshore::model::id::{SyncId, UploadId};
use lakeshore::model::page::{Order, Page, SyncQuery, TrashQuery, UploadQuery};
use lakeshore::model::path::LakePath;
use lakeshore::model::storage_path::{Identity, PartialName};
use lakeshore::model::sync::job::Closing;
use lakeshore::model::sync::start::NewSync;
use lakeshore::model::sync::status::{Status, SyncType};
use lakeshore::ports::StateInspection;
use lakeshore::ports::metadata::dataset::{DatasetQuery, DatasetState};
use lakeshore::ports::metadata::key::KeyState;
use lakeshore::ports::metadata::sync::SyncState;
use lakeshore::ports::metadata::trash::TrashState;
use lakeshore::ports::metadata::upload::{CompletedUpload, FinishedLandings, LandedUpload, NewUpload, UploadState};
use lakeshore::{Error, Timestamp};
use lakeshore_metadata::postgres::{CONNECTIONS_MIN, OpenError, PostgresOptions, PostgresState};
use proxy::{Cut, Proxy};
use sqlx::{Connection, Executor, PgConnection};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use support::Database;
use tokio::time::timeout;

fn block_on(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(future);
}

/// Runs a test with a database of its own, where PostgreSQL is installed.
fn with_database<F: Future<Output = ()>>(test: impl FnOnce(Database) -> F) {
    block_on(async {
        if let Some(database) = Database::new().await {
            test(database).await;
        }
    });
}

fn new_sync(path: &str, sync_type: SyncType) -> NewSync {
    NewSync {
        name: "n".into(),
        path: LakePath::parse(path).unwrap(),
        sync_type,
        started_by: Actor::from("me"),
        expected: None,
        once: None,
        restores_version: None,
        at: Timestamp(10),
    }
}

fn whole(sync_id: SyncId, name: &str, upload_id: Option<UploadId>) -> CompletedUpload {
    CompletedUpload {
        upload_id,
        sync_id,
        file_name: name.into(),
        target: LakePath::parse(&format!("/a/dt=1/{name}")).unwrap(),
        partial: PartialName::from_stored(format!("p-{name}")),
        identity: Identity(name.into()),
        digest: Digest { size_bytes: 7, sha256: [7; 32] },
        begun_at: Timestamp(20),
        by: "me".into(),
        taken_over: false,
    }
}

const ALL: UploadQuery =
    UploadQuery { page: Page::FIRST, sync_id: None, status: None, path: None, text: None, scope: None };

fn without_trash(uploads: Vec<CompletedUpload>) -> Vec<LandedUpload> {
    uploads.into_iter().map(|upload| LandedUpload { upload, trash: None }).collect()
}

async fn land(state: &PostgresState, uploads: Vec<CompletedUpload>) -> Result<(), Error> {
    let (id, permissions) = state.write_intents(None, &uploads).await?;
    permissions.into_iter().collect::<Result<Vec<_>, _>>()?;
    let landed = without_trash(uploads);
    state.finish_landings(&FinishedLandings { id, landed, left: Vec::new(), at: Timestamp(30) }).await
}

async fn begin(state: &PostgresState, sync_id: SyncId, name: &str) -> Result<UploadId, Error> {
    let new = NewUpload {
        sync_id,
        file_name: name.into(),
        target: LakePath::parse(&format!("/a/b/{name}")).unwrap(),
        partial: PartialName::from_stored(format!("p-{name}")),
        identity: Identity(name.into()),
        at: Timestamp(20),
    };
    state.begin_upload(&new).await
}

async fn names(state: &PostgresState, status: Status) -> Vec<String> {
    let page = Page { from: 0, size: 100_000, order: Order::Asc };
    let all = UploadQuery { page, sync_id: None, status: Some(status), path: None, text: None, scope: None };
    state.uploads(&all).await.unwrap().into_iter().map(|upload| upload.file_name).collect()
}

async fn agrees(state: &PostgresState) {
    assert_eq!(state.miscounts().await.unwrap(), []);
    assert_eq!(state.damage().await.unwrap(), Vec::<String>::new());
}

#[test]
fn of_starts_on_overlapping_paths_on_several_nodes_one_wins() {
    with_database(async |database| {
        let nodes = join_all((0..3).map(|_| database.open())).await;
        for round in 0..8 {
            let paths = ["", "/b", "/b/c"].map(|below| format!("/r{round}{below}"));
            let starts = paths.iter().cycle().zip(&nodes).cycle().take(9);
            let starts = starts.map(async |(path, node)| node.start_sync(&new_sync(path, SyncType::FullSync)).await);
            let started = join_all(starts).await;
            let won = started.iter().filter(|started| started.is_ok()).count();
            assert_eq!(won, 1, "{started:?}");
            let is_refused = |started: &Result<SyncId, Error>| matches!(started, Ok(_) | Err(Error::PathHeld { .. }));
            assert!(started.iter().all(is_refused), "{started:?}");
        }
        agrees(&nodes[0]).await;
    });
}

#[test]
fn files_that_land_on_several_nodes_while_their_sync_ends_are_counted_or_refused_and_ids_have_no_gaps() {
    with_database(async |database| {
        let nodes = join_all((0..3).map(|_| database.open())).await;
        let sync_id = nodes[0].start_sync(&new_sync("/a", SyncType::IncrementalSync)).await.unwrap();
        let landed = parking_lot::Mutex::new(BTreeSet::new());
        let ends = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let closing = Closing::Finish { by: Actor::default() };
            nodes[1].close_sync(sync_id, &closing, true, Timestamp(50)).await.unwrap();
        };
        let workers = (0..9).map(async |worker: usize| {
            let node = &nodes[worker % 3];
            for number in 0..40 {
                let name = format!("{worker}-{number}");
                let files = vec![whole(sync_id, &name, None), whole(sync_id, &format!("{name}+"), None)];
                match land(node, files).await {
                    Ok(()) => landed.lock().extend([name.clone(), format!("{name}+")]),
                    Err(Error::SyncEnded { .. } | Error::SyncEnding(_)) => return,
                    Err(error) => panic!("{error:?}"),
                }
                if let Ok(upload_id) = begin(node, sync_id, &name).await {
                    node.fail_upload(upload_id, "no", 1, Timestamp(25)).await.unwrap();
                }
            }
        });
        tokio::join!(ends, join_all(workers));
        // An intent that was written before the end may be finished behind it: it was allowed.
        let known: BTreeSet<_> = names(&nodes[2], Status::Finished).await.into_iter().collect();
        assert!(landed.lock().is_subset(&known));
        assert!(known.len() > 10, "something has landed");
        assert!(matches!(land(&nodes[0], vec![whole(sync_id, "late", None)]).await, Err(Error::SyncEnded { .. })));
        agrees(&nodes[0]).await;
    });
}

#[test]
fn connections_that_break_at_any_moment_lose_nothing_and_repeat_nothing() {
    with_database(async |database| {
        let nodes = join_all((0..2).map(|_| database.open())).await;
        let sync_id = nodes[0].start_sync(&new_sync("/a", SyncType::IncrementalSync)).await.unwrap();
        let is_over = AtomicBool::new(false);
        let breaks = async {
            let mut broken = 0;
            while !is_over.load(Ordering::Relaxed) {
                let sql = "SELECT count(*) FROM (SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                           WHERE datname = current_database() AND pid <> pg_backend_pid() ORDER BY random() LIMIT 2) AS b";
                let mut connection = PgConnection::connect(&database.address).await.unwrap();
                broken += sqlx::query_scalar::<_, i64>(sql).fetch_one(&mut connection).await.unwrap();
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
            broken
        };
        let works = async {
            let workers = (0..6).map(async |worker: usize| {
                let node = &nodes[worker % 2];
                let mut landed = Vec::new();
                for number in 0..20 {
                    let name = format!("{worker}-{number}");
                    match land(node, vec![whole(sync_id, &name, None)]).await {
                        Ok(()) => landed.push(name),
                        Err(error) => assert!(error.is_transient(), "{error:?}"),
                    }
                }
                landed
            });
            let landed: Vec<_> = join_all(workers).await.into_iter().flatten().collect();
            is_over.store(true, Ordering::Relaxed);
            landed
        };
        let (broken, mut landed) = tokio::join!(breaks, works);
        assert!(broken > 10, "{broken} connections were broken");
        let (mut known, node) = (Vec::new(), database.open().await);
        known.extend(names(&node, Status::Finished).await);
        known.sort();
        landed.sort();
        assert_eq!(known, landed);
        agrees(&node).await;
    });
}

#[test]
fn a_commit_whose_answer_is_lost_is_found_to_have_taken_place_or_done_again() {
    with_database(async |database| {
        for cut in [Cut::BeforeTheCommit, Cut::BehindTheCommit] {
            let proxy = Proxy::start(&database.address).await;
            let node = PostgresState::open(&proxy.address.parse().unwrap()).await.unwrap();
            let path = format!("/{cut:?}").to_lowercase();
            for number in 0..5 {
                proxy.cut_next(cut);
                let sync_id =
                    node.start_sync(&new_sync(&format!("{path}/{number}"), SyncType::FullSync)).await.unwrap();
                assert!(node.sync(sync_id).await.unwrap().is_some());
                assert_eq!(proxy.cuts_left(), 0);
            }
            // Done once: the ids have no gaps.
            agrees(&node).await;
        }
        let node = database.open().await;
        assert_eq!(node.open_syncs().await.unwrap().len(), 10);
    });
}

#[test]
fn a_commit_whose_outcome_cannot_be_found_out_is_told_as_unsettled_and_not_repeated() {
    with_database(async |database| {
        let proxy = Proxy::start(&database.address).await;
        let node = PostgresState::open(&proxy.address.parse().unwrap()).await.unwrap();
        proxy.cut_next(Cut::BehindTheCommitForGood);
        let unsettled = node.start_sync(&new_sync("/a", SyncType::FullSync)).await.unwrap_err();
        assert!(unsettled.is_unsettled(), "{unsettled:?}");
        let node = database.open().await;
        assert_eq!(node.open_syncs().await.unwrap(), [SyncId(1)]);
    });
}

#[test]
fn a_server_that_vanishes_without_a_word_holds_no_connection_for_good() {
    with_database(async |database| {
        let proxy = Proxy::start(&database.address).await;
        let limit = Some(Duration::from_secs(1));
        let options = proxy.address.parse::<PostgresOptions>().unwrap().with_limits(CONNECTIONS_MIN, limit);
        let node = PostgresState::open(&options).await.unwrap();
        // As many as there may be connections.
        let starts = async |name: &str| {
            let news: Vec<_> =
                (0..CONNECTIONS_MIN).map(|n| new_sync(&format!("/{name}/{n}"), SyncType::FullSync)).collect();
            join_all(news.iter().map(|new| node.start_sync(new))).await
        };
        assert!(starts("before").await.iter().all(Result::is_ok));
        proxy.vanish();
        for failed in starts("meanwhile").await {
            let failed = failed.unwrap_err();
            assert!(failed.is_transient() || failed.is_unsettled(), "{failed:?}");
        }
        proxy.come_back();
        assert!(starts("after").await.iter().all(Result::is_ok));
        assert!(node.open_syncs().await.unwrap().len() >= 6);
        agrees(&node).await;
    });
}

#[test]
fn requests_that_are_given_up_while_the_server_does_not_answer_hold_no_connection() {
    with_database(async |database| {
        let proxy = Proxy::start(&database.address).await;
        let options = proxy.address.parse::<PostgresOptions>().unwrap().with_limits(CONNECTIONS_MIN, None);
        let node = PostgresState::open(&options).await.unwrap();
        let mut connection = PgConnection::connect(&database.address).await.unwrap();
        let mut locking = connection.begin().await.unwrap();
        locking.execute("LOCK TABLE uploads IN ACCESS EXCLUSIVE MODE").await.unwrap();
        // Each is amid a statement, and waits for the lock.
        let mut asked = join_all((0..CONNECTIONS_MIN).map(|_| node.upload(UploadId(1))));
        assert!(timeout(Duration::from_millis(500), &mut asked).await.is_err(), "the table is locked");
        proxy.vanish();
        locking.rollback().await.unwrap();
        assert!(timeout(Duration::from_millis(500), &mut asked).await.is_err(), "nobody answers");
        drop(asked);
        proxy.come_back();
        let asked = join_all((0..CONNECTIONS_MIN).map(|_| node.upload(UploadId(1)))).await;
        assert!(asked.iter().all(Result::is_ok), "{asked:?}");
    });
}

#[test]
fn a_commit_whose_answer_never_comes_is_found_to_have_taken_place() {
    with_database(async |database| {
        let proxy = Proxy::start(&database.address).await;
        let limit = Some(Duration::from_secs(1));
        let options = proxy.address.parse::<PostgresOptions>().unwrap().with_limits(CONNECTIONS_MIN, limit);
        let node = PostgresState::open(&options).await.unwrap();
        proxy.cut_next(Cut::SilentBehindTheCommit);
        assert_eq!(node.start_sync(&new_sync("/a", SyncType::FullSync)).await.unwrap(), SyncId(1));
        assert_eq!(proxy.cuts_left(), 0);
        assert_eq!(node.open_syncs().await.unwrap(), [SyncId(1)], "it was not done again");
        agrees(&node).await;
    });
}

#[test]
fn a_search_of_any_list_that_takes_too_long_is_told_as_such() {
    with_database(async |database| {
        let node = database.open().await;
        let mut connection = PgConnection::connect(&database.address).await.unwrap();
        let mut locking = connection.begin().await.unwrap();
        locking.execute("LOCK TABLE uploads, syncs, trash, datasets IN ACCESS EXCLUSIVE MODE").await.unwrap();
        let (page, text) = (Page::FIRST, Some("x".to_owned()));
        let datasets = DatasetQuery { page, path: None, text: text.clone(), scope: None, has_schedule: false };
        let syncs = SyncQuery { page, status: None, sync_type: None, path: None, text: text.clone(), scope: None };
        let trash = TrashQuery { page, sync_id: None, path: None, text: text.clone(), scope: None };
        let uploads = UploadQuery { text, ..ALL };
        let (uploads, syncs, trash, groups, datasets) = tokio::join!(
            node.uploads(&uploads),
            node.syncs(&syncs),
            node.trash(&trash),
            node.trash_groups(&trash),
            node.dataset_records(&datasets),
        );
        let errors = [uploads.err(), syncs.err(), trash.err(), groups.err(), datasets.err()];
        assert!(errors.iter().all(|error| matches!(error, Some(Error::SearchTooLong { .. }))), "{errors:?}");
    });
}

#[test]
fn a_folder_has_one_node_and_one_that_was_replaced_cannot_write_any_more() {
    with_database(async |database| {
        let first = database.open().await.serve_alone("process 1 on host a").await.unwrap();
        first.start_sync(&new_sync("/a", SyncType::FullSync)).await.unwrap();
        let refused = database.open().await.serve_alone("process 2 on host b").await.err().unwrap();
        assert!(matches!(&refused, OpenError::Served { holder, .. } if holder == "process 1 on host a"), "{refused}");
        // Commands work beside it.
        assert!(database.open().await.keys().await.unwrap().is_empty());
        // Its session ends, as where the network breaks; another node takes over before it is back.
        let mut connection = PgConnection::connect(&database.address).await.unwrap();
        let end = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7000 \
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        connection.execute(end).await.unwrap();
        let second = database.open().await.serve_alone("process 2 on host b").await.unwrap();
        second.start_sync(&new_sync("/b", SyncType::FullSync)).await.unwrap();
        let fenced = first.start_sync(&new_sync("/c", SyncType::FullSync)).await.unwrap_err();
        let Error::Internal(fault) = &fenced else { panic!("{fenced:?}") };
        assert!(fault.to_string().contains("another server has taken over"), "{fault}");
        assert!(!fenced.is_transient());
        assert_eq!(first.open_syncs().await.unwrap().len(), 2, "it can still read");
        while !first.is_taken_over() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
}

#[test]
fn a_database_that_is_not_ready_is_refused_with_what_to_do() {
    block_on(async {
        let Some(database) = Database::empty().await else { return };
        let options = database.options();
        let existing = lakeshore_metadata::store::Opening::Existing;
        let empty = PostgresState::open_for(&options, existing).await.err().unwrap();
        assert!(matches!(empty, OpenError::Empty { .. }), "{empty}");
        // Several nodes make the tables at once.
        let opened = join_all((0..4).map(|_| PostgresState::open(&options))).await;
        assert!(opened.iter().all(Result::is_ok), "{:?}", opened.iter().find_map(|opened| opened.as_ref().err()));
        let mut connection = PgConnection::connect(&database.address).await.unwrap();
        connection.execute("UPDATE _sqlx_migrations SET version = 1000 WHERE version = (SELECT max(version) FROM _sqlx_migrations)").await.unwrap();
        let newer = PostgresState::open(&options).await.err().unwrap();
        assert!(matches!(newer, OpenError::Newer { found: 1000, .. }), "{newer}");
        let missing = format!("{}_missing", database.address).parse().unwrap();
        let missing = PostgresState::open(&missing).await.err().unwrap();
        assert!(matches!(missing, OpenError::NoDatabase { .. }), "{missing}");
        let elsewhere = "postgres://me:secret@127.0.0.1:1/x".parse().unwrap();
        let refused = PostgresState::open(&elsewhere).await.err().unwrap().to_string();
        assert!(refused.contains("check that PostgreSQL runs there") && !refused.contains("secret"), "{refused}");
        assert!(!format!("{elsewhere:?}").contains("secret"));
    });
}

#[test]
fn audit_entries_cannot_be_changed_or_removed() {
    with_database(async |database| {
        let node = database.open().await;
        node.start_sync(&new_sync("/a/b", SyncType::FullSync)).await.unwrap();
        let mut connection = PgConnection::connect(&database.address).await.unwrap();
        for sql in [
            "UPDATE activity SET who = 'eve'",
            "DELETE FROM activity",
            "TRUNCATE activity CASCADE",
            "UPDATE activity_places SET path = '/c'",
            "DELETE FROM activity_places",
        ] {
            let refused = connection.execute(sql).await.unwrap_err().to_string();
            assert!(refused.contains("activity is only added to"), "{sql}: {refused}");
        }
    });
}

#[test]
fn a_name_with_a_nul_is_kept_without_it() {
    with_database(async |database| {
        let node = database.open().await;
        let sync_id = node.start_sync(&NewSync { name: "a\0b".into(), ..new_sync("/a", SyncType::FullSync) }).await;
        let sync = node.sync(sync_id.unwrap()).await.unwrap().unwrap().sync;
        assert_eq!(sync.name, "a\u{fffd}b");
    });
}
