//! A database of SQLite moves to PostgreSQL whole.

#![allow(clippy::unwrap_used)]

#[path = "support/postgres.rs"]
mod support;

use lakeshore::Timestamp;
use lakeshore::model::access::actor::Actor;
use lakeshore::model::access::key::{NewKey, SecretHash};
use lakeshore::model::access::role::Role;
use lakeshore::model::audit::AuditParameters;
use lakeshore::model::digest::Digest;
use lakeshore::model::id::SyncId;
use lakeshore::model::object_key::{ObjectKey, UploadOwner};
use lakeshore::model::page::{Order, Page, SyncQuery, TrashQuery, UploadQuery};
use lakeshore::model::path::LakePath;
use lakeshore::model::storage_path::{Identity, PartialName, StoragePath, TrashKey};
use lakeshore::model::sync::end::Settlement;
use lakeshore::model::sync::job::Closing;
use lakeshore::model::sync::start::NewSync;
use lakeshore::model::sync::status::{Status, SyncType};
use lakeshore::model::trash::{NewTrash, TrashKind, TrashReason};
use lakeshore::ports::Namespace;
use lakeshore::ports::metadata::State;
use lakeshore::ports::metadata::upload::{CompletedUpload, FinishedLandings, LandedUpload};
use lakeshore::ports::metadata::version::VersionFilesQuery;
use lakeshore::ports::namespace::{NewObject, ObjectCheckpoint, StoredPart};
use lakeshore::ports::storage::Landing;
use lakeshore_metadata::postgres::TransferError;
use lakeshore_metadata::sqlite::SqliteState;
use support::Database;

fn path(text: &str) -> LakePath {
    LakePath::parse(text).unwrap()
}

fn trash(key: &str, origin: &str, kind: TrashKind, reason: TrashReason, sync_id: SyncId) -> NewTrash {
    let (key, origin) = (TrashKey::from_stored(key.into()), path(origin));
    NewTrash { key, origin, kind, reason, sync_id: Some(sync_id), by: "me".into(), at: Timestamp(40) }
}

async fn start(state: &dyn State, on: &str, sync_type: SyncType) -> SyncId {
    let (name, started_by) = ("n".into(), Actor::from("me"));
    let new = NewSync {
        name,
        path: path(on),
        sync_type,
        started_by,
        expected: None,
        once: None,
        restores_version: None,
        at: Timestamp(10),
    };
    state.start_sync(&new).await.unwrap()
}

async fn land(state: &dyn State, sync_id: SyncId, targets: &[String], replaced: Option<NewTrash>) {
    let upload = |target: &String| CompletedUpload {
        upload_id: None,
        sync_id,
        file_name: path(target).leaf().to_owned(),
        target: path(target),
        partial: PartialName::from_stored(target.clone()),
        identity: Identity(target.clone()),
        digest: Digest { size_bytes: target.len() as u64, sha256: [7; 32] },
        begun_at: Timestamp(20),
        by: "me".into(),
        taken_over: false,
    };
    let uploads: Vec<_> = targets.iter().map(upload).collect();
    let (id, _) = state.write_intents(None, &uploads).await.unwrap();
    let mut landed: Vec<_> = uploads.into_iter().map(|upload| LandedUpload { upload, trash: None }).collect();
    landed[0].trash = replaced;
    state.finish_landings(&FinishedLandings { id, landed, left: Vec::new(), at: Timestamp(30) }).await.unwrap();
}

async fn publish(state: &dyn State, sync_id: SyncId, trash: Option<NewTrash>) {
    let closing = Closing::Publish { staging: Identity("9".into()), allow_empty: false, by: "me".into() };
    state.close_sync(sync_id, &closing, false, Timestamp(50)).await.unwrap();
    let (status, message, at) = (Status::Finished, String::new(), Timestamp(51));
    state.settle_sync(&Settlement { sync_id, status, message, trash, at }).await.unwrap();
}

