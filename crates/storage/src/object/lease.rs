//! A lake in a bucket is served by one server: the object `_lakeshore/server` says which, and is written again and again by
//! it. One that has not been written for [`SILENCE_MAX`] is of a server that has ended, and another may take its place. No
//! clocks are compared: a waiting server measures the time itself.
//!
//! Servers that share a database may have the lake together: they write the object in turn, with one `start`.
//!
//! A server whose lease was not written for [`FRESH_MAX`] writes nothing more until it is, and never again once another
//! one has the lake.

use super::bucket::{Bucket, BucketError, Replaced};
use super::fault::no_answer;
use bytes::Bytes;
use lakeshore::Error;
use lakeshore::model::object_key::ObjectKey;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Time from the begin of a renewal to that of the next, which does not begin before it has ended.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(5);
/// Time for one attempt to renew.
const RENEWAL_MAX: Duration = Duration::from_secs(7);
/// Time without a renewal after which the server writes nothing more. Longer than a renewal, one that fails, and another.
const FRESH_MAX: Duration = Duration::from_secs(24);
/// Time without a renewal after which another server may take the lake. Longer than [`FRESH_MAX`], by the time that a
/// step needs which began just before.
pub const SILENCE_MAX: Duration = Duration::from_secs(30);
/// Pause between two looks at the lease of another server.
const LOOK_PAUSE: Duration = Duration::from_millis(500);

