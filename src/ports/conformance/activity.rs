//! Conformance: the audit log.

use super::{new_sync, path, start, trash_of};
use crate::model::access::actor::{Actor, AuthMethod, Origin, Trace};
use crate::model::access::key::{NewKey, Secret};
use crate::model::access::role::Role;
use crate::model::access::session::NewSession;
use crate::model::audit::{Activity, AuditAction, AuditId, AuditOutcome, AuditParameters};
use crate::model::dataset::schedule::{DeliverySchedule, Every};
use crate::model::dataset::schema::SchemaPolicy;
use crate::model::id::SyncId;
use crate::model::id::TrashId;
use crate::model::path::LakePath;
use crate::model::storage_path::{Identity, PartialName};
use crate::model::sync::end::Settlement;
use crate::model::sync::hold::Hold;
use crate::model::sync::job::Closing;
use crate::model::sync::start::NewSync;
use crate::model::sync::status::{Status, SyncType};
use crate::model::time::Timestamp;
use crate::model::trash::{PurgeSelector, TrashReason};
use crate::ports::metadata::State;
use crate::ports::metadata::upload::NewUpload;

fn ada() -> Actor {
    let origin = Origin {
        address: Some("192.0.2.7".into()),
        forwarded_for: Some("198.51.100.4".into()),
        program: Some("curl/8".into()),
    };
    let trace = Trace { means: AuthMethod::Key, key_id: Some(crate::model::id::KeyId(3)), origin, ..Trace::default() };
    Actor { name: "ada".into(), role: Some(Role::Admin), trace }
}

async fn list(state: &dyn State, wanted: AuditParameters) -> Vec<Activity> {
    state.activity(&wanted.query(None, false).unwrap().unwrap()).await.unwrap()
}

/// Actions, oldest first.
async fn whats(state: &dyn State, wanted: AuditParameters) -> Vec<AuditAction> {
    list(state, wanted).await.iter().rev().map(|activity| activity.entry.what).collect()
}

fn of_path(path: LakePath) -> AuditParameters {
    AuditParameters { path: Some(path), ..AuditParameters::default() }
}

async fn settle(state: &dyn State, sync_id: SyncId, status: Status, trash: bool) {
    let trash = trash.then(|| trash_of(sync_id, "/a/b"));
    let message = if status == Status::Failed { "aborted by ada".into() } else { String::new() };
    let settlement = Settlement { sync_id, status, message, trash, at: Timestamp(60) };
    state.settle_sync(&settlement).await.unwrap();
    // A repeated call changes nothing, and writes no audit entry.
    state.settle_sync(&settlement).await.unwrap();
}

fn publish_empty() -> Closing {
    Closing::Publish { staging: Identity("9".into()), allow_empty: true, by: ada() }
}

pub async fn each_action_has_an_audit_entry_that_is_found_by_actor_and_action(state: &dyn State) {
    let start = NewSync { started_by: ada(), ..new_sync("/a/b", SyncType::FullSync) };
    let full = state.start_sync(&start).await.unwrap();
    assert!(state.start_sync(&start).await.is_err(), "the path is held; what was refused is not recorded");
    state.close_sync(full, &publish_empty(), false, Timestamp(50)).await.unwrap();
    settle(state, full, Status::Finished, true).await;
    state.begin_restore(TrashId(1), &Identity("5".into()), &ada()).await.unwrap();
    let replaced = crate::model::trash::NewTrash { sync_id: None, ..trash_of(full, "/a/b") };
    state.finish_restore(TrashId(1), Some(&replaced), Timestamp(70)).await.unwrap();
    state.finish_restore(TrashId(1), Some(&replaced), Timestamp(70)).await.unwrap();
    let none =
        state.begin_emptying(&PurgeSelector::Before(Timestamp(1)), 9, &Actor::lake(), Timestamp(80)).await.unwrap();
    assert!(none.is_empty());
    state.begin_emptying(&PurgeSelector::Item(TrashId(2)), 1, &Actor::lake(), Timestamp(80)).await.unwrap();
    let rhythm = DeliverySchedule::new(Every::Day, Some("07:00"), 10, 0).unwrap();
    assert!(state.set_schedule(&path("/a/b"), Some(&rhythm), &ada(), Timestamp(90)).await.unwrap());
    assert!(!state.set_schedule(&path("/none"), Some(&rhythm), &ada(), Timestamp(90)).await.unwrap());
    state.set_schema_policy(&path("/a/b"), SchemaPolicy::Hold, &ada(), Timestamp(91)).await.unwrap();
    let secret = Secret::from_random([3; 32]);
    let new = NewKey { name: "etl".into(), role: Role::Write, path_prefix: None, expires_at: None };
    let key = state.create_key(&new, &secret.hint(), &secret.hash(), &ada(), Timestamp(92)).await.unwrap();
    let new = NewSession { hash: secret.hash(), key_id: Some(key.key_id), expires_at: Timestamp(900) };
    state.begin_session(&new, &ada(), Timestamp(93)).await.unwrap();
    assert!(state.revoke_key(key.key_id, &ada(), Timestamp(94)).await.unwrap());
    assert!(!state.revoke_key(key.key_id, &ada(), Timestamp(94)).await.unwrap());

    let of_path = [
        AuditAction::SyncStarted,
        AuditAction::SyncEnded,
        AuditAction::TrashRestored,
        AuditAction::TrashEmptied,
        AuditAction::ScheduleSet,
        AuditAction::SchemaPolicySet,
    ];
    let of_keys = [AuditAction::KeyCreated, AuditAction::SignIn, AuditAction::KeyRevoked];
    let all = list(state, AuditParameters::default()).await;
    assert_eq!(all.iter().rev().map(|one| one.entry.what).collect::<Vec<_>>(), [&of_path[..], &of_keys[..]].concat());
    assert!(all.iter().rev().map(|one| one.activity_id.0).eq(1..=9), "they count from 1");
    let ended = &all[7].entry;
    assert_eq!((&ended.by, ended.at, ended.outcome), (&ada(), Timestamp(60), AuditOutcome::Done));
    assert_eq!((ended.sync_id, ended.subject.as_str()), (Some(full), "sync of /a/b"));
    assert_eq!((&all[0].entry.subject, &all[0].entry.path), (&"etl".to_owned(), &None));

    assert_eq!(whats(state, self::of_path(path("/a"))).await, of_path);
    assert_eq!(whats(state, self::of_path(path("/a/b"))).await, of_path);
    assert!(whats(state, self::of_path(path("/a/b/c"))).await.is_empty());
    let by_lake = AuditParameters { who: Some(String::new()), ..AuditParameters::default() };
    assert_eq!(whats(state, by_lake).await, [AuditAction::TrashEmptied]);
    let sign_ins =
        AuditParameters { what: Some(AuditAction::SignIn), who: Some("ada".into()), ..AuditParameters::default() };
    assert_eq!(whats(state, sign_ins).await, [AuditAction::SignIn]);
    let places = AuditParameters::default().query(None, true).unwrap().unwrap();
    assert_eq!(state.activity(&places).await.unwrap().len(), of_path.len());
}

