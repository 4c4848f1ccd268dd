//! Steps of a landing that fail for a reason that may pass are tried again, a bounded number of times.
//!
//! Only what [`Error::may_pass`] says of: such a step has changed nothing. A failed sync never is: the kernel tells of it once
//! and drops what it could not write, so the same sync would succeed the next time with nothing on the disk.

use crate::model::error::Error;
use crate::service::Lake;
use crate::service::uploads::unsettled::SETTLING_PAUSES;
use std::time::Duration;

/// Between the attempts. Short beside the time that senders wait for an answer.
pub(in crate::service) const ATTEMPT_PAUSES: [Duration; ATTEMPTS_MAX - 1] =
    [Duration::from_millis(200), Duration::from_secs(1)];
/// Attempts at one step.
pub(in crate::service) const ATTEMPTS_MAX: usize = 3;

impl Lake {
    /// Runs a step, and again where its fault may pass. What waits for this step waits longer.
    pub(in crate::service) async fn patiently<T, S>(&self, mut step: impl FnMut() -> S) -> Result<T, Error>
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

    /// Runs a step that finds out itself how far it came, and again after any fault, for some seconds. Then it is left to the
    /// background.
    pub(in crate::service) async fn persistently<T, S>(&self, mut step: impl FnMut() -> S) -> Result<T, Error>
    where
        S: Future<Output = Result<T, Error>>,
    {
        for pause in SETTLING_PAUSES {
            match step().await {
                Err(Error::Internal(_)) => self.pause(pause).await,
                ended => return ended,
            }
        }
        step().await
    }

    pub(in crate::service) async fn pause(&self, length: Duration) {
        self.0.clock.pause(length).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sync::status::Status;
    use crate::ports::metadata::upload::UploadState;
    use crate::service::bench::{LARGE, SMALL, bench};
    use futures_util::FutureExt;
    use pollster::block_on;
    use std::io;
    use std::pin::pin;

    fn passing() -> Error {
        Error::passing(io::Error::other("too many open files"))
    }

    /// Those up to the name. From there on a landing is settled, see `unsettled.rs`.
    const STEPS: [(&str, usize); 7] = [
        ("create_partial", LARGE),
        ("begin_upload", LARGE),
        ("write_group", SMALL),
        ("intend_landings", SMALL),
        ("intend_landings", LARGE),
        ("land", SMALL),
        ("land", LARGE),
    ];
    const LAST_STEPS: [(&str, usize); 2] = [("finish_landings", SMALL), ("finish_landings", LARGE)];

    #[test]
    fn a_fault_that_passes_costs_an_upload_nothing_but_time() {
        for (step, size) in STEPS.into_iter().chain(LAST_STEPS) {
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
