//! What every backend promises, as tests: each function takes a fresh, empty backend and panics where a promise is broken.
//! A backend's own tests run them all by [`state_promises!`](crate::state_promises) and
//! [`files_promises!`](crate::files_promises).

#![allow(clippy::unwrap_used)]

mod activity;
mod batches;
mod clock;
mod content;
mod datasets;
mod files;
mod keys;
mod resumables;
mod schemas;
mod search;
mod sessions;
mod syncs;
mod trash;
mod uploads;
mod versions;

pub use activity::*;
pub use batches::*;
pub use clock::*;
pub use content::*;
pub use datasets::*;
pub use files::*;
pub use keys::*;
pub use resumables::*;
pub use schemas::*;
pub use search::*;
pub use sessions::*;
pub use syncs::*;
pub use trash::*;
pub use uploads::*;
pub use versions::*;

use crate::model::access::actor::Actor;
use crate::model::digest::Digest;
use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::id::UploadId;
use crate::model::page::{Order, Page, SyncQuery, TrashQuery, UploadQuery};
use crate::model::path::LakePath;
use crate::model::storage_path::StoragePath;
use crate::model::storage_path::TrashKey;
use crate::model::storage_path::{Identity, PartialName};
use crate::model::sync::job::Closing;
use crate::model::sync::start::NewSync;
use crate::model::sync::status::{Status, SyncType};
use crate::model::time::Timestamp;
use crate::model::trash::NewTrash;
use crate::model::trash::{TrashKind, TrashReason};
use crate::ports::metadata::State;
use crate::ports::metadata::upload::{CompletedUpload, FinishedLandings, LandedUpload, LandingsId, NewUpload};
use crate::ports::storage::{Files, Landing, LandingOutcome};
use bytes::Bytes;

/// One test for each promise of the `state` port. `$run` runs a future; `$fresh` is a future of a new backend and of a
/// guard that keeps what it stands on.
#[macro_export]
macro_rules! state_promises {
    ($run:path, $fresh:expr) => {
        $crate::promises!(
            $run,
            $fresh,
            of_the_clock_the_last_record_is_known,
            ids_count_from_one_without_gaps_and_pages_skip_by_count,
            a_full_sync_wants_its_path_for_itself,
            a_full_sync_is_refused_above_other_datasets,
            counters_follow_every_upload,
            refused_uploads_beyond_a_bound_are_counted_without_a_row,
            a_sync_with_uploads_in_flight_closes_only_when_told_to_discard_them,
            closing_is_remembered_until_settled_and_settling_twice_changes_nothing,
            a_full_sync_that_is_held_or_silent_gives_way_to_a_start_on_its_own_path_alone,
            an_upload_ends_once,
            landings_are_known_from_the_intent_to_the_end,
            uploads_of_a_group_that_are_left_stay_intended_and_none_is_remembered_twice,
            what_is_declared_last_counts_and_is_compared_with_what_has_landed_last,
            a_start_under_the_same_key_is_the_same_start_until_it_is_forgotten,
            what_has_landed_is_known_by_its_place_and_its_identity,
            a_hold_keeps_its_time_and_is_lifted_by_a_landing_and_by_closing,
            what_a_sync_has_landed_tells_new_from_replaced,
            what_has_landed_is_to_be_inspected_until_it_was,
            attempts_at_reading_a_file_are_counted_and_one_is_tried_again_when_its_time_has_come,
            what_was_read_of_a_file_is_known_by_its_place_and_its_identity,
            a_file_is_compared_with_what_the_last_finished_sync_has_left,
            the_first_file_of_a_new_dataset_is_what_the_others_are_compared_with,
            a_dataset_that_ignores_marks_nothing_and_others_warn_unless_told,
            what_a_restart_needs_is_listed,
            a_resumable_upload_has_a_row_and_is_known_until_it_is_forgotten,
            a_resumable_upload_that_lands_is_finished,
            a_sync_that_closes_names_the_resumable_uploads_that_it_has_failed,
            a_part_has_no_row_and_is_finished_when_what_it_was_joined_into_is,
            announced_bytes_and_unfinished_uploads_are_counted_by_their_owners,
            resumable_uploads_expire_by_their_time_ended_or_not,
            trash_leaves_the_list_when_restored_and_holds_its_path_meanwhile,
            doomed_trash_is_in_no_list_and_cannot_be_restored,
            trash_is_grouped_by_the_sync_that_has_put_it_there,
            the_oldest_trash_is_doomed_first_and_never_what_is_being_restored,
            what_has_landed_is_listed_by_place_and_found_by_its_content,
            trash_that_has_a_folder_is_listed_adopted_and_restored,
            each_day_counts_what_landed_failed_and_began_on_it,
            a_file_has_arrived_when_readers_see_it,
            datasets_are_listed_and_keep_their_rhythm,
            a_dataset_is_counted_again_when_something_in_it_has_changed,
            filters_find_rows_by_status_type_path_and_text,
            datasets_and_syncs_are_found_by_any_part_of_their_words,
            a_key_is_found_by_its_secret_and_its_sessions_end_with_it,
            a_sign_in_link_works_once_and_in_time_and_until_there_is_a_key,
            sessions_are_listed_and_ended_and_end_when_nobody_uses_them,
            one_key_has_a_bounded_number_of_sessions_and_the_oldest_goes,
            each_deed_is_remembered_with_who_and_what_and_found_by_them,
            what_is_held_and_confirmed_and_discarded_is_remembered_with_its_sync,
            deeds_are_paged_by_their_ids_and_found_by_time,
        );
    };
}

