//! Promises about declared batches.

use super::{DIGEST, finish, land_upload, new_sync, path, record, start, whole};
use crate::error::Error;
use crate::expected::{Declaration, DeclaredFile, ExpectedTotals};
use crate::ports::state::{NewSync, State, WholeUpload};
use crate::sync::{Closing, SyncId, SyncType};
use crate::time::Timestamp;
use crate::trash::Totals;
use crate::upload::Digest;

fn declared(files: &[(&str, u64, Option<[u8; 32]>)]) -> Declaration {
    let files =
        files.iter().map(|&(target, size_bytes, sha256)| DeclaredFile { target: path(target), size_bytes, sha256 });
    Declaration::Files(files.collect())
}

pub async fn what_is_declared_last_counts_and_is_compared_with_what_has_landed_last(state: &dyn State) {
    let first = declared(&[("/a/1", 5, Some([7; 32])), ("/a/2", 5, None)]);
    let id = state.start_sync(&NewSync { expected: Some(first), ..new_sync("/a", SyncType::FullSync) }).await.unwrap();
    let undeclared = start(state, "/b", SyncType::IncrementalSync).await;
    assert_eq!(state.compare_expected(undeclared).await.unwrap(), None);
    assert!(matches!(state.compare_expected(SyncId(9)).await, Err(Error::NoSuchSync(_))));
    finish(state, undeclared, "/b/1").await;

    // The same target twice: the second counts.
    let other = Digest { size_bytes: 6, sha256: [8; 32] };
    land_upload(state, WholeUpload { digest: other, ..whole(None, id, "/a/1") }, None, 30).await;
    land_upload(state, whole(None, id, "/a/1"), None, 31).await;
    let compared = state.compare_expected(id).await.unwrap().unwrap();
    assert_eq!((compared.num_as_expected, compared.num_missing, compared.num_extra), (1, 1, 0));
    assert_eq!(compared.missing[0].path, "2");
    assert_eq!(compared.landed, Totals { files: 1, bytes: DIGEST.size_bytes });

    let second = declared(&[("/a/1", 5, Some([8; 32])), ("/a/3", 1, None)]);
    state.expect(id, &second, Timestamp(40)).await.unwrap();
    finish(state, id, "/a/4").await;
    let totals = ExpectedTotals { count: Some(2), size_bytes: Some(6), is_named: true };
    assert_eq!(record(state, id).await.sync.expected, Some(totals));
    let compared = state.compare_expected(id).await.unwrap().unwrap();
    let paths =
        (compared.missing[0].path.as_str(), compared.extra[0].path.as_str(), compared.different[0].path.as_str());
    assert_eq!(paths, ("3", "4", "1"));
    assert!(!compared.agrees());

    state.expect(id, &Declaration::Totals { count: Some(2), size_bytes: None }, Timestamp(41)).await.unwrap();
    let compared = state.compare_expected(id).await.unwrap().unwrap();
    assert!(compared.agrees() && compared.extra.is_empty(), "{compared:?}");

    state.close_sync(undeclared, &Closing::Finish, false, Timestamp(50)).await.unwrap();
    let late = state.expect(undeclared, &second, Timestamp(51)).await;
    assert!(matches!(late, Err(Error::SyncEnded { .. })));
    assert_eq!(record(state, undeclared).await.sync.expected, None);
}
