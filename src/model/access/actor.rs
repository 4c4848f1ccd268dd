//! Actors: who did something, with which credentials and from where.

use crate::model::access::role::Role;
use crate::model::id::{KeyId, SessionId};
use serde::{Deserialize, Serialize};

/// Credentials by which an actor was recognised.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, strum::IntoStaticStr, strum::EnumString,
)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum AuthMethod {
    /// A key sent with the request.
    Key,
    /// A signed-in browser.
    Session,
    /// The command `lakeshore` beside the data folder.
    CommandLine,
    /// A rule of the lake acted by itself.
    Lake,
    /// No known credentials.
    #[default]
    Nothing,
}

impl AuthMethod {
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// Source of a request, as far as known.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Origin {
    /// Peer address of the connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Client named by a proxy. Untrusted: a client that connects directly can write anything here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forwarded_for: Option<String>,
    /// Name that the program gives itself (RFC 9110, `User-Agent`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
}

/// Details that distinguish actors of the same name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Trace {
    pub means: AuthMethod,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_id: Option<KeyId>,
    /// Session that was used; not stored.
    #[serde(skip)]
    pub session_id: Option<SessionId>,
    #[serde(flatten)]
    pub origin: Origin,
}

/// Actor of an action.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Actor {
    /// Name of the key; empty for the lake itself, and for callers without a key.
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    #[serde(flatten)]
    pub trace: Trace,
}

impl Actor {
    /// Actor for rules of the lake.
    pub fn lake() -> Self {
        Self { trace: Trace { means: AuthMethod::Lake, ..Trace::default() }, ..Self::default() }
    }

    /// Actor for commands, which have access to the data folder.
    pub fn command_line() -> Self {
        let trace = Trace { means: AuthMethod::CommandLine, ..Trace::default() };
        Self { name: "command line".to_owned(), role: None, trace }
    }

    /// Actor for a caller without valid credentials.
    pub fn nobody(origin: Origin) -> Self {
        Self { trace: Trace { origin, ..Trace::default() }, ..Self::default() }
    }
}
