//! What a dataset is expected to bring, how often and by when; and how it stands against that.
//!
//! Pure functions of what has arrived and of the time, which is handed in. Arrivals are known by quarters of an hour, and
//! so are the times that a rhythm may name: comparing the two is exact.

use crate::model::dataset::day::{DAY_MS, Day};
use crate::model::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The length of the spans by which arrivals are counted, in milliseconds.
pub const SLOT_MS: i64 = 15 * 60 * 1000;
const MINUTE_MS: i64 = 60 * 1000;
const HOUR_MINUTES: u16 = 60;
const DAY_MINUTES: u16 = 24 * HOUR_MINUTES;
/// Lengths of periods, in hours, by which a day can be divided.
const HOURS: [u8; 7] = [1, 2, 3, 4, 6, 8, 12];
/// How many days back a dataset is looked at, to tell whether it is late: more than any rhythm pauses.
pub const LATE_DAYS_MAX: i64 = 8;

/// How often something is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Every {
    Day,
    /// Monday to Friday.
    Weekday,
    /// One of the lengths that divide a day; the periods begin at midnight.
    Hours(u8),
}

impl Every {
    /// Each that there is, in the order in which they are offered.
    pub fn all() -> impl Iterator<Item = Self> {
        [Self::Day, Self::Weekday].into_iter().chain(HOURS.into_iter().rev().map(Self::Hours))
    }

    /// `day`, `weekday`, `6h`
    pub fn parse(text: &str) -> Option<Self> {
        Self::all().find(|every| every.to_string() == text)
    }

    /// The length of a period.
    fn minutes(self) -> u16 {
        match self {
            Self::Day | Self::Weekday => DAY_MINUTES,
            Self::Hours(hours) => u16::from(hours) * HOUR_MINUTES,
        }
    }

    fn expects_on(self, day: Day) -> bool {
        self != Self::Weekday || !day.is_weekend()
    }
}

impl fmt::Display for Every {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Day => f.write_str("day"),
            Self::Weekday => f.write_str("weekday"),
            Self::Hours(hours) => write!(f, "{hours}h"),
        }
    }
}

impl From<Every> for String {
    fn from(every: Every) -> Self {
        every.to_string()
    }
}

impl TryFrom<String> for Every {
    type Error = RhythmError;

    fn try_from(text: String) -> Result<Self, RhythmError> {
        Self::parse(&text).ok_or(RhythmError::Every(text))
    }
}

/// Why something is no rhythm.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RhythmError {
    #[error(
        "{0:?} is not a frequency; use \"day\", \"weekday\", or \"12h\", \"8h\", \"6h\", \"4h\", \"3h\", \"2h\", \"1h\""
    )]
    Every(String),
    #[error("{0:?} is not a due time; write hours and minutes in steps of 15 minutes, such as \"07:00\" or \"07:15\"")]
    By(String),
    #[error("the due time {by} is after the end of the {hours} h period; it counts from the start of each period")]
    Beyond { by: String, hours: u16 },
}

/// What is expected: in each period at least so many files and bytes, by a time in it. Of a day, that is the time of the day,
/// in UTC; of some hours, the time since they began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct DeliverySchedule {
    every: Every,
    by_minutes: u16,
    files_min: u64,
    bytes_min: u64,
}

/// A rhythm as it is written.
#[derive(Serialize, Deserialize)]
struct Written {
    every: Every,
    /// `07:00`. Absent: by the end of the period.
    #[serde(default)]
    by: Option<String>,
    #[serde(default = "one")]
    files_min: u64,
    #[serde(default)]
    bytes_min: u64,
}

fn one() -> u64 {
    1
}

impl TryFrom<Written> for DeliverySchedule {
    type Error = RhythmError;

    fn try_from(written: Written) -> Result<Self, RhythmError> {
        Self::new(written.every, written.by.as_deref(), written.files_min, written.bytes_min)
    }
}

impl From<DeliverySchedule> for Written {
    fn from(rhythm: DeliverySchedule) -> Self {
        let DeliverySchedule { every, files_min, bytes_min, .. } = rhythm;
        Self { every, by: Some(rhythm.by()), files_min, bytes_min }
    }
}

/// A span in which something is expected. `end` is not in it any more, nor is `deadline` in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Period {
    start: Timestamp,
    deadline: Timestamp,
    end: Timestamp,
}

impl DeliverySchedule {
    /// `by` is hours and minutes from the beginning of a period, by quarters of an hour; absent, its end.
    pub fn new(every: Every, by: Option<&str>, files_min: u64, bytes_min: u64) -> Result<Self, RhythmError> {
        let by_minutes = match by.filter(|by| !by.is_empty()) {
            None => every.minutes(),
            Some(by) => minutes(by).ok_or_else(|| RhythmError::By(by.to_owned()))?,
        };
        if by_minutes > every.minutes() {
            let by = by.unwrap_or_default().to_owned();
            return Err(RhythmError::Beyond { by, hours: every.minutes() / HOUR_MINUTES });
        }
        Ok(Self { every, by_minutes, files_min, bytes_min })
    }

    pub fn every(&self) -> Every {
        self.every
    }

    /// `07:00`
    pub fn by(&self) -> String {
        format!("{:02}:{:02}", self.by_minutes / HOUR_MINUTES, self.by_minutes % HOUR_MINUTES)
    }

    pub fn files_min(&self) -> u64 {
        self.files_min
    }

    pub fn bytes_min(&self) -> u64 {
        self.bytes_min
    }