/// A lake with a bit of everything.
async fn fill(state: &dyn State) {
    let key = NewKey { name: "etl".into(), role: Role::Write, path_prefix: Some(path("/a")), expires_at: None };
    state.create_key(&key, "hint", &SecretHash([3; 32]), &Actor::default(), Timestamp(5)).await.unwrap();
    let incremental = start(state, "/a/b", SyncType::IncrementalSync).await;
    let names: Vec<_> = (0..2500).map(|number| format!("/a/b/dt={}/f{number}", number % 7)).collect();
    land(state, incremental, &names, None).await;
    let again = trash("t1", "/a/b/dt=0/f0", TrashKind::File, TrashReason::Overwritten, incremental);
    land(state, incremental, &names[..1], Some(again)).await;
    for round in 0..2 {
        let full = start(state, "/full", SyncType::FullSync).await;
        land(state, full, &[format!("/full/{round}")], None).await;
        let slot = (round > 0).then(|| trash("t2", "/full", TrashKind::Dataset, TrashReason::Replaced, full));
        publish(state, full, slot).await;
    }
    // SQLite writes the versions of the last landings later.
    for name in ["last", "very last"] {
        land(state, incremental, &[format!("/a/b/{name}")], None).await;
    }
}

fn object(name: &str) -> NewObject {
    let owner = UploadOwner { sync_id: SyncId(1), dataset: path("/a/b"), file: path(&format!("/a/b/{name}.csv")) };
    let digest = Digest::of(name.as_bytes());
    let key = ObjectKey::of_upload(Some(&owner), digest.sha256[..16].try_into().unwrap());
    NewObject { partial: PartialName::from_stored(name.into()), key, digest: Some(digest) }
}

/// Lands an object in the tree of a lake on object storage.
async fn land_object(namespace: &dyn Namespace, name: &str, target: &str) {
    let new = object(name);
    let intended = namespace.intend(std::slice::from_ref(&new), Timestamp(60)).await.unwrap().remove(0);
    let landing = Landing {
        partial: new.partial,
        identity: intended.identity,
        place: StoragePath::Live(path(target)),
        trash: TrashKey::from_stored(format!("of-{name}")),
        leaf: path(target).leaf().to_owned(),
    };
    namespace.land(&[landing], Timestamp(61)).await.unwrap().remove(0).unwrap();
}

/// A lake on object storage: files, trash, and an upload that is under way.
async fn fill_namespace(namespace: &dyn Namespace) {
    land_object(namespace, "one", "/a/b/f1").await;
    land_object(namespace, "two", "/a/b/dt=1/f2").await;
    land_object(namespace, "three", "/a/b/f1").await;
    let upload = NewObject { digest: None, ..object("under way") };
    let intended = namespace.intend(&[upload], Timestamp(62)).await.unwrap().remove(0);
    namespace.begin_multipart(intended.object, "multipart").await.unwrap();
    let tail = ObjectKey::of_tail([4; 16]);
    let tail = (namespace.intend_tail(&tail, 3, Timestamp(63)).await.unwrap(), tail);
    let checkpoint = ObjectCheckpoint { offset: 8, hash_state: vec![1, 2], parts: 1, parts_bytes: 5, tail: Some(tail) };
    let part = StoredPart { content_id: "etag".into(), size_bytes: 5 };
    namespace.checkpoint(intended.object, &checkpoint, &[part], Timestamp(64)).await.unwrap();
    namespace.stage(SyncId(3), Timestamp(65)).await.unwrap();
    let gone = NewObject { digest: None, ..object("gone") };
    namespace.intend(&[gone], Timestamp(66)).await.unwrap();
    namespace.discard(&object("gone").partial, Timestamp(67)).await.unwrap();
}

