//! Landings of which it is not known how far they came.

use crate::bench::{Bench, LARGE, SMALL, bench, block_on, caller};
use bytes::Bytes;
use lakeshore::Error;
use lakeshore::model::limits::SETTLING_PAUSES;
use lakeshore::model::sync::end::EndSync;
use lakeshore::model::sync::status::Status;
use lakeshore::model::upload::request::{ResumableRequest, UploadRequest};
use std::io;
use std::pin::pin;

/// The steps after which an upload has its name.
const STEPS: [&str; 2] = ["land_synced", "finish_landings"];

fn unknown() -> Error {
    Error::unsettled(io::Error::other("the disk failed"))
}

fn unknown_times(times: usize) -> Vec<Error> {
    (0..times).map(|_| unknown()).collect()
}

fn end(bench: &Bench) -> EndSync {
    EndSync::new(bench.sync_id)
}

async fn is_settled_as_landed(bench: &Bench) -> bool {
    bench.state.unfinished_landings().await.unwrap().is_empty()
        && bench.statuses().await == [Status::Finished]
        && bench.files.live_files().len() == 1
}

#[test]
fn a_landing_whose_outcome_was_unknown_is_found_to_have_landed_while_its_caller_waits() {
    for step in STEPS {
        for size in [SMALL, LARGE] {
            for faults in [1, SETTLING_PAUSES.len()] {
                block_on(async {
                    let bench = bench(SETTLING_PAUSES.len()).await;
                    bench.fail(step, unknown_times(1));
                    bench.fail("recover_landing", unknown_times(faults - 1));
                    bench.upload("f", size).await.unwrap_or_else(|error| panic!("{step}: {error:?}"));
                    assert!(is_settled_as_landed(&bench).await, "{step}");
                });
            }
        }
    }
}

#[test]
fn a_landing_that_stays_unknown_is_told_so_keeps_its_sync_open_and_is_settled_in_the_background() {
    for step in STEPS {
        for size in [SMALL, LARGE] {
            block_on(async {
                let bench = bench(SETTLING_PAUSES.len()).await;
                bench.fail(step, unknown_times(1));
                bench.fail("recover_landing", unknown_times(SETTLING_PAUSES.len()));
                let told = bench.upload("f", size).await.unwrap_err();
                assert!(told.is_unsettled(), "{step}: {told:?}");
                // Neither taken back nor called failed.
                assert_eq!(bench.files.live_files().len(), 1);
                assert!(!bench.statuses().await.contains(&Status::Failed));
                bench.fail("recover_landing", unknown_times(1));
                assert!(bench.lake.end_sync(&caller(), &end(&bench)).await.unwrap_err().is_unsettled(), "{step}");
                bench.lake.settle_landings().await.unwrap();
                assert!(is_settled_as_landed(&bench).await, "{step}");
                bench.lake.end_sync(&caller(), &end(&bench)).await.unwrap();
            });
        }
    }
}

/// Joins two parts into an upload.
async fn join(bench: &Bench) -> Result<(), Error> {
    let mut parts = Vec::new();
    for _ in 0..2 {
        let upload = UploadRequest { length: Some(SMALL as u64), ..UploadRequest::named("part") };
        let mut part =
            bench.lake.begin_part(&caller(), ResumableRequest { upload, ..ResumableRequest::default() }).await?;
        part.write(Bytes::from(vec![b'x'; SMALL])).await?;
        part.settle().await?;
        parts.push(part.token().clone());
    }
    let destination = bench.lake.destination(&caller(), bench.sync_id, None).await?;
    let upload = UploadRequest::named("f");
    destination.join(ResumableRequest { upload, parts, ..ResumableRequest::default() }).await.map(drop)
}

