//! PostgreSQL for tests: a cluster below `target/`, shared by all processes of a run, and a database for each test.
//!
//! The first process that needs the cluster starts it, and a shell beside it stops it again once no process uses it. A test
//! that ends the cluster by force has one of its own ([`own_cluster`]).

use lakeshore_metadata::postgres::{PostgresOptions, PostgresState};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

/// Where Debian has the programs of each version.
const DEBIAN: &str = "/usr/lib/postgresql";
/// Who runs the server where tests run as root, which PostgreSQL refuses.
const ACCOUNT: &str = "postgres";
const SETTINGS: &str = "listen_addresses = '127.0.0.1'\nunix_socket_directories = ''\nmax_connections = 600\n\
     shared_buffers = 64MB\nautovacuum_naptime = 10\nlog_min_messages = warning\ndeadlock_timeout = 100ms\n";
/// Tests end no machine. A cluster of a process's own is durable: it recovers, or is measured.
const NOT_DURABLE: &str = "fsync = off\nfull_page_writes = off\n";

/// The cluster, in use by this process.
struct Cluster {
    port: u16,
    /// Held for as long as the process lives.
    _in_use: File,
}

static IS_OWN: AtomicBool = AtomicBool::new(false);
/// The server that this process has started.
static SERVER: Mutex<Option<Child>> = Mutex::new(None);

/// This process gets a cluster of its own, which it may [`restart`]. To be called before any other function.
#[allow(dead_code)]
pub fn own_cluster() {
    IS_OWN.store(true, Ordering::Relaxed);
}

/// Ends the server of [`own_cluster`] without a shutdown, so that it has to recover, and starts it again after `pause`.
#[allow(dead_code)]
pub async fn restart(pause: Duration) {
    assert!(IS_OWN.load(Ordering::Relaxed), "other tests use the cluster");
    let port = cluster().await.unwrap().port;
    let mut server = SERVER.lock().unwrap().take().unwrap();
    run(Command::new("kill").args(["-QUIT", &server.id().to_string()]));
    server.wait().unwrap();
    tokio::time::sleep(pause).await;
    Cluster::run(&programs().unwrap(), &folder(), port);
    Cluster::wait(port).await;
}

fn folder() -> PathBuf {
    let is_own = IS_OWN.load(Ordering::Relaxed);
    let name = if is_own { format!("postgres-{}", std::process::id()) } else { "postgres".to_owned() };
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn programs() -> Option<PathBuf> {
    let of_debian = std::fs::read_dir(DEBIAN).into_iter().flatten().flatten().map(|version| version.path().join("bin"));
    let on_path = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
    let mut all: Vec<_> = of_debian.chain(on_path.unwrap_or_default()).collect();
    all.retain(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file());
    all.sort();
    all.pop()
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout.starts_with(b"0\n"))
}

