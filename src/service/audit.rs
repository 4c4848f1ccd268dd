//! Audit log of the lake: the list for callers, and the actions that change nothing else.

use crate::model::access::actor::{Actor, Origin};
use crate::model::access::key::{Caller, may_administer};
use crate::model::audit::{Activity, AuditEntry, AuditParameters};
use crate::model::error::Error;
use crate::model::limits::REFUSED_SIGN_INS_LISTED_MAX;
use crate::model::time::Timestamp;
use crate::service::Lake;
use parking_lot::Mutex;
use std::time::Duration;

/// Refused sign-ins of the last minute.
#[derive(Default)]
pub(in crate::service) struct Refusals(Mutex<Minute>);

#[derive(Default)]
struct Minute {
    since: Option<Timestamp>,
    listed: u32,
    unlisted: u64,
}

impl Refusals {
    /// Whether one more refusal is listed, and if so, how many before it were not.
    fn list(&self, now: Timestamp) -> Option<u64> {
        let mut minute = self.0.lock();
        if minute.since.is_none_or(|since| now < since || now >= since.plus(Duration::from_secs(60))) {
            (minute.since, minute.listed) = (Some(now), 0);
        }
        if minute.listed < REFUSED_SIGN_INS_LISTED_MAX {
            minute.listed += 1;
            Some(std::mem::take(&mut minute.unlisted))
        } else {
            minute.unlisted += 1;
            None
        }
    }
}

impl Lake {
    /// Audit entries, newest first. An administrator of the whole lake sees all; others see the entries on their paths,
    /// without the origins.
    pub async fn activity(&self, caller: &Caller, wanted: &AuditParameters) -> Result<Vec<Activity>, Error> {
        let scope = caller.may_read()?;
        let sees_all = may_administer(caller).is_ok();
        let Some(query) = wanted.query(scope, !sees_all)? else { return Ok(Vec::new()) };
        let mut entries = self.0.state.activity(&query).await?;
        if !sees_all {
            entries.iter_mut().for_each(|activity| activity.entry.by.trace.origin = Origin::default());
        }
        Ok(entries)
    }

    /// Records the settings of the lake if they differ from those of the last start.
    pub async fn remember_settings(&self, settings: String) -> Result<(), Error> {
        let wanted = AuditParameters {
            what: Some(crate::model::audit::AuditAction::SettingsChanged),
            size: Some(1),
            ..AuditParameters::default()
        };
        let Some(query) = wanted.query(None, false)? else { return Ok(()) };
        match self.0.state.activity(&query).await?.first() {
            Some(last) if last.entry.message == settings => Ok(()),
            _ => self.0.state.record(&AuditEntry::settings_changed(settings, self.now())).await,
        }
    }

    /// Records a refused sign-in. A failure to record it is ignored, as the sign-in is refused anyway.
    pub(in crate::service) async fn record_refused(&self, refusal: &Error, origin: &Origin) {
        let now = self.now();
        let Some(unlisted) = self.0.refusals.list(now) else { return };
        let entry = AuditEntry::sign_in_refused(&Actor::nobody(origin.clone()), refusal, unlisted, now);
        if self.0.state.record(&entry).await.is_ok() {
            self.0.events.pending_changes().activity();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_beyond_the_limit_of_a_minute_are_counted_and_reported_with_the_next() {
        let refusals = Refusals::default();
        for _ in 0..REFUSED_SIGN_INS_LISTED_MAX {
            assert_eq!(refusals.list(Timestamp(1)), Some(0));
        }
        assert_eq!((refusals.list(Timestamp(2)), refusals.list(Timestamp(60_000))), (None, None));
        assert_eq!(refusals.list(Timestamp(60_001)), Some(2));
        assert_eq!(refusals.list(Timestamp(60_002)), Some(0));
    }
}
