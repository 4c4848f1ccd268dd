//! Conformance suite: each function takes a fresh, empty backend and panics where the backend breaks a promise of a
//! port. A backend runs the whole suite in its tests by [`state_promises!`](crate::state_promises) and
//! [`files_promises!`](crate::files_promises).

#![expect(clippy::unwrap_used, reason = "the functions run in tests of the backends, where a panic is a failure")]

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
mod tables;
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
pub use tables::*;
pub use trash::*;
pub use uploads::*;
pub use versions::*;

use crate::model::access::actor::Actor;
use crate::model::digest::Digest;
use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::id::UploadId;
use crate::model::object_key::UploadOwner;
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

/// New backend and guard, or none where this machine lacks what the backend needs.
pub trait Fresh {
    type Backend;
    type Guard;

    fn pair(self) -> Option<(Self::Backend, Self::Guard)>;
}

impl<B, G> Fresh for (B, G) {
    type Backend = B;
    type Guard = G;

    fn pair(self) -> Option<(B, G)> {
        Some(self)
    }
}

impl<B, G> Fresh for Option<(B, G)> {
    type Backend = B;
    type Guard = G;

    fn pair(self) -> Option<(B, G)> {
        self
    }
}

/// One test for each promise of the metadata port. `$run` runs a future; `$fresh` is a future of a new backend and of a
/// guard that keeps its resources alive.
#[macro_export]
macro_rules! state_promises {
    ($run:path, $fresh:expr) => {
        $crate::promises!(
            $run,
            $fresh,
            the_last_record_of_the_clock_is_kept,
            ids_count_from_one_without_gaps_and_pages_skip_by_count,
            a_full_sync_needs_its_path_exclusively,
            a_full_sync_is_refused_above_other_datasets,
            counters_follow_every_upload,
            refused_uploads_beyond_a_bound_are_counted_without_a_row,
            a_sync_with_uploads_in_flight_closes_only_when_told_to_discard_them,
            a_closing_is_stored_until_settled_and_settling_is_idempotent,
            a_held_or_silent_full_sync_is_superseded_only_by_a_start_on_its_own_path,
            a_sync_expires_unless_it_was_used_since,
            an_upload_ends_once,
            an_upload_in_flight_is_found_by_the_name_of_its_bytes,
            a_timeline_has_stretches_of_the_uploads_of_a_sync_and_its_first_failures,
            uploads_of_a_sync_are_found_by_the_paths_at_which_they_landed,
            landings_are_stored_from_the_intent_to_the_end,
            unsettled_uploads_stay_in_their_group_and_none_is_stored_twice,
            deferred_landings_are_seen_by_every_call_and_stored_once,
            withdrawn_landings_keep_their_intent,
            the_last_declaration_is_compared_with_the_last_landed_files,
            a_start_under_the_same_key_is_the_same_start_until_it_is_forgotten,
            landed_content_is_found_by_path_and_identity,
            a_hold_keeps_its_time_and_is_lifted_by_a_landing_and_by_closing,
            landed_changes_distinguish_new_from_replaced_files,
            landed_files_are_uninspected_until_they_are_read,
            attempts_to_read_a_file_are_counted_and_failed_ones_are_retried_when_due,
            inspected_rows_are_found_by_path_and_identity,
            a_file_is_compared_with_the_columns_of_the_last_finished_sync,
            files_of_a_new_dataset_are_compared_with_its_first_file,
            the_ignore_policy_marks_no_file_and_the_default_is_to_warn,
            unfinished_work_is_listed_for_a_restart,
            a_resumable_upload_has_a_row_and_is_kept_until_it_is_deleted,
            a_resumable_upload_that_lands_is_finished,
            a_closed_sync_lists_the_resumable_uploads_that_it_failed,
            a_part_has_no_row_and_finishes_with_its_joined_upload,
            announced_bytes_and_unfinished_uploads_are_counted_by_owner,
            resumable_uploads_expire_whether_ended_or_not,
            a_restored_item_leaves_the_list_and_holds_its_path_during_the_restore,
            a_restore_and_a_landing_at_its_path_exclude_each_other,
            an_item_marked_for_a_purge_is_not_listed_and_cannot_be_restored,
            trash_is_grouped_by_its_sync,
            the_oldest_items_are_purged_first_and_never_those_being_restored,
            items_up_to_one_are_purged_in_the_order_of_their_arrival,
            landed_uploads_are_listed_by_path_and_found_by_content,
            trash_that_has_a_folder_is_listed_adopted_and_restored,
            each_day_counts_its_landed_failed_and_started_work,
            a_file_has_arrived_when_readers_see_it,
            datasets_whose_paths_look_like_text_are_counted_apart,
            datasets_are_listed_and_keep_their_schedule,
            a_dataset_is_counted_again_after_a_change,
            filters_find_rows_by_status_type_path_and_text,
            a_path_within_a_sync_finds_rows_of_that_sync_alone,
            datasets_and_syncs_are_found_by_parts_of_their_words,
            a_key_is_found_by_its_secret_and_its_sessions_end_with_it,
            a_sign_in_link_works_once_and_in_time_and_until_there_is_a_key,
            sessions_are_listed_and_ended_and_expire_when_unused,
            a_key_has_a_maximum_of_sessions_and_the_oldest_ends,
            each_action_has_an_audit_entry_that_is_found_by_actor_and_action,
            holds_confirmations_and_discards_have_entries_with_their_sync,
            audit_entries_are_paged_by_id_and_found_by_time,
        );
    };
}

