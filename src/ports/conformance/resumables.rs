//! Conformance: resumable uploads.

use super::*;
use crate::model::access::principal::Principal;
use crate::model::digest::ExpectedDigests;
use crate::model::id::KeyId;
use crate::model::id::UploadId;
use crate::model::upload::resumable::{Checkpoint, Token};
use crate::ports::metadata::resumable::{NewResumable, ResumableId};

fn token(name: u8) -> Token {
    Token::from_random([name; 16])
}

fn at(offset: u64) -> Checkpoint {
    Checkpoint { offset, hash_state: vec![7; 3] }
}

fn new_resumable(name: u8, upload: Option<(SyncId, &str)>, length: Option<u64>) -> NewResumable {
    let identity = Identity(name.to_string());
    let upload = upload.map(|(sync_id, target)| NewUpload {
        sync_id,
        file_name: path(target).leaf().to_owned(),
        target: path(target),
        partial: partial(name),
        identity: identity.clone(),
        at: Timestamp(20),
    });
    NewResumable {
        token: token(name),
        partial: partial(name),
        identity,
        upload,
        parts: Vec::new(),
        checkpoint: at(0),
        length,
        metadata: "filename YQ==".into(),
        digests: ExpectedDigests { sha256: Some([9; 32]), sha512: Some([8; 64]) },
        is_told: false,
        owner: Principal::Key(KeyId(3)),
        by: "etl".into(),
        at: Timestamp(20),
        expires_at: Timestamp(100 + i64::from(name)),
    }
}

async fn begin_one(state: &dyn State, new: NewResumable) -> Option<UploadId> {
    state.begin_resumable(&new, 9).await.unwrap()
}

async fn announced(state: &dyn State) -> u64 {
    state.announced_bytes().await.unwrap().iter().map(|announced| announced.bytes).sum()
}

async fn status(state: &dyn State, name: u8) -> Status {
    state.resumable(&token(name)).await.unwrap().unwrap().status
}

async fn unfinished(state: &dyn State) -> Vec<Token> {
    let records = state.unfinished_resumables(ResumableId(0), 9).await.unwrap();
    records.into_iter().map(|record| record.token).collect()
}

pub async fn a_resumable_upload_has_a_row_and_is_kept_until_it_is_deleted(state: &dyn State) {
    let sync = start(state, "/a", SyncType::IncrementalSync).await;
    let new = new_resumable(1, Some((sync, "/a/1.csv")), None);
    let upload_id = begin_one(state, new.clone()).await.unwrap();
    let row = state.upload(upload_id).await.unwrap().unwrap();
    assert_eq!((row.sync_status, row.file_name.as_str(), row.start_time), (Status::Syncing, "1.csv", Timestamp(20)));
    assert_eq!(record(state, sync).await.sync.num_in_flight, 1);
    assert!(state.unfinished_uploads().await.unwrap().is_empty(), "a restart does not end it");
    assert_eq!(announced(state).await, 0, "its length is not known");

    assert!(!state.resumable(&token(1)).await.unwrap().unwrap().is_told);
    state.advance_resumable(&token(1), &at(4), Some(10), Timestamp(300)).await.unwrap();
    let known = state.resumable(&token(1)).await.unwrap().unwrap();
    assert_eq!((known.token, known.partial, known.identity), (new.token, new.partial, new.identity));
    assert_eq!((known.upload_id, known.sync_id, known.target), (Some(upload_id), Some(sync), Some(path("/a/1.csv"))));
    assert_eq!((known.checkpoint, known.length, known.digests), (at(4), Some(10), new.digests));
    assert_eq!(known.owner, Principal::Key(KeyId(3)));
    assert_eq!((known.metadata, known.by, known.begun_at), (new.metadata, "etl".into(), Timestamp(20)));
    assert_eq!((known.expires_at, known.status, known.is_told), (Timestamp(300), Status::Syncing, true));
    assert_eq!(announced(state).await, 6);
    assert_eq!(unfinished(state).await, [token(1)]);

    state.fail_upload(upload_id, "broke off", 4, Timestamp(30)).await.unwrap();
    let failed = state.resumable(&token(1)).await.unwrap().unwrap();
    assert_eq!((failed.status, failed.message.as_str()), (Status::Failed, "broke off"));
    assert_eq!((unfinished(state).await, announced(state).await), (vec![], 0));
    state.delete_resumable(&token(1)).await.unwrap();
    assert_eq!(state.resumable(&token(1)).await.unwrap(), None);
    assert!(state.upload(upload_id).await.unwrap().is_some(), "the history stays");
    state.advance_resumable(&token(1), &at(5), None, Timestamp(300)).await.unwrap();
}

