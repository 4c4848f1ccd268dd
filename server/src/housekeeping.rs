//! Background jobs: reads landed files, counts datasets and trash, checks for late datasets, purges trash, fails idle
//! syncs, records failures that could not be recorded before, and publishes events.

use lakeshore::model::clock_watch::ClockStep;
use lakeshore::model::id::TrashId;
use lakeshore::model::snapshot::SnapshotToken;
use lakeshore::service::{InspectedFiles, Recovered, SnapshotRemoval};
use lakeshore::{Error, Lake};
use lakeshore_storage::object::{Collected, ObjectFiles};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Interval of the jobs. Short, so that the size of new trash is known soon; a run without work costs almost nothing.
const INTERVAL: Duration = Duration::from_secs(1);
/// Interval in which events are collected: short enough for a viewer, long enough for many subscribers.
const EVENT_INTERVAL: Duration = Duration::from_millis(250);
/// Intervals between two attempts to complete steps that a fault interrupted.
const RESUMING_INTERVALS: u32 = 5;
/// Intervals between two checks for idle syncs.
const EXPIRY_INTERVALS: u32 = 30;
/// Time of a tick in which trash is counted. The other jobs wait meanwhile, and there may always be more to count.
const COUNTING_MAX: Duration = Duration::from_secs(1);
/// Pause between two steps of a purge, so that the disk is free for about half of the time.
const PAUSE: Duration = Duration::from_millis(5);
/// Interval of the check for unread files; a check without any costs almost nothing.
const INSPECTION_INTERVAL: Duration = Duration::from_millis(250);
/// Pause between two steps of reading files, while uploads land.
const INSPECTION_PAUSE: Duration = Duration::from_millis(200);
/// Pause after each round where other servers read files too.
const INSPECTION_TURN: Duration = Duration::from_millis(100);
/// Pause after trash could not be removed.
const RETRY_PAUSE: Duration = Duration::from_secs(60);

pub async fn run(lake: Lake, stopping: CancellationToken) {
    // Concurrent, since a large item or dataset takes long and new ones are counted meanwhile.
    tokio::join!(
        recover_others(&lake, &stopping),
        run_maintenance(&lake, &stopping),
        purge_trash(&lake, &stopping),
        drop_snapshots(&lake, &stopping),
        count_datasets(&lake, &stopping),
        inspect(&lake, &stopping),
        publish_events(&lake, &stopping),
    );
}

/// Completes the recovery of an interrupted stop that failed at the start for lack of space. Purges of trash meanwhile
/// free the space. `None` when the server stops before.
pub async fn recover_when_there_is_room(lake: &Lake, stopping: &CancellationToken) -> Option<Recovered> {
    let mut recovering = FailureLog::default();
    while sleep_unless_stopped(INTERVAL, stopping).await {
        let mut after = TrashId(0);
        while let Ok((Some(next), _)) = lake.remove_some_trash(after).await {
            after = next;
        }
        match lake.recover_on_any_disk().await {
            Err(Error::DiskFull) => {}
            recovered => {
                if let Some(recovered) = recovering.log(recovered, "recover from the last stop") {
                    return Some(recovered);
                }
            }
        }
    }
    None
}

/// Reads the content of landed files. Uploads have precedence: after a few files the job pauses while uploads arrive.
async fn inspect(lake: &Lake, stopping: &CancellationToken) {
    let mut landings = lake.landings_so_far();
    let mut failures: u32 = 0;
    loop {
        if !wait_until_leader(lake, stopping).await {
            return;
        }
        let pause = match lake.inspect_some().await {
            Err(Error::ShuttingDown) => return,
            Err(error) => {
                // A fault of the database, so no file can be read.
                tracing::error!(fault = ?error, "cannot inspect landed files");
                failures = failures.saturating_add(1);
                INTERVAL.saturating_mul(failures).min(RETRY_PAUSE)
            }
            Ok(InspectedFiles { tried, faults }) => {
                failures = 0;
                for fault in faults {
                    tracing::warn!(?fault, "a landed file could not be read; retrying a few times");
                }
                match tried {
                    0 => INSPECTION_INTERVAL,
                    // The end of a sync at another server may wait for its turn.
                    _ if lake.landings_so_far() == landings && lake.has_other_nodes() => INSPECTION_TURN,
                    _ if lake.landings_so_far() == landings => Duration::ZERO,
                    _ => INSPECTION_PAUSE,
                }
            }
        };
        landings = lake.landings_so_far();
        if !sleep_unless_stopped(pause, stopping).await {
            return;
        }
    }
}

/// Deletes objects that nothing refers to any more, when their time is over.
pub async fn collect_objects(lake: Lake, files: ObjectFiles, grace: Duration, stopping: CancellationToken) {
    let mut collecting = FailureLog::default();
    let mut pause = INTERVAL;
    while sleep_unless_stopped(pause, &stopping).await && wait_until_leader(&lake, &stopping).await {
        let collected = match files.collect(grace).await {
            Ok(Collected { fault: Some(fault), .. }) => Err(fault),
            collected => collected,
        };
        let is_faulty = collected.is_err();
        let collected = collecting.log(collected, "delete unreferenced objects");
        pause = match collected {
            Some(Collected { has_more: true, .. }) => PAUSE,
            _ if is_faulty => RETRY_PAUSE,
            _ => INTERVAL,
        };
    }
}

