//! Tests of object storage alone: large objects, uploads that change their server, a network that fails, and the
//! deletion of what nothing refers to.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

#[path = "support/faulty_proxy.rs"]
mod faulty_proxy;
#[path = "support/object_storage.rs"]
mod object_storage;

use bytes::Bytes;
use faulty_proxy::{Faults, NONE};
use lakeshore::Timestamp;
use lakeshore::model::digest::Digest;
use lakeshore::model::id::SyncId;
use lakeshore::model::object_key::{ObjectKey, UploadOwner};
use lakeshore::model::path::LakePath;
use lakeshore::model::storage_path::{Identity, PartialName, StoragePath, TrashKey};
use lakeshore::ports::storage::{Landing, LandingOutcome, Publication, ReuseRequest, WholeFile};
use lakeshore::ports::{Files, FilesInspection, Namespace};
use lakeshore_metadata::sqlite::SqliteState;
use lakeshore_storage::object::{BucketSettings, LakeUrl, ObjectFiles};
use lakeshore_system::clock::{SystemClock, SystemRandomness};
use object_storage::{ACCESS_KEY, MISSING, ObjectStorage, REGION, SECRET_KEY, object_storage};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tempfile::TempDir;

struct Lake {
    state: SqliteState,
    bucket: String,
    storage: &'static ObjectStorage,
    folder: TempDir,
}

/// `None` where there is no object storage to test with.
#[expect(
    clippy::explicit_write,
    clippy::disallowed_methods,
    reason = "the message is the test's own, and is not captured"
)]
async fn lake() -> Option<Lake> {
    use std::io::Write;
    let Some(storage) = object_storage() else {
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        writeln!(std::io::stderr(), "SKIPPED {name}: {MISSING}").unwrap();
        return None;
    };
    let folder = tempfile::tempdir().unwrap();
    let state = SqliteState::open(&folder.path().join("lakeshore.db")).await.unwrap();
    Some(Lake { state, bucket: storage.new_bucket(), storage, folder })
}

impl Lake {
    /// A server's view of the lake.
    fn files(&self) -> ObjectFiles {
        self.files_by(&self.storage.endpoint())
    }

    fn files_by(&self, endpoint: &str) -> ObjectFiles {
        let lake = LakeUrl::parse(&format!("s3://{}/lake", self.bucket)).unwrap();
        let settings = BucketSettings {
            endpoint: Some(endpoint.to_owned()),
            region: Some(REGION.into()),
            ..BucketSettings::new(lake)
        };
        let settings = settings.with_credentials(ACCESS_KEY, SECRET_KEY);
        let state = Arc::new(self.state.clone());
        ObjectFiles::new(&settings, state, Arc::new(SystemClock), Arc::new(SystemRandomness)).unwrap()
    }

    /// The same lake, with its database opened again.
    async fn reopened(self) -> Self {
        let state = SqliteState::open(&self.folder.path().join("lakeshore.db")).await.unwrap();
        Self { state, ..self }
    }

    /// How many objects the object storage has.
    fn objects(&self) -> usize {
        self.storage.count_objects(&self.bucket)
    }

    /// Deletes what nothing refers to, whenever that was.
    async fn collect(&self) -> u64 {
        let mut deleted = 0;
        loop {
            let collected = self.files().collect(Duration::ZERO).await.unwrap();
            assert!(collected.fault.is_none(), "{:?}", collected.fault);
            deleted += collected.deleted;
            if collected.deleted == 0 {
                return deleted;
            }
        }
    }
}

fn path(text: &str) -> LakePath {
    LakePath::parse(text).unwrap()
}

fn owner(file: &str) -> UploadOwner {
    UploadOwner { sync_id: SyncId(1), dataset: path("/data/t"), file: path(file) }
}

fn partial(name: u8) -> PartialName {
    PartialName::from_random([name; 16])
}

fn landing(name: u8, identity: Identity, place: StoragePath) -> Landing {
    let leaf = place.components().pop().unwrap();
    Landing { partial: partial(name), identity, place, trash: TrashKey::of_upload(&partial(name)), leaf }
}

/// Bytes that differ everywhere, so that parts in the wrong order show.
fn bytes(length: usize, seed: u64) -> Bytes {
    let mut state = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..length.div_ceil(8)).flat_map(|_| next()).take(length).collect::<Vec<u8>>().into()
}

async fn upload(files: &ObjectFiles, name: u8, file: &str, content: &Bytes) -> LandingOutcome {
    let mut partial = files.create_partial(partial(name), Some(&owner(file))).await.unwrap();
    for chunk in content.chunks(100_003) {
        partial.write(content.slice_ref(chunk)).await.unwrap();
    }
    assert_eq!(partial.seal().await.unwrap(), Digest::of(content));
    let landing = landing(name, partial.identity().clone(), StoragePath::Live(path(file)));
    files.land(&[landing]).await.remove(0).unwrap()
}