pub async fn a_resumable_upload_that_lands_is_finished(state: &dyn State) {
    let sync = start(state, "/a", SyncType::IncrementalSync).await;
    let upload_id = begin_one(state, new_resumable(1, Some((sync, "/a/1.csv")), Some(5))).await;
    land_upload(state, whole(upload_id, sync, "/a/1.csv"), None, 30).await;
    assert_eq!(status(state, 1).await, Status::Finished);
    assert_eq!(unfinished(state).await, []);
    state.close_sync(sync, &finishing(), false, Timestamp(40)).await.unwrap();
    let late = state.begin_resumable(&new_resumable(2, Some((sync, "/a/2.csv")), None), 9).await;
    assert!(matches!(late, Err(Error::SyncEnded { .. })));
    assert_eq!(state.resumable(&token(2)).await.unwrap(), None);
}

pub async fn a_closed_sync_lists_the_resumable_uploads_that_it_failed(state: &dyn State) {
    let sync = start(state, "/a", SyncType::IncrementalSync).await;
    let landed = begin_one(state, new_resumable(1, Some((sync, "/a/1.csv")), Some(5))).await;
    land_upload(state, whole(landed, sync, "/a/1.csv"), None, 30).await;
    let open = begin_one(state, new_resumable(2, Some((sync, "/a/2.csv")), Some(5))).await.unwrap();
    let refused = state.close_sync(sync, &finishing(), false, Timestamp(40)).await;
    assert!(matches!(refused, Err(Error::UploadsInFlight { uploads, .. }) if uploads[0].history_id == open));
    assert!(state.failed_resumables_of(sync).await.unwrap().is_empty());
    state.close_sync(sync, &finishing(), true, Timestamp(40)).await.unwrap();
    assert_eq!(state.failed_resumables_of(sync).await.unwrap(), [partial(2)]);
    assert_eq!(status(state, 2).await, Status::Failed);
}

pub async fn a_part_has_no_row_and_finishes_with_its_joined_upload(state: &dyn State) {
    let sync = start(state, "/a", SyncType::IncrementalSync).await;
    assert_eq!(begin_one(state, new_resumable(1, None, Some(3))).await, None);
    assert_eq!(begin_one(state, new_resumable(2, None, Some(3))).await, None);
    assert_eq!(announced(state).await, 6);
    assert_eq!(record(state, sync).await.sync.total_files, 0);
    let parts = vec![token(1), token(2)];
    let joined = NewResumable { parts: parts.clone(), ..new_resumable(3, Some((sync, "/a/1.csv")), Some(6)) };
    let upload_id = begin_one(state, joined).await;
    assert_eq!(state.resumable(&token(3)).await.unwrap().unwrap().parts, parts);
    assert_eq!(state.resumable(&token(2)).await.unwrap().unwrap().joined_into, Some(token(3)));
    assert_eq!(unfinished(state).await, [token(1), token(2), token(3)]);
    let page = state.unfinished_resumables(ResumableId(1), 1).await.unwrap();
    assert_eq!(page.into_iter().map(|record| record.token).collect::<Vec<_>>(), [token(2)]);
    land_upload(state, whole(upload_id, sync, "/a/1.csv"), None, 30).await;
    assert_eq!((status(state, 1).await, status(state, 2).await), (Status::Finished, Status::Finished));
    assert_eq!(unfinished(state).await, []);
}

pub async fn announced_bytes_and_unfinished_uploads_are_counted_by_owner(state: &dyn State) {
    let sync = start(state, "/a", SyncType::IncrementalSync).await;
    let new = |name: u8, owner: Principal, target: Option<&str>, length: Option<u64>| {
        let upload = target.map(|target| (sync, target));
        NewResumable { owner, ..new_resumable(name, upload, length) }
    };
    let key = Principal::Key(KeyId(3));
    begin_one(state, new(1, key, Some("/a/1.csv"), Some(10))).await;
    begin_one(state, new(2, key, None, Some(20))).await;
    begin_one(state, new(3, Principal::Guest, Some("/a/3.csv"), Some(40))).await;
    begin_one(state, new(4, Principal::Guest, None, None)).await;
    state.advance_resumable(&token(1), &at(4), Some(10), Timestamp(900)).await.unwrap();
    let by_owner = async |state: &dyn State| {
        let mut announced = state.announced_bytes().await.unwrap();
        announced.sort_by_key(|announced| announced.owner);
        announced.into_iter().map(|one| (one.owner, one.bytes, one.begun_bytes)).collect::<Vec<_>>()
    };
    assert_eq!(by_owner(state).await, [(Principal::Guest, 40, 0), (key, 26, 6)]);
    // Uploads and parts count alike.
    for (name, target) in [(5, Some("/a/5.csv")), (6, None)] {
        let one_more = state.begin_resumable(&new(name, key, target, None), 2).await;
        assert!(matches!(one_more, Err(Error::TooManyUnfinished { unfinished_max: 2 })));
    }
    assert_eq!(record(state, sync).await.sync.total_files, 2, "a refused one has no row");
    assert!(state.begin_resumable(&new(7, Principal::FirstSignIn, None, None), 1).await.is_ok());
    state.delete_resumable(&token(2)).await.unwrap();
    assert!(state.begin_resumable(&new(8, key, None, None), 2).await.is_ok());
}