/// One test for each promise of versions, for backends of the whole metadata port.
#[macro_export]
macro_rules! version_promises {
    ($run:path, $fresh:expr) => {
        $crate::promises!(
            $run,
            $fresh,
            each_change_of_a_dataset_makes_a_version_and_staged_or_aborted_files_make_none,
            a_replaced_dataset_is_a_version_in_the_trash_until_it_is_purged,
            only_the_files_of_a_version_are_published_as_its_restore,
            a_snapshot_is_stored_until_its_files_are_removed,
            a_table_lags_until_its_versions_are_fixed_and_their_entries_are_written,
            staged_files_are_listed_by_their_paths_without_those_that_were_replaced,
            entries_of_a_log_are_unneeded_before_the_checkpoint_of_the_oldest_version_or_pin,
            a_version_is_fixed_once_and_what_was_not_fixed_is_forgotten,
            versions_that_are_fixed_together_have_an_entry_each,
            a_group_of_landings_is_found_by_its_version_with_what_it_replaced,
            files_are_described_once_and_those_outside_a_table_are_listed,
        );
    };
}

/// One test for each promise of the storage port.
#[macro_export]
macro_rules! files_promises {
    ($run:path, $fresh:expr) => {
        $crate::promises!(
            $run,
            $fresh,
            a_landed_file_has_its_bytes_and_its_digest,
            an_upload_resumes_at_its_checkpoint,
            a_replaced_file_is_in_the_trash,
            a_file_is_opened_by_its_identity_wherever_it_is_or_by_its_path_alone,
            a_change_after_a_measurement_is_detected,
            a_file_does_not_replace_a_folder,
            recovery_distinguishes_landed_from_not_landed,
            a_group_lands_in_order_and_a_landing_can_be_rolled_back,
            an_open_file_keeps_its_content_when_another_takes_its_name,
            files_are_found_by_names_that_look_like_something_else,
            a_folder_is_listed_in_pages_with_folders_first,
            a_taken_over_file_lands_as_a_copy_and_the_original_stays,
            a_changed_file_is_not_taken_over,
            publishing_replaces_a_dataset_and_is_idempotent,
            publishing_without_staging_is_refused,
            dropped_staging_moves_to_the_trash_and_empty_staging_is_removed,
            a_restore_exchanges_the_live_and_the_trashed_content,
            trash_is_removed_in_steps_and_other_items_stay,
            storage_paths_are_listed_measured_and_digested,
            a_trash_folder_is_renamed_to_a_free_name_only,
            a_sweep_removes_files_without_an_open_sync,
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
                // The guard keeps the backend's resources alive until the test ends. Without a backend, the reason has
                // been printed.
                let fresh = $crate::ports::conformance::Fresh::pair($fresh.await);
                let Some((backend, _guard)) = fresh else { return };
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
        restores_version: None,
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

/// Writes the intent of one upload, and finishes its landing.
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

fn owner() -> UploadOwner {
    UploadOwner { sync_id: SyncId(1), dataset: path("/data/t"), file: path("/data/t/a.csv") }
}

/// Writes and seals a partial file.
async fn sealed(files: &dyn Files, name: u8, bytes: &'static [u8]) -> (Identity, Digest) {
    let mut partial = files.create_partial(partial(name), Some(&owner())).await.unwrap();
    for chunk in bytes.chunks(3) {
        partial.write(Bytes::from_static(chunk)).await.unwrap();
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