async fn seen_in_namespace(namespace: &dyn Namespace) -> Vec<String> {
    let places = ["/a/b/f1", "/a/b/dt=1/f2"].map(|file| StoragePath::Live(path(file)));
    let mut seen = vec![
        format!("{:?}", namespace.find(&places).await.unwrap()),
        format!("{:?}", namespace.upload(&object("under way").partial).await.unwrap()),
        format!("{:?}", namespace.unreferenced_objects(Timestamp(1000), 10).await.unwrap()),
        format!("{:?}", namespace.measure_folders(&StoragePath::Live(path("/a")), 10).await.unwrap()),
        format!("{:?}", namespace.list_folder(Some(&path("/a/b")), 0, 10).await.unwrap()),
    ];
    for folder in [StoragePath::TrashSlots, StoragePath::Stagings, StoragePath::Partials] {
        seen.push(format!("{:?}", namespace.list(&folder).await.unwrap()));
    }
    seen
}

/// A lake as callers see it.
async fn seen(state: &dyn State) -> Vec<String> {
    let page = Page { from: 0, size: 10_000, order: Order::Asc };
    let uploads = UploadQuery { page, sync_id: None, status: None, path: None, text: None, scope: None };
    let syncs = SyncQuery { page, status: None, sync_type: None, path: None, text: None, scope: None };
    let trash = TrashQuery { page, sync_id: None, path: None, text: None, scope: None };
    let audit = AuditParameters::default().query(None, false).unwrap().unwrap();
    let mut seen = vec![
        format!("{:?}", state.uploads(&uploads).await.unwrap()),
        format!("{:?}", state.syncs(&syncs).await.unwrap()),
        format!("{:?}", state.trash(&trash).await.unwrap()),
        format!("{:?}", state.activity(&audit).await.unwrap()),
        format!("{:?}", state.key_of(&SecretHash([3; 32])).await.unwrap()),
        format!("{:?}", state.open_syncs().await.unwrap()),
    ];
    for dataset in ["/a/b", "/full"].map(path) {
        let versions = state.list_versions(&dataset, 0, 100).await.unwrap();
        for version in &versions {
            let (dataset, version) = (dataset.clone(), version.version);
            let wanted = VersionFilesQuery { dataset, version, below: None, after: None, size: 10_000 };
            seen.push(format!("{:?}", state.version_files(&wanted).await.unwrap()));
        }
        seen.push(format!("{versions:?} {:?}", state.dataset_record(&dataset).await.unwrap()));
    }
    seen
}

#[tokio::test]
async fn a_transfer_moves_all_of_sqlite_to_postgresql_and_never_overwrites_anything() {
    let Some(database) = Database::new().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let sqlite = SqliteState::open(&folder.path().join("lakeshore.db")).await.unwrap();
    fill(&sqlite).await;
    fill_namespace(&sqlite).await;
    let postgres = database.open().await;
    assert!(postgres.copy_from(&sqlite).await.unwrap() > 5000);
    for (copied, there) in seen(&postgres).await.into_iter().zip(seen(&sqlite).await) {
        assert_eq!(copied, there);
    }
    for state in [&sqlite as &dyn State, &postgres] {
        land(state, SyncId(1), &["/a/b/new".to_owned()], None).await;
        assert_eq!(start(state, "/c", SyncType::FullSync).await, SyncId(4));
    }
    assert_eq!(seen(&postgres).await, seen(&sqlite).await);
    for namespace in [&sqlite as &dyn Namespace, &postgres] {
        land_object(namespace, "four", "/a/c/f4").await;
    }
    assert_eq!(seen_in_namespace(&postgres).await, seen_in_namespace(&sqlite).await);
    let four = [StoragePath::Live(path("/a/c/f4"))];
    assert_eq!(postgres.find(&four).await.unwrap(), sqlite.find(&four).await.unwrap());
    assert_eq!(State::missing_reserve_bytes(&postgres), 0);
    let again = postgres.copy_from(&sqlite).await.unwrap_err();
    assert!(matches!(again, TransferError::InUse), "{again}");
}
