//! A program that all test processes of a run share: the first one starts it, and it ends by itself when no test has used it
//! for a while. A test that ends it by force has one of its own.

use std::fs::{File, OpenOptions};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

pub struct Service {
    /// For its data, its settings and its log.
    pub folder: PathBuf,
    pub ports: Vec<u16>,
    pub is_own: bool,
    /// Held shared as long as this process may use it.
    _in_use: File,
}

impl Service {
    /// Starts `program` by the script `NAME.sh`, unless it runs. `None` where there is no such program.
    pub fn find_or_start(
        name: &str,
        is_own: bool,
        program: &Path,
        ports: usize,
        is_running: fn(&Path, &[u16]) -> bool,
        prepare: impl FnOnce(&Path, &[u16]),
    ) -> Option<Self> {
        if !program.is_file() {
            return None;
        }
        let own = format!("{name}-own-{}", std::process::id());
        let folder = super::target().join(if is_own { own } else { format!("{name}-run") });
        std::fs::create_dir_all(&folder).unwrap();
        let open =
            |name: &str| OpenOptions::new().create(true).truncate(false).write(true).open(folder.join(name)).unwrap();
        let starting = open("starting");
        starting.lock().unwrap();
        // From here on it does not end.
        let in_use = open("in-use");
        in_use.lock_shared().unwrap();
        let state = folder.join("state");
        if let Some(ports) = ports_of(&state).filter(|ports| is_running(&folder, ports)) {
            return Some(Self { folder, ports, is_own, _in_use: in_use });
        }
        let listeners: Vec<_> = (0..ports).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<_> = listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        drop(listeners);
        prepare(&folder, &ports);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().find_map(|root| {
            let script = root.join(format!("crates/storage/tests/support/{name}.sh"));
            script.is_file().then_some(script)
        });
        let mut command = Command::new("sh");
        command.arg(script.unwrap()).arg(program).arg(&folder).args(ports.iter().map(u16::to_string));
        command.env("ACCESS_KEY", super::ACCESS_KEY).env("SECRET_KEY", super::SECRET_KEY);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        #[expect(clippy::zombie_processes, reason = "it outlives this process, and stops when nobody uses it")]
        command.spawn().unwrap();
        let written: Vec<_> = ports.iter().map(u16::to_string).collect();
        std::fs::write(&state, written.join(" ")).unwrap();
        for _ in 0..600 {
            if is_running(&folder, &ports) {
                return Some(Self { folder, ports, is_own, _in_use: in_use });
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("{name} did not start; see {}", folder.join("log").display());
    }
}

/// Ports of one that may run.
fn ports_of(state: &Path) -> Option<Vec<u16>> {
    std::fs::read_to_string(state).ok()?.split(' ').map(|port| port.parse().ok()).collect()
}
