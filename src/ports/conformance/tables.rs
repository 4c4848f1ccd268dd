//! Conformance: tables, which follow versions.

use super::*;
use crate::model::id::{SyncId, VersionNumber};
use crate::model::table::{DraftId, EntryKind, TableDescription};
use crate::ports::metadata::table::{
    FileOutside, FixedEntry, FixedVersions, LandedInVersion, NewEntry, StoredTable, UnneededLog,
};
use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};

/// Lands a file in a sync of its own, in place of another where there is trash.
async fn landed(state: &dyn State, file: &str, identity: &str, trash: Option<NewTrash>, at: i64) -> UploadId {
    let sync = start(state, "/a", SyncType::IncrementalSync).await;
    let upload = CompletedUpload { identity: Identity(identity.into()), ..whole(None, sync, file) };
    land_upload(state, upload, trash, at).await;
    let version = state.current_version(&path("/a")).await.unwrap().unwrap();
    state.landed_in(&path("/a"), version..=version).await.unwrap()[0].upload_id
}

fn fixed(before: u64, version: u64, entries: Vec<NewEntry>) -> FixedVersions {
    let table = StoredTable {
        version,
        dataset_files: version,
        table_files: version - 1,
        state: Some(format!("{{\"of\":{version}}}")),
        commit: Some(version - 1),
        actions: version * 10,
        ..StoredTable::default()
    };
    FixedVersions { dataset: path("/a"), before, table, entries, outside: Vec::new(), gone: None }
}

fn entry(version: u64, kind: EntryKind, number: u64, draft: i64, bytes: Option<&'static [u8]>) -> NewEntry {
    NewEntry {
        version: VersionNumber(version),
        kind,
        number,
        draft: DraftId(draft),
        bytes: bytes.map(Bytes::from_static),
    }
}

async fn lag(state: &dyn State) -> Vec<(String, u64)> {
    let lagging = state.lagging_tables(10).await.unwrap();
    lagging.into_iter().map(|table| (table.dataset.to_string(), table.versions)).collect()
}

pub async fn a_table_lags_until_its_versions_are_fixed_and_their_entries_are_written(state: &dyn State) {
    let before = state.last_change().await.unwrap();
    assert_eq!(lag(state).await, []);
    landed(state, "/a/1", "1", None, 20).await;
    landed(state, "/a/2", "2", None, 30).await;
    assert!(state.last_change().await.unwrap() > before);
    assert_eq!(lag(state).await, [("/a".to_owned(), 2)]);
    assert_eq!(state.table(&path("/a")).await.unwrap(), None);
    assert_eq!(state.first_version(&path("/a")).await.unwrap(), VersionNumber(1));
    let entries = vec![
        entry(1, EntryKind::Manifest, 1, 7, Some(b"manifest")),
        entry(1, EntryKind::Commit, 0, 8, Some(b"commit")),
    ];
    assert!(state.fix_versions(&fixed(0, 1, entries)).await.unwrap());
    assert_eq!(lag(state).await, [("/a".to_owned(), 2)], "it is not in the bucket");
    assert_eq!(state.versions_unwritten(&path("/a")).await.unwrap(), 1);
    let written = state.fixed_entries(&path("/a")).await.unwrap();
    let wanted = |kind, number, draft| FixedEntry { version: VersionNumber(1), kind, number, draft: DraftId(draft) };
    assert_eq!(written, [wanted(EntryKind::Commit, 0, 8), wanted(EntryKind::Manifest, 1, 7)]);
    assert_eq!(state.draft(DraftId(8)).await.unwrap(), [Bytes::from_static(b"commit")]);
    for entry in &written {
        state.forget_entries(&path("/a"), &[entry.draft]).await.unwrap();
        assert_eq!(state.draft(entry.draft).await.unwrap(), [] as [Bytes; 0]);
    }
    assert_eq!(lag(state).await, [("/a".to_owned(), 1)]);
    assert!(state.fix_versions(&fixed(1, 2, Vec::new())).await.unwrap());
    assert_eq!(lag(state).await, []);
    let table = state.table(&path("/a")).await.unwrap().unwrap();
    assert_eq!(table, fixed(1, 2, Vec::new()).table);
    assert!(state.confirm_version(&path("/a"), VersionNumber(2)).await.unwrap());
    assert!(!state.confirm_version(&path("/a"), VersionNumber(1)).await.unwrap(), "followed further since");
    state.set_checkpoint(&path("/a"), 1, VersionNumber(2)).await.unwrap();
    state.set_table_problem(&path("/a"), Some("it fails")).await.unwrap();
    let table = state.table(&path("/a")).await.unwrap().unwrap();
    assert_eq!((table.checkpoint, table.actions, table.problem.as_deref()), (Some(1), 0, Some("it fails")));
}

