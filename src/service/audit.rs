//! What was done in the lake, for whoever may know it; and the deeds that change nothing else.

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
    /// Whether one more is to be listed; then with how many were not, before.
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
    /// Deeds, the newest first. Whoever looks after the whole lake sees all of them; others what was done to places that they
    /// may see, and not from where.
    pub async fn activity(&self, caller: &Caller, wanted: &AuditParameters) -> Result<Vec<Activity>, Error> {
        let scope = caller.may_read()?;
        let sees_all = may_administer(caller).is_ok();
        let Some(query) = wanted.query(scope, !sees_all)? else { return Ok(Vec::new()) };
        let mut deeds = self.0.state.activity(&query).await?;
        if !sees_all {
            deeds.iter_mut().for_each(|activity| activity.deed.by.trace.origin = Origin::default());
        }
        Ok(deeds)
    }

    /// Remembers with which settings the lake runs, where they are others than the last time.
    pub async fn remember_settings(&self, settings: String) -> Result<(), Error> {
        let wanted = AuditParameters {
            what: Some(crate::model::audit::AuditAction::SettingsChanged),
            size: Some(1),
            ..AuditParameters::default()
        };
        let Some(query) = wanted.query(None, false)? else { return Ok(()) };
        match self.0.state.activity(&query).await?.first() {
            Some(last) if last.deed.message == settings => Ok(()),
            _ => self.0.state.record(&AuditEntry::settings_changed(settings, self.now())).await,
        }
    }

    /// Remembers that somebody could not sign in. It was refused already: what cannot be remembered is no more than that.
    pub(in crate::service) async fn record_refused(&self, refusal: &Error, origin: &Origin) {
        let now = self.now();
        let Some(unlisted) = self.0.refusals.list(now) else { return };
        let deed = AuditEntry::sign_in_refused(&Actor::nobody(origin.clone()), refusal, unlisted, now);
        if self.0.state.record(&deed).await.is_ok() {
            self.0.events.marks().activity();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_some_a_minute_refusals_are_counted_and_told_with_the_next() {
        let refusals = Refusals::default();
        for _ in 0..REFUSED_SIGN_INS_LISTED_MAX {
            assert_eq!(refusals.list(Timestamp(1)), Some(0));
        }
        assert_eq!((refusals.list(Timestamp(2)), refusals.list(Timestamp(60_000))), (None, None));
        assert_eq!(refusals.list(Timestamp(60_001)), Some(2));
        assert_eq!(refusals.list(Timestamp(60_002)), Some(0));
    }
}
