//! Entry point of `lakeshore`.

#![deny(clippy::print_stderr)]

use anyhow::Context;
use clap::Parser;
use clap::error::ErrorKind;
use lakeshore_system::terminal;
use server::config::{Action, Command};
use server::logging;
use std::process::ExitCode;

/// Uploads make many short-lived allocations on several threads. There glibc's allocator took an eighth of the
/// processor time, and kept freed memory.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    terminal::guard_panics();
    let command = match Command::try_parse() {
        Ok(command) => command,
        Err(error) => return refuse(&error),
    };
    match run(&command) {
        Ok(code) => code,
        Err(error) => {
            // One line: the cause follows each "while".
            terminal::say(&format!("lakeshore: {error:#}"));
            match command.action {
                Action::Check(_) => ExitCode::from(server::cli::COULD_NOT),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

/// Prints help, or the error of the command line. An error repeats arguments, which may contain untrusted names.
fn refuse(error: &clap::Error) -> ExitCode {
    let text = error.render().to_string();
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion)
        || text.split('\n').all(|line| terminal::visible(line) == line)
    {
        error.exit();
    }
    text.split('\n').for_each(terminal::say);
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(u8::MAX))
}

fn run(command: &Command) -> anyhow::Result<ExitCode> {
    // Before the runtime starts: this process must have no threads and no open files.
    if matches!(command.action, Action::InspectWorker) {
        lakeshore_formats::worker::child::run().context("only the server starts \"lakeshore inspect-worker\"")?;
        return Ok(ExitCode::SUCCESS);
    }
    // Connections have threads of their own, see `lakeshore_http::threads`; little work remains for this one.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match &command.action {
            Action::Serve(options) => {
                logging::start(&options.log)?;
                server::serve::run(options).await?;
            }
            Action::Key(action) => server::cli::run_key_action(action).await?,
            Action::Session(action) => server::cli::run_session_action(action).await?,
            Action::Check(options) => return server::cli::run_check(options).await,
            Action::Backup(options) => server::cli::run_backup(options).await?,
            Action::Adopt(options) => server::cli::run_adopt(options).await?,
            Action::Migrate(options) => server::cli::run_migrate(options).await?,
            Action::Push(options) => return Ok(server::cli::run_push(options).await),
            Action::Ls(options) => return Ok(server::cli::run_ls(options).await),
            Action::Get(options) => return Ok(server::cli::run_get(options).await),
            Action::Snapshot(options) => return Ok(server::cli::run_snapshot(options).await),
            Action::Status(options) => return Ok(server::cli::run_status(options).await),
            Action::InspectWorker => {}
        }
        Ok(ExitCode::SUCCESS)
    })
}
