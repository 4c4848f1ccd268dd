//! Conformance: the content of files, which is recognised, read and taken over.

use super::{DIGEST, bytes_at, finish, land, land_one, land_upload, landing, live_bytes, partial, path, start, whole};
use crate::model::digest::Digest;
use crate::model::id::SyncId;
use crate::model::storage_path::Identity;
use crate::model::storage_path::StoragePath;
use crate::model::sync::status::SyncType;
use crate::model::time::Timestamp;
use crate::ports::metadata::State;
use crate::ports::metadata::upload::{CompletedUpload, LandedContent};
use crate::ports::storage::{Files, FoundFile, LandingOutcome, ReuseRequest};

pub async fn landed_content_is_found_by_path_and_identity(state: &dyn State) {
    let id = start(state, "/a", SyncType::IncrementalSync).await;
    finish(state, id, "/a/1.csv").await;
    let second = Identity("2".into());
    let digest = Digest { size_bytes: 6, sha256: [8; 32] };
    let taken_over =
        CompletedUpload { identity: second.clone(), digest, taken_over: true, ..whole(None, id, "/a/1.csv") };
    land_upload(state, taken_over, None, 40).await;
    super::begin(state, id, "/a/2.csv").await;
    let first = Identity("1".into());
    let asked = [
        (path("/a/1.csv"), first.clone()),
        (path("/a/1.csv"), second),
        (path("/a/1.csv"), Identity("3".into())),
        (path("/a/2.csv"), first.clone()),
        (path("/b/1.csv"), first),
    ];
    let known = state.landed_contents(&asked).await.unwrap();
    let content = |digest, at| Some(LandedContent { digest, landed_at: Timestamp(at) });
    assert_eq!(known, [content(DIGEST, 30), content(digest, 40), None, None, None]);
    let rows = state.uploads(&super::uploads_of(id)).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.taken_over).collect::<Vec<_>>(), [false, true, false]);
}

async fn found(files: &dyn Files, file: &str) -> Option<FoundFile> {
    files.find(&[StoragePath::Live(path(file))]).await.unwrap().remove(0)
}

pub async fn an_open_file_keeps_its_content_when_another_takes_its_name(files: &dyn Files) {
    let file = "/data/t/a.csv";
    land(files, 1, file, b"first").await;
    let open = async |file: &str| files.open(&StoragePath::Live(path(file))).await.unwrap();
    let first = open(file).await.unwrap();
    land(files, 2, file, b"second").await;
    assert_eq!(first.found().size_bytes, 5);
    let read = async |at, bytes_max| String::from_utf8(first.read(at, bytes_max).await.unwrap()).unwrap();
    for (at, bytes_max, bytes) in [(0, 9, "first"), (1, 3, "irs"), (4, 1, "t"), (5, 1, ""), (99, 1, ""), (0, 0, "")] {
        assert_eq!(read(at, bytes_max).await, bytes, "{bytes_max} from {at}");
    }
    assert_eq!(open(file).await.unwrap().read(0, 9).await.unwrap(), b"second");
    for nothing in ["/data/t", "/data/t/b.csv", "/data/t/a.csv/x", "/nowhere/x"] {
        assert!(open(nothing).await.is_none(), "{nothing}");
    }
}

pub async fn files_are_found_by_names_that_look_like_something_else(files: &dyn Files) {
    let deep = format!("{}/x", "/0".repeat(60));
    let placed = ["/t/$[0]", "/t/0", "/t/\"q\"", "/t/it's", "/t/{}/[1,2]", "/t/ünï/日本", "/t/null", "/t/%2F", &deep];
    // Each has a size of its own.
    for (name, file) in (1..).zip(placed) {
        land(files, name, file, &b"123456789"[..name.into()]).await;
    }
    let missing = ["/t", "/t/$", "/t/{}", "/t/0/0", "/t/1", "/t/\"q", "/t/NULL", "/t/ünï", "/0/0", "/t/%2f", "/t/it"];
    let asked: Vec<_> =
        placed.iter().chain(&missing).chain(&placed).map(|file| StoragePath::Live(path(file))).collect();
    let found = files.find(&asked).await.unwrap();
    let sizes: Vec<_> = found.iter().map(|found| found.as_ref().map(|found| found.size_bytes)).collect();
    let there = || (1..=placed.len() as u64).map(Some);
    let expected: Vec<_> = there().chain(missing.map(|_| None)).chain(there()).collect();
    assert_eq!(sizes, expected);
    assert_eq!(files.find(&[]).await.unwrap(), []);
    assert_eq!(files.find(&[StoragePath::TrashSlots, StoragePath::Partials]).await.unwrap(), [None, None]);
}

