//! Failed sign-ins, counted by address: too many of them have to wait.

use crate::model::access::actor::Origin;
use crate::model::error::Error;
use crate::model::limits::{FAILED_SIGN_INS_MAX, FAILED_SIGN_INS_WINDOW, WRONG_SIGN_IN_ADDRESSES_MAX};
use crate::model::time::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

#[derive(Default)]
pub(in crate::service) struct FailedSignIns(Mutex<HashMap<Source, Window>>);

/// An address; for IPv6 the /64 network, which one machine may own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Source {
    Unknown,
    Address(IpAddr),
}

struct Window {
    since: Timestamp,
    wrong: u32,
}

impl Source {
    fn of(origin: &Origin) -> Self {
        match origin.address.as_deref().and_then(|address| address.parse().ok()) {
            None => Self::Unknown,
            Some(IpAddr::V6(address)) => {
                let network = u128::from(address) & !u128::from(u64::MAX);
                Self::Address(IpAddr::V6(Ipv6Addr::from(network)))
            }
            Some(address) => Self::Address(address),
        }
    }
}

impl Window {
    fn is_over(&self, now: Timestamp) -> bool {
        now < self.since || now >= self.since.plus(FAILED_SIGN_INS_WINDOW)
    }
}

impl FailedSignIns {
    fn windows(&self) -> MutexGuard<'_, HashMap<Source, Window>> {
        self.0.lock()
    }

    /// Counts a failed sign-in. Beyond the limit its address has to wait.
    pub(in crate::service) fn count(&self, origin: &Origin, now: Timestamp) -> Result<(), Error> {
        let mut windows = self.windows();
        let source = Source::of(origin);
        if !windows.contains_key(&source) && windows.len() >= WRONG_SIGN_IN_ADDRESSES_MAX {
            windows.retain(|_, window| !window.is_over(now));
            let oldest = windows.iter().min_by_key(|(_, window)| window.since).map(|(source, _)| *source);
            if let Some(oldest) = oldest.filter(|_| windows.len() >= WRONG_SIGN_IN_ADDRESSES_MAX) {
                windows.remove(&oldest);
            }
        }
        let window = windows.entry(source).or_insert(Window { since: now, wrong: 0 });
        if window.is_over(now) {
            *window = Window { since: now, wrong: 0 };
        }
        if window.wrong >= FAILED_SIGN_INS_MAX {
            let left_ms = window.since.plus(FAILED_SIGN_INS_WINDOW).0.saturating_sub(now.0);
            return Err(Error::TooManySignIns { seconds: u64::try_from(left_ms).unwrap_or(0).div_ceil(1000).max(1) });
        }
        window.wrong += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(address: &str) -> Origin {
        Origin { address: Some(address.to_owned()), ..Origin::default() }
    }

    #[test]
    fn an_address_with_too_many_failures_waits_for_the_rest_of_the_minute_and_others_do_not() {
        let wrong = FailedSignIns::default();
        for _ in 0..FAILED_SIGN_INS_MAX {
            wrong.count(&from("192.0.2.7"), Timestamp(1000)).unwrap();
        }
        let refused = wrong.count(&from("192.0.2.7"), Timestamp(11_500));
        assert!(matches!(refused, Err(Error::TooManySignIns { seconds: 50 })), "{refused:?}");
        wrong.count(&from("192.0.2.8"), Timestamp(11_500)).unwrap();
        wrong.count(&from("192.0.2.7"), Timestamp(61_000)).unwrap();
    }

    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        let wrong = FailedSignIns::default();
        for n in 0..FAILED_SIGN_INS_MAX {
            wrong.count(&from(&format!("2001:db8::{n:x}")), Timestamp(1)).unwrap();
        }
        assert!(wrong.count(&from("2001:db8::ffff"), Timestamp(1)).is_err());
        wrong.count(&from("2001:db8:0:1::1"), Timestamp(1)).unwrap();
    }

    #[test]
    fn the_number_of_tracked_addresses_is_bounded() {
        let wrong = FailedSignIns::default();
        for n in 0..2 * WRONG_SIGN_IN_ADDRESSES_MAX as u32 {
            wrong.count(&from(&std::net::Ipv4Addr::from(n).to_string()), Timestamp(i64::from(n / 100))).unwrap();
        }
        assert_eq!(wrong.windows().len(), WRONG_SIGN_IN_ADDRESSES_MAX);
    }
}