/// Waits until this server does the jobs of the lake, where several serve it. Returns false when the server stops meanwhile.
async fn wait_until_leader(lake: &Lake, stopping: &CancellationToken) -> bool {
    while !lake.is_first_node() {
        if !sleep_unless_stopped(INTERVAL, stopping).await {
            return false;
        }
    }
    true
}

/// Recovers what other servers have left that have ended.
async fn recover_others(lake: &Lake, stopping: &CancellationToken) {
    let mut recovering = FailureLog::default();
    while sleep_unless_stopped(INTERVAL, stopping).await && wait_until_leader(lake, stopping).await {
        if let Some(recovered) = recovering.log(lake.recover_dead_nodes().await, "recover the work of another server") {
            report_recovered(&recovered);
        }
    }
}

/// Sleeps. Returns false when the server stops meanwhile.
async fn sleep_unless_stopped(time: Duration, stopping: &CancellationToken) -> bool {
    tokio::select! {
        () = tokio::time::sleep(time) => true,
        () = stopping.cancelled() => false,
    }
}

/// Logs the size of a step of the wall clock.
pub fn warn_of_step(step: ClockStep, when: &str) {
    let by = humantime::format_duration(Duration::from_millis(step.by_ms.unsigned_abs()));
    if step.by_ms > 0 {
        tracing::warn!("the clock jumped ahead by {by} {when}; nothing expires earlier because of it");
    } else {
        tracing::warn!(
            "the clock was set back by {by} {when}; files that landed in that time are not recognised as unchanged, but sent again"
        );
    }
}

fn log<T>(result: Result<T, Error>, doing: &str) -> Option<T> {
    result.inspect_err(|error| tracing::error!(fault = ?error, "cannot {doing}")).ok()
}

/// Log of a step that is retried at each interval until it succeeds. Repeated failures are logged once.
#[derive(Default)]
struct FailureLog {
    has_failed: bool,
}

impl FailureLog {
    fn log<T>(&mut self, result: Result<T, Error>, doing: &str) -> Option<T> {
        if let Err(error) = &result
            && !self.has_failed
        {
            tracing::error!(fault = ?error, "cannot {doing}; retrying");
        }
        self.has_failed = result.is_err();
        result.ok()
    }
}

/// Runs the short jobs, one after the other.
async fn run_maintenance(lake: &Lake, stopping: &CancellationToken) {
    let mut ticks: u32 = 0;
    let mut own = OwnJobs::default();
    let mut shared = LakeJobs::default();
    while sleep_unless_stopped(INTERVAL, stopping).await {
        own.run(lake, ticks).await;
        if lake.is_first_node() {
            shared.run(lake, ticks).await;
        }
        ticks = ticks.wrapping_add(1);
    }
}

/// Jobs that each server of a lake does for itself.
#[derive(Default)]
struct OwnJobs {
    failed_uploads: FailureLog,
    leftovers: FailureLog,
    clock: FailureLog,
}

impl OwnJobs {
    async fn run(&mut self, lake: &Lake, ticks: u32) {
        match lake.remember_failures().await {
            // The next upload reports it.
            Err(Error::DiskFull) => {}
            recorded => _ = self.failed_uploads.log(recorded, "record failures"),
        }
        let removed = self.leftovers.log(lake.discard_leftovers().await, "remove files of failed uploads");
        if let Some(removed @ 1..) = removed {
            tracing::info!(removed, "removed files of failed uploads");
        }
        match lake.watch_clock().await {
            Ok(steps) => {
                self.clock = FailureLog::default();
                steps.into_iter().for_each(|step| warn_of_step(step, "while this server was running"));
            }
            // Recorded when there is space.
            Err(Error::DiskFull) => {}
            recorded => _ = self.clock.log(recorded.map(drop), "record the clock"),
        }
        if ticks.is_multiple_of(RESUMING_INTERVALS) {
            log(lake.resume_restores().await, "resume a restore");
        }
    }
}

/// Jobs of the lake. One server does them.
#[derive(Default)]
struct LakeJobs {
    reserve: FailureLog,
}

impl LakeJobs {
    async fn run(&mut self, lake: &Lake, ticks: u32) {
        let counted = log(lake.count_trash_for(COUNTING_MAX).await, "count the trash").unwrap_or_default();
        mark_trash_for_purge(lake, ticks == 0 || counted > 0).await;
        if ticks.is_multiple_of(RESUMING_INTERVALS) {
            log(lake.resume_closings().await, "resume the end of a sync");
        }
        match lake.refill_reserve() {
            Ok(()) | Err(Error::DiskFull) => {}
            refilled => _ = self.reserve.log(refilled, "restore the reserve on the disk of the database"),
        }
        if ticks.is_multiple_of(EXPIRY_INTERVALS) {
            log(lake.expire_idle_syncs().await, "fail abandoned syncs");
            log(lake.expire_resumables().await, "expire abandoned uploads");
        }
    }
}

