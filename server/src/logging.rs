//! The server's log: lines on standard error, and no file of its own.
//!
//! No filter reveals a secret. Keys, sign-in links, cookies and the tokens of uploads pass through other people's crates, which may
//! trace whole heads and bodies; so, whatever `--log` asks for, [`FOREIGN_MAX`] is the most that is taken from a crate that is not ours.
//! Ours name a request by its method and its route (`lakeshore_http::trace`), never by its address.
//!
//! No value forges a line or reaches a terminal raw: each goes through [`visible`].

use lakeshore_system::terminal::visible;
use std::fmt::{self, Debug};
use tracing::field::Field;
use tracing::{Level, Metadata};
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::{FilterExt, ParseError, filter_fn};
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Layer};

/// The crates of this project, by the beginning of their targets.
const OWN: [&str; 10] = [
    "app",
    "lakeshore",
    "lakeshore_body",
    "lakeshore_client",
    "lakeshore_formats",
    "lakeshore_http",
    "lakeshore_metadata",
    "lakeshore_storage",
    "lakeshore_system",
    "server",
];
/// From other crates: what happened, never what went by.
const FOREIGN_MAX: Level = Level::INFO;

#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("--log: {0}; write a level, such as info, or a filter, such as lakeshore=debug")]
    Filter(#[from] ParseError),
    #[error("cannot start logging: {0}")]
    Init(#[from] TryInitError),
}

/// Logs to standard error from now on.
#[allow(clippy::disallowed_methods)]
pub fn start(filter: &str) -> Result<(), LogError> {
    let wanted = EnvFilter::try_new(filter)?;
    let lines = tracing_subscriber::fmt::layer()
        .fmt_fields(debug_fn(write_field).delimited(" "))
        .with_writer(std::io::stderr)
        .with_ansi(lakeshore_system::terminal::is_watched())
        .with_filter(wanted.and(filter_fn(may_be_logged)));
    Ok(tracing_subscriber::registry().with(lines).try_init()?)
}

fn may_be_logged(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    let is_of = |own: &str| target.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    OWN.into_iter().any(is_of) || *metadata.level() <= FOREIGN_MAX
}

fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> fmt::Result {
    let value = format!("{value:?}");
    match field.name() {
        "message" => write!(writer, "{}", visible(&value)),
        // How `log` records name themselves.
        name if name.starts_with("log.") => Ok(()),
        name => write!(writer, "{name}={}", visible(&value)),
    }
}
