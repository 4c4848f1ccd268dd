//! Three servers of one lake under a mixed load, while servers are killed and frozen, PostgreSQL and the object storage are
//! ended by force, and requests to the object storage fail. Every guarantee is checked after each round, by a server of the lake.
//!
//! `CHAOS` is the number of rounds (`make chaos ROUNDS=200`). `CHAOS_SEED` repeats the requests and the moments of a run.
//! `CHAOS_FAULT` is the fault of all rounds, such as `CrashPostgres`.

use crate::clients::{Ledger, Sender};
use crate::faulty_proxy::{self, Faults, FaultyProxy};
use crate::kills::{REPLACED, add, replace};
use crate::server::cluster::{self, start};
use crate::server::{Stopped, TestServer, bucket, lakeshore, postgres};
use crate::verify::Verifier;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::JoinSet;

const SERVERS: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    KillOne,
    KillAll,
    /// SIGSTOP for longer than the others wait for it, then SIGCONT.
    FreezeOne,
    CrashPostgres,
    KillStorage,
    /// Requests to the object storage are refused, cut off, and late, and answers are lost.
    FailRequests,
}

/// One round of each, in turn; the first ones are those of `make test`.
const ROUNDS: [Fault; 8] = [
    Fault::KillOne,
    Fault::FailRequests,
    Fault::CrashPostgres,
    Fault::KillAll,
    Fault::KillStorage,
    Fault::KillOne,
    Fault::FreezeOne,
    Fault::KillOne,
];
const SHARES: Faults = Faults { unavailable: 17, cut: 19, lost_answer: 13, late: 11 };
/// The others fence a server that is silent for 30 seconds.
const FROZEN: Duration = Duration::from_secs(40);

/// Longer than a server stands still: a write that it has begun before may arrive after it.
const GRACE: &str = "5m";

/// Servers under load.
struct Chaos {
    stopped: [Stopped; SERVERS],
    servers: Vec<TestServer>,
    ledger: Arc<Ledger>,
    network: FaultyProxy,
    random: StdRng,
}

impl Chaos {
    /// Clients of each server: one that adds files, and at two of them one that replaces a dataset.
    fn begin_load(&mut self, may_fail: bool) -> JoinSet<Option<()>> {
        let mut load = JoinSet::new();
        for (number, server) in self.servers.iter().enumerate() {
            let sender = Sender { may_fail, ..Sender::to(server, &self.ledger) };
            load.spawn(add(sender.clone(), number as u64, StdRng::seed_from_u64(self.random.random())));
            if let Some(path) = REPLACED.get(number) {
                load.spawn(replace(sender, path, StdRng::seed_from_u64(self.random.random())));
            }
        }
        load
    }

    fn acknowledged(&self) -> usize {
        self.ledger.known().acknowledged.len()
    }

