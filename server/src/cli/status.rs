//! Implementation of `lakeshore status`: the latest syncs, or one of them.

use super::client::{connect_plainly, end, interruption, printed};
use super::moment::moment;
use super::table;
use crate::config::StatusOptions;
use bytesize::ByteSize;
use lakeshore::Timestamp;
use lakeshore::model::id::SyncId;
use lakeshore::model::page::{ListParameters, Order};
use lakeshore::model::sync::hold::Hold;
use lakeshore::model::sync::job::SyncJob;
use lakeshore::model::sync::status::Status;
use lakeshore_client::call::Client;
use lakeshore_client::error::{ClientError, DONE, FAILED};
use lakeshore_system::terminal::{self, json_line, line};
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

/// Polling interval of `--follow`.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Failed uploads that are listed.
const FAILED_NAMED_MAX: u64 = 10;

pub async fn run(options: &StatusOptions) -> ExitCode {
    end(show(options).await)
}

async fn show(options: &StatusOptions) -> Result<u8, ClientError> {
    let stop = interruption()?;
    let client = connect_plainly(&options.connect, stop)?;
    match options.sync {
        Some(sync_id) => show_one(&client, sync_id, options).await,
        None => show_list(&client, options).await,
    }
}

async fn show_list(client: &Client, options: &StatusOptions) -> Result<u8, ClientError> {
    let wanted = ListParameters {
        size: Some(options.size),
        order: Order::Desc,
        path: options.path.clone(),
        ..Default::default()
    };
    let syncs = client.syncs(&wanted).await?;
    let mut output = terminal::output();
    if options.json {
        for sync in &syncs {
            printed(json_line(&mut output, sync))?;
        }
        return Ok(DONE);
    }
    let head = ["SYNC", "STATUS", "TYPE", "FILES", "FAILED", "SIZE", "STARTED", "PATH", "NAME"];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(syncs.iter().map(row));
    printed(table::print(&mut output, &rows, &[0, 3, 4, 5]))?;
    Ok(DONE)
}

fn row(sync: &SyncJob) -> [String; 9] {
    [
        sync.sync_id.to_string(),
        sync.sync_status.as_str().to_owned(),
        sync.sync_type.as_str().trim_end_matches("Sync").to_owned(),
        sync.total_files.to_string(),
        sync.num_failed.to_string(),
        ByteSize(sync.size_bytes).to_string(),
        moment(Some(sync.start_time), "-"),
        sync.path.to_string(),
        sync.name.clone(),
    ]
}

async fn show_one(client: &Client, sync_id: SyncId, options: &StatusOptions) -> Result<u8, ClientError> {
    let mut sync = client.sync(sync_id).await?;
    let mut told = None;
    while options.follow && sync.sync_status == Status::Syncing {
        let now = (sync.num_landed(), sync.num_in_flight, sync.num_failed, sync.size_bytes);
        if told.replace(now) != Some(now) && !options.json {
            printed(line(&mut terminal::output(), &progress(&sync)))?;
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = client.retry_policy().stop.cancelled() => return Err(ClientError::Interrupted),
        }
        sync = client.sync(sync_id).await?;
    }
    let mut output = terminal::output();
    if options.json {
        printed(json_line(&mut output, &sync))?;
    } else {
        printed(describe(&mut output, &sync))?;
        if sync.num_failed > 0 {
            let wanted = ListParameters {
                size: Some(FAILED_NAMED_MAX),
                order: Order::Desc,
                sync_id: Some(sync_id),
                status: Some(Status::Failed),
                ..Default::default()
            };
            for upload in client.uploads(&wanted).await? {
                printed(line(&mut output, &format!("  failed: {:?}: {}", upload.file_name, upload.message)))?;
            }
        }
    }
    Ok(if options.follow && sync.sync_status == Status::Failed { FAILED } else { DONE })
}

fn progress(sync: &SyncJob) -> String {
    let size = ByteSize(sync.size_bytes);
    format!("{} landed ({size}), {} in flight, {} failed", sync.num_landed(), sync.num_in_flight, sync.num_failed)
}

fn describe(output: &mut impl Write, sync: &SyncJob) -> io::Result<()> {
    let SyncJob { sync_id, path, .. } = sync;
    line(
        output,
        &format!(
            "sync {sync_id} {:?}: {} to {path}, {}",
            sync.name,
            sync.sync_type.as_str(),
            sync.sync_status.as_str()
        ),
    )?;
    let ended = moment(Some(sync.end_time).filter(|at| *at != Timestamp::NOT_YET), "-");
    line(
        output,
        &format!("  started {} by {}, ended {ended}", moment(Some(sync.start_time), "-"), by(&sync.started_by)),
    )?;
    line(output, &format!("  files: {}", progress(sync)))?;
    if let Some(count) = sync.expected.and_then(|expected| expected.count) {
        line(output, &format!("  expected: {count} files"))?;
    }
    if sync.num_schema_differences > 0 {
        line(output, &format!("  schema mismatch: {} files", sync.num_schema_differences))?;
    }
    if sync.num_duplicates > 0 {
        writeln!(output, "  uploads that overwrote a file of this sync: {}", sync.num_duplicates)?;
    }
    if let Some(Hold { differing_files: 1.., .. }) = &sync.held {
        line(output, "  held because of them; end the sync with \"confirm\" to publish it")?;
    } else if let Some(Hold { replaced, published, .. }) = &sync.held {
        let (files, of) = (published.files, replaced.files);
        line(
            output,
            &format!(
                "  held by the shrink guard: {files} files would replace {of}; end the sync with \"confirm\" to publish it"
            ),
        )?;
    }
    if !sync.message.is_empty() {
        line(output, &format!("  {}", sync.message))?;
    }
    Ok(())
}

fn by(name: &str) -> &str {
    if name.is_empty() { "anonymous" } else { name }
}
