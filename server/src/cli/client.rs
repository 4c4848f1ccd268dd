//! What the commands of the client share: where the server is, who may end them, and how they end.

use crate::config::ConnectOptions;
use lakeshore::ErrorCode;
use lakeshore_client::call::{Client, Tell};
use lakeshore_client::error::{ClientError, DONE};
use lakeshore_client::retry::RetryPolicy;
use lakeshore_client::settings::{Given, KEY_VARIABLE, Settings};
use lakeshore_system::terminal;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A line on standard error, which is for people; standard output is for what was asked for.
pub fn tell(line: &str) {
    terminal::say(line);
}

pub fn connect(options: &ConnectOptions, stop: CancellationToken, tell: Tell) -> Result<Client, ClientError> {
    let given = Given {
        server: options.server.clone(),
        api_key_file: options.api_key_file.clone(),
        api_key: std::env::var(KEY_VARIABLE).ok(),
        config: options.config.clone(),
    };
    let settings = Settings::find(&given)?;
    for warning in &settings.warnings {
        tell(&format!("warning: {warning}"));
    }
    Client::new(settings, RetryPolicy { retry_for: options.retry_for, stop }, tell)
}

/// The same, for a command that shows no progress.
pub fn connect_plainly(options: &ConnectOptions, stop: CancellationToken) -> Result<Client, ClientError> {
    connect(options, stop, Arc::new(tell))
}

/// Cancelled by Ctrl-C, SIGTERM or SIGHUP. A second Ctrl-C ends the process where it is.
pub fn interruption() -> Result<CancellationToken, ClientError> {
    let listen = |kind| signal(kind).map_err(|error| ClientError::local("cannot handle signals", error));
    let mut interrupt = listen(SignalKind::interrupt())?;
    let (mut terminate, mut hangup) = (listen(SignalKind::terminate())?, listen(SignalKind::hangup())?);
    let stop = CancellationToken::new();
    let told = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
        told.cancel();
        interrupt.recv().await;
        std::process::exit(i32::from(lakeshore_client::error::INTERRUPTED));
    });
    Ok(stop)
}

/// The end of a command that has told all that there is to tell, or of one that failed.
pub fn end(result: Result<u8, ClientError>) -> ExitCode {
    match result {
        Ok(code) => ExitCode::from(code),
        Err(ClientError::Unread) => ExitCode::from(DONE),
        Err(error) => {
            tell(&format!("lakeshore: {error}"));
            if let ClientError::Refused { code, .. } = error {
                advise(code);
            }
            ExitCode::from(error.exit_code())
        }
    }
}

/// What can be done here about a refusal, beside what the server says.
pub fn advise(code: u32) {
    if code == ErrorCode::NoKey.number() {
        tell(&format!("set {KEY_VARIABLE}, or api_key in the config file, or give a key file with --api-key-file"));
    }
}

/// A closed pipe (`lakeshore ls / | head`) is an end like another.
pub fn printed(result: io::Result<()>) -> Result<(), ClientError> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(ClientError::Unread),
        result => result.map_err(|error| ClientError::local("cannot print", error)),
    }
}
