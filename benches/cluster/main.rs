//! Cost of a lake on PostgreSQL and object storage: uploads by one server and by three, beside bare PUTs of the same bytes
//! into the same SeaweedFS, in turn. Results are ratios to the bare PUTs; and for each number of servers, commits of
//! PostgreSQL and processor time per small file, and the memory of a server. Then the end of a full sync of many files
//! beside one of ten.
//!
//! All of them share this machine: the object storage, PostgreSQL (which syncs its log), the servers and the client.
//!
//! `BENCH_SECONDS` sets the time of a turn with small files (default: 5), `BENCH_ROUNDS` the rounds (3), `BENCH_FILES` the
//! files of the large full sync (0: left out). `LAKESHORE_BIN` names another binary.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)]

#[path = "../kit/mod.rs"]
mod kit;
#[path = "../../crates/storage/tests/support/object_storage.rs"]
mod object_storage;
#[path = "../../crates/metadata/tests/support/postgres.rs"]
#[allow(dead_code)]
mod postgres;

use kit::lakeshore::{self, Server};
use kit::{client, median, number};
use object_storage::{ACCESS_KEY, MISSING, ObjectStorage, REGION, SECRET_KEY, object_storage};
use object_store::aws::AmazonS3Builder;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, WriteMultipart};

use sqlx::{Connection, PgConnection};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

const SMALL_BYTES: usize = 16 << 10;
const IN_FLIGHT: usize = 32;
const LARGE_BYTES: usize = 1 << 30;
const PART_BYTES: usize = 16 << 20;
const PARTS_IN_FLIGHT: usize = 4;
const FEW_FILES: usize = 10;
/// Counters of PostgreSQL are written within a second (`pg_stat_database`).
const STATISTICS_DELAY: Duration = Duration::from_millis(1500);

/// Results of one way to send, by turns.
#[derive(Default)]
struct Turns {
    small_per_second: Vec<f64>,
    large_mib_per_second: Vec<f64>,
    commits_per_file: Vec<f64>,
    /// Of those, transactions that have written.
    writes_per_file: Vec<f64>,
    cpu_us_per_file: Vec<f64>,
    peak_mib: Vec<f64>,
}

/// Servers of one lake, which has a database and a bucket of its own.
struct Lake {
    servers: Vec<Server>,
    database: String,
}

fn main() {
    let rounds = number("BENCH_ROUNDS", 3);
    let seconds = Duration::from_secs(number("BENCH_SECONDS", 5));
    let many_files = usize::try_from(number("BENCH_FILES", 0)).unwrap();
    let folder = kit::folder_on_disk("bench-cluster");
    let _ = std::fs::remove_dir_all(&folder);
    postgres::own_cluster();
    object_storage::own_storage();
    lakeshore_client::call::provide_tls();
    let runtime = Runtime::new().unwrap();
    let storage = object_storage().unwrap_or_else(|| panic!("{MISSING}"));
    let bare = bare(storage);
    let (block, databases) = (client::block(), [1, 3].map(|_| runtime.block_on(postgres::Database::new()).unwrap()));
    let lakes = [1, 3].map(|servers| {
        let database = &databases[usize::from(servers == 3)].address;
        Lake::start(servers, &folder.join(servers.to_string()), database, storage)
    });
    let mut turns: [Turns; 3] = std::array::from_fn(|_| Turns::default());
    for round in 0..rounds {
        println!("round {} of {rounds}", round + 1);
        turns[0].small_per_second.push(runtime.block_on(put_small(&bare, &block, round, seconds)));
        for (lake, turns) in lakes.iter().zip(&mut turns[1..]) {
            lake.send_small(&runtime, &block, round, seconds, turns);
        }
        turns[0].large_mib_per_second.push(runtime.block_on(put_large(&bare, &block, round)));
        for (lake, turns) in lakes.iter().zip(&mut turns[1..]) {
            turns.large_mib_per_second.push(lake.send_large(&block, round));
            turns.peak_mib.extend(lake.servers.iter().map(|server| server.process.peak_mib()));
        }
    }
    print(&turns);
    if many_files > 0 {
        publish(&lakes[0], &block, many_files);
    }
    drop(lakes);
    std::fs::remove_dir_all(&folder).unwrap();
}

