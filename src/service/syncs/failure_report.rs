//! Failures of a sync by cause, with counts and first files, and the last successful sync before it.

use crate::model::access::key::Caller;
use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::limits::{FAILURE_CAUSES_MAX, FAILURE_FILES_NAMED_MAX, FAILURES_LOOKED_AT_MAX, LIST_SIZE_MAX};
use crate::model::overview::Attention;
use crate::model::page::{ListParameters, Order};
use crate::model::path::LakePath;
use crate::model::sync::failure_report::{FailedFile, FailureCause, FailureReport};
use crate::model::sync::job::SyncJob;
use crate::model::sync::status::Status;
use crate::model::upload::row::Upload;
use crate::service::Lake;
use std::collections::HashSet;

/// Earlier syncs at or below the path that are searched for the last successful one.
const EARLIER_LOOKED_AT_MAX: u64 = 200;

/// Targets of failed uploads that are looked up among the landed ones.
const LANDED_LOOK_UPS_MAX: usize = 1000;

/// Parts of messages, and what they are called behind a number of files. Messages of earlier releases stay in the history.
const KNOWN_CAUSES: [(&str, &str); 14] = [
    ("checksum mismatch", "failed their checksum"),
    ("of the bytes that came is", "failed their checksum"),
    ("the server stopped before", "stopped with the server"),
    ("the server is shutting down", "stopped with the server"),
    ("was discarded because sync", UNFINISHED),
    ("was discarded, because sync", UNFINISHED),
    ("the disk of the", "found too little free disk space"),
    ("the file is larger than", "exceeded the upload limit"),
    ("no data for", "stalled on their way"),
    ("the body was interrupted", "lost their connection"),
    ("the body ended in the middle", "lost their connection"),
    ("broke off", "lost their connection"),
    ("the multipart body is malformed", "came in a malformed body"),
    ("is missing from the lake", "lost their data in the lake"),
];

const UNFINISHED: &str = "had not landed when the sync ended";

/// The cause of a failed upload, in words behind a number of files: the same for uploads that failed for the same reason.
fn cause_of(message: &str) -> String {
    if let Some((_, words)) = KNOWN_CAUSES.iter().find(|(part, _)| message.contains(part)) {
        return (*words).to_owned();
    }
    // Names, numbers and digests differ from file to file. The remedy behind the semicolon is not the cause.
    let cause = message.split(';').next().unwrap_or(message);
    let mut told = Vec::new();
    let mut is_quoted = false;
    for word in cause.split_whitespace() {
        let was_quoted = is_quoted;
        if word.matches('"').count() % 2 == 1 {
            is_quoted = !is_quoted;
        }
        let is_own = was_quoted || word.contains(|c: char| c.is_ascii_digit() || "/\\\"'".contains(c));
        match told.last() {
            Some(&OMITTED) if is_own => {}
            _ => told.push(if is_own { OMITTED } else { word }),
        }
    }
    format!("failed: {}", told.join(" "))
}

const OMITTED: &str = "…";

fn add(causes: &mut Vec<FailureCause>, upload: Upload) {
    let cause = cause_of(&upload.message);
    let at = match causes.iter().position(|known| known.cause == cause) {
        Some(at) => at,
        None if causes.len() < FAILURE_CAUSES_MAX => {
            causes.push(FailureCause { cause, count: 0, files: Vec::new() });
            causes.len() - 1
        }
        // The last cause stands for all others.
        None => {
            causes[FAILURE_CAUSES_MAX - 1].cause = "failed for other reasons".to_owned();
            FAILURE_CAUSES_MAX - 1
        }
    };
    let known = &mut causes[at];
    known.count += 1;
    if known.files.len() < FAILURE_FILES_NAMED_MAX {
        let Upload { history_id, file_name, target_path, message, .. } = upload;
        known.files.push(FailedFile { history_id, file_name, path: target_path, message });
    }
}

/// How many failures are looked at, and how many of their targets are looked up.
#[derive(Debug, Clone, Copy)]
struct Depth {
    failures_max: u64,
    look_ups_max: usize,
}

const REPORT: Depth = Depth { failures_max: FAILURES_LOOKED_AT_MAX, look_ups_max: LANDED_LOOK_UPS_MAX };
/// For a line of a list of several syncs.
const LINE: Depth = Depth { failures_max: 100, look_ups_max: 100 };

impl Lake {
    /// Why uploads of a sync failed, and the last successful sync of its path before it.
    pub async fn failure_report(&self, caller: &Caller, id: SyncId) -> Result<FailureReport, Error> {
        let sync = self.sync(caller, id).await?;
        let mut report = self.causes(caller, &sync, REPORT).await?;
        report.last_good = self.last_good(caller, &sync).await?.map(Box::new);
        Ok(report)
    }

    /// Reasons of the syncs that the overview names: the causes of failed uploads, and the columns behind a schema hold.
    pub async fn attention_reasons(
        &self,
        caller: &Caller,
        attention: &Attention,
    ) -> Result<Vec<(SyncId, String)>, Error> {
        let mut reasons = Vec::new();
        for sync in &attention.held {
            if sync.held.is_some_and(|hold| hold.differing_files > 0) {
                let first = self.0.state.differing_uploads(sync.sync_id, 1).await?.into_iter().next();
                let columns = first.and_then(|upload| upload.schema_difference).map(|columns| columns.in_words());
                reasons.extend(columns.map(|columns| (sync.sync_id, columns)));
            }
        }
        for sync in &attention.failed {
            let words = self.causes(caller, sync, LINE).await?.in_words();
            if !words.is_empty() {
                reasons.push((sync.sync_id, words));
            }
        }
        Ok(reasons)
    }

