//! Implementation of `lakeshore serve`: from the options to a ready server, and to its orderly stop.

use crate::commit_thread::CommitThread;
use crate::config::{LakePlace, ServeOptions};
use crate::control;
use crate::housekeeping;
use crate::opening::{self, LakeFiles, Opened};
use crate::readiness::Readiness;
use crate::site;
use crate::tables::Follower;
use anyhow::{Context, anyhow, bail};
use lakeshore::Lake;
use lakeshore::service::Parts;
use lakeshore_formats::FileFormats;
use lakeshore_http::AppState;
use lakeshore_http::connections::{ConnectionLimits, allow_descriptors, serve};
use lakeshore_http::form_refusal::FormRefusals;
use lakeshore_http::refusal_log::RefusalLog;
use lakeshore_http::spool::Spool;
use lakeshore_http::threads::Threads;
use lakeshore_storage::local::reopen;
use lakeshore_system::clock::{SystemClock, SystemRandomness};
use lakeshore_system::failpoints;
use lakeshore_system::terminal::say;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Time after the grace period of a stop for interrupted requests to record their end.
const INTERRUPT_MAX: Duration = Duration::from_secs(5);

/// Pause between two looks whether another server has taken the lake over.
const TAKEN_OVER_PAUSE: Duration = Duration::from_millis(500);

/// Serves until SIGTERM, SIGHUP or Ctrl-C.
pub async fn run(options: &ServeOptions) -> anyhow::Result<()> {
    // Leptos spawns tasks through this. Tests call it again without effect.
    let _ = any_spawner::Executor::init_tokio();
    options.refuse_contradictions().map_err(anyhow::Error::msg)?;
    failpoints::arm().map_err(anyhow::Error::msg)?;
    let connection_limits = options.connection_limits().within_descriptors(allow_descriptors())?;
    let mut signals = StopSignals::register()?;
    let listener = TcpListener::bind(options.listen).await.map_err(|error| cannot_listen(options.listen, &error))?;
    let address = listener.local_addr()?;
    let place = options.lake_place();
    let opened = opening::open(&options.data, options.postgres(), &place, options.cluster).await?;
    let commands = control::Listener::start_if_needed(&options.data.path, &opened.store);
    let formats = FileFormats::start(reopen, options.preview_timeout).context("starting the file readers")?;
    let formats = Arc::new(formats);
    let lake = Lake::new(Parts {
        state: opened.store.state(),
        files: opened.files.port(),
        formats: formats.clone(),
        clock: Arc::new(SystemClock),
        randomness: Arc::new(SystemRandomness),
        limits: options.limits(),
    });
    let is_recovered = recover(&lake).await?;
    lake.open_event_log().await.context("opening the log of events")?;
    if let Err(error) = lake.remember_settings(options.in_words()).await {
        // A full disk is no reason to refuse to serve.
        tracing::warn!(%error, "cannot record the settings of this start");
    }
    let app_state = build_app_state(options, place, &opened, lake, is_recovered)?;
    // Logged now without refusing to serve: reads still work, and a purge of the trash may help.
    let _ = app_state.readiness.look().await;
    let jobs = spawn_jobs(&app_state, &opened, &formats, options.lake.object_grace).await?;
    let server = start_server(listener, &app_state, connection_limits, options)?;
    let mut running = RunningServer { server, jobs, app_state, formats, commands, opened };
    say(&format!("listening on http://{address}"));
    greet(&running.app_state.lake, address, options).await?;
    if let Some(signal) = running.wait_for_signal(&mut signals).await? {
        tracing::info!("stopping on {signal}: finishing running requests");
        running.shut_down(&mut signals, options.shutdown_grace).await;
    }
    Ok(())
}

/// Recovers from the last stop. Returns false where a full disk prevents that for now.
async fn recover(lake: &Lake) -> anyhow::Result<bool> {
    if let Some(step) = lake.resume_clock().await.context("reading the recorded clock")? {
        housekeeping::warn_of_step(step, "since the last server");
    }
    if let Err(error) = lake.refill_reserve() {
        tracing::warn!(%error, "cannot create the disk reserve of the database");
    }
    match lake.recover_on_any_disk().await {
        Err(lakeshore::Error::DiskFull) => {
            tracing::warn!(
                "a disk is full, and its reserve is used up: recovery from the last stop waits for free space; until then, only reading and emptying the trash are possible"
            );
            Ok(false)
        }
        recovered => {
            housekeeping::report_recovered(&recovered.context("recovering from the last stop")?);
            Ok(true)
        }
    }
}

