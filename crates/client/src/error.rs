//! What can keep a command of the client from its end, and the exit code that says so to a script.

use lakeshore::ErrorCode;
use serde_json::Value;
use std::time::Duration;

/// Done.
pub const DONE: u8 = 0;
/// Some files failed, what was sent is not published, or the folder is not what `--expect` says.
pub const FAILED: u8 = 1;
/// The command line, the config file or the key file is wrong: nothing was begun. (clap ends with the same.)
pub const USAGE: u8 = 2;
/// The server refused: the key, a conflict, a path.
pub const REFUSED: u8 = 3;
/// The files are there, and the guard against an empty reload holds the sync.
pub const HELD: u8 = 4;
/// The server could not be reached, or not for as long as `--retry-for` said.
pub const UNREACHABLE: u8 = 5;
/// Ctrl-C, SIGTERM or SIGHUP: what a shell makes of an end by SIGINT.
pub const INTERRUPTED: u8 = 130;

/// The table of the codes, for `--help`; `docs/reference/command-line.md` has the same.
pub const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    some files failed, the sync was not published, or the folder does not match --expect
       and nothing was sent
  2    the command line, the config file or the key file is not valid; nothing was sent
  3    the server refused the request
  4    the files were sent, and the shrink guard holds the sync
  5    the server could not be reached
  130  interrupted; run the same command again to resume";

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("{0}")]
    Usage(String),
    /// A refusal in the words of the server, which say what to do.
    #[error("the server refused: {msg} (code {code})")]
    Refused {
        code: u32,
        msg: String,
        data: Value,
        /// When to come back at the earliest, where the answer says so.
        retry_after: Option<Duration>,
    },
    #[error("cannot reach {server}: {cause}")]
    Unreachable { server: String, cause: String },
    /// TLS with it fails, as when its certificate is not one that this machine trusts: waiting does not help.
    #[error("cannot trust {server}: {cause}; {remedy}")]
    Untrusted { server: String, cause: String, remedy: &'static str },
    /// Something that is not Lakeshore, or not this version of it.
    #[error("{0}")]
    Unexpected(String),
    /// The files of this machine, or the state folder.
    #[error("{0}")]
    Local(String),
    #[error("interrupted")]
    Interrupted,
    /// Standard output is a pipe that was closed, as by `head`.
    #[error("the output was closed by its reader")]
    Unread,
}

impl ClientError {
    pub fn local(doing: impl std::fmt::Display, cause: impl std::fmt::Display) -> Self {
        Self::Local(format!("{doing}: {cause}"))
    }

    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => USAGE,
            Self::Refused { .. } | Self::Unexpected(_) => REFUSED,
            Self::Unreachable { .. } | Self::Untrusted { .. } => UNREACHABLE,
            Self::Local(_) => FAILED,
            Self::Interrupted => INTERRUPTED,
            Self::Unread => DONE,
        }
    }

    /// A refusal that says no more than its code and its words.
    pub fn refused(code: u32, msg: impl Into<String>) -> Self {
        Self::Refused { code, msg: msg.into(), data: Value::Null, retry_after: None }
    }

    /// How long the server asks to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    pub fn is_refusal(&self, wanted: ErrorCode) -> bool {
        matches!(self, Self::Refused { code, .. } if *code == wanted.number())
    }

    /// True when the same call may succeed in a moment: the server is away, starts, stops, or is busy.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            // RFC 9110 and RFC 6585: timeout, too early, too many requests, and what a proxy says for a server that is
            // away. 423 is tus's: another request still writes to this upload.
            Self::Refused { code, .. } => {
                matches!(code / 100, 408 | 423 | 425 | 429 | 502 | 503 | 504)
            }
            _ => false,
        }
    }
}
