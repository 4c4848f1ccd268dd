//! Client side of the control socket.

use super::{Answer, Hello, PROTOCOL, Request, receive, send, with_socket};
use crate::config::DataDir;
use lakeshore_metadata::sqlite::{OpenError, Turn};
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWrite, BufReader};
use tokio::net::UnixStream;

/// Pause between two attempts to take or reach the database.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Attempts before a message says what the command waits for: about two seconds.
const SAID_AFTER: u32 = 100;
/// Attempts before the command fails: about two minutes. A start that migrates a large database may take longer.
const LOOKS_MAX: u32 = 6000;

#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(
        "cannot reach the server of this data folder at its socket {}: {source}; run this command as the user of the server",
        socket.display()
    )]
    Unreachable { socket: PathBuf, source: io::Error },
    #[error(
        "the server of this data folder is lakeshore {theirs}, which does not match this program, {}; use the program of the server, or restart the server with this one",
        env!("CARGO_PKG_VERSION")
    )]
    OtherProtocol { theirs: String },
    #[error(
        "another process has the database of this data folder, and does not listen at {}; it may be starting, making a backup, or its file system takes no sockets: try again later, or stop it",
        socket.display()
    )]
    Silent { socket: PathBuf },
    #[error(
        "the server stopped before it answered, and may have completed the command; check with \"lakeshore key list\""
    )]
    Unanswered,
    #[error("the server stopped during the copy; try again")]
    Torn,
    #[error("cannot write the copy: {0}")]
    Write(#[source] io::Error),
    /// Refused by the server, with its message.
    #[error("{0}")]
    Refused(String),
}

/// Process that performs a command.
pub enum Reached {
    /// This process, which has the database exclusively.
    Own(Turn),
    Server(ServerConnection),
}

/// Connection to a process that has the database and listens.
pub struct ServerConnection(BufReader<UnixStream>);

/// Takes the database, or connects to the process that has it. Waits while that process neither listens nor ends.
pub async fn reach(data: &DataDir) -> Result<Reached, ControlError> {
    let database = data.database();
    for look in 0..LOOKS_MAX {
        if let Some(turn) = Turn::attempt(&database)? {
            return Ok(Reached::Own(turn));
        }
        if let Some(server) = ServerConnection::open(data).await? {
            return Ok(Reached::Server(server));
        }
        if look == SAID_AFTER {
            Turn::say_waiting(&database);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Err(ControlError::Silent { socket: data.path.join(super::SOCKET) })
}

impl ServerConnection {
    /// `None` if no process listens, or if it is about to end.
    async fn open(data: &DataDir) -> Result<Option<Self>, ControlError> {
        // Succeeds or fails at once: the listener's queue is in the kernel.
        let connected = with_socket(&data.path, |path| std::os::unix::net::UnixStream::connect(path));
        let stream = match connected.and_then(|stream| {
            stream.set_nonblocking(true)?;
            UnixStream::from_std(stream)
        }) {
            Ok(stream) => stream,
            Err(error) if is_gone(&error) => return Ok(None),
            Err(source) => return Err(ControlError::Unreachable { socket: data.path.join(super::SOCKET), source }),
        };
        let mut server = Self(BufReader::new(stream));
        let line = match receive(&mut server.0).await {
            Ok(Some(line)) => line,
            Ok(None) => return Ok(None),
            Err(error) if is_gone(&error) => return Ok(None),
            Err(source) => return Err(ControlError::Unreachable { socket: data.path.join(super::SOCKET), source }),
        };
        match serde_json::from_slice(&line) {
            Ok(Hello { protocol: PROTOCOL, .. }) => Ok(Some(server)),
            Ok(Hello { version, .. }) => Err(ControlError::OtherProtocol { theirs: version }),
            Err(_) => Err(ControlError::OtherProtocol { theirs: "of an unknown version".into() }),
        }
    }

    /// Sends a command, and returns its output.
    pub async fn ask(mut self, request: &Request) -> Result<String, ControlError> {
        match self.answer(request).await? {
            Answer::Done(output) => Ok(output),
            Answer::Refused(words) => Err(ControlError::Refused(words)),
            Answer::Copy(_) => Err(ControlError::Unanswered),
        }
    }

    /// Writes a copy of the database.
    pub async fn copy(mut self, to: &mut (impl AsyncWrite + Unpin)) -> Result<(), ControlError> {
        let bytes = match self.answer(&Request::Copy).await? {
            Answer::Copy(bytes) => bytes,
            Answer::Refused(words) => return Err(ControlError::Refused(words)),
            Answer::Done(_) => return Err(ControlError::Torn),
        };
        let copied = tokio::io::copy(&mut self.0.take(bytes), to).await.map_err(ControlError::Write)?;
        if copied == bytes { Ok(()) } else { Err(ControlError::Torn) }
    }

    async fn answer(&mut self, request: &Request) -> Result<Answer, ControlError> {
        let unanswered = |_| ControlError::Unanswered;
        send(self.0.get_mut(), request).await.map_err(unanswered)?;
        let line = receive(&mut self.0).await.map_err(unanswered)?.ok_or(ControlError::Unanswered)?;
        serde_json::from_slice(&line).map_err(|_| ControlError::Unanswered)
    }
}

fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset, NotFound, WouldBlock};
    // A blocking connect waits while the queue is full; an interrupted one is retried.
    matches!(
        error.kind(),
        NotFound | ConnectionRefused | ConnectionReset | BrokenPipe | WouldBlock | io::ErrorKind::Interrupted
    )
}