pub async fn versions_that_are_fixed_together_have_an_entry_each(state: &dyn State) {
    for number in 1..=4 {
        landed(state, &format!("/a/{number}"), &number.to_string(), None, 20 + number).await;
    }
    let heads = async |first, size| {
        let heads = state.version_heads(&path("/a"), VersionNumber(first), size).await.unwrap();
        heads.into_iter().map(|head| (head.version.0, head.files, head.is_newest)).collect::<Vec<_>>()
    };
    assert_eq!(heads(2, 2).await, [(2, 2, false), (3, 3, false)]);
    assert_eq!(heads(3, 9).await, [(3, 3, false), (4, 4, true)]);
    assert_eq!(heads(5, 9).await, []);
    assert!(state.fix_versions(&fixed(0, 1, Vec::new())).await.unwrap());
    let commit = |version: u64| {
        let draft = i64::try_from(version).unwrap();
        entry(version, EntryKind::Commit, version - 1, draft, Some(b"commit"))
    };
    assert!(state.fix_versions(&fixed(1, 4, vec![commit(2), commit(3), commit(4)])).await.unwrap());
    assert_eq!(state.versions_unwritten(&path("/a")).await.unwrap(), 3);
    assert_eq!(lag(state).await, [("/a".to_owned(), 3)]);
    let entries = state.fixed_entries(&path("/a")).await.unwrap();
    let found = |entry: &FixedEntry| (entry.version.0, entry.number, entry.draft.0);
    assert_eq!(entries.iter().map(found).collect::<Vec<_>>(), [(2, 1, 2), (3, 2, 3), (4, 3, 4)]);
    state.forget_entries(&path("/a"), &[DraftId(2), DraftId(4)]).await.unwrap();
    assert_eq!(state.fixed_entries(&path("/a")).await.unwrap(), entries[1..2]);
    assert_eq!(state.draft(DraftId(3)).await.unwrap(), [Bytes::from_static(b"commit")]);
    assert_eq!(state.draft(DraftId(4)).await.unwrap(), [] as [Bytes; 0]);
}

pub async fn staged_files_are_listed_by_their_paths_without_those_that_were_replaced(state: &dyn State) {
    let sync = start(state, "/a", SyncType::FullSync).await;
    for file in ["/a/2", "/a/1", "/a/2", "/a/3"] {
        land_upload(state, whole(None, sync, file), None, 30).await;
    }
    let listed = async |after: Option<&str>, size| {
        let after = after.map(path);
        let files = state.staged_files(sync, after.as_ref(), size).await.unwrap();
        files.into_iter().map(|file| (file.path.to_string(), file.landed_at.0)).collect::<Vec<_>>()
    };
    let all = ["/a/1", "/a/2", "/a/3"].map(|file| (file.to_owned(), 30));
    assert_eq!(listed(None, 9).await, all);
    assert_eq!(listed(Some("/a/1"), 1).await, all[1..2]);
    assert_eq!(state.staged_files(SyncId(99), None, 9).await.unwrap(), []);
}

