//! Group commit: one transaction for all jobs that arrived during the one before.
//!
//! A refused job leaves nothing behind. Most jobs refuse before they write, so nothing has to be undone; a job that is
//! alone rolls the transaction back. Only a job among several that writes gets a savepoint. Landings always refuse
//! before they write, and need none.
//!
//! After a failed sync, no transaction begins until [`Writing::make_safe`] has succeeded. A job whose commit may or may
//! not have happened gets an unsettled error.

use super::super::connection::{SQLITE_ERROR, open_writing, result_code};
use super::super::job::{Answer, Done, Durability, Effect, Job, JobOutcome};
use super::super::landing_facts::LandingFactsCache;
use super::super::landings;
use super::super::log_file;
use super::super::transaction_fault::Fault;
use super::super::versions::unversioned;
use super::{Savepoint, Writing};
use crate::audit_log;
use lakeshore::Error;
use lakeshore_system::failpoints::crash_point;
use sqlx::{Connection, Executor, Row as _};

/// Commits between two checkpoints: some thousand pages of the log.
const CHECKPOINT_COMMITS: u32 = 64;

impl Writing {
    /// Runs all of `jobs` in one transaction.
    pub(in super::super) async fn commit(&mut self, jobs: Vec<Job>) {
        let mut answers = Vec::with_capacity(jobs.len());
        let mut ended = self.transact(jobs, &mut answers).await;
        match &ended {
            Ok(()) => std::mem::take(&mut self.entries).iter().for_each(audit_log::log),
            Err(fault) => {
                match fault {
                    Fault::Busy(_) => tracing::warn!(%fault, "transaction failed; its callers may try again"),
                    _ => tracing::error!(%fault, "transaction failed"),
                }
                let was_committing = std::mem::take(&mut self.is_committing);
                self.take_back().await;
                if let Fault::Disk(cause) = fault {
                    self.is_safe = false;
                    let is_settled = self.make_safe().await.is_ok() || !was_committing;
                    ended = Err(if is_settled { Fault::Busy(cause.clone()) } else { Fault::Unsettled(cause.clone()) });
                }
            }
        }
        if std::mem::take(&mut self.changes_callers) {
            self.lookups.forget();
        }
        for answer in answers {
            answer(ended.clone());
        }
        self.commits += 1;
        if self.commits >= CHECKPOINT_COMMITS {
            self.checkpoint().await;
        }
    }

