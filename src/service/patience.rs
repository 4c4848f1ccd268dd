//! Steps of a landing that fail for a reason that may pass are tried again, a bounded number of times.
//!
//! Only what [`Error::may_pass`] says of: such a step has changed nothing. A failed sync never is: the kernel tells of it once
//! and drops what it could not write, so the same sync would succeed the next time with nothing on the disk.

use super::Lake;
use crate::error::Error;
use std::time::Duration;

/// Between the attempts. Short beside the time that senders wait for an answer.
pub(super) const ATTEMPT_PAUSES: [Duration; ATTEMPTS_MAX - 1] = [Duration::from_millis(200), Duration::from_secs(1)];
/// Attempts at one step.
pub(super) const ATTEMPTS_MAX: usize = 3;

impl Lake {
    /// Runs a step, and again where its fault may pass. What waits for this step waits longer.
    pub(super) async fn patiently<T, S>(&self, mut step: impl FnMut() -> S) -> Result<T, Error>
    where
        S: Future<Output = Result<T, Error>>,
    {
        for pause in ATTEMPT_PAUSES {
            match step().await {
                Err(error) if error.may_pass() => self.pause(pause).await,
                ended => return ended,
            }
        }
        step().await
    }

    pub(super) async fn pause(&self, length: Duration) {
        self.0.clock.pause(length).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{Caller, Grant, Role};
    use crate::limits::Limits;
    use crate::list::ListParameters;
    use crate::ports::Clock;
    use crate::ports::memory::{CountingRandomness, MemoryFiles, MemoryFormats, MemoryState};
    use crate::ports::state::UploadState;
    use crate::service::{Parts, StartSync};
    use crate::sync::{Status, SyncId, SyncType};
    use crate::time::Timestamp;
    use async_trait::async_trait;
    use bytes::Bytes;
    use futures_util::FutureExt;
    use pollster::block_on;
    use std::io;
    use std::pin::pin;
    use std::sync::Arc;

    /// Pauses end when somebody lets them.
    struct Stopwatch {
        ends: async_lock::Semaphore,
    }

    #[async_trait]
    impl Clock for Stopwatch {
        fn now(&self) -> Timestamp {
            Timestamp(1000)
        }

        async fn pause(&self, _length: Duration) {
            self.ends.acquire().await.forget();
        }
    }

    struct Bench {
        lake: Lake,
        files: MemoryFiles,
        state: MemoryState,
        clock: Arc<Stopwatch>,
        sync_id: SyncId,
    }

    fn caller() -> Caller {
        Caller::Known(Grant::new("etl", Role::Admin, None))
    }

    /// A lake in which so many pauses end at once.
    fn bench(pauses: usize) -> Bench {
        let (files, state) = (MemoryFiles::default(), MemoryState::default());
        let clock = Arc::new(Stopwatch { ends: async_lock::Semaphore::new(pauses) });
        let lake = Lake::new(Parts {
            state: Arc::new(state.clone()),
            files: Arc::new(files.clone()),
            formats: Arc::new(MemoryFormats),
            clock: clock.clone(),
            randomness: Arc::new(CountingRandomness::default()),
            limits: Limits::default(),
        });
        let sync_type = SyncType::IncrementalSync;
        let start = StartSync { name: "n".into(), path: "/a".into(), sync_type, expected: None };
        let sync_id = block_on(lake.start_sync(&caller(), &start)).unwrap();
        Bench { lake, files, state, clock, sync_id }
    }

    impl Bench {
        async fn upload(&self, name: &str, size: usize) -> Result<(), Error> {
            let mut upload = self.lake.destination(&caller(), self.sync_id, None).await?.begin(name).await?;
            let written = upload.write(Bytes::from(vec![b'x'; size])).await;
            match written {
                Ok(()) => upload.land().await.map(drop),
                Err(error) => upload.fail(&error).await.and(Err(error)),
            }
        }

        fn fail(&self, call: &'static str, errors: Vec<Error>) {
            if ["create_partial", "write_group", "seal", "land"].contains(&call) {
                self.files.fail_next(call, errors);
            } else {
                self.state.fail_next(call, errors);
            }
        }

        async fn statuses(&self) -> Vec<Status> {
            let uploads = self.lake.uploads(&caller(), &ListParameters::default()).await.unwrap();
            uploads.into_iter().map(|upload| upload.sync_status).collect()
        }
    }

    fn passing() -> Error {
        Error::passing(io::Error::other("too many open files"))
    }

    const SMALL: usize = 10;
    /// Has a partial file and a row before it lands.
    const LARGE: usize = 1024 * 1024;
    const STEPS: [(&str, usize); 9] = [
        ("create_partial", LARGE),
        ("begin_upload", LARGE),
        ("write_group", SMALL),
        ("intend_landings", SMALL),
        ("intend_landings", LARGE),
        ("land", SMALL),
        ("land", LARGE),
        ("finish_landings", SMALL),
        ("finish_landings", LARGE),
    ];

    #[test]
    fn a_fault_that_passes_costs_an_upload_nothing_but_time() {
        for (step, size) in STEPS {
            block_on(async {
                let bench = bench(ATTEMPTS_MAX - 1);
                bench.fail(step, (1..ATTEMPTS_MAX).map(|_| passing()).collect());
                bench.upload("f", size).await.unwrap_or_else(|error| panic!("{step}: {error:?}"));
                assert_eq!(bench.files.live_files()["/a/f"].len(), size, "{step}");
                assert_eq!((bench.files.partials(), bench.statuses().await), (0, vec![Status::Finished]), "{step}");
                assert!(bench.state.unfinished_landings().await.unwrap().is_empty(), "{step}");
            });
        }
    }

    #[test]
    fn a_fault_that_stays_is_told_after_so_many_attempts_and_leaves_nothing_behind() {
        for (step, size) in STEPS {
            block_on(async {
                let bench = bench(ATTEMPTS_MAX - 1);
                bench.fail(step, (0..ATTEMPTS_MAX).map(|_| passing()).collect());
                let error = bench.upload("f", size).await.unwrap_err();
                assert!(
                    matches!(&error, Error::Internal(fault) if fault.to_string() == "too many open files"),
                    "{step}"
                );
                assert!(bench.files.live_files().is_empty(), "{step}");
                assert_eq!((bench.files.partials(), bench.statuses().await), (0, vec![Status::Failed]), "{step}");
                bench.upload("f", size).await.unwrap();
            });
        }
    }

    #[test]
    fn a_step_is_not_repeated_where_it_may_have_changed_something() {
        let steps = STEPS.into_iter().chain([("seal", SMALL)]);
        for (step, size) in steps {
            block_on(async {
                let bench = bench(ATTEMPTS_MAX - 1);
                bench.fail(step, vec![passing().lasting()]);
                bench.upload("f", size).await.unwrap_err();
                assert!(bench.files.live_files().is_empty(), "{step}");
                assert_eq!((bench.files.partials(), bench.statuses().await), (0, vec![Status::Failed]), "{step}");
            });
        }
    }

    #[test]
    fn bytes_whose_sync_failed_are_not_taken_for_safe_because_the_intent_may_be_tried_again() {
        block_on(async {
            let bench = bench(ATTEMPTS_MAX - 1);
            bench.fail("seal", vec![passing().lasting()]);
            bench.fail("intend_landings", vec![passing()]);
            bench.upload("f", SMALL).await.unwrap_err();
            assert!(bench.files.live_files().is_empty());
        });
    }

    #[test]
    fn others_land_while_an_upload_waits_for_its_next_attempt() {
        for step in ["write_group", "intend_landings", "land"] {
            block_on(async {
                let bench = bench(0);
                bench.fail(step, vec![passing()]);
                let mut waiting = pin!(bench.upload("first", SMALL));
                assert!(waiting.as_mut().now_or_never().is_none(), "{step}");
                bench.upload("second", SMALL).await.unwrap();
                assert_eq!(bench.files.live_files().into_keys().collect::<Vec<_>>(), ["/a/second"], "{step}");
                bench.clock.ends.add_permits(1);
                waiting.await.unwrap();
                assert_eq!(bench.files.live_files().len(), 2, "{step}");
            });
        }
    }
}
