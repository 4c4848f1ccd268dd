//! Trash is counted in bounded steps, also while more arrives.

use crate::bench::{Bench, SMALL, bench, block_on, caller};
use futures_util::future::{Either, select};
use lakeshore::model::trash::EmptyTrash;
use std::pin::pin;
use std::time::Duration;

/// Items that one step counts.
const STEP: usize = 16;

/// Replaces a file so many times.
async fn replace(bench: &Bench, times: usize) {
    for _ in 0..times {
        bench.upload("f", SMALL).await.unwrap();
    }
}

async fn uncounted(bench: &Bench) -> u64 {
    bench.lake.trash_summary(&caller()).await.unwrap().num_uncounted
}

#[test]
fn trash_is_counted_until_the_time_is_over_and_the_rest_by_the_next_call() {
    block_on(async {
        let bench = bench(0).await;
        replace(&bench, 2 * STEP + 2).await;
        assert_eq!(bench.lake.count_trash_for(Duration::ZERO).await.unwrap(), STEP);
        assert_eq!(uncounted(&bench).await, STEP as u64 + 1);
        assert_eq!(bench.lake.count_trash_for(Duration::from_secs(1)).await.unwrap(), STEP + 1);
        assert_eq!((uncounted(&bench).await, bench.lake.count_trash_for(Duration::ZERO).await.unwrap()), (0, 0));
    });
}

#[test]
fn a_purge_of_all_trash_counts_what_it_purges_and_leaves_what_arrives_meanwhile() {
    block_on(async {
        let bench = bench(0).await;
        let items = 2 * STEP as u64;
        replace(&bench, 2 * STEP + 1).await;
        let arrivals = async {
            while uncounted(&bench).await == items {
                tokio::task::yield_now().await;
            }
            loop {
                replace(&bench, 1).await;
            }
        };
        let all = EmptyTrash { all: true, ..EmptyTrash::default() };
        let caller = caller();
        let purge = pin!(bench.lake.empty_trash(&caller, &all));
        let Either::Left((emptied, _)) = select(purge, pin!(arrivals)).await;
        let emptied = emptied.unwrap();
        assert_eq!((emptied.items, emptied.bytes), (items, items * SMALL as u64));
        assert!(bench.lake.trash_summary(&caller).await.unwrap().items > 0, "some arrived meanwhile");
    });
}