async fn read(files: &ObjectFiles, file: &str, chunk_bytes: usize) -> Vec<u8> {
    let open = files.open(&StoragePath::Live(path(file))).await.unwrap().unwrap();
    let mut read = Vec::new();
    loop {
        let chunk = open.read(read.len() as u64, chunk_bytes).await.unwrap();
        if chunk.is_empty() {
            return read;
        }
        read.extend(chunk);
    }
}

#[tokio::test]
async fn a_large_file_is_sent_in_parts_and_read_whole_and_in_chunks() {
    let Some(lake) = lake().await else { return };
    let files = lake.files();
    let content = bytes((20 << 20) + 12_345, 1);
    upload(&files, 1, "/data/t/large.bin", &content).await;
    assert_eq!(lake.objects(), 1, "nothing beside it");
    assert_eq!(read(&files, "/data/t/large.bin", 1 << 20).await, content);
    let open = files.open(&StoragePath::Live(path("/data/t/large.bin"))).await.unwrap().unwrap();
    for (at, length) in [(0, 4), (8 << 20, 100), ((8 << 20) - 3, 7), (content.len() - 5, 50), (17, 0)] {
        let chunk = open.read(at as u64, length).await.unwrap();
        assert_eq!(chunk, content[at..content.len().min(at + length)], "{length} from {at}");
    }
    let digest = files.digest(&StoragePath::Live(path("/data/t/large.bin"))).await.unwrap();
    assert_eq!(digest, Some(Digest::of(&content)));
}

#[tokio::test]
async fn an_upload_goes_on_by_another_server_from_its_rows_at_either_of_its_last_checkpoints() {
    let Some(lake) = lake().await else { return };
    let content = bytes(30 << 20, 2);
    let (first, second) = (lake.files(), lake.files());
    let mut begun = first.create_partial(partial(1), Some(&owner("/data/t/a.bin"))).await.unwrap();
    let identity = begun.identity().clone();
    let mut checkpoints = Vec::new();
    // Amid a part, behind one, and amid the third.
    for range in [0..5_000_000, 5_000_000..(8 << 20), (8 << 20)..20_000_000] {
        begun.write(content.slice(range)).await.unwrap();
        checkpoints.push(begun.checkpoint().await.unwrap());
    }
    begun.write(content.slice(20_000_000..25_000_000)).await.unwrap();
    begun.rest().await;
    drop(begun);
    // The engine may have remembered any of them, and what comes again need not be what came before.
    for checkpoint in checkpoints.iter().rev() {
        let from = usize::try_from(checkpoint.offset).unwrap();
        let mut resumed = second.resume_partial(&partial(1), &identity, checkpoint).await.unwrap();
        resumed.write(bytes(9 << 20, from as u64)).await.unwrap();
        resumed.rest().await;
    }
    assert_eq!(second.sizes(&[StoragePath::Partial(partial(1))]).await.unwrap(), [Some(20_000_000)]);
    let from = usize::try_from(checkpoints[0].offset).unwrap();
    let mut resumed = second.resume_partial(&partial(1), &identity, &checkpoints[0]).await.unwrap();
    resumed.write(content.slice(from..)).await.unwrap();
    assert_eq!(resumed.seal().await.unwrap(), Digest::of(&content));
    let place = StoragePath::Live(path("/data/t/a.bin"));
    second.land(&[landing(1, identity, place)]).await.remove(0).unwrap();
    assert_eq!(read(&first, "/data/t/a.bin", 1 << 20).await, content);
    lake.collect().await;
    assert_eq!(lake.objects(), 1, "no tail is left");
}

#[tokio::test]
async fn an_upload_that_was_completed_and_not_recorded_goes_on_at_its_checkpoint() {
    let Some(lake) = lake().await else { return };
    let content = bytes(20_000_000, 4);
    let files = lake.files();
    let mut begun = files.create_partial(partial(1), Some(&owner("/data/t/a.bin"))).await.unwrap();
    let identity = begun.identity().clone();
    begun.write(content.slice(..17_000_000)).await.unwrap();
    let checkpoint = begun.checkpoint().await.unwrap();
    begun.write(content.slice(17_000_000..)).await.unwrap();
    // The object storage makes the parts one object, and the database cannot say so any more.
    lake.state.clone().close().await;
    assert!(begun.seal().await.is_err());
    drop((begun, files));
    let lake = lake.reopened().await;
    assert_eq!(lake.objects(), 2, "the object, and the tail of the checkpoint; no parts");
    let files = lake.files();
    let mut resumed = files.resume_partial(&partial(1), &identity, &checkpoint).await.unwrap();
    resumed.write(content.slice(17_000_000..)).await.unwrap();
    assert_eq!(resumed.seal().await.unwrap(), Digest::of(&content));
    let place = StoragePath::Live(path("/data/t/a.bin"));
    files.land(&[landing(1, identity, place)]).await.remove(0).unwrap();
    assert_eq!(read(&files, "/data/t/a.bin", 1 << 20).await, content);
    lake.collect().await;
    assert_eq!(lake.objects(), 1, "nothing of the first object is left");
}