fn bare(storage: &ObjectStorage) -> Arc<dyn ObjectStore> {
    let builder = AmazonS3Builder::new().with_endpoint(storage.endpoint()).with_allow_http(true).with_region(REGION);
    let builder = builder.with_access_key_id(ACCESS_KEY).with_secret_access_key(SECRET_KEY);
    Arc::new(builder.with_bucket_name(storage.new_bucket()).build().unwrap())
}

async fn put_small(bare: &Arc<dyn ObjectStore>, block: &[u8], round: u64, seconds: Duration) -> f64 {
    let payload = PutPayload::from(block[..SMALL_BYTES].to_vec());
    let (start, count) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
    let mut senders = tokio::task::JoinSet::new();
    for sender in 0..IN_FLIGHT {
        let (bare, payload, count) = (bare.clone(), payload.clone(), count.clone());
        senders.spawn(async move {
            for file in 0.. {
                if start.elapsed() >= seconds {
                    return;
                }
                bare.put(&Key::from(format!("small-{round}/{sender}-{file}")), payload.clone()).await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    senders.join_all().await;
    count.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64()
}

async fn put_large(bare: &Arc<dyn ObjectStore>, block: &[u8], round: u64) -> f64 {
    let start = Instant::now();
    let upload = bare.put_multipart(&Key::from(format!("large-{round}"))).await.unwrap();
    let mut upload = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
    for _ in 0..LARGE_BYTES / block.len() {
        upload.wait_for_capacity(PARTS_IN_FLIGHT).await.unwrap();
        upload.write(block);
    }
    upload.finish().await.unwrap();
    (LARGE_BYTES >> 20) as f64 / start.elapsed().as_secs_f64()
}

impl Lake {
    fn start(servers: usize, folder: &Path, database: &str, storage: &ObjectStorage) -> Self {
        let environment = [
            ("LAKESHORE_CLUSTER", "true".to_owned()),
            ("LAKESHORE_METADATA", database.to_owned()),
            ("LAKESHORE_LAKE", format!("s3://{}/lake", storage.new_bucket())),
            ("LAKESHORE_S3_ENDPOINT", storage.endpoint()),
            ("LAKESHORE_S3_REGION", REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.to_owned()),
        ];
        let servers = (0..servers).map(|number| {
            let folder = folder.join(number.to_string());
            std::fs::create_dir_all(&folder).unwrap();
            Server::start_on(&folder, &environment)
        });
        Self { servers: servers.collect(), database: database.to_owned() }
    }

    /// Commits of the database so far, reads by single statements among them, and ids of transactions, which only those
    /// that write have.
    async fn commits(&self) -> (i64, i64) {
        tokio::time::sleep(STATISTICS_DELAY).await;
        let mut connection = PgConnection::connect(&self.database).await.unwrap();
        let sql = "SELECT xact_commit, pg_snapshot_xmax(pg_current_snapshot())::text::bigint FROM pg_stat_database \
                   WHERE datname = current_database()";
        sqlx::query_as(sql).fetch_one(&mut connection).await.unwrap()
    }

    fn cpu_seconds(&self) -> f64 {
        self.servers.iter().map(|server| server.process.cpu_seconds()).sum()
    }

    /// Sends to all servers at once.
    fn send_small(&self, runtime: &Runtime, block: &[u8], round: u64, seconds: Duration, turns: &mut Turns) {
        let sync_id = self.servers[0].start_sync(&format!("/bench/small-{round}"), "IncrementalSync");
        let (commits, cpu) = (runtime.block_on(self.commits()), self.cpu_seconds());
        let start = Instant::now();
        let files: usize = std::thread::scope(|scope| {
            let senders = self.servers.iter().enumerate().map(|(number, server)| {
                scope.spawn(move || {
                    let mut sent = 0;
                    let in_flight = (IN_FLIGHT + number) / self.servers.len();
                    let report = client::send(server.address, in_flight, block, |request| {
                        sent += 1;
                        lakeshore::upload(request, sync_id, &format!("file-{number}-{sent}"), SMALL_BYTES);
                        start.elapsed() < seconds
                    });
                    assert_eq!(report.failures, 0, "{:?}", report.first_failure);
                    report.accepted.len()
                })
            });
            // All of them start before the first one is waited for.
            let senders: Vec<_> = senders.collect();
            senders.into_iter().map(|sender| sender.join().unwrap()).sum()
        });
        turns.small_per_second.push(files as f64 / start.elapsed().as_secs_f64());
        turns.cpu_us_per_file.push((self.cpu_seconds() - cpu) * 1e6 / files as f64);
        let after = runtime.block_on(self.commits());
        turns.commits_per_file.push((after.0 - commits.0) as f64 / files as f64);
        turns.writes_per_file.push((after.1 - commits.1) as f64 / files as f64);
        self.servers[0].end_sync(sync_id);
    }

    fn send_large(&self, block: &[u8], round: u64) -> f64 {
        let server = &self.servers[0];
        let sync_id = server.start_sync(&format!("/bench/large-{round}"), "IncrementalSync");
        let mut sent = 0;
        let report = client::send(server.address, 1, block, |request| {
            sent += 1;
            lakeshore::upload(request, sync_id, "large", LARGE_BYTES);
            sent == 1
        });
        assert_eq!(report.accepted.len(), 1, "{:?}", report.first_failure);
        server.end_sync(sync_id);
        (LARGE_BYTES >> 20) as f64 / report.elapsed.as_secs_f64()
    }

    /// Time of the end of a full sync of so many small files, by one that replaces as many.
    fn end_of_full(&self, block: &[u8], files: usize) -> f64 {
        let server = &self.servers[0];
        let mut end = Duration::ZERO;
        for _ in 0..2 {
            let sync_id = server.start_sync(&format!("/bench/full-{files}"), "FullSync");
            let mut sent = 0;
            let report = client::send(server.address, IN_FLIGHT, block, |request| {
                sent += 1;
                lakeshore::upload(request, sync_id, &format!("file-{sent}"), 1024);
                sent <= files
            });
            assert_eq!(report.accepted.len(), files, "{:?}", report.first_failure);
            let start = Instant::now();
            server.end_sync_confirmed(sync_id);
            end = start.elapsed();
        }
        end.as_secs_f64() * 1000.0
    }
}

fn print(turns: &[Turns; 3]) {
    let [bare, one, three] = turns;
    let row = |name: &str, of: fn(&Turns) -> &Vec<f64>| {
        let [bare, one, three] = [bare, one, three].map(|turns| median(of(turns).clone()));
        println!("| {name} | {bare:.0} | {one:.0} | {:.2} | {three:.0} | {:.2} |", one / bare, three / bare);
    };
    println!("\n| median | bare PUTs | one server | ratio | three servers | ratio |\n|---|--:|--:|--:|--:|--:|");
    row("16 KiB, 32 in flight, files a second", |turns| &turns.small_per_second);
    row("1 GiB, MiB a second", |turns| &turns.large_mib_per_second);
    println!("\n| | one server | three servers |\n|---|--:|--:|");
    let pair = |name: &str, of: fn(&Turns) -> &Vec<f64>, digits: usize| {
        let [one, three] = [one, three].map(|turns| median(of(turns).clone()));
        println!("| {name} | {one:.digits$} | {three:.digits$} |");
    };
    pair("commits of PostgreSQL per small file, reads too", |turns| &turns.commits_per_file, 3);
    pair("transactions that write, per small file", |turns| &turns.writes_per_file, 3);
    pair("processor time of the servers per small file, us", |turns| &turns.cpu_us_per_file, 0);
    pair("peak of memory of a server, MiB", |turns| &turns.peak_mib, 0);
}

fn publish(lake: &Lake, block: &[u8], many_files: usize) {
    let (few, many) = (lake.end_of_full(block, FEW_FILES), lake.end_of_full(block, many_files));
    println!("\n| end of a full sync, ms | {FEW_FILES} files | {many_files} files | ratio |\n|---|--:|--:|--:|");
    println!("| that replaces as many | {few:.1} | {many:.1} | {:.1} |", many / few);
}
