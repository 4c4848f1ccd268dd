//! Three servers of one lake under a mixed load, of which one after another is killed, or all at once. The others recover its
//! work, and every guarantee is checked while they serve.
//!
//! `CHAOS` is the number of rounds (`make chaos ROUNDS=200`). `CHAOS_SEED` repeats the requests and the moments of a run.

use crate::clients::{Ledger, Sender};
use crate::kills::{REPLACED, add, replace};
use crate::server::cluster::{self, start};
use crate::server::{Stopped, TestServer, bucket, lakeshore};
use crate::verify::Verifier;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

const SERVERS: usize = 3;
/// Rounds after which all servers are killed at once.
const TOGETHER: u64 = 4;

/// Clients of each server: one that adds files, and at two of them one that replaces a dataset.
fn begin_load(servers: &[TestServer], ledger: &Arc<Ledger>, random: &mut StdRng) -> JoinSet<Option<()>> {
    let mut load = JoinSet::new();
    for (number, server) in servers.iter().enumerate() {
        let sender = Sender::to(server, ledger);
        load.spawn(add(sender.clone(), number as u64, StdRng::seed_from_u64(random.random())));
        if let Some(path) = REPLACED.get(number) {
            load.spawn(replace(sender, path, StdRng::seed_from_u64(random.random())));
        }
    }
    load
}

/// Waits until nothing is in flight but what waits for its sender, and no sync is ending.
async fn come_to_rest(server: &TestServer) {
    let is_at_rest = async || {
        let in_flight = server.history("status=Syncing").await.len();
        let waiting = server.rows("/api/lake/files?size=1000").await.len();
        (in_flight <= waiting).then_some(())
    };
    for _ in 0..4 {
        server.eventually(is_at_rest).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn start_all(stopped: &[Stopped]) -> Vec<TestServer> {
    let mut servers = Vec::new();
    for stopped in stopped {
        servers.push(start(stopped).await);
    }
    servers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_are_killed_beside_others_lose_nothing_and_leave_nothing_incomplete() {
    let rounds: u64 = std::env::var("CHAOS").map_or(3, |rounds| rounds.parse().unwrap());
    let seed: u64 = std::env::var("CHAOS_SEED").map_or_else(|_| rand::rng().random(), |seed| seed.parse().unwrap());
    println!("CHAOS={rounds} CHAOS_SEED={seed}");
    let Some((stopped, _database)) = cluster::new::<SERVERS>().await else { return };
    let mut random = StdRng::seed_from_u64(seed);
    let (ledger, mut verifier) = (Arc::new(Ledger::default()), Verifier::default());
    let mut servers = start_all(&stopped).await;
    for round in 1..=rounds {
        Sender::to(&servers[0], &ledger).abort_open_syncs(&servers[0]).await;
        let mut load = begin_load(&servers, &ledger, &mut random);
        let acknowledged = || ledger.known().acknowledged.len();
        while acknowledged() < 20 {
            // A sender with a wrong response has panicked.
            if let Some(ended) = load.try_join_next() {
                ended.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        tokio::time::sleep(Duration::from_micros(random.random_range(20_000..700_000))).await;
        if round % TOGETHER == 0 {
            servers.into_iter().for_each(|server| drop(server.kill()));
            servers = start_all(&stopped).await;
        } else {
            let number = random.random_range(0..SERVERS);
            servers.remove(number).kill();
            let before = acknowledged();
            // The others go on, while they notice it and recover its work.
            tokio::time::sleep(Duration::from_secs(8)).await;
            assert!(acknowledged() > before, "{}", servers[0].stderr());
            load.abort_all();
            servers.insert(number, start(&stopped[number]).await);
        }
        while let Some(ended) = load.join_next().await {
            assert!(ended.is_ok() || ended.is_err_and(|error| error.is_cancelled()), "a client got a wrong answer");
        }
        let server = &servers[random.random_range(0..SERVERS)];
        come_to_rest(server).await;
        verifier.verify(server, &ledger).await;
    }
    let acknowledged = verifier.acknowledged;
    servers.into_iter().for_each(|mut server| assert_eq!(server.stop(), Some(0)));
    let data_dir = stopped[0].data_dir();
    assert_eq!(bucket::disagreements(data_dir, stopped[0].bucket.as_ref().unwrap()), [""; 0]);
    let checked = lakeshore(&["check", "--data-dir", data_dir.to_str().unwrap()]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    assert!(acknowledged > 0);
    println!("{rounds} rounds, {acknowledged} acknowledged uploads checked: lost 0, half 0, mixed 0");
}