#[tokio::test]
async fn the_bytes_of_an_unfinished_upload_are_read_and_it_goes_on_behind_them() {
    let Some(lake) = lake().await else { return };
    let files = lake.files();
    let content = bytes(10_000_000, 3);
    let mut part = files.create_partial(partial(1), None).await.unwrap();
    let identity = part.identity().clone();
    part.write(content.slice(..9_000_000)).await.unwrap();
    let checkpoint = part.checkpoint().await.unwrap();
    drop(part);
    assert_eq!(files.read_partial(&partial(1), 8_999_990, 100).await.unwrap(), content[8_999_990..9_000_000]);
    let mut resumed = files.resume_partial(&partial(1), &identity, &checkpoint).await.unwrap();
    resumed.write(content.slice(9_000_000..)).await.unwrap();
    assert_eq!(resumed.seal().await.unwrap(), Digest::of(&content));
    assert_eq!(files.read_partial(&partial(1), 0, 11_000_000).await.unwrap(), content);
    files.discard_partial(&partial(1)).await.unwrap();
    lake.collect().await;
    assert_eq!(lake.objects(), 0);
}

#[tokio::test]
async fn objects_are_deleted_when_nothing_refers_to_them_any_more_and_not_before() {
    let Some(lake) = lake().await else { return };
    let files = lake.files();
    for (name, file) in [(1, "/data/t/a.csv"), (2, "/data/t/b.csv")] {
        upload(&files, name, file, &bytes(1000, name.into())).await;
    }
    // A full sync keeps one of the two: both datasets have its object.
    let place = StoragePath::Live(path("/data/t/a.csv"));
    let found = files.find(std::slice::from_ref(&place)).await.unwrap().remove(0).unwrap();
    let kept = ReuseRequest { from: place, found, partial: partial(3) };
    let taken = files.copy_unchanged(&[kept]).await.remove(0).unwrap().unwrap();
    let staged = StoragePath::Staged { sync: SyncId(2), relative: "a.csv".into() };
    files.land(&[landing(3, taken.identity, staged)]).await.remove(0).unwrap();
    let identity = files.stage(SyncId(2)).await.unwrap();
    let trash = TrashKey::of_sync(SyncId(2));
    let publication = Publication { sync: SyncId(2), identity, dataset: path("/data/t"), trash: trash.clone() };
    assert_eq!(files.publish(&publication).await.unwrap(), LandingOutcome::Replaced);
    assert_eq!((lake.collect().await, lake.objects()), (0, 2), "the trash has them");
    let removed = files.remove_trash(&[trash], 100).await;
    assert_eq!(removed.gone.len(), 1, "{removed:?}");
    let early = files.collect(Duration::from_secs(3600)).await.unwrap();
    assert_eq!((early.deleted, lake.objects()), (0, 2), "a reader may be amid the other");
    assert_eq!((lake.collect().await, lake.objects()), (1, 1));
    assert_eq!(read(&files, "/data/t/a.csv", 99).await, bytes(1000, 1));
}

#[tokio::test]
async fn an_abandoned_upload_leaves_nothing_in_the_bucket() {
    let Some(lake) = lake().await else { return };
    let files = lake.files();
    // A small one, a large one that was not completed, one with a tail, and a tail of which no checkpoint knows.
    let small = WholeFile {
        name: partial(1),
        owner: owner("/data/t/a.csv"),
        bytes: bytes(10, 1),
        digest: Digest::of(&bytes(10, 1)),
    };
    let (written, group) = files.write_group(vec![small]).await;
    group.seal().await.unwrap();
    assert!(written[0].is_ok());
    for (name, length) in [(2, 9 << 20), (3, 100)] {
        let mut partial = files.create_partial(partial(name), Some(&owner("/data/t/b.csv"))).await.unwrap();
        partial.write(bytes(length, 2)).await.unwrap();
        partial.checkpoint().await.unwrap();
    }
    let tail = ObjectKey::of_tail([7; 16]);
    lake.state.intend_tail(&tail, 5, Timestamp(1)).await.unwrap();
    files.sweep(&[], &std::collections::BTreeSet::new()).await.unwrap();
    assert!(lake.objects() > 0);
    lake.collect().await;
    assert_eq!(lake.objects(), 0);
    assert_eq!(lake.state.unreferenced_objects(Timestamp(i64::MAX), 10).await.unwrap(), []);
    // Doing it again finds nothing.
    assert_eq!(lake.collect().await, 0);
}

