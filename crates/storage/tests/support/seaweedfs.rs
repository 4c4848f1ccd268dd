//! SeaweedFS, a real object storage, for tests: one for all test processes of a run, a bucket for each test. It ends by itself
//! when no test has used it for a while. A test that ends it by force has one of its own ([`own_storage`]).
//!
//! `make seaweedfs` installs it below the target folder. Where it is missing, the tests skip themselves, and say so.

use std::collections::hash_map::RandomState;
use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, Hasher};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

pub const ACCESS_KEY: &str = "lakeshore";
pub const SECRET_KEY: &str = "lakeshore-secret";
pub const REGION: &str = "us-east-1";
const VERSION: &str = "4.48";
const SETTINGS: &str = r#"{"identities": [{"name": "test", "credentials": [{"accessKey": "lakeshore", "secretKey": "lakeshore-secret"}],
    "actions": ["Admin", "Read", "Write", "List", "Tagging"]}]}"#;
const PORTS: usize = 8;
const FILER: usize = 4;
const S3: usize = 6;

pub struct SeaweedFs {
    s3_port: u16,
    filer_port: u16,
    /// Held shared as long as this process may use it.
    _in_use: File,
}

static IS_OWN: AtomicBool = AtomicBool::new(false);

/// This process gets a storage of its own, which it may [`SeaweedFs::restart`]. To be called before any other function.
#[allow(dead_code, reason = "not all tests that include this file use it")]
pub fn own_storage() {
    IS_OWN.store(true, Ordering::Relaxed);
}

/// For its data, its settings and its log.
fn folder() -> PathBuf {
    let is_own = IS_OWN.load(Ordering::Relaxed);
    target().join(if is_own { format!("seaweedfs-own-{}", std::process::id()) } else { "seaweedfs-run".to_owned() })
}

/// The folder of this build, from the place of the test that runs.
fn target() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(3).unwrap().to_owned()
}

/// `None` where it is not installed.
pub fn seaweedfs() -> Option<&'static SeaweedFs> {
    static RUNNING: OnceLock<Option<SeaweedFs>> = OnceLock::new();
    RUNNING.get_or_init(SeaweedFs::find_or_start).as_ref()
}

