//! Who did something, by which credentials and from where.

use crate::model::access::role::Role;
use crate::model::id::{KeyId, SessionId};
use serde::{Deserialize, Serialize};

/// What somebody was recognised by.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, strum::IntoStaticStr, strum::EnumString,
)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum AuthMethod {
    /// A key sent along with the call.
    Key,
    /// A browser that has signed in.
    Session,
    /// The command `lakeshore` beside the data folder.
    CommandLine,
    /// Nobody asked: a rule of the lake did it.
    Lake,
    /// Nothing that the lake knows.
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

/// Where a request came from, as far as it tells.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Origin {
    /// The other end of the connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Whom a proxy says that it asks for. Whoever connects without one can write anything here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forwarded_for: Option<String>,
    /// What the program calls itself (RFC 9110, `User-Agent`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
}

/// What tells one caller from another of the same name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Trace {
    pub means: AuthMethod,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_id: Option<KeyId>,
    /// By which session; not remembered.
    #[serde(skip)]
    pub session_id: Option<SessionId>,
    #[serde(flatten)]
    pub origin: Origin,
}

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Actor {
    /// The name of the key; empty for the lake itself, and for whoever has none.
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    #[serde(flatten)]
    pub trace: Trace,
}

impl Actor {
    /// A rule of the lake.
    pub fn lake() -> Self {
        Self { trace: Trace { means: AuthMethod::Lake, ..Trace::default() }, ..Self::default() }
    }

    /// Whoever holds the data folder.
    pub fn command_line() -> Self {
        let trace = Trace { means: AuthMethod::CommandLine, ..Trace::default() };
        Self { name: "command line".to_owned(), role: None, trace }
    }

    /// Somebody who was not recognised.
    pub fn nobody(origin: Origin) -> Self {
        Self { trace: Trace { origin, ..Trace::default() }, ..Self::default() }
    }
}
