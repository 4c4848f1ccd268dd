//! Delivery schedules: how often and by when files of a dataset are expected, and whether they arrived in time.
//!
//! Pure functions of the arrivals and the given time. Arrivals are recorded in slots of 15 minutes, and deadlines are
//! multiples of that, so comparisons are exact.

use crate::model::dataset::day::{DAY_MS, Day};
use crate::model::text::{bytes, counted};
use crate::model::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Length of a slot of arrivals, in milliseconds.
pub const SLOT_MS: i64 = 15 * 60 * 1000;
const MINUTE_MS: i64 = 60 * 1000;
const HOUR_MINUTES: u16 = 60;
const DAY_MINUTES: u16 = 24 * HOUR_MINUTES;
/// Allowed lengths of periods, in hours; each divides a day.
const HOURS: [u8; 7] = [1, 2, 3, 4, 6, 8, 12];
/// Days searched backwards to decide whether a dataset is late: longer than the longest pause of any schedule.
pub const LATE_DAYS_MAX: i64 = 8;

/// Frequency of the deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Every {
    Day,
    /// Monday to Friday.
    Weekday,
    /// Hours of a period, one of `HOURS`; the first period begins at midnight.
    Hours(u8),
}

impl Every {
    /// All frequencies, in the order in which they are offered.
    pub fn all() -> impl Iterator<Item = Self> {
        [Self::Day, Self::Weekday].into_iter().chain(HOURS.into_iter().rev().map(Self::Hours))
    }

    /// `day`, `weekday`, `6h`
    pub fn parse(text: &str) -> Option<Self> {
        Self::all().find(|every| every.to_string() == text)
    }

    /// `Every 6 hours`
    pub fn in_words(self) -> String {
        match self {
            Self::Day => "Every day".to_owned(),
            Self::Weekday => "Monday to Friday".to_owned(),
            Self::Hours(1) => "Every hour".to_owned(),
            Self::Hours(hours) => format!("Every {hours} hours"),
        }
    }

    /// Length of a period.
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
    type Error = ScheduleError;

    fn try_from(text: String) -> Result<Self, ScheduleError> {
        Self::parse(&text).ok_or(ScheduleError::Every(text))
    }
}

/// Reason why a schedule is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    #[error(
        "{0:?} is not a frequency; use \"day\", \"weekday\", or \"12h\", \"8h\", \"6h\", \"4h\", \"3h\", \"2h\", \"1h\""
    )]
    Every(String),
    #[error("{0:?} is not a due time; write hours and minutes in steps of 15 minutes, such as \"07:00\" or \"07:15\"")]
    By(String),
    #[error("the due time {by} is after the end of the {hours} h period; it counts from the start of each period")]
    Beyond { by: String, hours: u16 },
}

/// Schedule: in each period at least this many files and bytes, by a deadline. For daily periods the deadline is a time
/// of day in UTC; for periods of hours it counts from their start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct DeliverySchedule {
    every: Every,
    by_minutes: u16,
    files_min: u64,
    bytes_min: u64,
}

/// JSON form of a schedule.
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
    type Error = ScheduleError;

    fn try_from(written: Written) -> Result<Self, ScheduleError> {
        Self::new(written.every, written.by.as_deref(), written.files_min, written.bytes_min)
    }
}

impl From<DeliverySchedule> for Written {
    fn from(schedule: DeliverySchedule) -> Self {
        let DeliverySchedule { every, files_min, bytes_min, .. } = schedule;
        Self { every, by: Some(schedule.by()), files_min, bytes_min }
    }
}

/// A period with an expected delivery. `deadline` and `end` are exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Period {
    start: Timestamp,
    deadline: Timestamp,
    end: Timestamp,
}

