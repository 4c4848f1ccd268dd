//! Days of the lake: UTC, from midnight to midnight.

use crate::model::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use time::{Date, Month};

/// Length of a day, in milliseconds.
pub const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// 1970-01-01 as `time` counts days.
const JULIAN_DAY_OF_1970: i64 = 2_440_588;

/// A day, counted from 1970-01-01. Written as `2026-11-24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Day(pub i64);

impl Day {
    pub fn of(at: Timestamp) -> Self {
        Self(at.0.div_euclid(DAY_MS))
    }

    /// Midnight at its start.
    pub fn start(self) -> Timestamp {
        Timestamp(self.0.saturating_mul(DAY_MS))
    }

    pub fn plus(self, days: i64) -> Self {
        Self(self.0.saturating_add(days))
    }

    /// Days from `first` to this one, both included.
    pub fn since(self, first: Self) -> impl DoubleEndedIterator<Item = Self> {
        (first.0..=self.0).map(Self)
    }

    /// Counted from Monday, which is 0.
    pub fn weekday(self) -> u8 {
        // 1970-01-01 was a Thursday. The remainder is below 7.
        u8::try_from((self.0 + 3).rem_euclid(7)).unwrap_or(0)
    }

    pub fn is_weekend(self) -> bool {
        self.weekday() >= 5
    }

    /// Date in the proleptic Gregorian calendar. Days outside the years -9999 to 9999, which only a wrong clock gives,
    /// are the first or the last of them.
    pub fn date(self) -> Date {
        let last = if self.0 < 0 { Date::MIN } else { Date::MAX };
        let julian = i32::try_from(self.0.saturating_add(JULIAN_DAY_OF_1970));
        julian.ok().and_then(|julian| Date::from_julian_day(julian).ok()).unwrap_or(last)
    }

    /// Parses what [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '-');
        let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
        let month = Month::try_from(month.parse::<u8>().ok()?).ok()?;
        let date = Date::from_calendar_date(year.parse().ok()?, month, day.parse().ok()?).ok()?;
        Some(Self(i64::from(date.to_julian_day()) - JULIAN_DAY_OF_1970))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.date().to_calendar_date();
        write!(f, "{year:04}-{:02}-{day:02}", u8::from(month))
    }
}

impl From<Day> for String {
    fn from(day: Day) -> Self {
        day.to_string()
    }
}

impl TryFrom<String> for Day {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("{text:?} is not a date; write it as 2026-11-24"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_day_begins_at_its_midnight() {
        assert_eq!(Day::of(Timestamp(-1)), Day(-1));
        assert_eq!(Day::of(Timestamp(DAY_MS)).start(), Timestamp(DAY_MS));
        assert_eq!(Day::of(Timestamp(951_782_400_000)).to_string(), "2000-02-29");
        // A Wednesday.
        assert_eq!(Day::parse("2026-11-25").map(Day::weekday), Some(2));
        for wrong in ["", "2026-11", "2026-02-30", "2026-13-01", "x-1-1", "9999999999999999-1-1"] {
            assert_eq!(Day::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_day_beyond_the_calendar_is_its_last_one() {
        assert_eq!(Day(i64::MAX).to_string(), "9999-12-31");
        assert_eq!(Day::of(Timestamp(i64::MAX)).to_string(), "9999-12-31");
        assert_eq!(Day(i64::MIN).to_string(), "-9999-01-01");
        assert_eq!(Day::parse("9999-12-31").map(|last| last.plus(1).to_string()).as_deref(), Some("9999-12-31"));
        assert_eq!(Day::parse("10000-01-01"), None);
    }

    proptest! {
        #[test]
        fn every_day_is_read_as_it_was_written(day in -100_000_i64..1_000_000) {
            let written = Day(day).to_string();
            // The sign of years before 0 would count as a separator.
            if !written.starts_with('-') {
                prop_assert_eq!(Day::parse(&written), Some(Day(day)));
            }
        }
    }
}
