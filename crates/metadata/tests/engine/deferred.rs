//! Uploads that are answered before their rows are written.

use crate::bench::{Bench, LARGE, SMALL, bench, block_on, caller};
use crate::end::a_sync_used_again_does_not_expire;
use futures_util::future::{Either, select};
use lakeshore::Error;
use lakeshore::model::limits::{ATTEMPT_PAUSES, SETTLING_PAUSES};
use lakeshore::model::sync::end::EndSync;
use lakeshore::model::sync::status::Status;
use std::io;
use std::pin::pin;

/// Pauses enough for any test.
const PAUSES: usize = 1000;

/// Runs `test` beside the consumer of the commit queue.
fn led(pauses: usize, test: impl AsyncFnOnce(&Bench)) {
    block_on(async {
        let bench = bench(pauses).await;
        let consumer = pin!(bench.lake.run_commit_queue());
        match select(consumer, pin!(test(&bench))).await {
            Either::Left((never, _)) => match never {},
            Either::Right(((), _)) => {}
        }
    });
}

/// Ends each pause as it begins, until `future` does.
async fn ending_pauses<T>(bench: &Bench, future: impl Future<Output = T>) -> T {
    let ending = async {
        loop {
            bench.clock.paused().await;
            bench.clock.ends.add_permits(1);
        }
    };
    match select(pin!(future), pin!(ending)).await {
        Either::Left((ended, _)) => ended,
        Either::Right((never, _)) => never,
    }
}

fn lost() -> Error {
    Error::unsettled(io::Error::other("the disk failed"))
}

fn every_time(error: fn() -> Error) -> Vec<Error> {
    (0..10 * PAUSES).map(|_| error()).collect()
}

#[test]
fn an_upload_is_answered_before_its_row_is_written_and_every_reader_sees_the_row() {
    for size in [SMALL, LARGE] {
        // No pause ends, so the rows are not written by themselves.
        led(0, async |bench| {
            bench.fail("finish_landings", every_time(lost));
            bench.upload("f", size).await.unwrap();
            assert_eq!(bench.statuses().await, [Status::Finished]);
            assert!(bench.state.unfinished_landings().await.unwrap().is_empty());
            bench.upload("g", size).await.unwrap();
            bench.lake.end_sync(&caller(), &EndSync::new(bench.sync_id)).await.unwrap();
            assert_eq!(bench.statuses().await, [Status::Finished; 2]);
        });
    }
}

#[test]
fn an_upload_that_replaces_a_file_is_answered_after_its_row_and_taken_back_on_a_full_disk() {
    led(PAUSES, async |bench| {
        bench.upload("f", SMALL).await.unwrap();
        bench.statuses().await;
        bench.fail("finish_landings", every_time(|| Error::DiskFull));
        let refused = bench.upload("f", SMALL + 1).await;
        assert!(matches!(refused, Err(Error::DiskFull)), "{refused:?}");
        assert_eq!(bench.files.live_files().len(), 1);
        assert!(bench.files.live_files().values().all(|bytes| bytes.len() == SMALL));
    });
}

#[test]
fn rows_that_cannot_be_written_behind_an_answer_take_no_file_back_and_are_written_later() {
    for fault in [lost, || Error::DiskFull] {
        led(PAUSES, async |bench| {
            // Those of the first group, with the rest of its attempts.
            let errors = (0..=ATTEMPT_PAUSES.len() + SETTLING_PAUSES.len()).map(|_| fault()).collect();
            bench.fail("finish_landings", errors);
            bench.upload("f", SMALL).await.unwrap();
            bench.upload("g", SMALL).await.unwrap();
            while !bench.state.unfinished_landings().await.unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
            assert_eq!(bench.files.live_files().len(), 2);
            assert_eq!(bench.statuses().await, [Status::Finished; 2]);
            bench.lake.end_sync(&caller(), &EndSync::new(bench.sync_id)).await.unwrap();
        });
    }
}

#[test]
fn an_upload_to_the_path_of_an_unsettled_landing_waits_for_its_row() {
    for (fault, refusal) in [(lost as fn() -> Error, 50005), (|| Error::DiskFull, 50700)] {
        led(0, async |bench| {
            bench.fail("finish_landings", every_time(fault));
            bench.upload("f", SMALL).await.unwrap();
            // One pause for the next intent; the next is between two attempts to settle.
            bench.clock.ends.add_permits(1);
            bench.clock.paused().await;
            bench.clock.paused().await;
            let refused = ending_pauses(bench, bench.upload("f", SMALL + 1)).await.unwrap_err();
            assert_eq!(refused.code().number(), refusal, "{refused:?}");
            assert!(bench.files.live_files().values().all(|bytes| bytes.len() == SMALL));
            bench.upload("g", SMALL).await.unwrap();
        });
    }
}

#[test]
fn a_sync_does_not_expire_before_the_rows_of_its_answered_uploads() {
    led(0, a_sync_used_again_does_not_expire);
}

#[test]
fn a_sync_does_not_end_before_the_rows_of_its_answered_uploads() {
    led(PAUSES, async |bench| {
        bench.upload("f", SMALL).await.unwrap();
        let ended = bench.lake.end_sync(&caller(), &EndSync::new(bench.sync_id)).await;
        ended.unwrap();
        let sync = bench.lake.sync(&caller(), bench.sync_id).await.unwrap();
        assert_eq!((sync.total_files, sync.num_in_flight), (1, 0));
    });
}