pub async fn entries_of_a_log_are_unneeded_before_the_checkpoint_of_the_oldest_version_or_pin(state: &dyn State) {
    let unneeded = async |oldest| state.unneeded_log(&path("/a"), VersionNumber(oldest)).await.unwrap();
    let found = |commits: Range<u64>, manifests: Range<u64>| Some(UnneededLog { commits, manifests });
    for number in 1..=6 {
        landed(state, &format!("/a/{number}"), &number.to_string(), None, 20 + number).await;
    }
    assert_eq!(unneeded(6).await, None, "there is no table");
    let mut at_six = fixed(0, 6, Vec::new());
    at_six.table.manifest = Some(4);
    assert!(state.fix_versions(&at_six).await.unwrap());
    assert_eq!(unneeded(6).await, found(0..0, 0..4), "the newest manifest and what has no checkpoint stay");
    state.set_checkpoint(&path("/a"), 2, VersionNumber(3)).await.unwrap();
    state.set_checkpoint(&path("/a"), 4, VersionNumber(5)).await.unwrap();
    assert_eq!(unneeded(6).await, found(0..4, 0..4));
    assert_eq!(unneeded(5).await, found(0..4, 0..4));
    assert_eq!(unneeded(4).await, found(0..2, 0..4));
    assert_eq!(unneeded(2).await, found(0..0, 0..2));
    let by = "me".into();
    state.pin_version(&path("/a"), VersionNumber(3), Some("audit"), &by, Timestamp(90)).await.unwrap();
    assert_eq!(unneeded(6).await, found(0..2, 0..3));
    state.forget_log(&path("/a"), &found(0..2, 0..3).unwrap()).await.unwrap();
    assert_eq!(unneeded(6).await, None);
    state.pin_version(&path("/a"), VersionNumber(3), None, &by, Timestamp(91)).await.unwrap();
    assert_eq!(unneeded(6).await, found(2..4, 3..4));
    state.forget_log(&path("/a"), &found(2..4, 3..4).unwrap()).await.unwrap();
    assert_eq!((unneeded(6).await, unneeded(1).await), (None, None));
}

pub async fn a_version_is_fixed_once_and_what_was_not_fixed_is_forgotten(state: &dyn State) {
    landed(state, "/a/1", "1", None, 20).await;
    state.write_draft(DraftId(1), 0, Bytes::from_static(b"one "), Timestamp(50)).await.unwrap();
    state.write_draft(DraftId(1), 1, Bytes::from_static(b"chunk"), Timestamp(50)).await.unwrap();
    state.write_draft(DraftId(2), 0, Bytes::from_static(b"another"), Timestamp(50)).await.unwrap();
    assert!(!state.fix_versions(&fixed(3, 4, Vec::new())).await.unwrap(), "there is no table");
    assert!(state.fix_versions(&fixed(0, 1, vec![entry(1, EntryKind::Commit, 0, 1, None)])).await.unwrap());
    let late = fixed(0, 1, vec![entry(1, EntryKind::Commit, 0, 2, None)]);
    assert!(!state.fix_versions(&late).await.unwrap(), "another was first");
    assert_eq!(state.fixed_entries(&path("/a")).await.unwrap().len(), 1);
    state.write_draft(DraftId(3), 0, Bytes::from_static(b"given up"), Timestamp(60)).await.unwrap();
    for draft in [1, 3] {
        state.forget_draft(DraftId(draft)).await.unwrap();
    }
    assert_eq!(state.draft(DraftId(3)).await.unwrap().len(), 0);
    assert_eq!(state.draft(DraftId(1)).await.unwrap().len(), 2, "it was fixed");
    state.forget_drafts(Timestamp(50)).await.unwrap();
    assert_eq!(state.draft(DraftId(2)).await.unwrap().len(), 1, "it is not old");
    state.forget_drafts(Timestamp(51)).await.unwrap();
    assert_eq!(state.draft(DraftId(2)).await.unwrap().len(), 0);
    assert_eq!(state.draft(DraftId(1)).await.unwrap().concat(), b"one chunk");
}