    /// Waits until the clients have had so many more files acknowledged.
    async fn progress(&self, load: &mut JoinSet<Option<()>>, files: usize) {
        let before = self.acknowledged();
        for _ in 0..3000 {
            // A sender with a wrong response has panicked.
            if let Some(ended) = load.try_join_next() {
                ended.unwrap();
            }
            if self.acknowledged() >= before + files {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("nothing lands any more; the servers said: {}", self.said());
    }

    fn said(&self) -> String {
        self.servers.iter().map(|server| server.stderr() + "\n").collect()
    }

    async fn start_all(&mut self) {
        for stopped in &self.stopped {
            self.servers.push(start(stopped).await);
        }
    }

    /// A fault beside a load, and the end of both. Servers that the fault has ended are started again.
    async fn run(&mut self, fault: Fault) {
        let may_fail = !matches!(fault, Fault::KillOne | Fault::KillAll);
        let mut load = self.begin_load(may_fail);
        self.progress(&mut load, 20).await;
        tokio::time::sleep(Duration::from_micros(self.random.random_range(20_000..700_000))).await;
        match fault {
            Fault::KillOne => {
                let number = self.random.random_range(0..SERVERS);
                self.servers.remove(number).kill();
                // The others go on, while they notice it and recover its work.
                self.progress(&mut load, 1).await;
                tokio::time::sleep(Duration::from_secs(8)).await;
                load.abort_all();
                self.servers.insert(number, start(&self.stopped[number]).await);
            }
            Fault::KillAll => {
                self.servers.drain(..).for_each(|server| drop(server.kill()));
                self.start_all().await;
            }
            Fault::FreezeOne => {
                let number = self.random.random_range(0..SERVERS);
                self.servers[number].signal("STOP");
                self.progress(&mut load, 1).await;
                tokio::time::sleep(FROZEN).await;
                self.servers[number].signal("CONT");
                assert_eq!(self.servers[number].exit_code(), Some(1), "it can no longer write");
                self.servers[number] = start(&self.stopped[number]).await;
            }
            Fault::CrashPostgres => {
                postgres::restart(Duration::from_micros(self.random.random_range(0..4_000_000))).await;
                self.come_back(&mut load).await;
            }
            Fault::KillStorage => {
                // Waits for a process, which a thread of the runtime may not.
                let restart = || bucket::object_storage::object_storage().unwrap().restart();
                tokio::task::spawn_blocking(restart).await.unwrap();
                self.come_back(&mut load).await;
            }
            Fault::FailRequests => {
                let failed = self.network.failed.load(Ordering::Relaxed);
                self.network.is_faulty.store(true, Ordering::Relaxed);
                self.progress(&mut load, 5).await;
                tokio::time::sleep(Duration::from_secs(4)).await;
                self.network.is_faulty.store(false, Ordering::Relaxed);
                assert!(self.network.failed.load(Ordering::Relaxed) > failed);
                self.come_back(&mut load).await;
            }
        }
        load.abort_all();
        while let Some(ended) = load.join_next().await {
            assert!(ended.is_ok() || ended.is_err_and(|error| error.is_cancelled()), "a client got a wrong answer");
        }
    }

    /// Waits until every server is ready, and files land at each again, all by themselves.
    async fn come_back(&mut self, load: &mut JoinSet<Option<()>>) {
        for server in &mut self.servers {
            assert!(server.is_alive(), "{}", server.stderr());
            let ready =
                async || server.get("/readyz").send().await.is_ok_and(|ready| ready.status() == 200).then_some(());
            server.eventually(ready).await;
            let sender = Sender::to(server, &self.ledger);
            let id = sender.start("/back", "IncrementalSync").await.unwrap();
            sender.upload_own(id, "/back/file", 100).await.unwrap();
            sender.close("end", id).await.unwrap();
        }
        // Clients that have met no fault are still there.
        while let Some(ended) = load.try_join_next() {
            ended.unwrap();
        }
    }

    /// Waits until nothing is in flight but what waits for its sender, and no restore goes on that its client has left.
    async fn come_to_rest(&self, server: &TestServer) {
        let is_at_rest = async || {
            let in_flight = server.history("status=Syncing").await.len();
            let waiting = server.rows("/api/lake/files?size=1000").await.len();
            let open = server.rows("/api/ingestion/file/sync/list?status=Syncing&size=1000").await;
            let is_restore = |sync: &serde_json::Value| {
                sync["name"].as_str().is_some_and(|name| name.starts_with("restore of version"))
            };
            (in_flight <= waiting && !open.iter().any(is_restore)).then_some(())
        };
        for _ in 0..8 {
            server.eventually(is_at_rest).await;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_servers_lose_nothing_whatever_of_them_or_of_what_they_need_fails() {
    let rounds: usize = std::env::var("CHAOS").map_or(3, |rounds| rounds.parse().unwrap());
    let seed: u64 = std::env::var("CHAOS_SEED").map_or_else(|_| rand::rng().random(), |seed| seed.parse().unwrap());
    println!("CHAOS={rounds} CHAOS_SEED={seed}");
    let wanted = std::env::var("CHAOS_FAULT");
    let is_wanted = |fault: &Fault| wanted.as_ref().ok().is_none_or(|wanted| format!("{fault:?}") == *wanted);
    let faults: Vec<Fault> = ROUNDS.into_iter().filter(is_wanted).collect();
    assert!(!faults.is_empty(), "CHAOS_FAULT is one of {ROUNDS:?}");
    postgres::own_cluster();
    bucket::object_storage::own_storage();
    let Some((stopped, _database)) = cluster::new::<SERVERS>().await else { return };
    let stopped = stopped.map(|server| server.with_options(&["--object-grace", GRACE]));
    let network = faulty_proxy::start(&bucket::object_storage::object_storage().unwrap().endpoint(), SHARES);
    network.is_faulty.store(false, Ordering::Relaxed);
    for server in &stopped {
        bucket::go_by(server.data_dir(), Some(network.address.clone()));
    }
    let (random, ledger) = (StdRng::seed_from_u64(seed), Arc::new(Ledger::default()));
    let mut chaos = Chaos { stopped, servers: Vec::new(), ledger, network, random };
    let mut verifier = Verifier::default();
    verifier.may_fail = true;
    let mut done = BTreeMap::<Fault, usize>::new();
    chaos.start_all().await;
    for round in 0..rounds {
        Sender::to(&chaos.servers[0], &chaos.ledger).abort_open_syncs(&chaos.servers[0]).await;
        let fault = faults[round % faults.len()];
        println!("round {}: {fault:?}", round + 1);
        chaos.run(fault).await;
        let number = chaos.random.random_range(0..SERVERS);
        let server = &chaos.servers[number];
        chaos.come_to_rest(server).await;
        verifier.verify(server, &chaos.ledger).await;
        *done.entry(fault).or_default() += 1;
    }
    let acknowledged = verifier.acknowledged;
    chaos.servers.drain(..).for_each(|mut server| assert_eq!(server.stop(), Some(0)));
    let data_dir = chaos.stopped[0].data_dir();
    assert_eq!(bucket::disagreements(data_dir, chaos.stopped[0].bucket.as_ref().unwrap()), [""; 0]);
    let checked = lakeshore(&["check", "--data-dir", data_dir.to_str().unwrap()]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    assert!(acknowledged > 0);
    println!("{rounds} rounds ({done:?}), {acknowledged} acknowledged uploads checked: lost 0, half 0, mixed 0");
}
