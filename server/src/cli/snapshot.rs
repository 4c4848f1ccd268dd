//! Implementation of `lakeshore snapshot`: a version in a folder of its own, for readers on the machine of the lake. It
//! is taken, renewed, dropped, or used by one command.

use super::client::{connect_plainly, end, interruption, printed, tell};
use super::moment::moment;
use crate::config::SnapshotOptions;
use lakeshore::model::snapshot_requests::ListedSnapshot;
use lakeshore_client::call::Client;
use lakeshore_client::error::{ClientError, DONE, INTERRUPTED};
use lakeshore_system::terminal::{self, json_line, line};
use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

const ADDRESS: &str = "/api/lake/dataset/snapshot";
/// Placeholder of the folder in the arguments of a command; the environment variable has it too.
const PLACE: &str = "{}";
const VARIABLE: &str = "LAKESHORE_SNAPSHOT";
/// Exit code of a command ended by a signal, to which shells add its number.
const SIGNALLED: i32 = 128;
/// Longest time to drop a snapshot after its command ended.
const DROP_MAX: Duration = Duration::from_secs(5);

#[derive(Debug, Serialize, Deserialize)]
struct Taken {
    #[serde(flatten)]
    snapshot: ListedSnapshot,
    /// Absolute path of the folder on the server's machine.
    absolute: String,
}

pub async fn run(options: &SnapshotOptions) -> ExitCode {
    end(snapshot(options).await)
}

async fn snapshot(options: &SnapshotOptions) -> Result<u8, ClientError> {
    if options.exec {
        return exec(options).await;
    }
    let client = connect_plainly(&options.connect, interruption()?)?;
    if let Some(named) = &options.drop {
        drop_it(&client, &token(named)?).await?;
        return Ok(DONE);
    }
    if let Some(named) = &options.renew {
        let taken = renew(&client, &token(named)?, options.lifetime).await?;
        show(options, &taken)?;
        return Ok(DONE);
    }
    let taken = take(&client, options).await?;
    show(options, &taken)?;
    Ok(DONE)
}

async fn take(client: &Client, options: &SnapshotOptions) -> Result<Taken, ClientError> {
    let Some(path) = &options.path else {
        return Err(ClientError::Usage("name a dataset to take a snapshot of, or one to --renew or to --drop".into()));
    };
    let body = json!({
        "path": path, "version": options.version, "as_of": options.as_of, "for": length(options.lifetime),
    });
    // Not retried after a lost response: a snapshot taken then expires.
    client.call(client.request(Method::POST, ADDRESS).json(&body)).await
}

/// Signals of the command, from before the snapshot is taken until it is dropped: none of them ends this process before.
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    fn listen() -> Result<Self, ClientError> {
        let listen = |kind| signal(kind).map_err(|error| ClientError::local("cannot handle signals", error));
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// The next signal, as one to pass on to the command; `None` for Ctrl-C, which reaches it by the terminal.
    async fn next(&mut self) -> Option<Signal> {
        tokio::select! {
            _ = self.interrupt.recv() => None,
            _ = self.terminate.recv() => Some(Signal::TERM),
            _ = self.hangup.recv() => Some(Signal::HUP),
        }
    }
}

/// Takes a snapshot, runs the command with it, and drops it, even when the command was interrupted.
async fn exec(options: &SnapshotOptions) -> Result<u8, ClientError> {
    let mut signals = Signals::listen()?;
    let client = connect_plainly(&options.connect, CancellationToken::new())?;
    let taken = tokio::select! {
        taken = take(&client, options) => taken?,
        // A snapshot taken all the same expires.
        _ = signals.next() => return Ok(INTERRUPTED),
    };
    let ran = lend(&client, options, &taken, &mut signals).await;
    // The exit code is that of the command, whatever becomes of the snapshot, which expires in any case.
    let dropped = drop_it(&client, taken.snapshot.snapshot.as_str());
    match tokio::time::timeout(DROP_MAX, dropped).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tell(&format!("warning: the snapshot could not be dropped, and will expire: {error}")),
        Err(_) => tell("warning: the snapshot could not be dropped, as the server does not answer; it will expire"),
    }
    ran
}

