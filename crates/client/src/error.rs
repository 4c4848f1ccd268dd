//! Errors of the client's commands, and their exit codes for scripts.

use lakeshore::ErrorCode;
use serde_json::Value;
use std::time::Duration;

/// Success.
pub const DONE: u8 = 0;
/// Some files failed, the sync is not published, or the folder differs from `--expect`.
pub const FAILED: u8 = 1;
/// The command line, the config file or the key file is wrong: nothing was begun. (clap exits with the same code.)
const USAGE: u8 = 2;
/// The server refused the key, the path or the change.
const REFUSED: u8 = 3;
/// All files were sent, and the shrink guard holds the sync.
pub const HELD: u8 = 4;
/// The server could not be reached within `--retry-for`.
const UNREACHABLE: u8 = 5;
/// Ctrl-C, SIGTERM or SIGHUP; shells report the same code after SIGINT.
pub const INTERRUPTED: u8 = 130;

/// Table of the exit codes, for `--help`; `docs/reference/command-line.md` has the same.
pub const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    some files failed, the sync was not published, or the folder does not match --expect
       and nothing was sent
  2    the command line, the config file or the key file is not valid; nothing was sent
  3    the server refused the request
  4    the files were sent, and the shrink guard or a schema policy holds the sync
  5    the server could not be reached
  130  interrupted; run the same command again to resume";

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("{0}")]
    Usage(String),
    /// A refusal in the server's words, which name the remedy.
    #[error("the server refused: {msg} (code {code})")]
    Refused {
        code: u32,
        msg: String,
        data: Value,
        /// Earliest time of the next attempt, if the answer names it.
        retry_after: Option<Duration>,
    },
    #[error("cannot reach {server}: {cause}")]
    Unreachable { server: String, cause: String },
    /// TLS failed, for example by a certificate that this machine does not trust: waiting does not help.
    #[error("cannot trust {server}: {cause}; {remedy}")]
    Untrusted { server: String, cause: String, remedy: &'static str },
    /// The answer is not from Lakeshore, or from another version.
    #[error("{0}")]
    Unexpected(String),
    /// A fault of local files or the state folder.
    #[error("{0}")]
    Local(String),
    #[error("interrupted")]
    Interrupted,
    /// Standard output is a closed pipe, for example after `head`.
    #[error("the output was closed by its reader")]
    OutputClosed,
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
            Self::OutputClosed => DONE,
        }
    }

    /// A refusal with only its code and message.
    pub fn refused(code: u32, msg: impl Into<String>) -> Self {
        Self::Refused { code, msg: msg.into(), data: Value::Null, retry_after: None }
    }

    /// Pause that the server asks for.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    pub fn is_refusal(&self, wanted: ErrorCode) -> bool {
        matches!(self, Self::Refused { code, .. } if *code == wanted.number())
    }

    /// Whether the same call may succeed soon: the server is away, starting, stopping or busy.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            // Timeout, too early, too many requests (RFC 9110, RFC 6585), and a proxy's answers for a server that is
            // away. 423 is from tus: another request still writes to this upload.
            Self::Refused { code, .. } => {
                matches!(code / 100, 408 | 423 | 425 | 429 | 502 | 503 | 504)
            }
            _ => false,
        }
    }
}