    async fn causes(&self, caller: &Caller, sync: &SyncJob, depth: Depth) -> Result<FailureReport, Error> {
        let mut report = FailureReport::default();
        if sync.num_failed == 0 {
            return Ok(report);
        }
        let id = sync.sync_id;
        let failed = self.failed_uploads(caller, id, depth.failures_max).await?;
        report.num_not_looked_at = sync.num_failed.saturating_sub(failed.len() as u64);
        let landed = self.landed_again(id, &failed, depth.look_ups_max).await?;
        for upload in failed {
            let came_later = upload
                .target_path
                .as_ref()
                .is_some_and(|path| landed.contains(&(path.clone(), upload.file_name.clone())));
            if upload.is_cancelled() {
                report.num_cancelled += 1;
            } else if came_later {
                report.num_sent_again += 1;
            } else {
                add(&mut report.causes, upload);
            }
        }
        report.causes.sort_by_key(|cause| std::cmp::Reverse(cause.count));
        Ok(report)
    }

    async fn failed_uploads(&self, caller: &Caller, id: SyncId, failures_max: u64) -> Result<Vec<Upload>, Error> {
        let mut failed = Vec::new();
        while (failed.len() as u64) < failures_max {
            let page = ListParameters {
                from: Some(failed.len() as u64),
                size: Some(LIST_SIZE_MAX.min(failures_max - failed.len() as u64)),
                sync_id: Some(id),
                status: Some(Status::Failed),
                ..ListParameters::default()
            };
            let more = self.uploads(caller, &page).await?;
            if more.is_empty() {
                break;
            }
            failed.extend(more);
        }
        Ok(failed)
    }

    /// Which of the failed files landed later in the same sync, by target and name.
    async fn landed_again(
        &self,
        id: SyncId,
        failed: &[Upload],
        look_ups_max: usize,
    ) -> Result<HashSet<(LakePath, String)>, Error> {
        let mut places: Vec<_> = failed.iter().filter_map(|upload| upload.target_path.clone()).collect();
        places.sort_unstable();
        places.dedup();
        places.truncate(look_ups_max);
        let Some(first) = failed.iter().map(|upload| upload.history_id).min() else { return Ok(HashSet::new()) };
        Ok(self.0.state.landed_at(id, &places, first).await?.into_iter().collect())
    }

    async fn last_good(&self, caller: &Caller, sync: &SyncJob) -> Result<Option<SyncJob>, Error> {
        let page = ListParameters {
            size: Some(EARLIER_LOOKED_AT_MAX),
            order: Order::Desc,
            status: Some(Status::Finished),
            path: Some(sync.path.clone()),
            ..ListParameters::default()
        };
        let earlier = self.syncs(caller, &page).await?;
        Ok(earlier.into_iter().find(|other| other.path == sync.path && other.sync_id < sync.sync_id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_that_differ_in_names_and_digests_are_one_cause() {
        let mismatch = |arrived: &str| {
            let (announced, arrived) = ("cd34".to_owned(), arrived.to_owned());
            cause_of(&Error::DigestMismatch { algorithm: "SHA-256", announced, arrived }.to_string())
        };
        assert_eq!(mismatch("ab12"), "failed their checksum");
        let earlier = "the SHA-256 of the bytes that came is ab12, and cd34 was announced; send the file again";
        assert_eq!(cause_of(earlier), mismatch("ef56"));
        let other = |name: &str| cause_of(&format!("the path \"{name}\" leads out of /data/t; send plain names"));
        assert_eq!(other("../a.csv"), other("../b c.csv"));
        assert_eq!(other("../a.csv"), other("a long name"));
        assert_eq!(other("../a.csv"), "failed: the path … leads out of …");
    }

    #[test]
    fn messages_of_the_engine_have_a_known_cause() {
        let cause = |error: &Error| cause_of(&error.to_string());
        assert_eq!(cause(&Error::Discarded(SyncId(7))), UNFINISHED);
        assert_eq!(cause(&Error::TooLarge { limit_bytes: 5 }), "exceeded the upload limit");
        assert_eq!(cause(&Error::DiskFull), "found too little free disk space");
        assert_eq!(cause(&Error::ShuttingDown), "stopped with the server");
        assert_eq!(cause(&Error::BytesLost), "lost their data in the lake");
        assert_eq!(cause_of(crate::service::recovery::INTERRUPTED), "stopped with the server");
    }

    #[test]
    fn a_report_is_told_in_a_line() {
        let cause = |cause: &str, count| FailureCause { cause: cause.into(), count, files: Vec::new() };
        let causes = vec![cause("failed their checksum", 3), cause("lost their connection", 1)];
        let report = FailureReport { causes, ..FailureReport::default() };
        assert_eq!(report.in_words(), "3 files failed their checksum, 1 file lost its connection");
        assert_eq!(FailureReport { num_not_looked_at: 9, ..FailureReport::default() }.in_words(), "");
        let cut = FailureReport { num_not_looked_at: 9, ..report };
        assert_eq!(cut.in_words(), "3 files failed their checksum, 1 file lost its connection, and more");
    }
}