/// Content of the object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    /// For people: process, machine, database.
    server: String,
    /// Two servers with the same cannot run at once: they have the same database, which one process has at a time. Empty
    /// when the lake was given back.
    database: String,
    /// Of one start of a server, or of servers that have the lake together.
    start: String,
    /// Begins with a random number and grows with each renewal, so that no two contents are the same.
    renewals: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    #[error(
        "the lake {lake} is already served by {server}; a lake has one server: stop that one first, or choose another bucket or prefix with --lake"
    )]
    Served { lake: String, server: String },
    #[error(transparent)]
    Bucket(#[from] BucketError),
    #[error("cannot take the lake: {0}")]
    Start(#[source] Box<Error>),
}

/// Another server has taken the lake over.
#[derive(Debug, thiserror::Error)]
#[error("another server has taken over this lake, so this one may not write any more; stop one of them")]
struct TakenOver;

/// The lake is served by this process.
pub(super) struct Lease {
    held: Arc<LeaseState>,
    keeper: JoinHandle<()>,
}

struct LeaseState {
    bucket: Arc<Bucket>,
    start: String,
    is_lost: AtomicBool,
    is_given_back: AtomicBool,
    /// When the last renewal that succeeded was begun, in milliseconds of [`now_ms`].
    renewed_at_ms: AtomicU64,
    /// Begin of the last renewal that came later than [`FRESH_MAX`] after the one before.
    silent_until_ms: AtomicU64,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

/// Of a clock that goes on while the machine sleeps.
pub(super) fn now_ms() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1000 + u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000_000
}

fn key() -> ObjectKey {
    ObjectKey::of_server()
}

/// Takes the lake, at the latest when the lease of a server that has ended is over. `random` is one number of each server.
pub(super) async fn take(
    bucket: &Arc<Bucket>,
    server: &str,
    database: &str,
    start: String,
    random: u32,
) -> Result<Lease, LeaseError> {
    let (server, database) = (server.to_owned(), database.to_owned());
    let own = Record { server, database, start, renewals: random.into() };
    let mut waited: Option<(Record, u64)> = None;
    loop {
        let begun = now_ms();
        let written = match read(bucket).await? {
            None => bucket.put_new(&key(), content(&own)).await?,
            Some((found, version)) => {
                let (last, since) = waited.get_or_insert_with(|| (found.clone(), begun));
                if *last != found && !found.database.is_empty() && found.database != own.database {
                    // It was written meanwhile.
                    return Err(LeaseError::Served { lake: bucket.lake().to_owned(), server: found.server });
                }
                let is_over = u128::from(begun.saturating_sub(*since)) >= SILENCE_MAX.as_millis();
                let is_free = found.database.is_empty() || found.database == own.database || is_over;
                if !is_free {
                    if found == *last && *since == begun {
                        let server = &found.server;
                        tracing::info!(%server, "waiting for the lease of the server before, which may have ended");
                    }
                    tokio::time::sleep(LOOK_PAUSE).await;
                    continue;
                }
                bucket.replace(&key(), content(&own), &version).await? == Replaced::Done
            }
        };
        // Read back, since an answer may have been lost, and since not every object storage compares before it writes.
        if let (_, Some((found, _))) = (written, read(bucket).await?)
            && found.start == own.start
        {
            bucket.try_condition(&key(), content(&found)).await?;
            let held = LeaseState {
                bucket: bucket.clone(),
                start: own.start.clone(),
                is_lost: AtomicBool::new(false),
                is_given_back: AtomicBool::new(false),
                renewed_at_ms: AtomicU64::new(begun),
                silent_until_ms: AtomicU64::new(0),
            };
            let held = Arc::new(held);
            return Ok(Lease { keeper: tokio::spawn(keep(held.clone(), own)), held });
        }
        waited = None;
    }
}

async fn read(bucket: &Bucket) -> Result<Option<(Record, String)>, BucketError> {
    let Some((bytes, version)) = bucket.get_version(&key()).await? else { return Ok(None) };
    // One that cannot be read is waited for like any other.
    let record = serde_json::from_slice(&bytes).unwrap_or_else(|_| Record {
        server: "a server of another version".into(),
        database: "?".into(),
        start: String::from_utf8_lossy(&bytes).into_owned(),
        renewals: 0,
    });
    Ok(Some((record, version)))
}

fn content(record: &Record) -> Bytes {
    serde_json::to_vec(record).unwrap_or_default().into()
}

/// Renews the lease until another server has it.
async fn keep(held: Arc<LeaseState>, mut own: Record) {
    let mut due = Instant::now() + RENEWAL_INTERVAL;
    loop {
        tokio::time::sleep_until(due).await;
        due = Instant::now() + RENEWAL_INTERVAL;
        own.renewals += 1;
        match tokio::time::timeout(RENEWAL_MAX, held.renew(&own)).await {
            Ok(Ok(Renewal::Done)) => {}
            Ok(Ok(Renewal::Lost)) => {
                tracing::error!("another server has taken over this lake; this server can no longer write");
                held.is_lost.store(true, Ordering::Relaxed);
                return;
            }
            Ok(Ok(Renewal::Refused)) => tracing::warn!(
                "cannot renew the lease of the lake: the object storage refuses to replace its object; trying again"
            ),
            Ok(Err(error)) => tracing::warn!(%error, "cannot renew the lease of the lake; trying again"),
            Err(_) => tracing::warn!("cannot renew the lease of the lake: no answer in time; trying again"),
        }
    }
}

/// Outcome of an attempt to renew.
enum Renewal {
    Done,
    /// The lake is another server's.
    Lost,
    /// The object storage did not replace the version that it had.
    Refused,
}

/// Outcome of one write of the object.
enum Written {
    Done,
    /// The lake is another server's.
    Lost,
    /// The object is no longer of this version, or is there although it was not.
    Changed(Option<String>),
}

impl LeaseState {
    async fn renew(&self, own: &Record) -> Result<Renewal, BucketError> {
        let begun = now_ms();
        let before = match self.write(own).await? {
            Written::Done => return Ok(Renewal::Done),
            Written::Lost => return Ok(Renewal::Lost),
            Written::Changed(before) => before,
        };
        match read(&self.bucket).await? {
            Some((found, _)) if found.start != self.start => Ok(Renewal::Lost),
            Some((_, version)) if Some(&version) == before.as_ref() => Ok(Renewal::Refused),
            // One of the group has renewed it for all since `begun`. Servers that have waited for the same outage renew at
            // the same moment, and one that came second each time would otherwise be taken for silent.
            Some((found, _)) if !found.database.is_empty() => {
                self.renewed(begun);
                Ok(Renewal::Done)
            }
            // One of the group has given it back, or somebody has deleted it.
            _ => match self.write(own).await? {
                Written::Done => Ok(Renewal::Done),
                Written::Lost => Ok(Renewal::Lost),
                Written::Changed(_) => Ok(Renewal::Refused),
            },
        }
    }

    async fn write(&self, own: &Record) -> Result<Written, BucketError> {
        let begun = now_ms();
        match read(&self.bucket).await? {
            // Somebody has deleted it. The next writer has the lake.
            None => {
                if !self.bucket.put_new(&key(), content(own)).await? {
                    return Ok(Written::Changed(None));
                }
            }
            Some((found, _)) if found.start != self.start => return Ok(Written::Lost),
            Some((_, version)) => {
                if self.bucket.replace(&key(), content(own), &version).await? == Replaced::Changed {
                    return Ok(Written::Changed(Some(version)));
                }
            }
        }
        self.renewed(begun);
        Ok(Written::Done)
    }

    fn renewed(&self, begun: u64) {
        let before = self.renewed_at_ms.swap(begun, Ordering::Relaxed);
        if u128::from(begun.saturating_sub(before)) > FRESH_MAX.as_millis() {
            self.silent_until_ms.store(begun, Ordering::Relaxed);
        }
    }
}

impl Lease {
    pub(super) fn is_lost(&self) -> bool {
        self.held.is_lost.load(Ordering::Relaxed)
    }

    /// Whether this server may write now.
    pub(super) fn may_write(&self) -> Result<(), Error> {
        if self.is_lost() {
            return Err(Error::internal(TakenOver));
        }
        if self.held.is_given_back.load(Ordering::Relaxed) {
            return Err(Error::ShuttingDown);
        }
        let silent_ms = now_ms().saturating_sub(self.held.renewed_at_ms.load(Ordering::Relaxed));
        if u128::from(silent_ms) > FRESH_MAX.as_millis() {
            return Err(no_answer("renewing the lease of the lake", silent_ms / 1000));
        }
        Ok(())
    }

    /// Whether this server may write now what it began then, by [`now_ms`]: not where it stood still for long in between, since
    /// another one of its group may have taken it for ended, and kept the lease for both.
    pub(super) fn may_still_write(&self, begun: u64) -> Result<(), Error> {
        self.may_write()?;
        let silent_until = self.held.silent_until_ms.load(Ordering::Relaxed);
        if begun < silent_until {
            return Err(no_answer("renewing the lease of the lake", FRESH_MAX.as_secs()));
        }
        Ok(())
    }

    /// Gives the lake back, so that the next server need not wait.
    pub(super) async fn release(&self) {
        self.keeper.abort();
        // Requests that are still under way write nothing from now on.
        self.held.is_given_back.store(true, Ordering::Relaxed);
        // Where the condition is ignored, the write would take the lake from a server that has begun since.
        if self.held.bucket.ignores_conditions() {
            return;
        }
        let record = Record {
            server: String::new(),
            database: String::new(),
            start: self.held.start.clone(),
            renewals: now_ms(),
        };
        // Once: a server of the group that renews meanwhile keeps the lake.
        if let Err(error) = self.held.write(&record).await {
            tracing::debug!(%error, "cannot give the lake back; the next server waits for its lease");
        }
    }
}
