//! Conformance: the storage of files.

use super::{bytes_at, land, land_one, landing, live_bytes, owner, partial, path, sealed, stage};
use crate::model::digest::Digest;
use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::storage_path::Identity;
use crate::model::storage_path::StoragePath;
use crate::model::storage_path::TrashKey;
use crate::model::totals::Totals;
use crate::model::trash::TrashKind;
use crate::ports::inspection::EntryKind;
use crate::ports::storage::{Files, FolderState, LandingOutcome, Measured, Publication, Restoration, WholeFile};
use std::collections::BTreeSet;

pub async fn a_landed_file_has_its_bytes_and_its_digest(files: &dyn Files) {
    let (identity, digest) = sealed(files, 1, b"hello, lake").await;
    assert_eq!(digest.size_bytes, 11);
    let known = "716309cb559debd66268e3349f18a07639ae30e08bdc6dbd1684d95169a3274e";
    assert_eq!(hex::encode(digest.sha256), known);
    let file = "/data/db/dt=1/a.csv";
    assert!(!files.exists(&StoragePath::Live(path(file))).await.unwrap());
    let outcome = land_one(files, landing(1, identity, StoragePath::Live(path(file)), file)).await.unwrap();
    assert_eq!(outcome, LandingOutcome::Added);
    assert!(files.exists(&StoragePath::Live(path(file))).await.unwrap());
    assert_eq!(files.measure(&StoragePath::Live(path("/data"))).await.unwrap(), Totals { files: 1, bytes: 11 });
    assert_eq!(files.measure(&StoragePath::Live(path(file))).await.unwrap(), Totals { files: 1, bytes: 11 });
    assert_eq!(files.measure(&StoragePath::Live(path("/nowhere/x"))).await.unwrap(), Totals::default());
    // An empty file counts as a file.
    assert_eq!(land(files, 2, "/data/db/empty", b"").await, LandingOutcome::Added);
    assert_eq!(files.measure(&StoragePath::Live(path("/data/db"))).await.unwrap(), Totals { files: 2, bytes: 11 });
    files.discard_partial(&partial(9)).await.unwrap();
}

pub async fn a_replaced_file_is_in_the_trash(files: &dyn Files) {
    assert_eq!(land(files, 1, "/data/a.csv", b"old").await, LandingOutcome::Added);
    assert_eq!(land(files, 2, "/data/a.csv", b"newer").await, LandingOutcome::Replaced);
    assert_eq!(live_bytes(files, "/data").await, 5);
    let key = TrashKey::of_upload(&partial(2));
    assert_eq!(bytes_at(files, &StoragePath::trashed(&key, &path("/data/a.csv"))).await, 3);
}

pub async fn a_file_is_opened_by_its_identity_wherever_it_is_or_by_its_path_alone(files: &dyn Files) {
    let (old, _) = sealed(files, 1, b"old").await;
    let live = StoragePath::Live(path("/data/a.csv"));
    land_one(files, landing(1, old.clone(), live.clone(), "/data/a.csv")).await.unwrap();
    let (new, _) = sealed(files, 2, b"newer").await;
    land_one(files, landing(2, new.clone(), live, "/data/a.csv")).await.unwrap();
    let unknown = Identity("987654321".into());
    let Some(opened) = files.open_identified(&[new, unknown, old]).await.unwrap() else { return };
    let mut contents = Vec::new();
    for file in opened {
        contents.push(match file {
            Some(file) => Some(file.read(0, 10).await.unwrap()),
            None => None,
        });
    }
    assert_eq!(contents, [Some(b"newer".to_vec()), None, Some(b"old".to_vec())]);
}

