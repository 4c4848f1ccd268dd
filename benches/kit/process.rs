//! Process of a server: start, end, and the resource use of it and its children, from `/proc`.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// `USER_HZ`, the unit of times in `/proc`: 100 on all architectures of Linux but one.
const TICKS_PER_SECOND: f64 = 100.0;
const MIB: f64 = 1024.0 * 1024.0;
/// Time within which a process has to end.
const END_MAX: Duration = Duration::from_secs(10);

pub struct Process {
    child: Child,
    pub spawned_at: Instant,
}

impl Process {
    /// Starts a process, with its output in the file `log`.
    pub fn spawn(command: &mut Command, log: &Path) -> Self {
        let log = File::create(log).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let spawned_at = Instant::now();
        Self { child: command.spawn().unwrap(), spawned_at }
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Processor time used so far, in seconds.
    pub fn cpu_seconds(&self) -> f64 {
        let ticks = |id: &u32| -> f64 {
            let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            // Fields after the program's name, which may contain any character: user time and system time.
            let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
            fields.filter_map(|field| field.parse::<f64>().ok()).sum()
        };
        self.family().iter().map(ticks).sum::<f64>() / TICKS_PER_SECOND
    }

    /// Memory in use now.
    pub fn resident_mib(&self) -> f64 {
        self.memory_mib("VmRSS:")
    }

    /// Peak of memory since the start, or since the last [`Self::reset_peak`].
    pub fn peak_mib(&self) -> f64 {
        self.memory_mib("VmHWM:")
    }

    /// Resets the peak (proc(5), `clear_refs`).
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

    /// The process and all its descendants.
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
