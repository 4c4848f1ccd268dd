//! Log of the server: lines on standard error, without a file.
//!
//! No filter reveals a secret. Keys, sign-in links, cookies and upload tokens pass through foreign crates, which may
//! trace whole headers and bodies; so events of foreign crates are limited to [`FOREIGN_MAX`], whatever `--log`
//! requests. Our crates log a request by its method and route (`lakeshore_http::trace`), never by its URL.
//!
//! No value can forge a line or reach a terminal unescaped: all pass through [`visible`].

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

/// Crates of this project, as prefixes of log targets.
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
/// Most verbose level of foreign crates: events without data.
const FOREIGN_MAX: Level = Level::INFO;

#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("--log: {0}; write a level, such as info, or a filter, such as lakeshore=debug")]
    Filter(#[from] ParseError),
    #[error("cannot start logging: {0}")]
    Init(#[from] TryInitError),
}

/// Starts logging to standard error.
#[expect(clippy::disallowed_methods, reason = "the log escapes control characters itself, in `write_field`")]
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
        // Fields in which `log` records describe themselves.
        name if name.starts_with("log.") => Ok(()),
        name => write!(writer, "{name}={}", visible(&value)),
    }
}
