//! Every operation on a disk that fails and loses data: a call fails, once or in a burst, then the power is cut or the
//! server is killed, it starts again, and all responses hold. No acknowledged file is lost, no live or trashed file is
//! destroyed, no refused file is live, and `lakeshore check` finds nothing.
//!
//! `VOLATILE` is the number of rounds for each operation; `VOLATILE=all` runs every call, burst and error, for hours.
//! `VOLATILE_SEED` repeats a run.

mod rounds;
mod scene;

use crate::clients::Sender;
use crate::server::{TestServer, lakeshore};
use crate::verify::Verifier;
use crate::volatile_disk::{Call, Order, Plan, Tree, VolatileDisk};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rounds::{BURSTS, ERRORS, End, ROUNDS, Round, rounds};
use rustix::io::Errno;
pub use scene::server_on;
use scene::{Answered, DATA, Given, Operation, Scene};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// Time within which a start on a failing disk ends in success or failure.
const START_MAX: Duration = Duration::from_secs(60);
/// Approximate number of calls of a first start.
const FIRST_CALLS_MAX: usize = 250;
/// Calls of a later start, about.
const STARTING_CALLS: usize = 40;
/// Longest delay between a response and the end of the server, so that background work may be running.
const AFTER_THE_ANSWER_MAX: Duration = Duration::from_millis(400);

#[derive(Default)]
struct Figures {
    rounds: usize,
    /// Rounds with a failed call.
    faulty: usize,
    failed_calls: usize,
    done: usize,
    unknown: usize,
    acknowledged: usize,
    at_start: usize,
}

/// Content of the disk after the end of the server.
fn left_on(disk: &VolatileDisk, is_cut: bool, random: &mut StdRng) -> Option<Tree> {
    is_cut.then(|| disk.cut(random))
}

/// A disk, and the server on it.
struct Running {
    server: TestServer,
    disk: VolatileDisk,
}

impl Running {
    async fn start(
        scene: &Scene,
        tree: Tree,
        round: &Round,
        plan: Option<Plan>,
    ) -> Result<Self, (VolatileDisk, String)> {
        let disk = VolatileDisk::mount(tree).unwrap();
        disk.behave(round.order, round.steady);
        disk.begin(plan);
        let stopped = scene.stopped(disk.path());
        let started = tokio::time::timeout(START_MAX, stopped.try_start(&[])).await;
        let started = started.unwrap_or_else(|_| panic!("a start takes longer than {START_MAX:?}"));
        match started {
            Ok(server) => Ok(Self { server, disk }),
            Err(ended) => Err((disk, ended.said)),
        }
    }

    async fn start_well(scene: &Scene, tree: Tree, round: &Round) -> Self {
        match Self::start(scene, tree, round, None).await {
            Ok(running) => running,
            Err((_, said)) => panic!("a server starts on a disk that is well again: {said}"),
        }
    }
}

/// Findings of `lakeshore check`.
fn findings(server: &mut TestServer) -> Vec<Value> {
    assert_eq!(server.stop(), Some(0), "{}", server.stderr());
    let (data_dir, lake) = (server.data_dir().to_str().unwrap().to_owned(), server.lake());
    let lake = lake.to_str().unwrap();
    let found = lakeshore(&["check", "--json", "--digests", "--data-dir", &data_dir, "--lake-root", lake]);
    let lines = String::from_utf8(found.stdout).unwrap();
    let findings = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    findings.filter(|finding| finding["kind"] != "empty-slot").collect()
}

/// Calls of the operation without a fault.
async fn calls_of(scene: &Scene) -> Vec<(Call, String)> {
    let well = Round {
        plan: Plan { calls: Vec::new(), below: String::new(), first: 1, length: 0, error: Errno::IO },
        order: Order::Journal,
        steady: None,
        end: End::Kill,
        at_start: None,
        again: false,
        seed: 0,
    };
    let running = Running::start_well(scene, scene.saved.clone(), &well).await;
    running.disk.begin(None);
    let ledger = scene.ledger();
    let answered = scene.run(&running.server, &ledger, &mut Given::default()).await;
    assert_eq!(answered, Answered::Done);
    running.disk.calls()
}

