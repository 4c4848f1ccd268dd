//! Power cuts under load on the volatile disk: any part of unsynced data is lost, which an image of a real file system
//! hardly ever shows.
//!
//! `VOLATILE_CUTS` is the number of cuts; `KILLS_SEED` repeats the requests of a run.

use crate::clients::{Ledger, Sender};
use crate::kills::begin_load;
use crate::verify::Verifier;
use crate::volatile_disk::{Order, VolatileDisk};
use crate::volatile_faults::server_on;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::sync::Arc;
use std::time::Duration;

/// Cuts before the run continues in a new lake.
const CUTS_OF_A_LAKE: u64 = 10;
/// Time in which calls that were begun complete.
const STOPPED_AFTER: Duration = Duration::from_millis(50);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_power_cut_with_maximum_loss_acknowledged_uploads_exist() {
    let cuts: u64 = std::env::var("VOLATILE_CUTS").map_or(4, |cuts| cuts.parse().unwrap());
    let seed: u64 = std::env::var("KILLS_SEED").map_or_else(|_| rand::rng().random(), |seed| seed.parse().unwrap());
    println!("VOLATILE_CUTS={cuts} KILLS_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let (mut done, mut acknowledged) = (0, 0);
    while done < cuts {
        let now = CUTS_OF_A_LAKE.min(cuts - done);
        let Some(checked) = cut_a_lake(now, &mut random).await else { return };
        (done, acknowledged) = (done + now, acknowledged + checked);
    }
    assert!(acknowledged > 0);
    println!("{cuts} power cuts, {acknowledged} acknowledged uploads checked: lost 0, half 0, mixed 0");
}

/// One new lake. Returns the number of checked acknowledged uploads; `None` without FUSE.
async fn cut_a_lake(cuts: u64, random: &mut StdRng) -> Option<usize> {
    let order = if random.random_bool(0.5) { Order::Journal } else { Order::Strict };
    let mut disk = VolatileDisk::new(order)?;
    disk.make_folder("data");
    let key = server_on(disk.path(), "").with_key().key;
    let ledger = Arc::new(Ledger::default());
    let mut verifier = Verifier::default();
    let mut server = server_on(disk.path(), &key).start().await;
    for _ in 0..cuts {
        let sender = Sender::to(&server, &ledger);
        sender.abort_open_syncs(&server).await;
        let mut load = begin_load(&sender, random);
        tokio::time::sleep(Duration::from_millis(random.random_range(50..1_000))).await;
        // No upload is acknowledged between the two readings.
        server.signal("STOP");
        tokio::time::sleep(STOPPED_AFTER).await;
        let before_the_cut = ledger.known().clone();
        let left = disk.cut(random);
        server.kill();
        while let Some(ended) = load.join_next().await {
            ended.unwrap();
        }
        drop(disk);
        *ledger.known() = before_the_cut;
        disk = VolatileDisk::mount(left)?;
        server = server_on(disk.path(), &key).start().await;
        verifier.forget_contents();
        verifier.verify(&server, &ledger).await;
    }
    Some(verifier.acknowledged)
}