    /// The periods that begin on a day, in their order.
    fn periods(&self, day: Day) -> impl DoubleEndedIterator<Item = Period> {
        let length = i64::from(self.every.minutes()) * MINUTE_MS;
        let count = if self.every.expects_on(day) { DAY_MS / length } else { 0 };
        let by = i64::from(self.by_minutes) * MINUTE_MS;
        (0..count).map(move |index| {
            let start = day.start().0 + index * length;
            Period { start: Timestamp(start), deadline: Timestamp(start + by), end: Timestamp(start + length) }
        })
    }

    fn stands(&self, period: Period, arrived: &Arrivals<'_>, now: Timestamp) -> Timeliness {
        let of_period = within(arrived.all, period.start, period.end);
        if period.deadline <= arrived.first {
            // Nobody was waiting yet.
            return if of_period.is_empty() { Timeliness::NotExpected } else { Timeliness::Landed };
        }
        let (mut files, mut bytes) = (0_u64, 0_u64);
        for arrival in of_period {
            files = files.saturating_add(arrival.files);
            bytes = bytes.saturating_add(arrival.bytes);
            if files >= self.files_min && bytes >= self.bytes_min {
                return if arrival.slot < period.deadline { Timeliness::Landed } else { Timeliness::Late };
            }
        }
        if now < period.deadline {
            Timeliness::NotYet
        } else if now < period.end {
            Timeliness::Overdue
        } else if of_period.is_empty() {
            Timeliness::Missing
        } else {
            Timeliness::Short
        }
    }

    /// Since when something is late: the last deadline that has passed without it, if it has not come since.
    pub fn late_since(&self, arrived: &Arrivals<'_>, now: Timestamp) -> Option<Timestamp> {
        let today = Day::of(now);
        let days = today.since(today.plus(-LATE_DAYS_MAX)).rev();
        let mut begun = days.flat_map(|day| self.periods(day).rev()).filter(|period| period.start <= now);
        // The period that runs may be ahead of its deadline: then the one before it counts, unless this one is done.
        for period in &mut begun {
            match self.stands(period, arrived, now) {
                Timeliness::NotYet => {}
                Timeliness::Overdue | Timeliness::Missing | Timeliness::Short => return Some(period.deadline),
                Timeliness::Landed | Timeliness::Late | Timeliness::NotExpected => return None,
            }
        }
        None
    }

    /// The next deadline.
    pub fn due(&self, now: Timestamp) -> Option<Timestamp> {
        let today = Day::of(now);
        let mut deadlines = today.plus(LATE_DAYS_MAX).since(today).flat_map(|day| self.periods(day));
        deadlines.find(|period| now < period.deadline).map(|period| period.deadline)
    }
}

/// `07:15`, in minutes. Up to `24:00`, by quarters of an hour, and more than none.
fn minutes(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let is_written = |part: &str| part.len() <= 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_written(hours) || minutes.len() != 2 || !is_written(minutes) {
        return None;
    }
    let (hours, minutes) = (hours.parse::<u16>().ok()?, minutes.parse::<u16>().ok()?);
    let total = hours * HOUR_MINUTES + minutes;
    (minutes < HOUR_MINUTES && minutes.is_multiple_of(15) && (1..=DAY_MINUTES).contains(&total)).then_some(total)
}

/// What came to a dataset within a quarter of an hour: files of incremental syncs as they landed, those of full syncs as
/// they were published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrival {
    /// When the quarter of an hour began.
    pub slot: Timestamp,
    pub files: u64,
    pub bytes: u64,
}

/// What has come to a dataset.
#[derive(Debug, Clone, Copy)]
pub struct Arrivals<'a> {
    /// When something came for the first time: nothing was expected before.
    pub first: Timestamp,
    /// In their order.
    pub all: &'a [Arrival],
}

fn within(arrivals: &[Arrival], start: Timestamp, end: Timestamp) -> &[Arrival] {
    let first = arrivals.partition_point(|arrival| arrival.slot < start);
    let last = arrivals.partition_point(|arrival| arrival.slot < end);
    &arrivals[first..last.max(first)]
}

/// How a dataset stands in a period, or on a day: the worst of the day's periods. From the best to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, strum::IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
#[serde(rename_all = "kebab-case")]
pub enum Timeliness {
    /// Nothing is expected, and nothing has come.
    NotExpected,
    /// What was expected came in time; or something came where nothing was expected.
    Landed,
    /// There is time left.
    NotYet,
    /// All of it came, but not in time.
    Late,
    /// The time is over, and it may still come.
    Overdue,
    /// Something came, but not enough.
    Short,
    /// Nothing came.
    Missing,
}

impl Timeliness {
    pub const ALL: [Self; 7] =
        [Self::NotExpected, Self::Landed, Self::NotYet, Self::Late, Self::Overdue, Self::Short, Self::Missing];

    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A day of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CalendarDay {
    pub day: Day,
    pub standing: Timeliness,
    /// What came on it.
    pub files: u64,
    pub bytes: u64,
}

/// The days from `first` to today. Without a rhythm they tell only on which something came.
pub fn calendar(
    rhythm: Option<&DeliverySchedule>,
    arrived: &Arrivals<'_>,
    first: Day,
    now: Timestamp,
) -> Vec<CalendarDay> {
    let of_day = |day: Day| {
        let of_day = within(arrived.all, day.start(), day.plus(1).start());
        let came = if of_day.is_empty() { Timeliness::NotExpected } else { Timeliness::Landed };
        let begun = rhythm.into_iter().flat_map(|rhythm| {
            let begun = rhythm.periods(day).filter(|period| period.start <= now);
            begun.map(|period| rhythm.stands(period, arrived, now))
        });
        CalendarDay {
            day,
            standing: begun.max().unwrap_or(came),
            files: of_day.iter().map(|arrival| arrival.files).sum(),
            bytes: of_day.iter().map(|arrival| arrival.bytes).sum(),
        }
    };
    Day::of(now).since(first).map(of_day).collect()
}

#[cfg(test)]
mod tests;
