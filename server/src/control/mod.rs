//! Control socket: commands beside a process that has the database. Only one process has it at a time, so that process
//! performs them: it listens on a Unix socket in the data folder, and the command sends its request there and prints
//! the reply. If no process has the database, the command opens it, and performs the same request by the same code
//! (`cli::administration`).
//!
//! A message is a line of JSON. The listener sends first ([`Hello`]): a command that receives nothing has changed
//! nothing, and retries, as the server may be ending or starting.

mod caller;
mod listener;

pub use caller::{ControlError, Reached, ServerConnection, reach};
pub use listener::Listener;

use lakeshore::model::access::key::NewKey;
use rustix::fs::{CWD, Mode, OFlags, openat};
use serde::{Deserialize, Serialize};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Name of the socket in the data folder.
const SOCKET: &str = "lakeshore.sock";
/// Incremented with each change of the messages that an older program would misread.
const PROTOCOL: u32 = 1;
/// Maximum bytes of a message. The longest is a list of all sessions.
const MESSAGE_BYTES_MAX: u64 = 16 << 20;
/// Maximum bytes of a socket name: `sun_path` of unix(7), with its NUL.
const SOCKET_NAME_BYTES_MAX: usize = 107;

/// First message of the listener.
#[derive(Debug, Serialize, Deserialize)]
struct Hello {
    protocol: u32,
    /// Version of the program, for people.
    version: String,
}

/// Request of a command.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    CreateKey(NewKey),
    ListKeys,
    /// By id or name.
    RevokeKey(String),
    ListSessions,
    EndSessions(WantedSessions),
    /// A copy of the database, whose bytes follow the reply.
    Copy,
}

/// Sessions as named on the command line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WantedSessions {
    One(u64),
    OfKey(String),
    All,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    /// Output of the command.
    Done(String),
    /// Error message of the command.
    Refused(String),
    /// Number of bytes that follow.
    Copy(u64),
}

/// Calls `with` a path of the socket that fits into an address, however long the path of the folder is.
fn with_socket<T>(data_dir: &Path, with: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let path = data_dir.join(SOCKET);
    if path.as_os_str().len() <= SOCKET_NAME_BYTES_MAX {
        return with(&path);
    }
    let folder = openat(CWD, data_dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    with(&PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd())))
}

async fn send(to: &mut (impl AsyncWrite + Unpin), message: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    to.write_all(&line).await?;
    to.flush().await
}

/// Next message, complete; `None` if the other side has closed the connection.
async fn receive(from: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    from.take(MESSAGE_BYTES_MAX).read_until(b'\n', &mut line).await?;
    Ok(Some(line).filter(|line| line.ends_with(b"\n")))
}
