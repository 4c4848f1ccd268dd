//! Uploads to Lakeshore, to the servers that people use for this today, and by a bare loop that keeps the same
//! promises: side by side, in turn, round by round. Results are ratios within a run; rates depend on the machine and
//! its load.
//!
//! Two settings: on disk, compared with the durable throughput of the disk, and on a memory file system, where syncing
//! is free and the cost of the software remains. Client and server share the machine. Nothing is asserted.
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `BENCH_ROUNDS` | 3 | rounds; figures are medians over them |
//! | `BENCH_SECONDS` | 2 | how long each load of small files lasts |
//! | `BENCH_DIR` | the target folder | where to measure the disk |
//! | `BENCH_SETTINGS` | all | some of `disk,memory` |
//! | `BENCH_ONLY` | all | some of `bare,lakeshore,lakeshore-tus,nginx,dufs,copyparty,tus` |
//! | `BENCH_LOADS` | all | some of `big,many,small-32,small-8,small-1` |
//! | `BENCH_PEERS` | `target/bench-peers` | where `make bench-peers` has put what it installed |
//! | `LAKESHORE_BIN` | of this build | the binary to measure |

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)]

#[path = "../kit/mod.rs"]
mod kit;

mod disk;
mod loads;
mod measure;
mod peers;
mod table;

use std::fs;
use std::path::Path;
use table::Setting;

const MEMORY: &str = "/dev/shm";

fn main() {
    let (found, missing) = peers::find();
    for (name, remedy) in missing {
        println!("{name} is not installed and is left out; {remedy}");
    }
    let settings = [
        (Setting::Disk, kit::folder_on_disk("bench-uploads")),
        (Setting::Memory, Path::new(MEMORY).join("lakeshore-bench-uploads")),
    ];
    for (setting, folder) in settings {
        if !kit::chosen("BENCH_SETTINGS", setting.name()) {
            continue;
        }
        if setting == Setting::Memory && !Path::new(MEMORY).is_dir() {
            println!("there is no {MEMORY}: the memory setting is left out");
            continue;
        }
        // Leftovers of an interrupted run.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let figures = measure::measure(setting, &folder, &found);
        table::print(setting, &figures);
        fs::remove_dir_all(&folder).unwrap();
    }
}