/// Marks trash beyond the limits of its age and size, which [`purge_trash`] then removes.
async fn mark_trash_for_purge(lake: &Lake, has_grown: bool) {
    let mut marked = log(lake.mark_old_trash_for_purge().await, "purge expired trash").unwrap_or_default();
    // Only counts change the size of the trash.
    if has_grown {
        let excess = log(lake.mark_excess_trash_for_purge().await, "purge trash above its limit").unwrap_or_default();
        marked.items += excess.items;
        marked.bytes += excess.bytes;
    }
    if marked.items > 0 {
        tracing::info!(items = marked.items, bytes = marked.bytes, "purging expired trash");
    }
}

/// Counts the files of changed datasets, and checks for late ones.
async fn count_datasets(lake: &Lake, stopping: &CancellationToken) {
    while sleep_unless_stopped(INTERVAL, stopping).await && wait_until_leader(lake, stopping).await {
        log(lake.count_datasets().await, "count the files of a dataset");
        log(lake.watch_lateness().await, "check for late datasets");
    }
}

/// Logs what a recovery has done.
pub fn report_recovered(recovered: &Recovered) {
    for fault in &recovered.faults {
        tracing::error!(%fault, "cannot recover a step that the last stop interrupted; it is retried, at the latest on the next start");
    }
    let finished = recovered.uploads_finished + recovered.syncs_completed + recovered.restores_completed;
    let undone = recovered.uploads_failed + recovered.syncs_reopened + recovered.restores_cancelled;
    if finished + undone > 0 {
        tracing::info!(finished, undone, "recovered from the last stop");
    }
    if recovered.stagings_kept > 0 {
        tracing::warn!(folders = recovered.stagings_kept, "moved staged files without an open sync to the trash");
    }
}

/// Publishes events until the server stops.
async fn publish_events(lake: &Lake, stopping: &CancellationToken) {
    while sleep_unless_stopped(EVENT_INTERVAL, stopping).await {
        publish_once(lake).await;
    }
}

async fn publish_once(lake: &Lake) {
    lake.publish_events().await;
    log(lake.give_up_wanted_uploads().await, "look for uploads that other servers want");
}

/// Publishes events while the last requests of a stopping server end: other servers have the events of those requests, and
/// want its uploads.
pub async fn publish_while_stopping(lake: Lake) {
    loop {
        publish_once(&lake).await;
        tokio::time::sleep(EVENT_INTERVAL).await;
    }
}

/// Removes dropped and expired snapshots in small steps.
async fn drop_snapshots(lake: &Lake, stopping: &CancellationToken) {
    // Snapshots that could not be removed, with the time of the next attempt. They do not stop the removal of the rest.
    let mut stuck: BTreeMap<SnapshotToken, Instant> = BTreeMap::new();
    loop {
        if !wait_until_leader(lake, stopping).await {
            return;
        }
        let now = Instant::now();
        let skipped = stuck.iter().filter(|(_, next)| **next > now).map(|(token, _)| token.clone()).collect();
        let pause = match log(lake.remove_some_snapshots(&skipped).await, "remove snapshots") {
            Some(SnapshotRemoval::Begun) => PAUSE,
            Some(SnapshotRemoval::Removed(token)) => {
                stuck.remove(&token);
                PAUSE
            }
            Some(SnapshotRemoval::Failed(token, fault)) => {
                if stuck.insert(token.clone(), now + RETRY_PAUSE).is_none() {
                    tracing::error!(snapshot = %token, ?fault, "cannot remove a snapshot; retrying until it is gone");
                }
                PAUSE
            }
            Some(SnapshotRemoval::Nothing) => INTERVAL,
            None => RETRY_PAUSE,
        };
        if !sleep_unless_stopped(pause, stopping).await {
            return;
        }
    }
}

/// Removes purged trash in small steps.
async fn purge_trash(lake: &Lake, stopping: &CancellationToken) {
    let mut after = TrashId(0);
    let mut has_failed = false;
    loop {
        if !wait_until_leader(lake, stopping).await {
            return;
        }
        let pause = match log(lake.remove_some_trash(after).await, "resume purging the trash") {
            Some((next, faults)) => {
                has_failed |= !faults.is_empty();
                for fault in faults {
                    tracing::error!(?fault, "cannot purge a trash item; retrying later");
                }
                after = next.unwrap_or(TrashId(0));
                match next {
                    Some(_) => PAUSE,
                    None if std::mem::take(&mut has_failed) => RETRY_PAUSE,
                    None => INTERVAL,
                }
            }
            None => RETRY_PAUSE,
        };
        if !sleep_unless_stopped(pause, stopping).await {
            return;
        }
    }
}
