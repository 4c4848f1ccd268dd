//! A server's process: its start, its end, and what it uses with its children, by `/proc`.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// `USER_HZ`: what the times of `/proc` count in, on every architecture that Linux still serves but one.
const TICKS_PER_SECOND: f64 = 100.0;
const MIB: f64 = 1024.0 * 1024.0;
/// How long a process may take to end when it is asked to.
const END_MAX: Duration = Duration::from_secs(10);

pub struct Process {
    child: Child,
    pub spawned_at: Instant,
}

impl Process {
    /// Starts a process, with what it says going to the file `log`.
    pub fn spawn(command: &mut Command, log: &Path) -> Self {
        let log = File::create(log).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let spawned_at = Instant::now();
        Self { child: command.spawn().unwrap(), spawned_at }
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// The processor time used so far, in seconds.
    pub fn cpu_seconds(&self) -> f64 {
        let ticks = |id: &u32| -> f64 {
            let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            // Behind the name of the program, which may hold anything: user time and system time.
            let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
            fields.filter_map(|field| field.parse::<f64>().ok()).sum()
        };
        self.family().iter().map(ticks).sum::<f64>() / TICKS_PER_SECOND
    }

    /// The memory in use now.
    pub fn resident_mib(&self) -> f64 {
        self.memory_mib("VmRSS:")
    }

    /// The most memory that was in use since the start, or since the last [`Self::reset_peak`].
    pub fn peak_mib(&self) -> f64 {
        self.memory_mib("VmHWM:")
    }

    /// Lets the peak begin anew (proc(5), `clear_refs`).
    pub fn reset_peak(&self) {
        for id in self.family() {
            let _ = fs::write(format!("/proc/{id}/clear_refs"), "5");
        }
    }

    fn memory_mib(&self, field: &str) -> f64 {
        let kib = |id: &u32| -> f64 {
            let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
            line.trim().trim_end_matches(" kB").parse().unwrap_or(0.0)
        };
        self.family().iter().map(kib).sum::<f64>() * 1024.0 / MIB
    }

    /// The process, its children, their children, and so on.
    fn family(&self) -> Vec<u32> {
        let mut family = vec![self.child.id()];
        let mut next = 0;
        while let Some(id) = family.get(next).copied() {
            next += 1;
            for thread in fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten() {
                let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
                family.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
            }
        }
        family
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).stderr(Stdio::null()).status();
        let asked_at = Instant::now();
        while asked_at.elapsed() < END_MAX {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