impl DeliverySchedule {
    /// `by` is hours and minutes from the start of a period, in steps of 15 minutes; absent: its end.
    pub fn new(every: Every, by: Option<&str>, files_min: u64, bytes_min: u64) -> Result<Self, ScheduleError> {
        let by_minutes = match by.filter(|by| !by.is_empty()) {
            None => every.minutes(),
            Some(by) => minutes(by).ok_or_else(|| ScheduleError::By(by.to_owned()))?,
        };
        if by_minutes > every.minutes() {
            let by = by.unwrap_or_default().to_owned();
            return Err(ScheduleError::Beyond { by, hours: every.minutes() / HOUR_MINUTES });
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

    /// Periods that begin on a day, in order.
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
            // Nothing is expected before the first arrival.
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

    /// Last deadline that was missed, if its delivery is still incomplete.
    pub fn late_since(&self, arrived: &Arrivals<'_>, now: Timestamp) -> Option<Timestamp> {
        let today = Day::of(now);
        let days = today.since(today.plus(-LATE_DAYS_MAX)).rev();
        let mut begun = days.flat_map(|day| self.periods(day).rev()).filter(|period| period.start <= now);
        // A current period before its deadline decides only if its delivery is complete; otherwise the period before
        // decides.
        for period in &mut begun {
            match self.stands(period, arrived, now) {
                Timeliness::NotYet => {}
                Timeliness::Overdue | Timeliness::Missing | Timeliness::Short => return Some(period.deadline),
                Timeliness::Landed | Timeliness::Late | Timeliness::NotExpected => return None,
            }
        }
        None
    }

    /// Next deadline.
    pub fn due(&self, now: Timestamp) -> Option<Timestamp> {
        let today = Day::of(now);
        let mut deadlines = today.plus(LATE_DAYS_MAX).since(today).flat_map(|day| self.periods(day));
        deadlines.find(|period| now < period.deadline).map(|period| period.deadline)
    }
}

/// `every day by 07:00 UTC, at least 10 files`
impl fmt::Display for DeliverySchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Lower case within a sentence, except for names of days.
        f.write_str(&self.every.in_words().replacen("Every", "every", 1))?;
        let by = self.by();
        match self.every {
            Every::Day | Every::Weekday if self.by_minutes == DAY_MINUTES => f.write_str(" by midnight UTC")?,
            Every::Day | Every::Weekday => write!(f, " by {by} UTC")?,
            Every::Hours(_) => write!(f, " within {by}")?,
        }
        write!(f, ", at least {}", counted(self.files_min, "file"))?;
        if self.bytes_min > 0 { write!(f, " and {}", bytes(self.bytes_min)) } else { Ok(()) }
    }
}

/// `07:15`, in minutes. A multiple of 15 minutes above zero, up to `24:00`.
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

/// Arrivals within one slot: files of incremental syncs at their landing, those of full syncs at their publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrival {
    /// Start of the slot.
    pub slot: Timestamp,
    pub files: u64,
    pub bytes: u64,
}

/// Arrivals of a dataset.
#[derive(Debug, Clone, Copy)]
pub struct Arrivals<'a> {
    /// First arrival: nothing is expected before it.
    pub first: Timestamp,
    /// Ordered by time.
    pub all: &'a [Arrival],
}

fn within(arrivals: &[Arrival], start: Timestamp, end: Timestamp) -> &[Arrival] {
    let first = arrivals.partition_point(|arrival| arrival.slot < start);
    let last = arrivals.partition_point(|arrival| arrival.slot < end);
    &arrivals[first..last.max(first)]
}

/// State of a period, or of a day as the worst of its periods. Ordered from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, strum::IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
#[serde(rename_all = "kebab-case")]
pub enum Timeliness {
    /// Nothing was expected, and nothing arrived.
    NotExpected,
    /// The delivery arrived in time; or files arrived without a deadline.
    Landed,
    /// The deadline is in the future.
    NotYet,
    /// The delivery is complete, but arrived after the deadline.
    Late,
    /// The deadline has passed, and the period has not ended.
    Overdue,
    /// The period ended with an incomplete delivery.
    Short,
    /// The period ended without a file.
    Missing,
}

impl Timeliness {
    pub const ALL: [Self; 7] =
        [Self::NotExpected, Self::Landed, Self::NotYet, Self::Late, Self::Overdue, Self::Short, Self::Missing];

    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A day in the calendar of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CalendarDay {
    pub day: Day,
    pub standing: Timeliness,
    /// Arrivals of the day.
    pub files: u64,
    pub bytes: u64,
}

/// Days from `first` to today. Without a schedule they show only whether files arrived.
pub fn calendar(
    schedule: Option<&DeliverySchedule>,
    arrived: &Arrivals<'_>,
    first: Day,
    now: Timestamp,
) -> Vec<CalendarDay> {
    let of_day = |day: Day| {
        let of_day = within(arrived.all, day.start(), day.plus(1).start());
        let came = if of_day.is_empty() { Timeliness::NotExpected } else { Timeliness::Landed };
        let begun = schedule.into_iter().flat_map(|schedule| {
            let begun = schedule.periods(day).filter(|period| period.start <= now);
            begun.map(|period| schedule.stands(period, arrived, now))
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