fn build_app_state(
    options: &ServeOptions,
    place: LakePlace,
    opened: &Opened,
    lake: Lake,
    is_recovered: bool,
) -> anyhow::Result<Arc<AppState>> {
    let (store, files) = (opened.store.clone(), opened.files.clone());
    let form_refusals = match store.group_secret() {
        Some(key) => FormRefusals::with_key(&key)?,
        None => FormRefusals::new(&SystemRandomness)?,
    };
    Ok(Arc::new(AppState {
        readiness: Arc::new(Readiness::new(lake.clone(), store, files, options.data.database())),
        lake,
        assets: Arc::new(assets()),
        lake_root: lake_root(place),
        spool: Spool::new(options.data.path.clone()),
        is_recovered: AtomicBool::new(is_recovered),
        stopping: CancellationToken::new(),
        interrupt: CancellationToken::new(),
        changes: TaskTracker::new(),
        refusal_log: RefusalLog::default(),
        form_refusals: Arc::new(form_refusals),
    }))
}

/// Background jobs of a server.
struct Jobs {
    housekeeping: JoinHandle<()>,
    /// Jobs of a lake on object storage.
    objects: Vec<JoinHandle<()>>,
    commit_thread: CommitThread,
}

async fn spawn_jobs(
    app_state: &Arc<AppState>,
    opened: &Opened,
    formats: &Arc<FileFormats>,
    object_grace: Duration,
) -> anyhow::Result<Jobs> {
    let (lake, stopping) = (&app_state.lake, &app_state.stopping);
    let housekeeping = tokio::spawn(keep_house(app_state.clone()));
    let mut objects = Vec::new();
    if let LakeFiles::Objects(files) = &opened.files {
        let collecting = housekeeping::collect_objects(lake.clone(), files.clone(), object_grace, stopping.clone());
        objects.push(tokio::spawn(collecting));
        let known = opened.store.known_lake().await?.context("the database knows no lake")?;
        let follower = Follower::new(opened.store.state(), files.clone(), formats.clone(), known.identity);
        lake.set_tables(app_state.lake_root.display().to_string(), Arc::new(follower.clone()));
        objects.push(tokio::spawn(follower.run(lake.clone(), stopping.clone())));
    }
    let commit_thread = CommitThread::start(lake.clone()).context("starting the thread of the commit queue")?;
    Ok(Jobs { housekeeping, objects, commit_thread })
}

/// Completes the recovery of the start, then runs the background jobs until the server stops.
async fn keep_house(app_state: Arc<AppState>) {
    if !app_state.is_recovered.load(Ordering::Relaxed) {
        match housekeeping::recover_when_there_is_room(&app_state.lake, &app_state.stopping).await {
            Some(recovered) => housekeeping::report_recovered(&recovered),
            None => return,
        }
        // The recovery resets the event log.
        if let Err(error) = app_state.lake.open_event_log().await {
            tracing::error!(%error, "cannot open the log of events; restart this server");
        }
        app_state.is_recovered.store(true, Ordering::Relaxed);
    }
    housekeeping::run(app_state.lake.clone(), app_state.stopping.clone()).await;
}

/// Starts to serve requests.
fn start_server(
    listener: TcpListener,
    app_state: &Arc<AppState>,
    connection_limits: ConnectionLimits,
    options: &ServeOptions,
) -> anyhow::Result<JoinHandle<()>> {
    let threads = Threads::start(thread::available_parallelism().map_or(1, usize::from))?;
    let router = lakeshore_http::router(app_state.clone(), site::router());
    let networks = Arc::new(options.network_policy());
    tracing::info!("{networks}");
    if let Some(url) = options.public_url.as_ref().filter(|url| !url.prefix().is_empty()) {
        tracing::warn!(
            "{url} has a path: the proxy in front has to leave {} out of what it passes on, and the pages come without scripts, \
             so that they do not change by themselves and send no files; give the server a host name of its own for all of them",
            url.prefix()
        );
    }
    Ok(tokio::spawn(serve(listener, threads, app_state.clone(), router, networks, connection_limits)))
}

/// A server that serves requests, with everything that has to end before it.
struct RunningServer {
    server: JoinHandle<()>,
    jobs: Jobs,
    app_state: Arc<AppState>,
    formats: Arc<FileFormats>,
    commands: Option<control::Listener>,
    /// Dropped last, since it holds the locks.
    opened: Opened,
}

