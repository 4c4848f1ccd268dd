//! `push`: sends one folder as one sync, from its start to its end.
//!
//! - The sync starts after every file was found, read and named: it does not hold its path while files are hashed, and a
//!   file that cannot be sent is noticed before the first one is.
//! - Each step is recorded locally before the server is called, so that the same command continues an interrupted push.
//! - A full sync is declared file by file, so that its end checks for exactly the files that were found here.

use super::call::Client;
use super::closing::{Ending, abort, declare, is_held};
use super::deliver::{Counts, Delivered, deliver};
use super::difference::{Difference, difference};
use super::error::{ClientError, DONE, FAILED, HELD};
use super::manifest::Manifest;
use super::opening::{OpenSync, find_open, start};
use super::pick::Pick;
use super::plan::Plan;
use super::progress::Progress;
use super::push_state::PushState;
use super::scan::{Named, Problem, Problems, Scan, Scanned};
use super::send::Sender;
use super::walk::{Skipped, Source};
use lakeshore::model::id::SyncId;
use lakeshore::model::sync::status::SyncType;
use lakeshore::{ErrorCode, LakePath};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Options of a push.
pub struct Push {
    /// Folder or file that is sent.
    pub source: Source,
    /// Dataset that receives the files.
    pub dataset: LakePath,
    /// Whether the files replace the dataset or are added to it.
    pub sync_type: SyncType,
    /// Name of the sync, for people.
    pub name: String,
    /// Files of the source that are sent.
    pub pick: Arc<Pick>,
    /// Whether symbolic links are sent as the files that they lead to.
    pub follow_links: bool,
    /// Uploads at the same time.
    pub jobs: usize,
    /// Expected files: nothing is sent unless the source has exactly these.
    pub manifest: Option<Manifest>,
    /// Whether only the report is wanted: nothing is sent.
    pub dry_run: bool,
    /// Open sync that receives the files, instead of a new one.
    pub resume: Option<SyncId>,
    /// Whether an interrupted push is aborted, and a new sync is started.
    pub start_over: bool,
    /// Whether every file is read again, even one that looks unchanged since the last push.
    pub read_all: bool,
    /// Whether a sync is published that the shrink guard would hold, or that is empty.
    pub confirm: bool,
    /// Whether the sync stays open after its files were sent.
    pub keep_open: bool,
    /// Whether the sync is aborted if some files failed.
    pub abort_on_failure: bool,
    /// Whether files that cannot be read are left out, instead of failing the push.
    pub skip_unreadable: bool,
}

/// Outcome of a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PushOutcome {
    /// The full sync has become the dataset.
    Published,
    /// The incremental sync has ended.
    Finished,
    /// All files were sent; the sync stays open, as requested.
    KeptOpen,
    /// All files were sent; the shrink guard waits for a confirmation.
    Held,
    /// Nothing was sent, as requested.
    DryRun,
    /// No file was found to send.
    Nothing,
    /// Some files failed; the sync is open.
    Incomplete,
    /// Files failed, so the sync was aborted.
    Aborted,
    /// The push failed; `error` has the reason.
    Failed,
    Interrupted,
}

/// Report of a push, for `--json`; people get the same as text.
#[derive(Debug, Serialize)]
pub struct Report {
    pub outcome: PushOutcome,
    pub exit_code: u8,
    pub sync_id: Option<SyncId>,
    /// The sync can be continued.
    pub sync_is_open: bool,
    pub path: LakePath,
    pub sync_type: SyncType,
    /// The push continued an open sync.
    pub resumed: bool,
    /// All files that were found to send.
    pub found: Counts,
    pub sent: Counts,
    pub unchanged: Counts,
    pub taken_over: u64,
    pub failed: Problems,
    /// Files left out by `--skip-unreadable`.
    pub unreadable: Problems,
    pub skipped: BTreeMap<Skipped, Named>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<Difference>,
    /// Code of a refusal, and its data, such as the figures of the shrink guard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<RefusalOfEnd>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct RefusalOfEnd {
    pub code: u32,
    pub data: Value,
}

impl RefusalOfEnd {
    fn of(error: ClientError) -> Option<Self> {
        match error {
            ClientError::Refused { code, data, .. } => Some(Self { code, data }),
            _ => None,
        }
    }
}

/// Runs the whole push, and reports its outcome.
pub async fn push(client: &Client, push: Push, progress: &Arc<Progress>) -> Report {
    let mut report = Report {
        outcome: PushOutcome::Failed,
        exit_code: FAILED,
        sync_id: None,
        sync_is_open: false,
        path: push.dataset.clone(),
        sync_type: push.sync_type,
        resumed: false,
        found: Counts::default(),
        sent: Counts::default(),
        unchanged: Counts::default(),
        taken_over: 0,
        failed: Problems::default(),
        unreadable: Problems::default(),
        skipped: BTreeMap::new(),
        difference: None,
        refusal: None,
        error: None,
    };
    let result = run(client, &push, progress, &mut report).await;
    progress.end();
    match result {
        Ok(outcome) => {
            report.outcome = outcome;
            report.exit_code = match outcome {
                _ if report.failed.count + report.unreadable.count > 0 => FAILED,
                PushOutcome::Published | PushOutcome::Finished | PushOutcome::KeptOpen | PushOutcome::DryRun => DONE,
                PushOutcome::Nothing => DONE,
                PushOutcome::Held => HELD,
                _ => FAILED,
            };
        }
        Err(error) => {
            report.outcome =
                if matches!(error, ClientError::Interrupted) { PushOutcome::Interrupted } else { PushOutcome::Failed };
            report.exit_code = error.exit_code();
            report.error = Some(error.to_string());
            report.refusal = RefusalOfEnd::of(error);
        }
    }
    report
}