/// A command that runs as an account which PostgreSQL accepts.
fn command(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", ACCOUNT, "--regid", ACCOUNT, "--clear-groups"]).arg(program);
    command
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn locked(file: &Path) -> File {
    OpenOptions::new().create(true).truncate(false).write(true).open(file).unwrap()
}

fn address(port: u16, database: &str) -> String {
    format!("postgres://{ACCOUNT}@127.0.0.1:{port}/{database}")
}

async fn connect(port: u16) -> sqlx::Result<PgConnection> {
    PgConnection::connect(&address(port, "postgres")).await
}

impl Cluster {
    async fn start(programs: &Path) -> Self {
        let folder = folder();
        std::fs::create_dir_all(&folder).unwrap();
        // One process starts it, while the others wait.
        let starting = locked(&folder.join("start.lock"));
        starting.lock().unwrap();
        let in_use = locked(&folder.join("use.lock"));
        in_use.lock_shared().unwrap();
        let port_file = folder.join("port");
        let known = std::fs::read_to_string(&port_file).ok().and_then(|port| port.trim().parse().ok());
        if let Some(port) = known
            && connect(port).await.is_ok()
        {
            return Self { port, _in_use: in_use };
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self::launch(programs, &folder, port);
        let mut connection = Self::wait(port).await;
        connection.execute("CREATE DATABASE lakeshore_template").await.unwrap();
        let options: PostgresOptions = address(port, "lakeshore_template").parse().unwrap();
        PostgresState::open(&options).await.unwrap().close().await;
        std::fs::write(port_file, port.to_string()).unwrap();
        Self { port, _in_use: in_use }
    }

    async fn wait(port: u16) -> PgConnection {
        for _ in 0..600 {
            if let Ok(connection) = connect(port).await {
                return connection;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        connect(port).await.unwrap()
    }

    fn launch(programs: &Path, folder: &Path, port: u16) {
        let data = folder.join(format!("data-{port}"));
        let _ = std::fs::remove_dir_all(&data);
        std::fs::create_dir(&data).unwrap();
        if is_root() {
            run(Command::new("chown").arg(ACCOUNT).arg(&data));
        }
        let mut initdb = command(&programs.join("initdb"));
        initdb.args(["--auth", "trust", "--username", ACCOUNT, "--encoding", "UTF8", "--no-sync", "--pgdata"]);
        run(initdb.arg(&data));
        let mut settings = OpenOptions::new().append(true).open(data.join("postgresql.conf")).unwrap();
        settings.write_all(SETTINGS.as_bytes()).unwrap();
        if !IS_OWN.load(Ordering::Relaxed) {
            settings.write_all(NOT_DURABLE.as_bytes()).unwrap();
        }
        Self::run(programs, folder, port);
        // Stops it by the process id of its last start, once nobody holds the lock.
        let is_own = IS_OWN.load(Ordering::Relaxed);
        let script = format!(
            "while sleep 3; do flock --nonblock --exclusive '{lock}' sh -c 'server=$(head -1 \"{data}/postmaster.pid\"); \
             kill -INT $server; while kill -0 $server 2> /dev/null; do sleep 0.1; done; rm -rf \"{data}\" \"{port}\" \"{more}\"' && exit; \
             test -d '{data}' || exit; done",
            lock = folder.join("use.lock").display(),
            data = data.display(),
            port = folder.join("port").display(),
            more = if is_own { folder.display().to_string() } else { String::new() },
        );
        let mut reaper = Command::new("sh");
        reaper.args(["-c", &script]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        #[allow(clippy::zombie_processes)]
        reaper.process_group(0).spawn().unwrap();
    }

    /// Starts the server, which outlives this process.
    fn run(programs: &Path, folder: &Path, port: u16) {
        let log = OpenOptions::new().create(true).append(true).open(folder.join("log")).unwrap();
        let mut postgres = command(&programs.join("postgres"));
        postgres.arg("-D").arg(folder.join(format!("data-{port}"))).args(["-p", &port.to_string()]);
        postgres.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        *SERVER.lock().unwrap() = Some(postgres.process_group(0).spawn().unwrap());
    }
}

async fn cluster() -> Option<&'static Cluster> {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    static STARTING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _starting = STARTING.lock().await;
    if CLUSTER.get().is_none() {
        let Some(programs) = programs() else {
            eprintln!(
                "== SKIPPED: PostgreSQL is not installed; \"make postgres\" installs it, or apt-get install postgresql"
            );
            return None;
        };
        let _ = CLUSTER.set(Cluster::start(&programs).await);
    }
    CLUSTER.get()
}

/// A database of a test's own. It is dropped with this.
pub struct Database {
    pub address: String,
    name: String,
    port: u16,
}

impl Database {
    /// One with the tables of a new lake; `None`, told loudly, where PostgreSQL is not installed.
    pub async fn new() -> Option<Self> {
        Self::of("TEMPLATE lakeshore_template").await
    }

    /// One without tables.
    #[allow(dead_code)]
    pub async fn empty() -> Option<Self> {
        Self::of("").await
    }

    async fn of(template: &str) -> Option<Self> {
        let port = cluster().await?.port;
        let name = format!("test_{}_{}", std::process::id(), number());
        let mut connection = connect(port).await.unwrap();
        // Numbers of processes come again, and a process that was killed has left its databases behind.
        let left = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
        connection.execute(AssertSqlSafe(left)).await.unwrap();
        let sql = format!("CREATE DATABASE {name} {template}");
        connection.execute(AssertSqlSafe(sql)).await.unwrap();
        Some(Self { address: address(port, &name), name, port })
    }

    pub fn options(&self) -> PostgresOptions {
        self.address.parse().unwrap()
    }

    pub async fn open(&self) -> PostgresState {
        PostgresState::open(&self.options()).await.unwrap()
    }
}

fn number() -> u64 {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    NUMBER.fetch_add(1, Ordering::Relaxed)
}

impl Drop for Database {
    fn drop(&mut self) {
        let (port, sql) = (self.port, format!("DROP DATABASE {} WITH (FORCE)", self.name));
        // In a thread of its own: this one may be driving a runtime.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                if let Ok(mut connection) = connect(port).await {
                    let _ = connection.execute(AssertSqlSafe(sql)).await;
                }
            });
        });
        let _ = dropped.join();
    }
}
