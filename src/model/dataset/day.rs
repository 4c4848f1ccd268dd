//! Days of the lake: UTC, from midnight to midnight.

use crate::model::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Length of a day, in milliseconds.
pub const DAY_MS: i64 = 24 * 60 * 60 * 1000;

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

    /// Year, month and day of the month in the proleptic Gregorian calendar. Computed by eras of 400 years that begin
    /// on the first of March, so that the leap day is the last of its year.
    pub fn civil(self) -> (i64, i64, i64) {
        let day = self.0 + 719_468;
        let era = day.div_euclid(146_097);
        let of_era = day.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * of_year + 2) / 153;
        let day_of_month = of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        (year, month, day_of_month)
    }

    /// Reads the output of [`fmt::Display`].
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '-').map(|part| part.parse::<i64>().ok());
        let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return None;
        }
        // Searches near an estimate, so that the calendar is implemented only once.
        let of_year = (month - 1).checked_mul(61)? / 2;
        let near = year.checked_sub(1970)?.checked_mul(3_652_425)?.div_euclid(10_000);
        let near = Self(near.checked_add(of_year)?.checked_add(day - 1)?);
        near.plus(6).since(near.plus(-6)).find(|found| found.civil() == (year, month, day))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.civil();
        write!(f, "{year:04}-{month:02}-{day:02}")
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