impl RunningServer {
    /// Returns the name of the signal that asks for a stop, or `None` where the server has ended by itself.
    async fn wait_for_signal(&mut self, signals: &mut StopSignals) -> anyhow::Result<Option<&'static str>> {
        tokio::select! {
            signal = signals.wait() => Ok(Some(signal)),
            ended = &mut self.server => Ok(ended.map(|()| None)?),
            () = taken_over(&self.opened) => {
                // Nothing that still runs could be written, and another server answers for the lake.
                bail!("another server has taken over this lake, because this one could not be reached for a while; this one has ended");
            }
        }
    }

    /// Finishes the running requests, at most for `grace`, then ends the jobs and closes the lake.
    async fn shut_down(mut self, signals: &mut StopSignals, grace: Duration) {
        let app_state = &self.app_state;
        let lake = &app_state.lake;
        app_state.stopping.cancel();
        self.formats.stop_inspecting();
        let publishing =
            lake.has_other_nodes().then(|| tokio::spawn(housekeeping::publish_while_stopping(lake.clone())));
        let in_grace = tokio::select! {
            ended = tokio::time::timeout(grace, &mut self.server) => ended.is_ok(),
            _ = signals.interrupt.recv() => false,
        };
        if !in_grace {
            tracing::warn!("stopping: ending uploads that are still running");
            app_state.interrupt.cancel();
            self.server.abort();
        }
        app_state.changes.close();
        let _ = tokio::time::timeout(INTERRUPT_MAX, app_state.changes.wait()).await;
        let _ = self.jobs.housekeeping.await;
        for job in self.jobs.objects {
            let _ = job.await;
        }
        if let Some(publishing) = publishing {
            publishing.abort();
            lake.publish_events().await;
            if let Err(error) = lake.remember_failures().await {
                tracing::warn!(%error, "cannot record failures; another server records them");
            }
        }
        if let Err(error) = lake.record_clock().await {
            tracing::debug!(%error, "cannot record the clock");
        }
        if let Some(commands) = self.commands {
            commands.close().await;
        }
        drop(self.jobs.commit_thread);
        self.opened.close().await;
    }
}

/// Returns when another server has the lake.
async fn taken_over(opened: &Opened) {
    while !opened.is_taken_over() {
        tokio::time::sleep(TAKEN_OVER_PAUSE).await;
    }
}

/// Signals that ask for a stop.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Option<Signal>,
}

impl StopSignals {
    fn register() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: hangup()?,
        })
    }

    /// Returns the name of the signal that came.
    async fn wait(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            () = hung_up(&mut self.hangup) => "SIGHUP",
        }
    }
}

/// SIGHUP at the end of a terminal or session, unless it is ignored: `nohup` makes programs ignore it, and a handler
/// would undo that.
fn hangup() -> anyhow::Result<Option<Signal>> {
    const SIGHUP_MASK: u64 = 1;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    Ok(if ignored & SIGHUP_MASK == 0 { Some(signal(SignalKind::hangup())?) } else { None })
}

async fn hung_up(hangup: &mut Option<Signal>) {
    match hangup {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> anyhow::Error {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            anyhow!(
                "{address} is in use by another program; stop it, or choose another --listen (port 0 picks a free one)"
            )
        }
        _ => anyhow!("cannot listen on {address}: {error}"),
    }
}

/// As the lake's readers name it.
fn lake_root(place: LakePlace) -> PathBuf {
    match place {
        LakePlace::Folder(root) => std::path::absolute(&root).unwrap_or(root),
        LakePlace::Bucket(settings) => settings.lake.to_string().into(),
    }
}

fn assets() -> app::shell::Assets {
    let manifest = site::manifest();
    if manifest.script.is_none() {
        tracing::warn!("this build has no site assets, so pages are unstyled; build with \"make build\"");
    }
    app::shell::Assets {
        script: manifest.script,
        wasm: manifest.wasm,
        loader: manifest.loader,
        parts: manifest.parts,
        stylesheet: manifest.stylesheet,
        hasher: manifest.hasher,
        reload: site::reload_options(),
    }
}

/// Prints the sign-in link of the first start.
async fn greet(lake: &Lake, address: SocketAddr, options: &ServeOptions) -> anyhow::Result<()> {
    if !lake.is_first_node() {
        // The link of the first one counts.
        return Ok(());
    }
    let Some(link) = lake.offer_first_sign_in().await? else { return Ok(()) };
    say(&format!("sign in once, within an hour, at http://{address}/sign-in/link?token={}", link.expose()));
    let place = match &options.data.metadata {
        Some(postgres) => format!("--metadata {}", postgres.shown()),
        None => format!("--data-dir {}", options.data.path.display()),
    };
    say(&format!("create a key with: lakeshore key create --name NAME {place}"));
    Ok(())
}
