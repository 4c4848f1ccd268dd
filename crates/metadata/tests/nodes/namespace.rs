//! Several nodes change the tree of one lake on object storage.

use super::with_database;
use futures_util::future::join_all;
use lakeshore::Timestamp;
use lakeshore::model::digest::Digest;
use lakeshore::model::id::SyncId;
use lakeshore::model::object_key::{ObjectKey, UploadOwner};
use lakeshore::model::path::LakePath;
use lakeshore::model::storage_path::{PartialName, StoragePath, TrashKey};
use lakeshore::ports::Namespace;
use lakeshore::ports::namespace::NewObject;
use lakeshore::ports::storage::{Landing, LandingOutcome, Publication, ReuseRequest};
use lakeshore_metadata::postgres::PostgresState;
use sqlx::{Connection, PgConnection};

const AT: Timestamp = Timestamp(50);
const ROUNDS: usize = 12;
const FILES: usize = 3;

fn path(text: &str) -> LakePath {
    LakePath::parse(text).unwrap()
}

fn live(number: usize) -> StoragePath {
    StoragePath::Live(path(&format!("/data/t/dt={number}/f")))
}

fn random(name: &str) -> [u8; 16] {
    Digest::of(name.as_bytes()).sha256[..16].try_into().unwrap()
}

async fn land(node: &PostgresState, name: &str, place: StoragePath) -> LandingOutcome {
    let owner = UploadOwner { sync_id: SyncId(1), dataset: path("/data/t"), file: path("/data/t/f") };
    let partial = PartialName::from_stored(name.to_owned());
    let digest = Some(Digest::of(name.as_bytes()));
    let new = NewObject { partial: partial.clone(), key: ObjectKey::of_upload(Some(&owner), random(name)), digest };
    let identity = node.intend(&[new], AT).await.unwrap().remove(0).identity;
    let trash = TrashKey::from_stored(format!("of-{name}"));
    let landing = Landing { partial, identity, place, trash, leaf: "f".into() };
    node.land(&[landing], AT).await.unwrap().remove(0).unwrap()
}

/// Takes a file over, which others replace meanwhile, and gives it up again.
async fn take_over(node: &PostgresState, name: &str, from: StoragePath) {
    let Some(found) = node.find(std::slice::from_ref(&from)).await.unwrap().remove(0) else { return };
    let partial = PartialName::from_stored(name.to_owned());
    let file = ReuseRequest { from, found: found.found, partial: partial.clone() };
    node.take_over(&[file], AT).await.unwrap();
    node.discard(&partial, AT).await.unwrap();
}

/// Stages a dataset with one file, and publishes it.
async fn publish(node: &PostgresState, number: usize) {
    let sync = SyncId(100 + number as u64);
    let identity = node.stage(sync, AT).await.unwrap();
    let dataset = path("/data/t/dt=0");
    let staged = StoragePath::Staged { sync, relative: "f".into() };
    land(node, &format!("staged-{number}"), staged).await;
    let trash = TrashKey::from_stored(format!("dataset-{number}"));
    node.publish(&Publication { sync, identity, dataset, trash }, AT).await.unwrap();
}

async fn empty_trash(node: &PostgresState) {
    let slots = node.list(&StoragePath::TrashSlots).await.unwrap();
    let keys: Vec<_> = slots.into_iter().map(|slot| TrashKey::from_stored(slot.name)).collect();
    node.remove_trash(&keys, 1000, AT).await.unwrap();
}

async fn count(connection: &mut PgConnection, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(connection).await.unwrap()
}

#[test]
fn nodes_that_change_one_tree_lose_no_file_and_leave_no_object_without_a_reference() {
    with_database(async |database| {
        let nodes = join_all((0..4).map(|_| database.open())).await;
        let works = nodes.iter().enumerate().map(async |(node_number, node)| {
            for round in 0..ROUNDS {
                let name = format!("{node_number}-{round}");
                let file = live((node_number + round) % FILES);
                match (node_number + round) % 4 {
                    0 | 1 => drop(land(node, &name, file).await),
                    2 => take_over(node, &name, file).await,
                    _ => empty_trash(node).await,
                }
                if round % 4 == 0 {
                    publish(node, node_number * ROUNDS + round).await;
                }
            }
        });
        join_all(works).await;
        empty_trash(&nodes[0]).await;
        let files: Vec<_> = (0..FILES).map(live).collect();
        let found = nodes[0].find(&files).await.unwrap();
        assert!(found.iter().all(Option::is_some), "{found:?}");
        assert_eq!(nodes[0].measure(&StoragePath::Live(path("/data"))).await.unwrap().files, FILES as u64);
        for folder in [StoragePath::Partials, StoragePath::Stagings, StoragePath::TrashSlots] {
            assert_eq!(nodes[0].list(&folder).await.unwrap(), [], "{folder:?}");
        }
        let mut connection = PgConnection::connect(&database.address).await.unwrap();
        let lost = "SELECT count(*) FROM nodes n WHERE parent_id <> 0 \
                    AND NOT EXISTS (SELECT 1 FROM nodes above WHERE above.node_id = n.parent_id)";
        assert_eq!(count(&mut connection, lost).await, 0, "nodes without a folder above them");
        let wrong = "SELECT count(*) FROM objects o WHERE (unreferenced_at IS NULL) \
                     <> EXISTS (SELECT 1 FROM nodes n WHERE n.object_id = o.object_id)";
        assert_eq!(
            count(&mut connection, wrong).await,
            0,
            "objects that are referred to, or not, without being marked so"
        );
    });
}
