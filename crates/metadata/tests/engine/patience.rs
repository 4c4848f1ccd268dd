//! Steps of a landing that fail for a reason that may pass.

use crate::bench::{Bench, LARGE, SMALL, bench, block_on};
use lakeshore::Error;
use lakeshore::model::id::SyncId;
use lakeshore::model::limits::ATTEMPTS_MAX;
use lakeshore::model::sync::status::Status;
use std::io;
use std::pin::pin;

fn passing() -> Error {
    Error::transient(io::Error::other("too many open files"))
}

/// Those up to the name. From there on a landing is settled, see `unsettled.rs`.
const STEPS: [(&str, usize); 7] = [
    ("create_partial", LARGE),
    ("begin_upload", LARGE),
    ("write_group", SMALL),
    ("intend_landings", SMALL),
    ("intend_landings", LARGE),
    ("land", SMALL),
    ("land", LARGE),
];
const LAST_STEPS: [(&str, usize); 2] = [("finish_landings", SMALL), ("finish_landings", LARGE)];

/// By a lake whose small files are written in groups, and by one where each is written before its turn.
fn each(pauses: usize, test: impl AsyncFn(&Bench)) {
    for writes_at_once in [false, true] {
        block_on(async {
            let bench = bench(pauses).await;
            if writes_at_once {
                bench.files.write_at_once();
            }
            test(&bench).await;
        });
    }
}

#[test]
fn a_fault_that_passes_costs_an_upload_nothing_but_time() {
    for (step, size) in STEPS.into_iter().chain(LAST_STEPS) {
        each(ATTEMPTS_MAX - 1, async |bench| {
            bench.fail(step, (1..ATTEMPTS_MAX).map(|_| passing()).collect());
            bench.upload("f", size).await.unwrap_or_else(|error| panic!("{step}: {error:?}"));
            assert_eq!(bench.files.live_files()["/a/f"].len(), size, "{step}");
            assert_eq!((bench.files.partials(), bench.statuses().await), (0, vec![Status::Finished]), "{step}");
            assert!(bench.state.unfinished_landings().await.unwrap().is_empty(), "{step}");
        });
    }
}

#[test]
fn a_fault_that_stays_is_told_after_so_many_attempts_and_leaves_nothing_behind() {
    for (step, size) in STEPS {
        each(ATTEMPTS_MAX - 1, async |bench| {
            bench.fail(step, (0..ATTEMPTS_MAX).map(|_| passing()).collect());
            let error = bench.upload("f", size).await.unwrap_err();
            assert!(matches!(&error, Error::Internal(fault) if fault.to_string() == "too many open files"), "{step}");
            assert!(bench.files.live_files().is_empty(), "{step}");
            assert_eq!((bench.files.partials(), bench.statuses().await), (0, vec![Status::Failed]), "{step}");
            bench.upload("f", size).await.unwrap();
        });
    }
}

#[test]
fn a_step_is_not_repeated_where_it_may_have_changed_something() {
    let steps = STEPS.into_iter().chain([("seal", SMALL)]);
    for (step, size) in steps {
        each(ATTEMPTS_MAX - 1, async |bench| {
            bench.fail(step, vec![passing().permanent()]);
            bench.upload("f", size).await.unwrap_err();
            assert!(bench.files.live_files().is_empty(), "{step}");
            assert_eq!((bench.files.partials(), bench.statuses().await), (0, vec![Status::Failed]), "{step}");
        });
    }
}

#[test]
fn bytes_whose_sync_failed_are_not_taken_for_safe_because_the_intent_may_be_tried_again() {
    block_on(async {
        let bench = bench(ATTEMPTS_MAX - 1).await;
        bench.fail("seal", vec![passing().permanent()]);
        bench.fail("intend_landings", vec![passing()]);
        bench.upload("f", SMALL).await.unwrap_err();
        assert!(bench.files.live_files().is_empty());
    });
}

#[test]
fn others_land_while_an_upload_waits_for_its_next_attempt() {
    for step in ["write_group", "intend_landings", "land"] {
        each(0, async |bench| {
            bench.fail(step, vec![passing()]);
            let mut waiting = pin!(bench.upload("first", SMALL));
            bench.clock.paused_amid(waiting.as_mut()).await;
            bench.upload("second", SMALL).await.unwrap();
            assert_eq!(bench.files.live_files().into_keys().collect::<Vec<_>>(), ["/a/second"], "{step}");
            bench.clock.ends.add_permits(1);
            waiting.await.unwrap();
            assert_eq!(bench.files.live_files().len(), 2, "{step}");
        });
    }
}

#[test]
fn an_upload_that_is_tried_again_does_not_replace_a_later_one_of_its_name() {
    for (step, size) in
        [("write_group", SMALL), ("intend_landings", SMALL), ("intend_landings", LARGE), ("land", SMALL)]
    {
        each(0, async |bench| {
            bench.fail(step, vec![passing()]);
            let mut first = pin!(bench.upload("f", size));
            bench.clock.paused_amid(first.as_mut()).await;
            bench.upload("f", size + 1).await.unwrap();
            bench.clock.ends.add_permits(1);
            let told = first.await.unwrap_err();
            assert!(matches!(&told, Error::Internal(fault) if fault.to_string() == "too many open files"), "{step}");
            assert_eq!(bench.files.live_files()["/a/f"].len(), size + 1, "{step}");
            assert_eq!(bench.files.partials(), 0, "{step}");
            bench.upload("f", size + 2).await.unwrap();
        });
    }
}

#[test]
fn an_upload_waits_for_another_server_that_ends_its_sync_and_is_told_to_try_again_after_a_minute() {
    block_on(async {
        let bench = bench(1000).await;
        let busy = |times: usize| (0..times).map(|_| Error::SyncBusy(SyncId(1))).collect();
        bench.fail("begin_upload", busy(200));
        bench.upload("f", LARGE).await.unwrap();
        bench.fail("begin_upload", busy(1000));
        let told = bench.upload("g", LARGE).await.unwrap_err();
        assert_eq!(told.code().number(), 50310, "{told:?}");
        assert_eq!((bench.files.live_files().len(), bench.files.partials()), (1, 0));
        assert_eq!(bench.statuses().await, [Status::Finished, Status::Failed]);
    });
}
