//! Implementation of `lakeshore check`: prints the findings of the engine.

use crate::config::{CheckOptions, LakePlace};
use crate::control::Listener;
use crate::opening::{self, Opened};
use anyhow::{Context, bail};
use lakeshore::Lake;
use lakeshore::model::settings::Limits;
use lakeshore::service::{self, Checked, Finding, Parts};
use lakeshore_formats::{FileFormats, TIME_MAX};
use lakeshore_storage::local::reopen;
use lakeshore_system::clock::{SystemClock, SystemRandomness};
use lakeshore_system::terminal;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

/// Exit code for findings that were not repaired.
const FOUND: u8 = 1;
/// Exit code for a check that failed.
pub const COULD_NOT: u8 = 2;

pub async fn run(options: &CheckOptions) -> anyhow::Result<ExitCode> {
    let place = options.lake_place();
    // A check must not create its subject.
    if options.data.metadata.is_none() && !options.data.database().is_file() {
        bail!("no database at {}; choose the data folder with --data-dir", options.data.database().display());
    }
    if let LakePlace::Folder(root) = &place
        && !root.is_dir()
    {
        bail!("no lake at {}; choose its folder with --lake-root", root.display());
    }
    // Kept until the end, since it holds the locks.
    let opened = opening::open_to_check(&options.data, &place).await?;
    let Opened { store, files, .. } = &opened;
    // Reading every file takes long, and keys must be revocable meanwhile.
    let commands = Listener::start_if_needed(&options.data.path, store);
    let lake = Lake::new(Parts {
        state: store.state(),
        files: files.port(),
        formats: Arc::new(FileFormats::start(reopen, TIME_MAX)?),
        clock: Arc::new(SystemClock),
        randomness: Arc::new(SystemRandomness),
        limits: Limits::default(),
    });
    let mut printed = Ok(());
    let mut print = |finding: &Finding| {
        if printed.is_ok() {
            printed = print(finding, options);
        }
    };
    let wanted = service::CheckOptions { repair: options.repair, digests: options.digests };
    let checked = lake.check(wanted, &mut print).await;
    if let Some(commands) = commands {
        commands.close().await;
    }
    opened.close().await;
    let checked = checked.map_err(with_cause)?;
    printed.context("cannot print the findings")?;
    sum_up(&checked);
    Ok(if checked.is_clean() { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
}

/// Prints the kind, path, detail and repair of a finding to standard output.
fn print(finding: &Finding, options: &CheckOptions) -> io::Result<()> {
    let mut output = terminal::output();
    if options.json {
        return terminal::json_line(&mut output, finding);
    }
    let repair = match (finding.repaired, finding.repair) {
        (true, _) => " [repaired]".to_owned(),
        (false, Some(repair)) => format!(" [--repair {repair}]"),
        (false, None) => String::new(),
    };
    let (path, detail) = (terminal::visible(&finding.path), terminal::visible(&finding.detail));
    writeln!(output, "{}\t{path}\t{detail}{repair}", finding.kind.as_str())
}

/// Prints to standard error, so that standard output has only findings.
fn sum_up(checked: &Checked) {
    let Checked { findings, repaired, notes } = checked;
    terminal::say(&format!("{findings} findings, {repaired} repaired; {notes} notes"));
}

/// Adds the cause, which is hidden from clients but not from the operator.
fn with_cause(error: lakeshore::Error) -> anyhow::Error {
    match error {
        lakeshore::Error::Internal(fault) => anyhow::Error::new(fault),
        other => other.into(),
    }
}