pub async fn resumable_uploads_expire_whether_ended_or_not(state: &dyn State) {
    let sync = start(state, "/a", SyncType::IncrementalSync).await;
    let ended = begin_one(state, new_resumable(1, Some((sync, "/a/1.csv")), None)).await.unwrap();
    state.fail_upload(ended, "", 0, Timestamp(30)).await.unwrap();
    begin_one(state, new_resumable(2, None, None)).await;
    begin_one(state, new_resumable(3, Some((sync, "/a/3.csv")), None)).await;
    let expired = async |before, size| state.expired_resumables(Timestamp(before), size).await.unwrap();
    assert_eq!(expired(101, 9).await, []);
    assert_eq!(expired(103, 9).await, [token(1), token(2)]);
    assert_eq!(expired(999, 1).await, [token(1)]);
    state.advance_resumable(&token(2), &at(1), None, Timestamp(900)).await.unwrap();
    assert_eq!(expired(200, 9).await, [token(1), token(3)]);
}

pub async fn an_upload_resumes_at_its_checkpoint(files: &dyn Files) {
    let name = partial(1);
    let mut begun = files.create_partial(name.clone(), None).await.unwrap();
    let beginning = begun.checkpoint().await.unwrap();
    assert_eq!(beginning.offset, 0);
    begun.write(Bytes::from_static(b"hello, ")).await.unwrap();
    let checkpoint = begun.checkpoint().await.unwrap();
    assert_eq!(checkpoint.offset, 7);
    begun.write(Bytes::from_static(b"what nobody was told of")).await.unwrap();
    begun.rest().await;
    let identity = begun.identity().clone();
    drop(begun);

    let unread = Checkpoint { offset: 7, hash_state: Vec::new() };
    for checkpoint in [&checkpoint, &unread] {
        let mut resumed = files.resume_partial(&name, &identity, checkpoint).await.unwrap();
        assert_eq!(*resumed.identity(), identity);
        resumed.write(Bytes::from_static(b"la")).await.unwrap();
        let further = resumed.checkpoint().await.unwrap();
        assert_eq!(further.offset, 9);
        resumed.write(Bytes::from_static(b"ke")).await.unwrap();
        let digest = resumed.seal().await.unwrap();
        let (_, same) = sealed(files, 2, b"hello, lake").await;
        assert_eq!(digest, same);
        files.discard_partial(&partial(2)).await.unwrap();
    }
    assert_eq!(files.read_partial(&name, 7, 9).await.unwrap(), "lake");
    assert_eq!(files.read_partial(&name, 2, 3).await.unwrap(), "llo");
    assert_eq!(files.read_partial(&name, 11, 3).await.unwrap(), "");

    let is_lost = async |name: u8, identity: &Identity, offset| {
        let checkpoint = Checkpoint { offset, hash_state: Vec::new() };
        matches!(files.resume_partial(&partial(name), identity, &checkpoint).await, Err(Error::BytesLost))
    };
    assert!(is_lost(1, &Identity("0".into()), 7).await, "it is another file");
    assert!(is_lost(1, &identity, 12).await, "it is shorter");
    assert!(is_lost(3, &identity, 0).await, "it is not there");
    assert!(matches!(files.read_partial(&partial(3), 0, 1).await, Err(Error::BytesLost)));
    // From offset 0 to the landing.
    let mut resumed = files.resume_partial(&name, &identity, &beginning).await.unwrap();
    resumed.write(Bytes::from_static(b"anew")).await.unwrap();
    let digest = resumed.seal().await.unwrap();
    assert_eq!(digest.size_bytes, 4);
    land_one(files, landing(1, identity, StoragePath::Live(path("/data/a")), "/data/a")).await.unwrap();
    assert_eq!(files.digest(&StoragePath::Live(path("/data/a"))).await.unwrap(), Some(digest));
}