/// Measures until the folder states are returned: they are omitted for a moment after a change.
async fn measured(files: &dyn Files, place: &StoragePath) -> (Totals, Vec<FolderState>) {
    loop {
        let Measured { totals, folders } = files.measure_folders(place, 9).await.unwrap();
        if let Some(folders) = folders {
            return (totals, folders);
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

pub async fn a_change_after_a_measurement_is_detected(files: &dyn Files) {
    for (name, file) in (1..).zip(["/data/t/a.csv", "/data/t/dt=1/b.csv", "/data/t/dt=2/deep/c.csv", "/data/u/d.csv"]) {
        land(files, name, file, b"12").await;
    }
    let place = StoragePath::Live(path("/data/t"));
    let (totals, folders) = measured(files, &place).await;
    assert_eq!(totals, Totals { files: 3, bytes: 6 });
    land(files, 5, "/data/u/e.csv", b"beside it").await;
    assert!(files.are_unchanged(&place, &folders).await.unwrap());
    assert!(!files.are_unchanged(&StoragePath::Live(path("/data/u")), &folders).await.unwrap());
    assert!(!files.are_unchanged(&StoragePath::Live(path("/data/none")), &folders).await.unwrap());
    // Adds a file in a nested folder, replaces one, and adds one in a new folder.
    for (name, file) in (6..).zip(["/data/t/dt=2/deep/f.csv", "/data/t/dt=1/b.csv", "/data/t/dt=3/g.csv"]) {
        let (_, before) = measured(files, &place).await;
        land(files, name, file, b"123").await;
        assert!(!files.are_unchanged(&place, &before).await.unwrap(), "{file}");
    }
    let (totals, _) = measured(files, &place).await;
    assert_eq!(totals, Totals { files: 5, bytes: 13 });
}

pub async fn a_file_does_not_replace_a_folder(files: &dyn Files) {
    land(files, 1, "/data/a/b.csv", b"1").await;
    let (identity, _) = sealed(files, 2, b"2").await;
    for file in ["/data/a", "/data/a/b.csv/c.csv"] {
        let refused = land_one(files, landing(2, identity.clone(), StoragePath::Live(path(file)), file)).await;
        assert!(matches!(refused, Err(Error::InTheWay(_))), "{file}: {refused:?}");
    }
    assert_eq!(files.measure(&StoragePath::Live(path("/data"))).await.unwrap(), Totals { files: 1, bytes: 1 });
}

pub async fn recovery_distinguishes_landed_from_not_landed(files: &dyn Files) {
    let file = "/data/a.csv";
    let (first, _) = sealed(files, 1, b"one").await;
    let first = landing(1, first, StoragePath::Live(path(file)), file);
    assert_eq!(files.recover_landing(&first).await.unwrap(), None);
    land_one(files, first.clone()).await.unwrap();
    assert_eq!(files.recover_landing(&first).await.unwrap(), Some(LandingOutcome::Added));

    let (second, _) = sealed(files, 2, b"two!").await;
    let second = landing(2, second, StoragePath::Live(path(file)), file);
    assert_eq!(files.recover_landing(&second).await.unwrap(), None, "the first one has this name");
    land_one(files, second.clone()).await.unwrap();
    assert_eq!(files.recover_landing(&second).await.unwrap(), Some(LandingOutcome::Replaced));
    assert_eq!(
        files.recover_landing(&first).await.unwrap(),
        Some(LandingOutcome::Added),
        "it landed, and was replaced since"
    );
    assert_eq!(live_bytes(files, file).await, 4);
}

pub async fn a_group_lands_in_order_and_a_landing_can_be_rolled_back(files: &dyn Files) {
    let file = "/data/a.csv";
    let group = [(1, "one"), (2, "two!"), (3, "")];
    let wholes = group.map(|(name, bytes)| {
        let digest = Digest::of(bytes.as_bytes());
        WholeFile { name: partial(name), owner: owner(), bytes: bytes.into(), digest }
    });
    let (written, unsealed) = files.write_group(wholes.into()).await;
    unsealed.seal().await.unwrap();
    let written: Vec<_> = written.into_iter().map(Result::unwrap).collect();
    assert_eq!(written[1].1.size_bytes, 4);
    let (_, same) = sealed(files, 9, b"two!").await;
    assert_eq!(written[1].1, same);
    let landing = |name: u8, file: &str| {
        let (identity, _) = written[usize::from(name) - 1].clone();
        landing(name, identity, StoragePath::Live(path(file)), file)
    };
    // Another folder in between; and a failed landing does not stop the others.
    let landings = [landing(1, file), landing(3, "/data/b/c.csv"), landing(2, file)];
    let outcomes: Vec<_> = files.land(&landings).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(outcomes, [LandingOutcome::Added, LandingOutcome::Added, LandingOutcome::Replaced]);
    assert_eq!(live_bytes(files, "/data").await, 4);
    for (landing, outcome) in landings.iter().zip(outcomes) {
        assert_eq!(files.recover_landing(landing).await.unwrap(), Some(outcome));
    }

    files.rollback_landing(&landings[2]).await.unwrap();
    assert_eq!(live_bytes(files, "/data").await, 3);
    files.rollback_landing(&landings[0]).await.unwrap();
    assert_eq!(files.measure(&StoragePath::Live(path("/data"))).await.unwrap(), Totals { files: 1, bytes: 0 });
    for landing in [&landings[0], &landings[2]] {
        assert_eq!(files.recover_landing(landing).await.unwrap(), None);
        files.discard_partial(&landing.partial).await.unwrap();
        assert_eq!(bytes_at(files, &StoragePath::TrashSlot(landing.trash.clone())).await, 0);
    }
}

async fn publication(files: &dyn Files, sync: SyncId, dataset: &str) -> Publication {
    let identity = files.stage(sync).await.unwrap();
    Publication { sync, identity, dataset: path(dataset), trash: TrashKey::of_sync(sync) }
}

pub async fn publishing_replaces_a_dataset_and_is_idempotent(files: &dyn Files) {
    let dataset = "/data/db/t";
    stage(files, SyncId(1), 1, "dt=1/a.csv", b"first").await;
    let first = publication(files, SyncId(1), dataset).await;
    assert_eq!(live_bytes(files, dataset).await, 0);
    for _ in 0..2 {
        assert_eq!(files.publish(&first).await.unwrap(), LandingOutcome::Added);
        assert_eq!(live_bytes(files, dataset).await, 5);
    }
    stage(files, SyncId(2), 2, "b.csv", b"second").await;
    let second = publication(files, SyncId(2), dataset).await;
    for _ in 0..2 {
        assert_eq!(files.publish(&second).await.unwrap(), LandingOutcome::Replaced);
        assert_eq!(files.measure(&StoragePath::Live(path(dataset))).await.unwrap(), Totals { files: 1, bytes: 6 });
        let trashed = StoragePath::trashed(&TrashKey::of_sync(SyncId(2)), &path(dataset));
        assert_eq!(bytes_at(files, &trashed).await, 5);
        assert_eq!(bytes_at(files, &StoragePath::Staging(SyncId(2))).await, 0);
    }
}

pub async fn publishing_without_staging_is_refused(files: &dyn Files) {
    land(files, 1, "/data/t/a.csv", b"live").await;
    let lost = Publication { identity: Identity("0".into()), ..publication(files, SyncId(1), "/data/t").await };
    assert!(matches!(files.publish(&lost).await, Err(Error::StagingLost(SyncId(1)))));
    // A file at the path of the dataset stays, and so do the staged files.
    stage(files, SyncId(2), 2, "b.csv", b"staged").await;
    let in_the_way = publication(files, SyncId(2), "/data/t/a.csv").await;
    assert!(matches!(files.publish(&in_the_way).await, Err(Error::InTheWay(_))));
    assert_eq!(live_bytes(files, "/data/t/a.csv").await, 4);
    assert_eq!(bytes_at(files, &StoragePath::Staging(SyncId(2))).await, 6);
    assert_eq!(files.stage(SyncId(2)).await.unwrap(), in_the_way.identity);
}

pub async fn dropped_staging_moves_to_the_trash_and_empty_staging_is_removed(files: &dyn Files) {
    let dataset = path("/data/t");
    let key = TrashKey::of_sync(SyncId(1));
    assert!(!files.drop_staging(SyncId(1), &dataset, &key).await.unwrap(), "nothing was staged");
    files.stage(SyncId(1)).await.unwrap();
    assert!(!files.drop_staging(SyncId(1), &dataset, &key).await.unwrap(), "nothing but the folder was staged");
    assert!(!files.exists(&StoragePath::Staging(SyncId(1))).await.unwrap());
    stage(files, SyncId(1), 1, "a.csv", b"staged").await;
    assert!(files.exists(&StoragePath::Staging(SyncId(1))).await.unwrap());
    for _ in 0..2 {
        assert!(files.drop_staging(SyncId(1), &dataset, &key).await.unwrap());
        assert_eq!(bytes_at(files, &StoragePath::trashed(&key, &dataset)).await, 6);
        assert_eq!(bytes_at(files, &StoragePath::Staging(SyncId(1))).await, 0);
    }
    assert!(!files.exists(&StoragePath::Live(dataset.clone())).await.unwrap());
}

pub async fn a_restore_exchanges_the_live_and_the_trashed_content(files: &dyn Files) {
    let dataset = path("/data/t");
    let key = TrashKey::of_sync(SyncId(2));
    stage(files, SyncId(1), 1, "a.csv", b"first").await;
    files.publish(&publication(files, SyncId(1), "/data/t").await).await.unwrap();
    stage(files, SyncId(2), 2, "b.csv", b"second").await;
    files.publish(&publication(files, SyncId(2), "/data/t").await).await.unwrap();

    let identity = files.identify_trash(&key, &dataset).await.unwrap().unwrap();
    let restoration = Restoration { trash: key.clone(), identity, origin: dataset.clone(), kind: TrashKind::Dataset };
    for _ in 0..2 {
        assert_eq!(files.restore(&restoration).await.unwrap(), LandingOutcome::Replaced);
        assert_eq!(live_bytes(files, "/data/t").await, 5);
        assert_eq!(bytes_at(files, &StoragePath::trashed(&key, &dataset)).await, 6);
    }
    // Restores in the other direction: the trash of a restore is ordinary trash.
    let identity = files.identify_trash(&key, &dataset).await.unwrap().unwrap();
    files.restore(&Restoration { identity, ..restoration.clone() }).await.unwrap();
    assert_eq!(live_bytes(files, "/data/t").await, 6);
    let lost = Restoration { identity: Identity("0".into()), ..restoration };
    assert!(matches!(files.restore(&lost).await, Err(Error::InTheWay(_))));
    assert_eq!(files.identify_trash(&TrashKey::of_sync(SyncId(9)), &dataset).await.unwrap(), None);
}

pub async fn trash_is_removed_in_steps_and_other_items_stay(files: &dyn Files) {
    let dataset = path("/data/t");
    for (sync, name) in [(1, 1), (2, 4)] {
        for (file, name) in ["a.csv", "dt=1/b.csv", "dt=1/c.csv"].into_iter().zip(name..) {
            stage(files, SyncId(sync), name, file, b"1234").await;
        }
        assert!(files.drop_staging(SyncId(sync), &dataset, &TrashKey::of_sync(SyncId(sync))).await.unwrap());
    }
    let [purged, kept, absent] = [1, 2, 9].map(|sync| TrashKey::of_sync(SyncId(sync)));
    let bytes = async |key: &TrashKey| bytes_at(files, &StoragePath::TrashSlot(key.clone())).await;
    let first = files.remove_trash(std::slice::from_ref(&purged), 1).await;
    assert!(first.gone.is_empty() && first.has_more && first.faults.is_empty(), "{first:?}");
    let mut steps = 1;
    while files.remove_trash(std::slice::from_ref(&purged), 1).await.has_more {
        steps += 1;
    }
    // Three files and their folder, the folder of the dataset, and that of the trash item.
    assert!((4..=6).contains(&steps), "{steps} steps of one removal each");
    assert_eq!((bytes(&purged).await, bytes(&kept).await), (0, 12));
    assert_eq!(files.identify_trash(&purged, &dataset).await.unwrap(), None);
    let rest = files.remove_trash(&[purged.clone(), absent.clone(), kept.clone()], 100).await;
    assert_eq!((rest.gone, rest.has_more), (vec![purged, absent, kept.clone()], false));
    assert_eq!(bytes(&kept).await, 0);
}

pub async fn storage_paths_are_listed_measured_and_digested(files: &dyn Files) {
    land(files, 1, "/data/t/dt=1/a.csv", b"hello").await;
    land(files, 2, "/data/t/b.csv", b"").await;
    let live = |place: &str| StoragePath::Live(path(place));
    let list = async |place: StoragePath| {
        let mut entries = files.list(&place).await.unwrap();
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        entries.into_iter().map(|entry| (entry.name, entry.kind)).collect::<Vec<_>>()
    };
    assert_eq!(list(live("/data/t")).await, [("b.csv".into(), EntryKind::File), ("dt=1".into(), EntryKind::Folder)]);
    for nothing in ["/data/nowhere", "/data/t/b.csv", "/data/t/b.csv/x"] {
        assert_eq!(list(live(nothing)).await, [], "{nothing}");
    }
    let places = ["/data/t/dt=1/a.csv", "/data/t/b.csv", "/data/t", "/data/t/b.csv/x", "/x"].map(live);
    assert_eq!(files.sizes(&places).await.unwrap(), [Some(5), Some(0), None, None, None]);
    let (_, same) = sealed(files, 3, b"hello").await;
    assert_eq!(files.digest(&places[0]).await.unwrap(), Some(same));
    assert_eq!(files.digest(&places[2]).await.unwrap(), None);
    assert_eq!(files.digest(&places[4]).await.unwrap(), None);
    assert_eq!(list(StoragePath::Partials).await, [(partial(3).as_str().to_owned(), EntryKind::File)]);
    assert!(files.space().unwrap().free_bytes > 0);
}

pub async fn a_trash_folder_is_renamed_to_a_free_name_only(files: &dyn Files) {
    let dataset = path("/data/t");
    let [first, second] = [1, 2].map(|sync| TrashKey::of_sync(SyncId(sync)));
    for (sync, key) in [(1, &first), (2, &second)] {
        stage(files, SyncId(sync), sync as u8, "a.csv", b"1").await;
        files.drop_staging(SyncId(sync), &dataset, key).await.unwrap();
    }
    assert!(files.rename_slot(&first, &second).await.is_err(), "it is taken");
    files.remove_empty_slot(&first).await.unwrap();
    assert!(files.identify_trash(&first, &dataset).await.unwrap().is_some(), "it is not empty");
    files.rename_slot(&first, &first.adopted()).await.unwrap();
    assert!(files.identify_trash(&first.adopted(), &dataset).await.unwrap().is_some());
    let slots = files.list(&StoragePath::TrashSlots).await.unwrap();
    assert_eq!(slots.len(), 2, "{slots:?}");
}

pub async fn a_sweep_removes_files_without_an_open_sync(files: &dyn Files) {
    land(files, 1, "/data/a.csv", b"live").await;
    sealed(files, 2, b"partial").await;
    sealed(files, 5, b"kept").await;
    let kept = BTreeSet::from([partial(5)]);
    stage(files, SyncId(1), 3, "dt=1/a.csv", b"open").await;
    stage(files, SyncId(2), 4, "dt=1/a.csv", b"ended").await;
    for _ in 0..2 {
        files.sweep(&[SyncId(1)], &kept).await.unwrap();
        assert_eq!(bytes_at(files, &StoragePath::Partial(partial(2))).await, 0);
        assert_eq!(bytes_at(files, &StoragePath::Partial(partial(5))).await, 4);
        assert_eq!(bytes_at(files, &StoragePath::Staging(SyncId(1))).await, 4);
        assert_eq!(bytes_at(files, &StoragePath::Staging(SyncId(2))).await, 0);
        assert_eq!(live_bytes(files, "/data").await, 4);
    }
}
