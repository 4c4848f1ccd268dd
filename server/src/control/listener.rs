//! Server side of the control socket.

use super::{Answer, Hello, PROTOCOL, Request, SOCKET, receive, send, with_socket};
use crate::cli::administration;
use lakeshore_metadata::sqlite::{SqliteState, remove_unfinished_copies};
use lakeshore_metadata::store::Store;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, openat, unlinkat};
use rustix::process::geteuid;
use std::fs::{File, Permissions, remove_file, set_permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Concurrent commands; more wait.
const COMMANDS_MAX: usize = 16;
/// Timeout for a request, which a command sends at once.
const REQUEST_MAX: Duration = Duration::from_secs(10);
/// Time for running commands to end at a stop. A copy of the database may take longer, and is cancelled.
const STOP_MAX: Duration = Duration::from_secs(5);
/// Pause after the socket could not be made.
const BIND_PAUSE: Duration = Duration::from_secs(2);
/// Pause after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Listens for commands from [`Listener::start`] to [`Listener::close`].
pub struct Listener {
    stopping: CancellationToken,
    listening: JoinHandle<()>,
    commands: TaskTracker,
}

/// Runs commands on the open database.
#[derive(Clone)]
struct CommandHandler {
    state: SqliteState,
    data_dir: Arc<PathBuf>,
    /// One copy at a time: each takes as much space as the database.
    copies: Arc<Semaphore>,
}

impl Listener {
    /// Only where the database is this process's alone: on PostgreSQL, commands need nobody.
    pub fn start_if_needed(data_dir: &Path, store: &Store) -> Option<Self> {
        match store {
            Store::Sqlite(state) => Some(Self::start(data_dir, state)),
            Store::Postgres(_) => None,
        }
    }

    /// Only for the process that has the database, and so may replace the socket of an earlier one.
    fn start(data_dir: &Path, state: &SqliteState) -> Self {
        if let Err(error) = remove_unfinished_copies(data_dir) {
            tracing::warn!(%error, "cannot remove an unfinished copy of the database");
        }
        // Bound at once, so that commands are served as soon as the server reports that it is ready.
        let bound = bind(data_dir);
        let (stopping, commands) = (CancellationToken::new(), TaskTracker::new());
        let handler = CommandHandler {
            state: state.clone(),
            data_dir: Arc::new(data_dir.to_owned()),
            copies: Arc::new(Semaphore::new(1)),
        };
        let listening = tokio::spawn(run(bound, handler, stopping.clone(), commands.clone()));
        Self { stopping, listening, commands }
    }

    /// Waits for running commands. Must be called while this process still has the database.
    pub async fn close(self) {
        self.stopping.cancel();
        let _ = self.listening.await;
        self.commands.close();
        let _ = tokio::time::timeout(STOP_MAX, self.commands.wait()).await;
    }
}

/// A listening socket. Drop removes its name from the folder where it was made, even if that was moved since.
struct Bound {
    listener: UnixListener,
    folder: OwnedFd,
}

impl Drop for Bound {
    fn drop(&mut self) {
        let _ = unlinkat(&self.folder, SOCKET, AtFlags::empty());
    }
}

fn bind(data_dir: &Path) -> io::Result<Bound> {
    let folder = openat(CWD, data_dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let listener = with_socket(data_dir, |path| {
        // Left by a kill. A file of another kind stays, and prevents listening.
        if path.symlink_metadata().is_ok_and(|found| found.file_type().is_socket()) {
            remove_file(path)?;
        }
        let listener = net::UnixListener::bind(path)?;
        // Clients that connect before this are checked by their uid.
        set_permissions(path, Permissions::from_mode(0o600))?;
        Ok(listener)
    })?;
    listener.set_nonblocking(true)?;
    Ok(Bound { listener: UnixListener::from_std(listener)?, folder })
}

/// Listens as soon as the socket can be made: a full disk may have no space for its name.
async fn run(
    mut bound: io::Result<Bound>,
    handler: CommandHandler,
    stopping: CancellationToken,
    commands: TaskTracker,
) {
    let mut is_told = false;
    loop {
        match bound {
            Ok(bound) => return listen(&bound.listener, handler, stopping, commands).await,
            Err(error) if !is_told => {
                tracing::warn!(
                    %error,
                    "cannot create the socket for commands such as \"key create\" in the data folder; retrying"
                );
                is_told = true;
            }
            Err(_) => {}
        }
        tokio::select! {
            () = tokio::time::sleep(BIND_PAUSE) => {}
            () = stopping.cancelled() => return,
        }
        bound = bind(&handler.data_dir);
    }
}

async fn listen(listener: &UnixListener, handler: CommandHandler, stopping: CancellationToken, commands: TaskTracker) {
    let places = Arc::new(Semaphore::new(COMMANDS_MAX));
    loop {
        let place = tokio::select! {
            place = places.clone().acquire_owned() => place,
            () = stopping.cancelled() => return,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopping.cancelled() => return,
        };
        match accepted {
            Ok((connection, _)) if is_own(&connection) => {
                let handler = handler.clone();
                commands.spawn(async move {
                    if let Err(error) = handler.answer(connection).await {
                        tracing::debug!(%error, "a command went away");
                    }
                    drop(place);
                });
            }
            Ok(_) => tracing::warn!("refused a command from another user on the socket of the data folder"),
            Err(error) => {
                tracing::debug!(%error, "cannot receive a command");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Users that may read the database: its owner, and root.
fn is_own(connection: &UnixStream) -> bool {
    connection.peer_cred().is_ok_and(|peer| peer.uid() == 0 || peer.uid() == geteuid().as_raw())
}

impl CommandHandler {
    async fn answer(&self, connection: UnixStream) -> io::Result<()> {
        let (read, mut write) = connection.into_split();
        let hello = Hello { protocol: PROTOCOL, version: env!("CARGO_PKG_VERSION").to_owned() };
        send(&mut write, &hello).await?;
        let mut read = BufReader::new(read);
        let Some(line) = tokio::time::timeout(REQUEST_MAX, receive(&mut read)).await?? else { return Ok(()) };
        let request = match serde_json::from_slice(&line) {
            Ok(request) => request,
            Err(error) => {
                let version = env!("CARGO_PKG_VERSION");
                let words = format!("the server, lakeshore {version}, does not support this command: {error}");
                return send(&mut write, &Answer::Refused(words)).await;
            }
        };
        if matches!(request, Request::Copy) {
            return self.copy(&mut read, &mut write).await;
        }
        let answer = match administration::perform(&request, &self.state).await {
            Ok(output) => Answer::Done(output),
            Err(error) => Answer::Refused(format!("{error:#}")),
        };
        send(&mut write, &answer).await
    }

    async fn copy(&self, read: &mut (impl AsyncRead + Unpin), write: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        let copying = async {
            let _turn = self.copies.acquire().await;
            self.state.copy_unnamed(&self.data_dir).await
        };
        let mut ignored = tokio::io::sink();
        let copied = tokio::select! {
            copied = copying => copied,
            // A waiting command sends nothing more.
            _ = tokio::io::copy(read, &mut ignored) => return Ok(()),
        };
        match copied.map_err(anyhow::Error::new).and_then(|file| Ok((file.metadata()?.len(), file))) {
            Ok((bytes, file)) => self.send_file(file, bytes, write).await,
            Err(error) => send(write, &Answer::Refused(format!("{error:#}"))).await,
        }
    }

    async fn send_file(&self, file: File, bytes: u64, write: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        send(write, &Answer::Copy(bytes)).await?;
        tokio::io::copy(&mut tokio::fs::File::from_std(file), write).await?;
        write.shutdown().await
    }
}
