//! `lakeshore check`: the engine compares, this prints.

use crate::config::CheckOptions;
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

/// Something was found that was not repaired.
const FOUND: u8 = 1;
/// It could not be checked.
pub const COULD_NOT: u8 = 2;

pub async fn run(options: &CheckOptions) -> anyhow::Result<ExitCode> {
    let root = options.lake_root();
    // Looking must not make what it looks for.
    if !options.data.database().is_file() {
        bail!("no database at {}; choose the data folder with --data-dir", options.data.database().display());
    }
    if !root.is_dir() {
        bail!("no lake at {}; choose its folder with --lake-root", root.display());
    }
    // Until the end: it holds the locks.
    let opened = opening::open_to_check(&options.data, &root).await?;
    let Opened { state, files, .. } = &opened;
    // Reading every file takes long, and keys are to be revoked meanwhile.
    let commands = Listener::start(&options.data.path, state);
    let lake = Lake::new(Parts {
        state: Arc::new(state.clone()),
        files: Arc::new(files.clone()),
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
    commands.close().await;
    state.close().await;
    let checked = checked.map_err(with_cause)?;
    printed.context("cannot print the findings")?;
    sum_up(&checked);
    Ok(if checked.is_clean() { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
}

/// To standard output: the kind, where, what, and what a repair does.
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

/// To standard error, so that standard output holds findings only.
fn sum_up(checked: &Checked) {
    let Checked { findings, repaired, notes } = checked;
    terminal::say(&format!("{findings} findings, {repaired} repaired; {notes} notes"));
}

/// What a client must not learn, the operator has to.
fn with_cause(error: lakeshore::Error) -> anyhow::Error {
    match error {
        lakeshore::Error::Internal(fault) => anyhow::Error::new(fault),
        other => other.into(),
    }
}
