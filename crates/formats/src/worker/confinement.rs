//! What a reader gives up before it reads anything: memory, files, the network, other programs.
//!
//! It does this to itself, at its own start: the server is never in a state between two. What the kernel grants everybody
//! (limits) is required; where it filters no system calls, the reader says so and the server logs it.

use rustix::fs::{Mode, OFlags, open};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, Signal, chdir, getpid, getrlimit, set_dumpable_behavior,
    set_parent_process_death_signal, setrlimit,
};
use rustix::thread::set_no_new_privs;
use rustix::time::{ClockId, clock_gettime};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as ArgLen, SeccompCmpOp as Is, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

/// What a file may make its reader take of memory, beside what the program takes itself. A page of a Parquet file may
/// unpack to some hundred megabytes.
pub(crate) const MEMORY_BYTES_MAX: u64 = 384 << 20;
/// What a reader may have kept of earlier files; one that has more is replaced.
const KEPT_BYTES_MAX: u64 = 64 << 20;
/// Its socket, its standard output and error, its own figures, and the file that it reads.
const DESCRIPTORS_MAX: u64 = 16;
/// Of a whole life; what one file may take is set before each.
const PROCESSOR_SECONDS_MAX: u64 = 24 * 3600;
const PAGE_BYTES: u64 = 4096;

/// A reader that has given up what it does not need.
pub(super) struct Confined {
    /// `/proc/self/statm`, opened while files could be.
    figures: File,
    /// The address space at the start, in bytes.
    begun_with: u64,
    processor_seconds_max: u64,
    /// Why its system calls are not filtered.
    pub(super) unfiltered: Option<String>,
}

impl Confined {
    pub(super) fn new() -> io::Result<Self> {
        chdir("/")?;
        // The server may end before this is said; then the socket says it.
        set_parent_process_death_signal(Some(Signal::KILL))?;
        set_no_new_privs(true)?;
        be_the_first_to_go();
        // Behind what is written below /proc/self, which is root's from here on.
        set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
        let figures = File::open("/proc/self/statm")?;
        let begun_with = address_space(&figures)?;
        for (resource, limit) in [
            (Resource::As, begun_with + MEMORY_BYTES_MAX),
            (Resource::Core, 0),
            (Resource::Fsize, 0),
            (Resource::Nofile, DESCRIPTORS_MAX),
            (Resource::Nproc, 0),
        ] {
            let limit = no_more_than_allowed(resource, limit);
            setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })?;
        }
        let processor_seconds_max = no_more_than_allowed(Resource::Cpu, PROCESSOR_SECONDS_MAX);
        let unfiltered = filter_system_calls().err().map(|error| error.to_string());
        Ok(Self { figures, begun_with, processor_seconds_max, unfiltered })
    }

    /// The next file may take so much time of the processor; then the kernel ends this process.
    pub(super) fn allow_processor_seconds(&self, seconds: u64) -> io::Result<()> {
        let used = clock_gettime(ClockId::ProcessCPUTime).tv_sec.cast_unsigned();
        // The limit counts whole seconds.
        let maximum = self.processor_seconds_max;
        let current = used.saturating_add(1).saturating_add(seconds).min(maximum);
        Ok(setrlimit(Resource::Cpu, Rlimit { current: Some(current), maximum: Some(maximum) })?)
    }

    /// Whether earlier files have left so much behind that the next would find its memory short.
    pub(super) fn has_grown(&self) -> bool {
        address_space(&self.figures).is_ok_and(|now| now > self.begun_with + KEPT_BYTES_MAX)
    }
}

/// Whoever has started the server may have set a lower limit, which cannot be raised.
fn no_more_than_allowed(resource: Resource, wanted: u64) -> u64 {
    getrlimit(resource).maximum.map_or(wanted, |allowed| allowed.min(wanted))
}