async fn survive(scene: &Scene, round: &Round) -> Figures {
    let mut random = StdRng::seed_from_u64(round.seed);
    let ledger = scene.ledger();
    let mut figures = Figures { rounds: 1, ..Figures::default() };
    let mut given = Given::default();

    let Running { server, disk } = Running::start_well(scene, scene.saved.clone(), round).await;
    disk.begin(Some(round.plan.clone()));
    let mut answered = scene.run(&server, &ledger, &mut given).await;
    if matches!(answered, Answered::Refused(_)) && round.again {
        eprintln!("{round:?}: refused at first: {answered:?}");
        answered = scene.run(&server, &ledger, &mut given).await;
    }
    if random.random_bool(0.3) {
        tokio::time::sleep(random.random_range(Duration::ZERO..AFTER_THE_ANSWER_MAX)).await;
    }
    let is_cut = round.end == End::Cut;
    let left = left_on(&disk, is_cut, &mut random);
    let said = server.stderr();
    drop(server.kill());
    figures.failed_calls = disk.end();
    figures.faulty = usize::from(figures.failed_calls > 0);
    figures.done = usize::from(answered == Answered::Done);
    figures.unknown = usize::from(matches!(answered, Answered::Unknown(_)));
    let calls: Vec<_> = disk.calls().into_iter().filter(|(call, _)| *call != Call::Write).collect();
    let failed = figures.failed_calls;
    eprintln!("{round:?}: {failed} calls failed of {calls:?}; answered: {answered:?}; the server said: {said}");

    let mut left = left.unwrap_or_else(|| disk.cut_nothing());
    drop(disk);
    if let Some(plan) = &round.at_start {
        left = match Running::start(scene, left, round, Some(plan.clone())).await {
            Ok(Running { server, disk }) => {
                let left = disk.cut(&mut random);
                eprintln!("the start amid faults said: {}", server.stderr());
                drop(server.kill());
                figures.at_start += disk.end();
                left
            }
            Err((disk, said)) => {
                eprintln!("the start amid faults ended: {said}");
                figures.at_start += disk.end();
                disk.cut(&mut random)
            }
        };
    }

    let mut verifier = Verifier::default();
    let mut running = Running::start_well(scene, left, round).await;
    verifier.verify(&running.server, &ledger).await;
    if round.end == End::KillThenCut {
        let left = running.disk.cut(&mut random);
        drop(running.server.kill());
        drop(running.disk);
        running = Running::start_well(scene, left, round).await;
        verifier.forget_contents();
        verifier.verify(&running.server, &ledger).await;
    }
    scene.verify(&running.server, &given).await;
    // No path is held forever.
    let sender = Sender::to(&running.server, &ledger);
    sender.abort_open_syncs(&running.server).await;
    for path in ["/inc", "/full", "/new"] {
        let sync_id = sender.start(path, "IncrementalSync").await.unwrap();
        sender.close("end", sync_id).await.unwrap();
    }
    verifier.verify(&running.server, &ledger).await;
    let found = findings(&mut running.server);
    assert!(found.is_empty(), "{found:?}");
    figures.acknowledged = verifier.acknowledged;
    figures
}

/// A fault prevents the sync of a new folder, and its removal; the next upload lands in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_without_a_durable_name_does_not_count_as_durable() {
    let Some(scene) = Scene::set(Operation::AddSmall).await else { return };
    let (calls, below) = (vec![Call::SyncFolder, Call::Rmdir], "lake/inc".to_owned());
    let plan = Plan { calls, below, first: 1, length: 2, error: Errno::IO };
    let (order, steady, at_start) = (Order::Strict, None, None);
    // A cut may keep the folder by chance.
    for seed in 0..8 {
        let round =
            Round { plan: plan.clone(), order, steady, end: End::Cut, at_start: at_start.clone(), again: true, seed };
        let figures = survive(&scene, &round).await;
        assert_eq!((figures.failed_calls, figures.done), (2, 1));
    }
}

/// After a failed sync of the log of the database, a kill leaves frames that can be read and are not on the disk. The next start
/// fails at any of its calls, then the power is cut.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_may_not_be_durable_is_so_before_any_of_it_is_in_the_database() {
    let Some(scene) = Scene::set(Operation::Supersede).await else { return };
    let forever = |calls, below: &str, first, error| Plan {
        calls,
        below: below.to_owned(),
        first,
        length: Plan::FOR_EVER,
        error,
    };
    let plan = forever(vec![Call::SyncData], "", 2, Errno::ROFS);
    let mut ended = 0;
    for first in 1..=STARTING_CALLS {
        let at_start = Some(forever(Vec::new(), "data", first, Errno::IO));
        for seed in 0..2 {
            let (order, steady, end) = (Order::Journal, None, End::Kill);
            let round = Round { plan: plan.clone(), order, steady, end, at_start: at_start.clone(), again: true, seed };
            ended += usize::from(survive(&scene, &round).await.at_start > 0);
        }
    }
    assert!(ended > STARTING_CALLS, "{ended} starts met a fault");
}

/// The log is not durable, and cannot be made so: nothing of it comes to the database file, also not by closing it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_cannot_write_the_log_again_leaves_the_database_file_as_it_was() {
    let Some(scene) = Scene::set(Operation::AddSmall).await else { return };
    let plan = Plan { calls: vec![Call::SyncData], below: DATA.to_owned(), first: 1, length: 1, error: Errno::IO };
    let (order, steady, at_start) = (Order::Journal, None, None);
    let round = Round { plan: plan.clone(), order, steady, end: End::Kill, at_start, again: false, seed: 0 };
    let Running { server, disk } = Running::start_well(&scene, scene.saved.clone(), &round).await;
    scene.run(&server, &scene.ledger(), &mut Given::default()).await;
    drop(server.kill());
    let database = |disk: &VolatileDisk| std::fs::read(disk.path().join(DATA).join("lakeshore.db")).unwrap();
    let before = database(&disk);
    let left = disk.cut_nothing();
    drop(disk);
    let Err((disk, said)) = Running::start(&scene, left, &round, Some(plan)).await else { panic!("it has started") };
    assert!(said.contains("cannot write the log of the database"), "{said}");
    assert!(before == database(&disk), "the database file has changed");
}