pub async fn a_folder_is_listed_in_pages_with_folders_first(files: &dyn Files) {
    let placed = ["/t/b/deep/x.csv", "/t/a.csv", "/t/c.csv", "/t/A.csv", "/t/z/y.csv", "/t/é.csv"];
    for (name, file) in (1..).zip(placed) {
        land(files, name, file, b"12345").await;
    }
    let list = async |folder: Option<&str>, from, size| -> Option<Vec<(String, Option<u64>)>> {
        let folder = folder.map(path);
        let entries = files.list_folder(folder.as_ref(), from, size).await.unwrap()?;
        Some(
            entries.into_iter().map(|entry| (entry.path.to_string(), entry.file.map(|file| file.size_bytes))).collect(),
        )
    };
    let all = list(Some("/t"), 0, 99).await.unwrap();
    let names: Vec<_> = all.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(names, ["/t/b", "/t/z", "/t/A.csv", "/t/a.csv", "/t/c.csv", "/t/é.csv"]);
    assert_eq!((all[0].1, all[2].1), (None, Some(5)));
    for from in 0..7_u64 {
        for size in 0..7_u64 {
            let page: Vec<_> = all.iter().skip(from as usize).take(size as usize).cloned().collect();
            assert_eq!(list(Some("/t"), from, size).await, Some(page), "{size} from {from}");
        }
    }
    assert_eq!(list(None, 0, u64::MAX).await, Some(vec![("/t".into(), None)]), "not what is the engine's own");
    assert_eq!(list(Some("/t"), u64::MAX, u64::MAX).await, Some(Vec::new()));
    for nothing in ["/t/a.csv", "/t/a.csv/x", "/nowhere"] {
        assert_eq!(list(Some(nothing), 0, 9).await, None, "{nothing}");
    }
}

pub async fn a_taken_over_file_lands_as_a_copy_and_the_original_stays(files: &dyn Files) {
    land(files, 1, "/data/t/dt=1/a.csv", b"hello").await;
    land(files, 2, "/data/t/empty.csv", b"").await;
    let places =
        ["/data/t/dt=1/a.csv", "/data/t/empty.csv", "/data/t/dt=1", "/data/t/dt=1/b.csv", "/data/t/empty.csv/x"];
    let there = files.find(&places.map(|place| StoragePath::Live(path(place)))).await.unwrap();
    let sizes: Vec<_> = there.iter().map(|found| found.as_ref().map(|found| found.size_bytes)).collect();
    assert_eq!(sizes, [Some(5), Some(0), None, None, None]);
    let requests: Vec<_> = (0..2)
        .map(|at| ReuseRequest {
            from: StoragePath::Live(path(places[at])),
            found: there[at].clone().unwrap(),
            partial: partial(at as u8 + 3),
        })
        .collect();
    for (request, (name, bytes)) in requests.iter().zip([(3, 5), (4, 0)]) {
        let taken = files.copy_unchanged(std::slice::from_ref(request)).await.remove(0).unwrap().unwrap();
        assert_ne!(taken.identity, request.found.identity, "a file of its own");
        let digest = files.digest(&StoragePath::Partial(partial(name))).await.unwrap().unwrap();
        assert_eq!(digest.size_bytes, bytes);
        assert!(taken.sha256.is_none_or(|sha256| sha256 == digest.sha256));
        let relative = format!("{name}.csv");
        let place = StoragePath::Staged { sync: SyncId(1), relative: relative.clone() };
        let landed = land_one(files, landing(name, taken.identity, place, &format!("/{relative}"))).await;
        assert_eq!(landed.unwrap(), LandingOutcome::Added);
    }
    assert_eq!((live_bytes(files, "/data/t").await, bytes_at(files, &StoragePath::Staging(SyncId(1))).await), (5, 5));
    assert_eq!(found(files, places[0]).await, there[0], "it is as it was");
}

pub async fn a_changed_file_is_not_taken_over(files: &dyn Files) {
    let file = "/data/t/a.csv";
    land(files, 1, file, b"first").await;
    let first = found(files, file).await.unwrap();
    land(files, 2, file, b"other").await;
    let other = found(files, file).await.unwrap();
    assert_ne!(first.identity, other.identity);
    let request = |from: &str, found: &FoundFile| ReuseRequest {
        from: StoragePath::Live(path(from)),
        found: found.clone(),
        partial: partial(3),
    };
    let shorter = FoundFile { size_bytes: 4, ..other.clone() };
    let refused = [
        request(file, &first),
        request(file, &shorter),
        request("/data/t/b.csv", &other),
        request("/data/t", &other),
        request("/data/t/a.csv/b", &other),
    ];
    for result in files.copy_unchanged(&refused).await {
        assert_eq!(result.unwrap(), None);
    }
    assert_eq!(files.list(&StoragePath::Partials).await.unwrap(), []);
    assert!(files.copy_unchanged(&[request(file, &other)]).await.remove(0).unwrap().is_some());
}