impl SeaweedFs {
    fn find_or_start() -> Option<Self> {
        let installed = target().join(format!("seaweedfs-{VERSION}/bin/weed"));
        let weed = std::env::var_os("LAKESHORE_WEED").map_or(installed, PathBuf::from);
        if !weed.is_file() {
            return None;
        }
        let folder = folder();
        std::fs::create_dir_all(&folder).unwrap();
        let open =
            |name: &str| OpenOptions::new().create(true).truncate(false).write(true).open(folder.join(name)).unwrap();
        let starting = open("starting");
        starting.lock().unwrap();
        // From here on it does not end.
        let in_use = open("in-use");
        in_use.lock_shared().unwrap();
        let state = folder.join("state");
        if let Some((s3_port, filer_port)) = running(&state) {
            return Some(Self { s3_port, filer_port, _in_use: in_use });
        }
        std::fs::write(folder.join("s3.json"), SETTINGS).unwrap();
        let listeners: Vec<_> = (0..PORTS).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<_> = listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        drop(listeners);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().find_map(|folder| {
            let script = folder.join("crates/storage/tests/support/seaweedfs.sh");
            script.is_file().then_some(script)
        });
        let mut command = Command::new("sh");
        command.arg(script.unwrap()).arg(&weed).arg(&folder).args(ports.iter().map(u16::to_string));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        #[expect(clippy::zombie_processes, reason = "it outlives this process, and stops when nobody uses it")]
        command.spawn().unwrap();
        let (s3_port, filer_port) = (ports[S3], ports[FILER]);
        std::fs::write(&state, format!("{s3_port} {filer_port}")).unwrap();
        for _ in 0..600 {
            if running(&state).is_some() {
                return Some(Self { s3_port, filer_port, _in_use: in_use });
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("SeaweedFS did not start; see {}", folder.join("log").display());
    }

    /// `kill -9`, and a new start with the same data and ports.
    #[allow(dead_code, reason = "not all tests that include this file use it")]
    pub fn restart(&self) {
        assert!(IS_OWN.load(Ordering::Relaxed), "other tests use the storage");
        let folder = folder();
        std::fs::write(folder.join("restart"), "").unwrap();
        let pid = std::fs::read_to_string(folder.join("pid")).unwrap();
        assert!(Command::new("kill").args(["-KILL", pid.trim()]).status().unwrap().success());
        for _ in 0..600 {
            // Its filer answers before its volumes do.
            let is_written = || send(self.filer_port, "PUT", "/restarted", b"yes") == Some(201);
            if !folder.join("restart").exists() && running(&folder.join("state")).is_some() && is_written() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("SeaweedFS did not start again; see {}", folder.join("log").display());
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.s3_port)
    }

    /// How many objects a bucket has.
    #[allow(dead_code, reason = "not all tests that include this file use it")]
    pub fn count_objects(&self, bucket: &str) -> usize {
        let mut open = vec![format!("/buckets/{bucket}/")];
        let mut count = 0;
        while let Some(folder) = open.pop() {
            let Some(listed) = get(self.filer_port, &format!("{folder}?limit=100000")) else { continue };
            // Each entry of the list has a path, then a mode; that of a folder has its highest bit set.
            for entry in listed.split("\"FullPath\"").skip(1) {
                let path = entry.split('"').nth(1).unwrap();
                let mode = entry.split("\"Mode\"").nth(1).unwrap().trim_start_matches([':', ' ']);
                let mode: u64 = mode.split(|digit: char| !digit.is_ascii_digit()).next().unwrap().parse().unwrap();
                match mode >> 31 {
                    0 => count += 1,
                    _ => open.push(format!("{path}/")),
                }
            }
        }
        count
    }

    /// By which to look at the objects without the ways of S3.
    #[allow(dead_code, reason = "not all tests that include this file use it")]
    pub fn filer_port(&self) -> u16 {
        self.filer_port
    }

    /// Makes a bucket that no other test has.
    pub fn new_bucket(&self) -> String {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        // Numbers of processes are used again.
        let random = RandomState::new().build_hasher().finish() as u32;
        let name = format!("{name}-{}-{random}", self.s3_port);
        let made = http(self.filer_port, "POST", &format!("/buckets/{name}/"));
        assert!(made.is_some_and(|status| (200..300).contains(&status)), "cannot make the bucket {name}: {made:?}");
        name
    }
}

/// The ports of one that runs and answers.
fn running(state: &Path) -> Option<(u16, u16)> {
    let state = std::fs::read_to_string(state).ok()?;
    let (s3_port, filer_port) = state.split_once(' ')?;
    let (s3_port, filer_port) = (s3_port.parse().ok()?, filer_port.parse().ok()?);
    // Nobody may list the buckets without a key.
    (http(s3_port, "GET", "/")? == 403 && http(filer_port, "GET", "/")? == 200).then_some((s3_port, filer_port))
}

/// Answer of the filer, as text.
#[allow(dead_code, reason = "not all tests that include this file use it")]
fn get(port: u16, path: &str) -> Option<String> {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).ok()?;
    let head = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\nAccept: application/json\r\n\r\n");
    connection.write_all(head.as_bytes()).ok()?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).ok()?;
    let is_found = answer.split(' ').nth(1) == Some("200");
    is_found.then(|| answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()))?
}

fn http(port: u16, method: &str, path: &str) -> Option<u16> {
    send(port, method, path, b"")
}

fn send(port: u16, method: &str, path: &str, body: &[u8]) -> Option<u16> {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).ok()?;
    connection.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    connection.write_all(&[head.as_bytes(), body].concat()).ok()?;
    let mut answer = String::new();
    let _ = connection.take(4096).read_to_string(&mut answer);
    answer.split(' ').nth(1)?.parse().ok()
}