fn length(lifetime: Duration) -> String {
    humantime::format_duration(lifetime).to_string()
}

fn show(options: &SnapshotOptions, taken: &Taken) -> Result<(), ClientError> {
    if options.json {
        return printed(json_line(&mut terminal::output(), taken));
    }
    let ListedSnapshot { snapshot, path, version, expires_at, .. } = &taken.snapshot;
    let until = moment(Some(*expires_at), "-");
    tell(&format!(
        "version {version} of {path}, kept until {until}; drop it with \"lakeshore snapshot --drop {snapshot}\""
    ));
    printed(line(&mut terminal::output(), &taken.absolute))
}

/// Token of a snapshot that is given by its name or folder.
fn token(named: &str) -> Result<String, ClientError> {
    const FOLDER: &str = ".lakeshore/snapshots/";
    let is_token = |part: &&str| part.len() == 32 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    // Folders above the lake, and the dataset below, may be named like a token.
    let in_folder = named.rsplit_once(FOLDER).and_then(|(_, below)| below.split('/').next()).filter(is_token);
    in_folder
        .or_else(|| named.split('/').rfind(is_token))
        .map(str::to_owned)
        .ok_or_else(|| ClientError::Usage(format!("{named:?} is neither the name of a snapshot nor its folder")))
}

async fn renew(client: &Client, token: &str, lifetime: Duration) -> Result<Taken, ClientError> {
    let address = format!("{ADDRESS}/{token}");
    let body = json!({ "for": length(lifetime) });
    client.persistently(async || client.call(client.request(Method::PATCH, &address).json(&body)).await).await
}

async fn drop_it(client: &Client, token: &str) -> Result<(), ClientError> {
    let address = format!("{ADDRESS}/{token}");
    let _: Value = client.persistently(async || client.call(client.request(Method::DELETE, &address)).await).await?;
    Ok(())
}

/// Runs the command with the snapshot, and renews it meanwhile. Returns the exit code of the command. SIGTERM and SIGHUP are
/// passed on to it; Ctrl-C reaches it by the terminal.
async fn lend(
    client: &Client,
    options: &SnapshotOptions,
    taken: &Taken,
    signals: &mut Signals,
) -> Result<u8, ClientError> {
    let Some((program, arguments)) = options.command.split_first() else {
        return Err(ClientError::Usage("--exec needs a command; write it after --".into()));
    };
    if !Path::new(&taken.absolute).is_dir() {
        return Err(ClientError::Local(format!(
            "the snapshot is {} on the machine of the server, and is not there on this one; run the command there, or use \"lakeshore get\"",
            taken.absolute
        )));
    }
    let filled = |argument: &String| argument.replace(PLACE, &taken.absolute);
    let mut command = Command::new(filled(program));
    command.args(arguments.iter().map(filled)).env(VARIABLE, &taken.absolute);
    let mut child = command.spawn().map_err(|error| ClientError::local(format!("cannot run {program}"), error))?;
    // The process is not reaped before `wait` returns, so the number stays its own.
    let process = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pass_on = |signal| process.map(|process| kill_process(process, signal));
    let mut ended = tokio::task::spawn_blocking(move || child.wait());
    // Beside the waiting, so that the end of the command is noticed while a renewal is retried.
    let renewing = keep(client, taken.snapshot.snapshot.as_str(), options.lifetime);
    tokio::pin!(renewing);
    loop {
        tokio::select! {
            ended = &mut ended => {
                let status = ended.map_err(std::io::Error::other).flatten();
                return status.map(code_of).map_err(|error| ClientError::local(format!("cannot wait for {program}"), error));
            }
            received = signals.next() => drop(received.and_then(pass_on)),
            () = &mut renewing => {}
        }
    }
}

/// Renews a snapshot until it is dropped.
async fn keep(client: &Client, token: &str, lifetime: Duration) {
    let mut renewals = tokio::time::interval(lifetime / 2);
    renewals.tick().await;
    loop {
        renewals.tick().await;
        if let Err(error) = renew(client, token, lifetime).await {
            tell(&format!("warning: the snapshot could not be renewed: {error}"));
        }
    }
}

fn code_of(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| SIGNALLED + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}
