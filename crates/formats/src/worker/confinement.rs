//! Confines a reader before it reads: memory, files, network and other programs.
//!
//! A reader confines itself at its own start, so the server never runs in a mixed state. Limits, which every kernel
//! has, are required; if system calls cannot be filtered, the reader reports it and the server logs it.

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

/// Memory for files, beyond that of the program itself. A Parquet page may decompress to some hundred megabytes.
pub(crate) const MEMORY_BYTES_MAX: u64 = 384 << 20;
/// Memory kept from earlier files after which a reader is replaced.
const KEPT_BYTES_MAX: u64 = 64 << 20;
/// Socket, standard output and error, `/proc/self/statm`, and the file, with some room.
const DESCRIPTORS_MAX: u64 = 16;
/// Processor time of the whole process; each file has a limit of its own.
const PROCESSOR_SECONDS_MAX: u64 = 24 * 3600;
const PAGE_BYTES: u64 = 4096;

/// A confined reader.
pub(super) struct Confined {
    /// `/proc/self/statm`, opened before files are blocked.
    figures: File,
    /// Address space at the start, in bytes.
    begun_with: u64,
    processor_seconds_max: u64,
    /// Reason why system calls are not filtered, if they are not.
    pub(super) unfiltered: Option<String>,
}

impl Confined {
    pub(super) fn new() -> io::Result<Self> {
        chdir("/")?;
        // If the server ended before this call, the closed socket ends the reader.
        set_parent_process_death_signal(Some(Signal::KILL))?;
        set_no_new_privs(true)?;
        be_the_first_to_go();
        // After the writes below /proc/self, which belongs to root from here on.
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

    /// Sets the processor time for the next file. When it is used up, the kernel ends this process.
    pub(super) fn allow_processor_seconds(&self, seconds: u64) -> io::Result<()> {
        let used = clock_gettime(ClockId::ProcessCPUTime).tv_sec.cast_unsigned();
        // The limit counts whole seconds.
        let maximum = self.processor_seconds_max;
        let current = used.saturating_add(1).saturating_add(seconds).min(maximum);
        Ok(setrlimit(Resource::Cpu, Rlimit { current: Some(current), maximum: Some(maximum) })?)
    }

    /// Whether earlier files left so much memory in use that the next one could run short.
    pub(super) fn has_grown(&self) -> bool {
        address_space(&self.figures).is_ok_and(|now| now > self.begun_with + KEPT_BYTES_MAX)
    }
}

/// The parent may have set a lower limit, which cannot be raised.
fn no_more_than_allowed(resource: Resource, wanted: u64) -> u64 {
    getrlimit(resource).maximum.map_or(wanted, |allowed| allowed.min(wanted))
}

/// Makes the kernel kill this process before the server when memory runs out.
fn be_the_first_to_go() {
    let file = open("/proc/self/oom_score_adj", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
    // If this is not permitted, the kernel decides by size.
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

/// Restricts this thread to what it has: it can open no file, connect nowhere, start no program, thread or process, and
/// make no memory executable.
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
        // Input and output by open descriptors.
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
        // Time, randomness, waiting and exit.
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
    // Signals to itself, as `abort` sends.
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