/// One test for each promise of versions, which a backend of the whole `state` port keeps.
#[macro_export]
macro_rules! version_promises {
    ($run:path, $fresh:expr) => {
        $crate::promises!(
            $run,
            $fresh,
            each_change_of_a_dataset_makes_a_version_and_what_is_staged_or_aborted_makes_none,
            a_replaced_dataset_is_a_version_in_its_piece_of_trash_until_that_is_removed,
            a_snapshot_is_known_until_nothing_is_left_of_it,
        );
    };
}

/// One test for each promise of the `files` port.
#[macro_export]
macro_rules! files_promises {
    ($run:path, $fresh:expr) => {
        $crate::promises!(
            $run,
            $fresh,
            a_landed_file_has_its_bytes_and_its_digest,
            an_upload_goes_on_at_its_checkpoint,
            a_replaced_file_is_in_the_trash,
            what_was_measured_is_told_from_what_has_changed_since,
            a_file_does_not_replace_a_folder,
            recovery_tells_landed_from_not_landed,
            a_group_lands_in_order_and_what_is_taken_back_was_never_there,
            an_open_file_stays_what_it_was_whatever_takes_its_name,
            a_folder_is_listed_page_by_page_the_folders_first,
            what_is_taken_over_is_a_copy_that_lands_and_the_file_stays,
            what_is_not_the_file_that_was_found_is_not_taken_over,
            publishing_replaces_a_dataset_and_twice_is_once,
            publishing_without_staging_is_refused,
            dropped_staging_is_in_the_trash_and_empty_staging_is_gone,
            a_restore_exchanges_what_is_live_and_what_was_trashed,
            trash_is_removed_step_by_step_and_what_was_not_named_stays,
            what_lies_where_is_listed_and_measured_and_digested,
            a_slot_is_renamed_to_a_free_name_only,
            a_sweep_removes_what_no_open_sync_owns,
        );
    };
}

#[macro_export]
#[doc(hidden)]
macro_rules! promises {
    ($run:path, $fresh:expr, $($promise:ident),+ $(,)?) => {
        $(#[test]
        fn $promise() {
            $run(async {
                // The guard keeps what the backend stands on until the promise was tried.
                let (backend, _guard) = $fresh.await;
                $crate::ports::conformance::$promise(&backend).await;
            });
        })+
    };
}

fn path(text: &str) -> LakePath {
    LakePath::parse(text).unwrap()
}

fn new_sync(on: &str, sync_type: SyncType) -> NewSync {
    NewSync {
        name: format!("sync of {on}"),
        path: path(on),
        sync_type,
        started_by: "etl".into(),
        expected: None,
        once: None,
        at: Timestamp(10),
    }
}

async fn start(state: &dyn State, on: &str, sync_type: SyncType) -> SyncId {
    state.start_sync(&new_sync(on, sync_type)).await.unwrap()
}

fn partial(name: u8) -> PartialName {
    PartialName::from_random([name; 16])
}

async fn begin(state: &dyn State, sync_id: SyncId, target: &str) -> UploadId {
    let new = NewUpload {
        sync_id,
        file_name: path(target).leaf().to_owned(),
        target: path(target),
        partial: partial(1),
        identity: Identity("1".into()),
        at: Timestamp(20),
    };
    state.begin_upload(&new).await.unwrap()
}

const DIGEST: Digest = Digest { size_bytes: 5, sha256: [7; 32] };

