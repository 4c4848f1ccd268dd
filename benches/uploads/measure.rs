//! Rounds of the measurement. In each, every server is started, then each load goes to each server in turn, so that
//! compared values are measured within seconds, and the disk has finished one load before the next.
//!
//! On disk, inodes live until the end of the run: large files are truncated after their load, small ones stay (about 4
//! GB a round). ext4 without a journal does not reuse an inode within minutes of its end, and until then every new file
//! searches past the ended ones of its folder's group: removing the files of one load would slow the creation of files
//! ten-fold in the next.

use crate::disk;
use crate::kit::client::{self, Request};
use crate::kit::process::Process;
use crate::kit::{chosen, free_address, lakeshore, median, number};
use crate::loads::{Load, Supply};
use crate::peers::{BARE, Peer};
use crate::table::Setting;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Time to the first answer of a server.
const START_MAX: Duration = Duration::from_secs(30);
/// Idle time before a server's memory is read.
const IDLE: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Figure {
    Rate(Load),
    /// Processor time of the server in seconds: for a GiB of large files, or for one small file.
    Cpu(Load),
    PeakMib(Load),
    IdleMib,
    StartMs,
}

/// Measured values, by server, figure and round.
pub struct Figures {
    pub servers: Vec<(&'static str, bool)>,
    pub loads: Vec<Load>,
    rounds: u64,
    values: BTreeMap<(&'static str, Figure, u64), f64>,
}

impl Figures {
    pub fn median(&self, server: &'static str, figure: Figure) -> Option<f64> {
        let values: Vec<_> = (0..self.rounds).filter_map(|round| self.get(server, figure, round)).collect();
        (!values.is_empty()).then(|| median(values))
    }

    /// Median of the ratios, each of two values of one round.
    pub fn ratio(&self, server: &'static str, other: &'static str, figure: Figure) -> Option<f64> {
        let ratio = |round| Some(self.get(server, figure, round)? / self.get(other, figure, round)?);
        let ratios: Vec<_> = (0..self.rounds).filter_map(ratio).filter(|ratio| ratio.is_finite()).collect();
        (!ratios.is_empty()).then(|| median(ratios))
    }

    fn get(&self, server: &'static str, figure: Figure, round: u64) -> Option<f64> {
        self.values.get(&(server, figure, round)).copied()
    }
}

pub fn measure(setting: Setting, folder: &Path, peers: &[Peer]) -> Figures {
    let bare = chosen("BENCH_ONLY", "bare");
    let mut servers: Vec<_> = bare.then_some((BARE, true)).into_iter().collect();
    servers.extend(peers.iter().map(|peer| (peer.kind.name(), peer.kind.syncs())));
    let rounds = number("BENCH_ROUNDS", 3);
    let mut figures = Figures { servers, loads: Load::selected(), rounds, values: BTreeMap::new() };
    let block = client::block();
    for round in 0..rounds {
        println!("on {}: round {} of {rounds}", setting.name(), round + 1);
        let folder = folder.join(format!("round-{round}"));
        let mut running: Vec<_> = peers.iter().filter_map(|peer| Running::start(peer, &folder)).collect();
        for server in &running {
            figures.values.insert((server.name(), Figure::StartMs, round), server.start_ms);
            figures.values.insert((server.name(), Figure::IdleMib, round), server.idle_mib);
        }
        for load in figures.loads.clone() {
            if bare {
                let folder = made(&folder.join("bare").join(load.name()));
                figures.values.insert((BARE, Figure::Rate(load), round), disk::rate(load, &folder, &block));
                settle(setting, load, &folder);
            }
            for server in &mut running {
                let name = server.name();
                server.take(load, &block, |figure, value| {
                    figures.values.insert((name, figure, round), value);
                });
                settle(setting, load, &server.peer.files(&server.folder));
            }
        }
        drop(running);
        if setting == Setting::Memory {
            fs::remove_dir_all(&folder).unwrap();
        }
    }
    figures
}

struct Running<'a> {
    peer: &'a Peer,
    process: Process,
    address: SocketAddr,
    folder: PathBuf,
    key: String,
    start_ms: f64,
    idle_mib: f64,
}

impl<'a> Running<'a> {
    /// Starts a server and waits for its first answer; `None` if none arrives.
    fn start(peer: &'a Peer, folder: &Path) -> Option<Self> {
        let folder = made(&folder.join(peer.kind.name()));
        let address = free_address();
        let log = folder.join("log");
        let mut process = Process::spawn(&mut peer.command(&folder, address), &log);
        let greeting = format!("GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", peer.greeting());
        // A server without an index page refuses "/", which is an answer too.
        while !client::ask(address, &greeting).is_ok_and(|answer| answer.status < 500) {
            if process.has_ended() || process.spawned_at.elapsed() > START_MAX {
                let said = fs::read_to_string(&log).unwrap_or_default();
                println!("{} does not start and is left out: {said}", peer.kind.name());
                return None;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let start_ms = process.spawned_at.elapsed().as_secs_f64() * 1000.0;
        let key = if peer.kind.is_lakeshore() { lakeshore::new_key(&folder) } else { String::new() };
        std::thread::sleep(IDLE);
        let idle_mib = process.resident_mib();
        Some(Self { peer, process, address, folder, key, start_ms, idle_mib })
    }

    fn name(&self) -> &'static str {
        self.peer.kind.name()
    }

    /// Sends the load and reports its figures.
    fn take(&self, load: Load, block: &[u8], mut figure: impl FnMut(Figure, f64)) {
        let is_lakeshore = self.peer.kind.is_lakeshore();
        let path = format!("/bench/{}", load.name());
        let sync_id =
            if is_lakeshore { lakeshore::start_sync(self.address, &self.key, &path, "IncrementalSync") } else { 0 };
        self.send(load, "warm", load.warm_up(), sync_id, block);
        self.process.reset_peak();
        let cpu_before = self.process.cpu_seconds();
        let report = self.send(load, "file", load.supply(), sync_id, block);
        let cpu = self.process.cpu_seconds() - cpu_before;
        if let Some(failure) = &report.first_failure {
            println!("{}, {}: {} failures, the first: {failure}", self.name(), load.title(), report.failures);
        }
        let files = report.accepted.len();
        // A load that was given up has no rate.
        if files > 0 && report.failures * 100 < files {
            let amount =
                if load.is_small() { files as f64 } else { (files * load.file_bytes()) as f64 / 1024_f64.powi(3) };
            figure(Figure::Rate(load), load.rate(files, report.elapsed));
            figure(Figure::Cpu(load), cpu / amount);
            figure(Figure::PeakMib(load), self.process.peak_mib());
        }
        if is_lakeshore {
            lakeshore::end_sync(self.address, &self.key, sync_id, false);
        }
    }

    fn send(&self, load: Load, name: &str, supply: Supply, sync_id: u64, block: &[u8]) -> client::Report {
        let mut taken = 0;
        client::send(self.address, load.in_flight(), block, |request: &mut Request| {
            let more = supply.holds(taken);
            if more {
                let name = format!("{}-{name}-{taken}", load.name());
                self.peer.upload(request, sync_id, &name, load.file_bytes());
                taken += 1;
            }
            more
        })
    }
}

fn made(folder: &Path) -> PathBuf {
    fs::create_dir_all(folder).unwrap();
    folder.to_owned()
}

/// Lets the disk finish all work of a load, and frees the space of its files.
fn settle(setting: Setting, load: Load, files: &Path) {
    match setting {
        Setting::Memory => each_file(files, &|file| fs::remove_file(file).unwrap()),
        Setting::Disk if load.is_small() => {}
        Setting::Disk => each_file(files, &|file| {
            File::options().write(true).open(file).and_then(|file| file.set_len(0)).unwrap();
        }),
    }
    rustix::fs::syncfs(File::open(files).unwrap()).unwrap();
}

/// Keeps folders, since the server may remember them, and the engine's own folder.
fn each_file(folder: &Path, act: &dyn Fn(&Path)) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if !entry.file_type().unwrap().is_dir() {
            act(&entry.path());
        } else if entry.file_name() != ".lakeshore" {
            each_file(&entry.path(), act);
        }
    }
}
