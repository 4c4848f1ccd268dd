//! Shared parts of the client commands: connection, interruption and exit codes.

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

/// Prints a line for people to standard error; standard output is for the requested data.
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

/// [`connect`] for a command without progress output.
pub fn connect_plainly(options: &ConnectOptions, stop: CancellationToken) -> Result<Client, ClientError> {
    connect(options, stop, Arc::new(tell))
}

/// Token cancelled by Ctrl-C, SIGTERM or SIGHUP. A second Ctrl-C ends the process at once.
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

/// Exit code of a command, with its error printed.
pub fn end(result: Result<u8, ClientError>) -> ExitCode {
    match result {
        Ok(code) => ExitCode::from(code),
        Err(ClientError::OutputClosed) => ExitCode::from(DONE),
        Err(error) => {
            tell(&format!("lakeshore: {error}"));
            if let ClientError::Refused { code, .. } = error {
                advise(code);
            }
            ExitCode::from(error.exit_code())
        }
    }
}

/// Prints the remedy on the client's side for an error of the server.
pub fn advise(code: u32) {
    if code == ErrorCode::NoKey.number() {
        tell(&format!("set {KEY_VARIABLE}, or api_key in the config file, or give a key file with --api-key-file"));
    }
}

/// Treats a closed pipe (`lakeshore ls / | head`) as a regular end.
pub fn printed(result: io::Result<()>) -> Result<(), ClientError> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(ClientError::OutputClosed),
        result => result.map_err(|error| ClientError::local("cannot print", error)),
    }
}