pub async fn a_group_of_landings_is_found_by_its_version_with_what_it_replaced(state: &dyn State) {
    let first = landed(state, "/a/1", "1", None, 20).await;
    let trash = NewTrash {
        key: TrashKey::of_upload(&partial(2)),
        kind: TrashKind::File,
        reason: TrashReason::Overwritten,
        ..trash_of(SyncId(2), "/a/1")
    };
    let second = landed(state, "/a/1", "2", Some(trash), 30).await;
    let of = async |versions: RangeInclusive<u64>| {
        let versions = VersionNumber(*versions.start())..=VersionNumber(*versions.end());
        let landed = state.landed_in(&path("/a"), versions).await.unwrap();
        let file = |file: LandedInVersion| (file.version.0, file.upload_id, file.path.to_string(), file.replaced);
        landed.into_iter().map(file).collect::<Vec<_>>()
    };
    let all = [(1, first, "/a/1".to_owned(), None), (2, second, "/a/1".to_owned(), Some(first))];
    assert_eq!(of(1..=1).await, all[..1]);
    assert_eq!(of(2..=2).await, all[1..]);
    assert_eq!(of(1..=3).await, all);
    assert_eq!(of(3..=9).await, []);
}

pub async fn files_are_described_once_and_those_outside_a_table_are_listed(state: &dyn State) {
    let one = landed(state, "/a/1", "1", None, 20).await;
    let two = landed(state, "/a/2", "2", None, 30).await;
    let three = landed(state, "/a/3", "3", None, 40).await;
    let known = async || {
        let mut known = state.table_files(&path("/a"), &[one, two, three]).await.unwrap();
        known.sort_by_key(|file| file.upload_id);
        known
    };
    assert_eq!(known().await, []);
    let identities = state.file_identities(&[two, UploadId(99), one]).await.unwrap();
    let identities: BTreeMap<_, _> = identities.into_iter().collect();
    assert_eq!(identities, BTreeMap::from([(one, Identity("1".into())), (two, Identity("2".into()))]));
    let of = |stats: &str| Some(TableDescription { schema: "[1]".into(), stats: stats.into() });
    state.describe(&[(one, of("first")), (two, None), (three, of("third"))]).await.unwrap();
    state.describe(&[(one, None), (two, of("late"))]).await.unwrap();
    let files = known().await;
    let stats: Vec<_> = files.iter().map(|file| file.stats.as_deref()).collect();
    assert_eq!(stats, [Some("first"), None, Some("third")]);
    assert_eq!((files[0].schema, files[1].schema), (files[2].schema, None), "equal schemas are one");
    let schema = files[0].schema.unwrap();
    assert_eq!(state.table_schemas(&[schema]).await.unwrap(), [(schema, "[1]".to_owned())]);
    let outside = |upload_id| FileOutside { upload_id, reasons: "[]".into() };
    let put = FixedVersions { outside: vec![outside(one), outside(three)], ..fixed(0, 1, Vec::new()) };
    assert!(state.fix_versions(&put).await.unwrap());
    assert_eq!(known().await.iter().map(|file| file.is_outside).collect::<Vec<_>>(), [true, false, true]);
    let listed = async |size| {
        let listed = state.files_outside(&path("/a"), size).await.unwrap();
        listed.into_iter().map(|(path, file)| (path.to_string(), file.upload_id)).collect::<Vec<_>>()
    };
    assert_eq!(listed(9).await, [("/a/1".to_owned(), one), ("/a/3".to_owned(), three)]);
    assert_eq!(listed(1).await.len(), 1);
    let gone = FixedVersions { gone: Some(vec![one]), ..fixed(1, 2, Vec::new()) };
    assert!(state.fix_versions(&gone).await.unwrap());
    assert_eq!(listed(9).await, [("/a/3".to_owned(), three)]);
    assert!(state.fix_versions(&fixed(2, 3, Vec::new())).await.unwrap());
    assert_eq!(listed(9).await, [], "all that were there have gone");
}