#[test]
fn the_parts_of_an_upload_that_is_found_to_have_landed_are_removed_in_the_background() {
    for step in STEPS {
        block_on(async {
            let bench = bench(SETTLING_PAUSES.len()).await;
            bench.fail(step, unknown_times(1));
            bench.fail("recover_landing", unknown_times(SETTLING_PAUSES.len()));
            assert!(join(&bench).await.unwrap_err().is_unsettled(), "{step}");
            bench.lake.discard_leftovers().await.unwrap();
            assert_eq!(bench.files.partials(), 2, "{step}: it may not have landed");
            bench.lake.settle_landings().await.unwrap();
            assert!(is_settled_as_landed(&bench).await, "{step}");
            bench.lake.discard_leftovers().await.unwrap();
            assert_eq!(bench.files.partials(), 0, "{step}");
        });
    }
}

#[test]
fn an_upload_that_has_landed_is_told_so_though_its_parts_cannot_be_looked_up() {
    block_on(async {
        let bench = bench(0).await;
        bench.fail("intend_landings", vec![Error::transient(io::Error::other("too many open files"))]);
        let mut joining = pin!(join(&bench));
        bench.clock.paused_amid(joining.as_mut()).await;
        // From now on only the parts are looked up, behind the landing.
        bench.fail("resumable", unknown_times(2));
        bench.clock.ends.add_permits(1);
        joining.await.unwrap();
        assert_eq!((bench.files.live_files().len(), bench.files.partials()), (1, 2));
        bench.lake.discard_leftovers().await.unwrap_err();
        assert_eq!(bench.files.partials(), 2, "the database still fails");
        bench.lake.discard_leftovers().await.unwrap();
        assert_eq!(bench.files.partials(), 0);
    });
}

#[test]
fn a_start_that_cannot_settle_a_landing_because_the_disk_is_full_serves_and_settles_it_later() {
    for (step, lands) in [("finish_landings", true), ("land", false)] {
        for size in [SMALL, LARGE] {
            block_on(async {
                let bench = bench(0).await;
                bench.fail(step, unknown_times(1));
                bench.fail("recover_landing", unknown_times(1));
                {
                    let mut upload = pin!(bench.upload("f", size));
                    bench.clock.paused_amid(upload.as_mut()).await;
                }
                let bench = bench.restart();
                bench.fail("recover_landing", vec![Error::DiskFull]);
                let recovered = bench.lake.recover().await.unwrap();
                assert_eq!((recovered.faults.len(), recovered.uploads_failed), (1, 0), "{step}");
                assert_eq!(bench.files.live_files().len() + bench.files.partials(), 1, "nothing of it is swept");
                assert_eq!(bench.state.unfinished_landings().await.unwrap().len(), 1);
                bench.lake.settle_landings().await.unwrap();
                assert_eq!(is_settled_as_landed(&bench).await, lands, "{step}");
                assert!(bench.state.unfinished_landings().await.unwrap().is_empty());
                assert_eq!(bench.files.partials(), 0);
                bench.lake.end_sync(&caller(), &end(&bench)).await.unwrap();
            });
        }
    }
}

#[test]
fn settling_may_be_dropped_at_any_step_and_nothing_is_forgotten() {
    block_on(async {
        let bench = bench(0).await;
        bench.fail("finish_landings", unknown_times(1));
        bench.fail("recover_landing", unknown_times(1));
        {
            let mut upload = pin!(bench.upload("f", SMALL));
            bench.clock.paused_amid(upload.as_mut()).await;
        }
        assert_eq!(bench.state.unfinished_landings().await.unwrap().len(), 1);
        bench.lake.settle_landings().await.unwrap();
        assert!(is_settled_as_landed(&bench).await);
    });
}

#[test]
fn an_upload_that_turns_out_not_to_have_landed_fails_and_leaves_nothing_even_where_nobody_hears_of_it() {
    for size in [SMALL, LARGE] {
        block_on(async {
            let bench = bench(0).await;
            bench.fail("land", unknown_times(1));
            bench.fail("recover_landing", unknown_times(1));
            {
                let mut upload = pin!(bench.upload("f", size));
                bench.clock.paused_amid(upload.as_mut()).await;
            }
            bench.lake.settle_landings().await.unwrap();
            assert!(bench.files.live_files().is_empty());
            assert_eq!(bench.files.partials(), 0);
            assert!(bench.statuses().await.iter().all(|status| *status == Status::Failed));
            assert!(bench.state.unfinished_landings().await.unwrap().is_empty());
        });
    }
}