/// A first start meets a fault at its n-th call; the next start finds the result of a power cut.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_start_survives_a_failing_disk() {
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    let count = std::env::var("VOLATILE").ok().and_then(|count| count.parse().ok()).unwrap_or(ROUNDS);
    for _ in 0..count {
        let order = if random.random_bool(0.5) { Order::Journal } else { Order::Strict };
        let Some(disk) = VolatileDisk::new(order) else { return };
        disk.make_folder(DATA);
        let plan = Plan {
            calls: Vec::new(),
            below: String::new(),
            first: random.random_range(1..FIRST_CALLS_MAX),
            length: BURSTS[random.random_range(0..BURSTS.len())],
            error: ERRORS[random.random_range(0..2)],
        };
        disk.begin(Some(plan.clone()));
        let started = tokio::time::timeout(START_MAX, server_on(disk.path(), "").try_start(&[])).await;
        let left = disk.cut(&mut random);
        let said = match started.unwrap_or_else(|_| panic!("a start takes longer than {START_MAX:?}")) {
            Ok(server) => server.stderr(),
            Err(ended) => ended.said,
        };
        let calls: Vec<_> = disk.calls().into_iter().filter(|(call, _)| *call != Call::Write).collect();
        eprintln!("VOLATILE_SEED={seed}; {order:?}, {plan:?}: {} failed of {calls:?}; {said}", disk.end());
        drop(disk);
        let disk = VolatileDisk::mount(left).unwrap();
        let mut server = server_on(disk.path(), "").start().await;
        server.key = server.new_key(&["--role", "admin"]);
        let id = server.start_sync("/d", "IncrementalSync").await;
        server.upload(id, "f", b"1").await;
        server.end_sync(id).await;
        assert_eq!(findings(&mut server), Vec::<Value>::new());
    }
}

fn seed() -> u64 {
    std::env::var("VOLATILE_SEED").map_or_else(|_| rand::rng().random(), |seed| seed.parse().unwrap())
}

async fn survive_faults(operation: Operation) {
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed.wrapping_add(operation as u64));
    let Some(scene) = Scene::set(operation).await else { return };
    let scene = Arc::new(scene);
    let calls = calls_of(&scene).await;
    assert!(!calls.is_empty());
    eprintln!("{operation:?}: VOLATILE_SEED={seed}; {} calls", calls.len());
    let mut all = Figures::default();
    let mut broken = Vec::new();
    for round in rounds(&calls, &mut random) {
        let (scene, one) = (scene.clone(), round.clone());
        match tokio::spawn(async move { survive(&scene, &one).await }).await {
            Ok(figures) => {
                all.rounds += figures.rounds;
                all.faulty += figures.faulty;
                all.failed_calls += figures.failed_calls;
                all.done += figures.done;
                all.unknown += figures.unknown;
                all.acknowledged += figures.acknowledged;
                all.at_start += figures.at_start;
            }
            Err(_) => broken.push(round),
        }
    }
    assert!(broken.is_empty(), "{operation:?}, VOLATILE_SEED={seed}: broken by {broken:#?}");
    let Figures { rounds, faulty, failed_calls, done, unknown, acknowledged, at_start } = all;
    eprintln!(
        "{operation:?}: {rounds} rounds, {faulty} met a fault, {failed_calls} calls failed and {at_start} more at a start, {done} \
         done, {unknown} not known at first, {acknowledged} acknowledged uploads checked: lost 0, destroyed 0, refused but live 0"
    );
}

macro_rules! survives {
    ($($name:ident: $operation:ident,)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            survive_faults(Operation::$operation).await;
        })*
    };
}

survives! {
    a_new_file_survives_a_failing_disk: AddSmall,
    a_new_large_file_survives_a_failing_disk: AddLarge,
    a_file_that_is_replaced_survives_a_failing_disk: OverwriteSmall,
    a_large_file_that_is_replaced_survives_a_failing_disk: OverwriteLarge,
    a_form_of_several_files_survives_a_failing_disk: Form,
    a_resumable_upload_that_begins_survives_a_failing_disk: CreateResumable,
    a_chunk_of_a_resumable_upload_survives_a_failing_disk: PatchAmid,
    the_last_chunk_of_a_resumable_upload_survives_a_failing_disk: PatchLast,
    files_that_are_taken_over_survive_a_failing_disk: TakeOver,
    a_first_publish_survives_a_failing_disk: PublishFirst,
    a_publish_survives_a_failing_disk: Publish,
    an_abort_survives_a_failing_disk: Abort,
    a_sync_that_gives_way_survives_a_failing_disk: Supersede,
    a_file_that_is_restored_survives_a_failing_disk: RestoreFile,
    a_dataset_that_is_restored_survives_a_failing_disk: RestoreDataset,
    a_purge_survives_a_failing_disk: Purge,
    a_new_key_survives_a_failing_disk: CreateKey,
    a_backup_survives_a_failing_disk: Backup,
}
