//! Implementation of `lakeshore push`: options and output of the client's push.

use super::client::{connect, end, interruption, printed, tell};
use crate::config::PushOptions;
use bytesize::ByteSize;
use lakeshore::ErrorCode;
use lakeshore_client::deliver::Counts;
use lakeshore_client::difference::Kind;
use lakeshore_client::error::{ClientError, INTERRUPTED};
use lakeshore_client::manifest::Manifest;
use lakeshore_client::pick::Pick;
use lakeshore_client::progress::Progress;
use lakeshore_client::push::{Push, PushOutcome, Report, push};
use lakeshore_client::walk::Source;
use lakeshore_system::terminal::{self, line};
use rustix::system::uname;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::time::Instant;

pub async fn run(options: &PushOptions) -> ExitCode {
    end(run_to_report(options).await)
}

async fn run_to_report(options: &PushOptions) -> Result<u8, ClientError> {
    let stop = interruption()?;
    let source = Source::find(&options.source)?;
    let pick = Pick::new(&options.include, &options.exclude)?;
    let manifest = options.expect.as_deref().map(Manifest::read).transpose()?;
    let progress = Progress::new(options.quiet);
    let told = progress.clone();
    let client = connect(&options.connect, stop, Arc::new(move |line| told.tell(line)))?;
    let wanted = Push {
        name: options.name.clone().unwrap_or_else(|| default_name(&source)),
        source,
        dataset: options.path.clone(),
        sync_type: options.kind.sync_type(),
        pick: Arc::new(pick),
        follow_links: options.follow_links,
        jobs: options.jobs.unwrap_or_else(default_jobs).get(),
        manifest,
        dry_run: options.dry_run,
        resume: options.resume,
        start_over: options.start_over,
        read_all: options.read_all,
        confirm: options.confirm,
        keep_open: options.keep_open,
        abort_on_failure: options.abort_on_failure,
        skip_unreadable: options.skip_unreadable,
    };
    let begun = Instant::now();
    let report = push(&client, wanted, &progress).await;
    let seconds = begun.elapsed().as_secs_f64();
    let mut output = terminal::output();
    let told = match report.error {
        _ if options.json => printed(print_json(&mut output, &report, seconds)),
        None => printed(print(&mut output, &report, seconds)),
        Some(_) => Ok(()),
    };
    explain(&report);
    // The exit code is that of the push, even if nobody reads the output.
    match told {
        Err(ClientError::OutputClosed) | Ok(()) => {}
        Err(error) => return Err(error),
    }
    Ok(report.exit_code)
}

/// A small file mostly waits for the server's disk, which costs this machine nothing.
fn default_jobs() -> NonZeroUsize {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    NonZeroUsize::new((cores * 8).clamp(16, 64)).unwrap_or(NonZeroUsize::MIN)
}

fn default_name(source: &Source) -> String {
    /// A name may have 512 bytes; the end of a path is its most telling part.
    const CHARACTERS_MAX: usize = 80;
    let (host, path) = (uname().nodename().to_string_lossy().into_owned(), source.path().display().to_string());
    let path: String = path.chars().skip(path.chars().count().saturating_sub(CHARACTERS_MAX)).collect();
    format!("push of {path} from {host}")
}

fn print_json(output: &mut impl Write, report: &Report, seconds: f64) -> io::Result<()> {
    #[derive(serde::Serialize)]
    struct Timed<'a> {
        #[serde(flatten)]
        report: &'a Report,
        seconds: f64,
    }
    terminal::json_line(output, &Timed { report, seconds })
}