#[tokio::test]
async fn a_network_that_fails_a_share_of_the_requests_loses_and_doubles_nothing() {
    let Some(lake) = lake().await else { return };
    let faults = Faults { unavailable: 7, cut: 9, lost_answer: 5, late: 11 };
    let proxy = faulty_proxy::start(&lake.storage.endpoint(), faults);
    let files = lake.files_by(&proxy.address);
    let mut names = Vec::new();
    for group in 0..5_u8 {
        let wholes = (0..20).map(|number| {
            let name = group * 20 + number + 1;
            let content = bytes(500 + usize::from(name), name.into());
            let digest = Digest::of(&content);
            let owner = owner(&format!("/data/t/{name}.csv"));
            WholeFile { name: partial(name), owner, bytes: content, digest }
        });
        let wholes: Vec<_> = wholes.collect();
        let (written, unsealed) = files.write_group(wholes).await;
        unsealed.seal().await.unwrap();
        for (number, written) in (0..).zip(written) {
            let name = group * 20 + number + 1;
            // A budget of attempts may be used up: then nothing has landed, and it may be tried again.
            match written {
                Ok((identity, _)) => {
                    let place = StoragePath::Live(path(&format!("/data/t/{name}.csv")));
                    files.land(&[landing(name, identity, place)]).await.remove(0).unwrap();
                    names.push(name);
                }
                Err(error) => {
                    assert!(error.is_transient(), "{error:?}");
                    files.discard_partial(&partial(name)).await.unwrap();
                }
            }
        }
    }
    assert!(names.len() > 90, "{} of 100 have landed", names.len());
    let large = bytes(20 << 20, 200);
    upload(&files, 200, "/data/t/large.bin", &large).await;
    assert!(proxy.failed.load(Ordering::Relaxed) > 20);
    for name in &names {
        let content = read(&files, &format!("/data/t/{name}.csv"), 1 << 20).await;
        assert_eq!(content, bytes(500 + usize::from(*name), u64::from(*name)), "{name}");
    }
    assert_eq!(read(&files, "/data/t/large.bin", 1 << 20).await, large);
    lake.collect().await;
    assert_eq!(lake.objects(), names.len() + 1, "each file has one object, and no other is there");
}

#[tokio::test]
async fn an_object_storage_that_does_not_answer_or_refuses_is_told_with_its_remedy() {
    let Some(lake) = lake().await else { return };
    let down = faulty_proxy::start(&lake.storage.endpoint(), Faults { unavailable: 1, ..NONE });
    let files = lake.files_by(&down.address);
    let whole = WholeFile {
        name: partial(1),
        owner: owner("/data/t/a.csv"),
        bytes: bytes(10, 1),
        digest: Digest::of(&bytes(10, 1)),
    };
    let (written, _) = files.write_group(vec![whole]).await;
    let error = written.into_iter().next().unwrap().unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("try again in a minute"), "{error}");
    assert_eq!(error.code().number(), 50308);
    assert!(files.probe().await.unwrap_err().to_string().contains("--s3-endpoint"));

    let url = LakeUrl::parse(&format!("s3://{}/lake", lake.bucket)).unwrap();
    let settings = BucketSettings {
        endpoint: Some(lake.storage.endpoint()),
        region: Some(REGION.into()),
        ..BucketSettings::new(url)
    };
    let settings = settings.with_credentials(ACCESS_KEY, "another secret");
    let state = Arc::new(lake.state.clone());
    let files = ObjectFiles::new(&settings, state, Arc::new(SystemClock), Arc::new(SystemRandomness)).unwrap();
    let mut refused = files.create_partial(partial(2), None).await.unwrap();
    refused.write(bytes(10, 1)).await.unwrap();
    let error = refused.seal().await.unwrap_err();
    assert!(!error.is_transient() && error.to_string().contains("credentials"), "{error}");
    assert_eq!(error.code().number(), 50007);
}

#[tokio::test]
async fn servers_of_a_group_that_renew_their_lease_at_the_same_moment_may_all_write() {
    const SERVERS: u8 = 12;
    /// Longer than a server writes without a renewal.
    const SILENCE: Duration = Duration::from_secs(27);
    let Some(lake) = lake().await else { return };
    let servers: Vec<_> = (0..SERVERS).map(|_| lake.files()).collect();
    let names: Vec<_> = (0..SERVERS).map(|number| format!("server {number}")).collect();
    let serving = servers.iter().zip(&names).map(|(files, name)| files.serve_with_group(name, "a database", "a group"));
    for served in futures_util::future::join_all(serving).await {
        served.unwrap();
    }
    tokio::time::sleep(SILENCE).await;
    for (name, files) in (1..).zip(&servers) {
        assert_eq!(upload(files, name, &format!("/data/t/{name}.csv"), &bytes(10, 1)).await, LandingOutcome::Added);
    }
}