/// Where the machine runs out of memory, the kernel is to end this process and not the server.
fn be_the_first_to_go() {
    let file = open("/proc/self/oom_score_adj", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
    // Where it may not be said, the kernel goes by size.
    let _ = file.map_err(io::Error::from).and_then(|file| File::from(file).write_all(b"1000"));
}

fn address_space(figures: &File) -> io::Result<u64> {
    let mut text = [0; 128];
    let length = figures.read_at(&mut text, 0)?;
    let pages = std::str::from_utf8(&text[..length]).ok().and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
    pages.map(|pages| pages * PAGE_BYTES).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

#[derive(Debug, thiserror::Error)]
pub(super) enum FilterError {
    #[error("no filter is known for the processor {0}")]
    Architecture(&'static str),
    #[error(transparent)]
    Backend(#[from] seccompiler::BackendError),
    #[error(transparent)]
    Kernel(#[from] seccompiler::Error),
}

/// From here on this thread may use what it has, and gets nothing more: it opens no file, makes no connection, starts no
/// program, thread or process, and makes no memory executable.
pub(super) fn filter_system_calls() -> Result<(), FilterError> {
    Ok(seccompiler::apply_filter(&filter()?)?)
}

fn filter() -> Result<BpfProgram, FilterError> {
    let architecture = std::env::consts::ARCH;
    let architecture: TargetArch = architecture.try_into().map_err(|_| FilterError::Architecture(architecture))?;
    let own_id = u64::try_from(getpid().as_raw_nonzero().get()).unwrap_or(0);
    let not_executable =
        || SeccompCondition::new(2, ArgLen::Dword, Is::MaskedEq(libc::PROT_EXEC.cast_unsigned().into()), 0);
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = [
        // What comes and goes by open descriptors.
        libc::SYS_read,
        libc::SYS_write,
        libc::SYS_writev,
        libc::SYS_pread64,
        libc::SYS_recvmsg,
        libc::SYS_close,
        // Memory.
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_madvise,
        libc::SYS_brk,
        // Time, chance, waiting, the end.
        libc::SYS_clock_gettime,
        libc::SYS_getrandom,
        libc::SYS_futex,
        libc::SYS_sched_yield,
        libc::SYS_restart_syscall,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sigaltstack,
        libc::SYS_getpid,
        libc::SYS_gettid,
        libc::SYS_exit,
        libc::SYS_exit_group,
    ]
    .into_iter()
    .map(|call| (call, Vec::new()))
    .collect();
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        rules.insert(call, vec![SeccompRule::new(vec![not_executable()?])?]);
    }
    // Its own processor time, and no other limit.
    let own_limit = vec![
        SeccompCondition::new(0, ArgLen::Dword, Is::Eq, 0)?,
        SeccompCondition::new(1, ArgLen::Dword, Is::Eq, u64::from(libc::RLIMIT_CPU))?,
    ];
    rules.insert(libc::SYS_prlimit64, vec![SeccompRule::new(own_limit)?]);
    // It may end itself, as `abort` does.
    let to_itself = vec![SeccompCondition::new(0, ArgLen::Dword, Is::Eq, own_id)?];
    rules.insert(libc::SYS_tgkill, vec![SeccompRule::new(to_itself)?]);
    let refusal = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    Ok(SeccompFilter::new(rules, refusal, SeccompAction::Allow, architecture)?.try_into()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;
    use std::process::Command;
    use std::thread;

    #[test]
    fn a_confined_thread_opens_no_file_makes_no_connection_and_starts_no_program() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let open = File::open("/proc/self/statm").unwrap();
        let refusals = thread::spawn(move || {
            set_no_new_privs(true).unwrap();
            filter_system_calls().unwrap();
            assert!(address_space(&open).unwrap() > 0, "what is open is read");
            let large = vec![1_u8; 8 << 20];
            assert_eq!(large.iter().map(|byte| u64::from(*byte)).sum::<u64>(), 8 << 20);
            [
                TcpStream::connect(address).map(drop),
                UnixStream::pair().map(drop),
                File::open("/proc/self/status").map(drop),
                File::create("/tmp/lakeshore-confined").map(drop),
                Command::new("/bin/true").spawn().map(drop),
                thread::Builder::new().spawn(|| ()).map(drop),
                std::fs::remove_file("/tmp/lakeshore-confined"),
            ]
            .map(|result| result.err().and_then(|error| Errno::from_io_error(&error)) == Some(Errno::PERM))
        });
        assert_eq!(refusals.join().unwrap(), [true; 7]);
        drop(listener);
    }
}