    /// Makes committed data durable after a failed sync. The kernel reports the failure once, and the next sync
    /// succeeds without the lost data (PostgreSQL found this in 2018). So the log is written again, its committed content
    /// is written to the database file and synced there, and the log is emptied, also of a transaction whose commit
    /// failed. No other work begins before. On an error, the outcome of a power cut is unknown.
    async fn make_safe(&mut self) -> Result<(), Fault> {
        if self.is_lost {
            self.open_anew().await?;
        }
        log_file::write_again(&self.file).map_err(sqlx::Error::Io)?;
        let checkpoint = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut self.connection).await?;
        if checkpoint.try_get::<i64, _>(0)? != 0 {
            return Err(Fault::busy("a reader keeps the write-ahead log of the database from being truncated"));
        }
        self.commits = 0;
        self.is_safe = true;
        tracing::warn!("the database is consistent again: its write-ahead log was rewritten in full");
        Ok(())
    }

    /// Writes the log to the database file, as far as readers permit. SQLite's own checkpoints would not report a
    /// failed sync.
    async fn checkpoint(&mut self) {
        self.commits = 0;
        let checkpoint = self.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").await;
        if let Err(Fault::Disk(cause)) = checkpoint.map_err(Fault::from) {
            tracing::error!(%cause, "checkpoint failed");
            self.is_safe = false;
        }
    }

    async fn transact(&mut self, jobs: Vec<Job>, answers: &mut Vec<Answer>) -> Result<(), Fault> {
        let durability = jobs.iter().map(|job| job.durability).max().unwrap_or(Durability::Synced);
        let mut is_alone = jobs.len() == 1;
        self.is_lazy = jobs.iter().all(|job| job.effect == Effect::InPlace);
        let mut ended = self.begin(durability).await;
        let mut is_kept = false;
        for job in jobs {
            if ended.is_ok() && job.effect != Effect::InPlace {
                self.savepoint = Savepoint::Needless;
                match self.write_pending().await {
                    Ok(has_written) => {
                        is_kept |= has_written;
                        is_alone &= !has_written;
                    }
                    Err(error) => ended = Err(Fault::of(&error)),
                }
            }
            if ended.is_err() {
                answers.push(job.refuse);
                continue;
            }
            let changes_known = job.effect == Effect::Any;
            if changes_known {
                self.known.forget();
            }
            let needs_none = is_alone || job.effect == Effect::InPlace;
            self.savepoint = if needs_none { Savepoint::Needless } else { Savepoint::AtFirstWrite };
            let entries = self.entries.len();
            let Done { outcome, answer } = (job.work)(self).await;
            answers.push(answer);
            if changes_known {
                self.known.forget();
            }
            let has_savepoint = self.savepoint == Savepoint::There;
            ended = match outcome {
                JobOutcome::Failed(fault) => Err(fault),
                JobOutcome::Done => {
                    is_kept = true;
                    if has_savepoint { self.run("RELEASE job").await.map_err(Fault::from) } else { Ok(()) }
                }
                JobOutcome::Refused => {
                    self.entries.truncate(entries);
                    if has_savepoint { self.forget_job().await.map_err(Fault::from) } else { Ok(()) }
                }
            };
        }
        ended?;
        if is_kept {
            if self.unversioned.is_due() {
                self.savepoint = Savepoint::Needless;
                unversioned::write(self).await.map_err(|error| Fault::of(&error))?;
            }
            crash_point!("state.before_commit");
            self.is_committing = true;
            self.write_put_off().await.map_err(|error| Fault::of(&error))?;
            if self.is_begun {
                self.run("COMMIT").await?;
            }
            self.is_committing = false;
            self.unversioned.committed();
            self.deferred.remove(&std::mem::take(&mut self.finished));
            crash_point!("state.committed");
        } else if self.is_begun {
            // The rollback also undoes the writes of a single job that refused.
            self.finished.clear();
            self.run("ROLLBACK").await?;
        }
        self.is_begun = false;
        self.is_running = false;
        Ok(())
    }

    /// Writes the rows of deferred groups, and the versions of all landings. Returns whether there were any.
    async fn write_pending(&mut self) -> Result<bool, Error> {
        let groups = self.deferred.groups_without(&self.finished);
        for group in &groups {
            landings::finish_landings(self, group).await?;
        }
        Ok(unversioned::write(self).await? || !groups.is_empty())
    }

    async fn begin(&mut self, durability: Durability) -> Result<(), Fault> {
        if self.is_running {
            self.take_back().await;
        }
        self.is_running = true;
        if self.is_lost {
            self.open_anew().await?;
        }
        if !self.is_safe {
            // The transaction was rolled back, so none of these jobs was done.
            self.make_safe().await.map_err(|fault| Fault::busy(&fault.to_string()))?;
        }
        if self.synchronous != Some(durability) {
            let pragma = match durability {
                Durability::Written => "PRAGMA synchronous = NORMAL",
                Durability::Synced => "PRAGMA synchronous = FULL",
            };
            // Not by `run`: this pragma takes effect when it is prepared, so a cached statement does nothing.
            self.synchronous = None;
            self.connection.execute(pragma).await?;
            self.synchronous = Some(durability);
        }
        if !self.is_lazy {
            self.is_begun = true;
            self.run("BEGIN IMMEDIATE").await?;
        }
        Ok(())
    }

    async fn open_anew(&mut self) -> Result<(), Fault> {
        let mut reopened = open_writing(&self.file).await?;
        landings::prepare(&mut reopened).await?;
        let lost = std::mem::replace(&mut self.connection, reopened);
        self.is_lost = false;
        self.synchronous = None;
        // The old connection may hold the lock of the transaction.
        let _ = lost.close().await;
        Ok(())
    }

    /// Rolls the transaction back.
    async fn take_back(&mut self) {
        self.entries.clear();
        self.at_end.clear();
        self.known = LandingFactsCache::default();
        self.unversioned.forget();
        self.finished.clear();
        self.is_begun = false;
        self.is_running = false;
        // SQLite may have rolled back by itself; this error is then harmless.
        if let Err(error) = self.run("ROLLBACK").await {
            self.is_lost = result_code(&error) != Some(SQLITE_ERROR);
        }
    }

    /// Rolls back to the savepoint.
    async fn forget_job(&mut self) -> sqlx::Result<()> {
        self.run("ROLLBACK TO job").await?;
        self.run("RELEASE job").await
    }
}