/// Prints the result.
fn print(output: &mut impl Write, report: &Report, seconds: f64) -> io::Result<()> {
    let path = &report.path;
    if let Some(difference) = &report.difference {
        let kinds = [
            ("added", &difference.added),
            ("changed", &difference.changed),
            ("removed", &difference.removed),
            ("unchanged", &difference.unchanged),
        ];
        for (word, kind) in kinds {
            line(output, &format!("{word:9}  {}", counts(&kind.counts)))?;
            if word != "unchanged" {
                name(output, kind)?;
            }
        }
        return line(output, &format!("dry run: nothing was sent to {path}"));
    }
    if report.outcome == PushOutcome::Nothing && report.failed.count == 0 {
        return line(output, &format!("nothing to send to {path}"));
    }
    if report.outcome == PushOutcome::Nothing {
        return Ok(());
    }
    let taken_over = match report.taken_over {
        0 => String::new(),
        files => format!(" ({files} reused from the dataset)"),
    };
    line(output, &format!("sent       {}", counts(&report.sent)))?;
    line(output, &format!("unchanged  {}{taken_over}", counts(&report.unchanged)))?;
    if report.failed.count > 0 {
        line(output, &format!("failed     {} files", report.failed.count))?;
    }
    if report.unreadable.count > 0 {
        line(output, &format!("unreadable {} files, skipped (--skip-unreadable)", report.unreadable.count))?;
    }
    let rate = ByteSize((report.sent.bytes as f64 / seconds.max(0.001)) as u64);
    line(output, &format!("in {seconds:.1} s, {rate}/s"))?;
    let sync = report.sync_id.map_or_else(|| "the sync".to_owned(), |id| format!("sync {id}"));
    let end = match report.outcome {
        PushOutcome::Published => {
            format!("{sync} is published: {path} now has the files of this push; its old files are in the trash")
        }
        PushOutcome::Finished if report.failed.count + report.unreadable.count > 0 => {
            format!("{sync} has finished: all files except those are in {path}")
        }
        PushOutcome::Finished => format!("{sync} has finished: all files are in {path}"),
        PushOutcome::KeptOpen => format!("{sync} is open; end it with a push with --resume, or with the API"),
        PushOutcome::Held => format!("{sync} is held; run the same command with --confirm to publish it"),
        PushOutcome::Aborted => {
            format!("{sync} is aborted; {path} is unchanged, except for files that an incremental sync had landed")
        }
        _ => format!("{sync} is still open; run the same command again to resume it"),
    };
    line(output, &end)
}

fn counts(counts: &Counts) -> String {
    format!("{} files, {}", counts.files, ByteSize(counts.bytes))
}

fn name(output: &mut impl Write, kind: &Kind) -> io::Result<()> {
    for name in &kind.names {
        line(output, &format!("           {name}"))?;
    }
    let unnamed = kind.counts.files - kind.names.len() as u64;
    if unnamed > 0 { line(output, &format!("           and {unnamed} more")) } else { Ok(()) }
}

/// Prints to standard error why a push did not finish, and how to continue.
fn explain(report: &Report) {
    if report.outcome == PushOutcome::Nothing && report.failed.count > 0 {
        for problem in &report.failed.named {
            tell(&format!("{}: {}", problem.path, problem.why));
        }
        let count = report.failed.count;
        tell(&format!(
            "lakeshore: nothing was sent, because {count} files have problems; fix them, or skip them with --exclude or --skip-unreadable"
        ));
    }
    if let Some(error) = &report.error {
        tell(&format!("lakeshore: {error}"));
    }
    advise(report);
    let came_to_no_end = matches!(report.outcome, PushOutcome::Failed | PushOutcome::Interrupted);
    match report.sync_id.filter(|_| came_to_no_end && report.sync_is_open) {
        Some(sync_id) => {
            let sent = counts(&report.sent);
            tell(&format!(
                "sync {sync_id} is still open ({sent} sent this time); run the same command again to resume it, or elsewhere with --resume {sync_id}"
            ));
        }
        None if report.exit_code == INTERRUPTED => tell("nothing was started"),
        None => {}
    }
}

/// Prints the remedy of this command for an error, beside the server's own.
fn advise(report: &Report) {
    let Some(refusal) = &report.refusal else { return };
    super::client::advise(refusal.code);
    let is = |code: ErrorCode| refusal.code == code.number();
    if is(ErrorCode::PathHeld) {
        tell("if that sync is yours, resume it with --resume and its id");
    }
    if is(ErrorCode::NotAsExpected) && report.resumed {
        tell(
            "files that were sent before but are no longer in the folder cannot be removed from the sync; use --start-over to start a new one",
        );
    }
}