fn whole(upload_id: Option<UploadId>, sync_id: SyncId, target: &str) -> CompletedUpload {
    CompletedUpload {
        upload_id,
        sync_id,
        file_name: path(target).leaf().to_owned(),
        target: path(target),
        partial: partial(1),
        identity: Identity("1".into()),
        digest: DIGEST,
        begun_at: Timestamp(20),
        by: "etl".into(),
        taken_over: false,
    }
}

/// Intends the landing of one upload, and finishes it.
async fn land_upload(state: &dyn State, upload: CompletedUpload, trash: Option<NewTrash>, at: i64) {
    let (id, permissions) = state.write_intents(None, std::slice::from_ref(&upload)).await.unwrap();
    assert!(permissions.iter().all(Result::is_ok));
    state.finish_landings(&finished(id, vec![LandedUpload { upload, trash }], Vec::new(), at)).await.unwrap();
}

fn finished(id: LandingsId, landed: Vec<LandedUpload>, left: Vec<CompletedUpload>, at: i64) -> FinishedLandings {
    FinishedLandings { id, landed, left, at: Timestamp(at) }
}

async fn finish(state: &dyn State, sync_id: SyncId, target: &str) -> UploadId {
    let id = begin(state, sync_id, target).await;
    land_upload(state, whole(Some(id), sync_id, target), None, 30).await;
    id
}

fn page(from: u64, size: u64, order: Order) -> Page {
    Page { from, size, order }
}

fn syncs(page: Page) -> SyncQuery {
    SyncQuery { page, status: None, sync_type: None, path: None, text: None, scope: None }
}

fn uploads(page: Page) -> UploadQuery {
    UploadQuery { page, sync_id: None, status: None, path: None, text: None, scope: None }
}

fn finishing() -> Closing {
    Closing::Finish { by: Actor::default() }
}

fn publish() -> Closing {
    Closing::Publish { staging: Identity("9".into()), allow_empty: false, by: "etl".into() }
}

fn trash_of(sync_id: SyncId, origin: &str) -> NewTrash {
    NewTrash {
        key: TrashKey::of_sync(sync_id),
        origin: path(origin),
        kind: TrashKind::Dataset,
        reason: TrashReason::Replaced,
        sync_id: Some(sync_id),
        by: "etl".into(),
        at: Timestamp(40),
    }
}

async fn record(state: &dyn State, id: SyncId) -> crate::model::sync::job::SyncRecord {
    state.sync(id).await.unwrap().unwrap()
}

fn uploads_of(sync_id: SyncId) -> UploadQuery {
    UploadQuery { sync_id: Some(sync_id), ..uploads(Page::FIRST) }
}

fn all_trash() -> TrashQuery {
    TrashQuery { page: Page::FIRST, sync_id: None, path: None, text: None, scope: None }
}

/// Writes a partial and seals it.
async fn sealed(files: &dyn Files, name: u8, bytes: &'static [u8]) -> (Identity, Digest) {
    let mut partial = files.create_partial(partial(name)).await.unwrap();
    for piece in bytes.chunks(3) {
        partial.write(Bytes::from_static(piece)).await.unwrap();
    }
    let digest = partial.seal().await.unwrap();
    (partial.identity().clone(), digest)
}

fn landing(name: u8, identity: Identity, place: StoragePath, file: &str) -> Landing {
    let trash = TrashKey::of_upload(&partial(name));
    Landing { partial: partial(name), identity, place, trash, leaf: path(file).leaf().to_owned() }
}

async fn land(files: &dyn Files, name: u8, file: &str, bytes: &'static [u8]) -> LandingOutcome {
    let (identity, _) = sealed(files, name, bytes).await;
    land_one(files, landing(name, identity, StoragePath::Live(path(file)), file)).await.unwrap()
}

async fn land_one(files: &dyn Files, landing: Landing) -> Result<LandingOutcome, Error> {
    files.land(&[landing]).await.remove(0)
}

async fn stage(files: &dyn Files, sync: SyncId, name: u8, relative: &str, bytes: &'static [u8]) {
    let (identity, _) = sealed(files, name, bytes).await;
    let place = StoragePath::Staged { sync, relative: relative.to_owned() };
    land_one(files, landing(name, identity, place, &format!("/{relative}"))).await.unwrap();
}

async fn bytes_at(files: &dyn Files, place: &StoragePath) -> u64 {
    files.measure(place).await.unwrap().bytes
}

async fn live_bytes(files: &dyn Files, at: &str) -> u64 {
    bytes_at(files, &StoragePath::Live(path(at))).await
}