async fn run(
    client: &Client,
    push: &Push,
    progress: &Arc<Progress>,
    report: &mut Report,
) -> Result<PushOutcome, ClientError> {
    let Push { source, dataset, sync_type, .. } = push;
    let remembered = PushState::open(client.server(), &source.path(), dataset, *sync_type)?;
    let open = if push.dry_run { None } else { find_open(client, push, &remembered, progress).await? };
    (report.sync_id, report.sync_is_open) = (open.map(|open| open.sync_id), open.is_some());
    let plan = plan(client, push, &remembered, progress, report).await?;
    if report.failed.count > 0 {
        // An open sync stays open: the same command continues it when the files are right.
        return Ok(PushOutcome::Nothing);
    }
    if push.dry_run {
        report.difference = Some(difference(client, &plan, dataset, *sync_type, progress).await?);
        return Ok(PushOutcome::DryRun);
    }
    match (sync_type, plan.files) {
        (SyncType::FullSync, 0) if !push.confirm => {
            return Err(ClientError::Local(format!(
                "there are no files to send; add --confirm to publish an empty dataset at {dataset}"
            )));
        }
        (SyncType::IncrementalSync, 0) if open.is_none() => return Ok(PushOutcome::Nothing),
        _ => {}
    }
    let OpenSync { sync_id, is_resumed } = match open {
        Some(open) => open,
        None => start(client, &remembered, push).await?,
    };
    (report.sync_id, report.sync_is_open, report.resumed) = (Some(sync_id), true, is_resumed);
    let sender = Sender { client, sync_id, folder: source.folder.clone(), remembered: &remembered, progress };
    match fill_and_end(&sender, push, &plan, report).await {
        Err(error) if is_held(&error) => {
            progress.tell(&error.to_string());
            report.refusal = RefusalOfEnd::of(error);
            Ok(PushOutcome::Held)
        }
        // The sync has ended by another hand, so this push cannot continue it.
        Err(error) if error.is_refusal(ErrorCode::SyncEnded) || error.is_refusal(ErrorCode::NoSuchSync) => {
            report.sync_is_open = false;
            remembered.remove()?;
            Err(error)
        }
        Ok(outcome) => {
            report.sync_is_open = matches!(outcome, PushOutcome::Incomplete | PushOutcome::KeptOpen);
            Ok(outcome)
        }
        result => result,
    }
}

/// Reads every file; reports skipped files, files that cannot be sent, and differences from the manifest.
async fn plan(
    client: &Client,
    push: &Push,
    remembered: &PushState,
    progress: &Arc<Progress>,
    report: &mut Report,
) -> Result<Plan, ClientError> {
    let scan = Scan {
        source: push.source.clone(),
        dataset: push.dataset.clone(),
        pick: push.pick.clone(),
        follow_links: push.follow_links,
        state: remembered.folder(),
        read_all: push.read_all,
    };
    let Scanned { plan, skipped, problems, .. } = scan.run(progress, &client.retry_policy().stop).await?;
    report.found = Counts { files: plan.files, bytes: plan.bytes };
    for (kind, named) in &skipped {
        progress.tell(&format!("skipped: {} {}: {}", named.count, kind.describe(), named.names.join(", ")));
    }
    (report.skipped, report.failed) = (skipped, problems);
    if push.skip_unreadable {
        report.unreadable = std::mem::take(&mut report.failed);
        for Problem { path, why } in &report.unreadable.named {
            progress.tell(&format!("skipped: {path}: {why}"));
        }
    }
    if let Some(manifest) = push.manifest.as_ref().filter(|_| report.failed.count == 0) {
        report.failed = manifest.compare(&plan)?;
    }
    Ok(plan)
}

/// Sends the files to the open sync, and ends it, or reports why not.
async fn fill_and_end(
    sender: &Sender<'_>,
    push: &Push,
    plan: &Plan,
    report: &mut Report,
) -> Result<PushOutcome, ClientError> {
    let Sender { client, sync_id, remembered, progress, .. } = *sender;
    let is_full = push.sync_type == SyncType::FullSync;
    // With several senders, none knows all files of the sync.
    let is_alone = !push.keep_open && push.resume.is_none();
    if is_full && is_alone {
        declare(client, sync_id, plan).await?;
    }
    send_all(sender, plan, push.jobs, report).await?;
    // A full sync that lacks files would remove them from its dataset.
    let may_end = report.failed.count == 0 || (push.skip_unreadable && !is_full && !push.abort_on_failure);
    if !may_end || (is_full && report.unreadable.count > 0) {
        if !push.abort_on_failure {
            return Ok(PushOutcome::Incomplete);
        }
        abort(client, sync_id).await?;
        remembered.remove()?;
        return Ok(PushOutcome::Aborted);
    }
    if push.keep_open {
        return Ok(PushOutcome::KeptOpen);
    }
    progress.begin("ending the sync", None, None);
    let ending = Ending { confirm: push.confirm, is_own: push.resume.is_none(), is_empty: plan.files == 0 };
    ending.end(client, sync_id).await?;
    remembered.remove()?;
    Ok(if is_full { PushOutcome::Published } else { PushOutcome::Finished })
}

async fn send_all(sender: &Sender<'_>, plan: &Plan, jobs: usize, report: &mut Report) -> Result<(), ClientError> {
    sender.progress.begin("sending", Some(plan.files), Some(plan.bytes));
    let mut delivered = Delivered::default();
    let take_over = report.sync_type == SyncType::FullSync;
    let result = deliver(sender, plan, jobs, take_over, &mut delivered).await;
    let Delivered { sent, unchanged, taken_over, failed } = delivered;
    (report.sent, report.unchanged, report.taken_over, report.failed) = (sent, unchanged, taken_over, failed);
    sender.progress.end();
    result
}