pub async fn holds_confirmations_and_discards_have_entries_with_their_sync(state: &dyn State) {
    let id = start(state, "/a/b", SyncType::FullSync).await;
    start(state, "/c", SyncType::IncrementalSync).await;
    let upload = NewUpload {
        sync_id: id,
        file_name: "x".into(),
        target: path("/a/b/x"),
        partial: PartialName::from_random([1; 16]),
        identity: Identity("1".into()),
        at: Timestamp(20),
    };
    state.begin_upload(&upload).await.unwrap();
    let totals = crate::model::totals::Totals::default();
    let hold = Hold { since: Timestamp(30), replaced: totals, published: totals, differing_files: 0 };
    state.hold_sync(id, hold, &ada()).await.unwrap();
    state.hold_sync(id, hold, &ada()).await.unwrap();
    state.close_sync(id, &publish_empty(), true, Timestamp(50)).await.unwrap();
    state.reopen_sync(id, "a file is in the way", Timestamp(55)).await.unwrap();
    let abort = Closing::Abort { reason: TrashReason::Aborted, message: "aborted by ada".into(), by: ada() };
    state.close_sync(id, &abort, false, Timestamp(58)).await.unwrap();
    settle(state, id, Status::Failed, false).await;

    let of_sync = AuditParameters { sync_id: Some(id), ..AuditParameters::default() };
    let entries = list(state, of_sync.clone()).await;
    assert_eq!(
        whats(state, of_sync).await,
        [
            AuditAction::SyncStarted,
            AuditAction::SyncHeld,
            AuditAction::UploadsDiscarded,
            AuditAction::SyncConfirmed,
            AuditAction::SyncEnded,
            AuditAction::SyncAborted,
        ]
    );
    let outcomes: Vec<_> = entries.iter().rev().map(|one| one.entry.outcome).collect();
    let done = AuditOutcome::Done;
    assert_eq!(outcomes, [done, AuditOutcome::Refused, done, done, AuditOutcome::Failed, done]);
    assert_eq!(entries[1].entry.message, "a file is in the way");
    assert_eq!(entries[3].entry.totals.unwrap().files, 1, "an upload was dropped");
    assert_eq!(entries[0].entry.message, "1 upload failed", "the end of a sync sums its uploads up");
    assert!(entries.iter().rev().skip(1).all(|one| one.entry.by == ada()));
}

pub async fn audit_entries_are_paged_by_id_and_found_by_time(state: &dyn State) {
    for index in 1..=5 {
        let at = Timestamp(index * 10);
        let new = NewSync { at, ..new_sync(&format!("/a/{index}"), SyncType::IncrementalSync) };
        state.start_sync(&new).await.unwrap();
    }
    let ids = async |wanted: AuditParameters| {
        list(state, wanted).await.iter().map(|one| one.activity_id.0).collect::<Vec<_>>()
    };
    let page = |before, after| AuditParameters { before, after, size: Some(2), ..AuditParameters::default() };
    for path in [None, Some(path("/a"))] {
        let of_path = |page: AuditParameters| AuditParameters { path: path.clone(), ..page };
        assert_eq!(ids(of_path(page(None, None))).await, [5, 4]);
        assert_eq!(ids(of_path(page(Some(AuditId(4)), None))).await, [3, 2]);
        assert_eq!(ids(of_path(page(Some(AuditId(2)), None))).await, [1]);
        assert_eq!(ids(of_path(page(None, Some(AuditId(2))))).await, [3, 4], "behind one, the oldest first");
        let (since, until) = (Some(Timestamp(20)), Some(Timestamp(40)));
        let between = AuditParameters { since, until, ..AuditParameters::default() };
        assert_eq!(ids(of_path(between)).await, [3, 2]);
    }
}
