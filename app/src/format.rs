//! Formats of numbers and times, shared by all pages.

use lakeshore::model::dataset::day::{DAY_MS, Day};
use lakeshore::model::id::SyncId;
use lakeshore::model::sync::status::SyncType;
use lakeshore::model::time::Timestamp;
use lakeshore::model::totals::Totals;

pub use lakeshore::model::text::{bytes, count, counted, tenths};

const SECOND_MS: i64 = 1000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// Sentence for what an abort leaves of a sync. `landed` tells how many files have landed.
pub fn effect_of_abort(sync_type: SyncType, path: &str, landed: &str) -> String {
    match sync_type {
        SyncType::FullSync => format!(
            "Nothing is published, and {path} stays as it is. The files sent so far ({landed}) move to the trash."
        ),
        SyncType::IncrementalSync => format!(
            "The files landed so far ({landed}) stay at {path}. The sync is marked as failed and accepts no more files."
        ),
    }
}

/// `and 1,204 more`
pub fn and_more(number: u64) -> String {
    format!("and {} more", count(number))
}

/// Name of a sync, or `Sync 7` if it has none.
pub fn sync_title(id: SyncId, name: &str) -> String {
    if name.is_empty() { format!("Sync {id}") } else { name.to_owned() }
}

/// `12 files, 3.1 GB`
pub fn totals(totals: Totals) -> String {
    format!("{}, {}", counted(totals.files, "file"), bytes(totals.bytes))
}

/// `38 ms`, `1.4 s`, `12 s`, `3 min 05 s`, `2 h 10 min`, `3 d 4 h`
pub fn duration(milliseconds: i64) -> String {
    let milliseconds = milliseconds.max(0);
    let seconds = milliseconds / SECOND_MS;
    if milliseconds < SECOND_MS {
        format!("{milliseconds} ms")
    } else if milliseconds < 10 * SECOND_MS {
        format!("{} s", tenths((milliseconds.unsigned_abs() + 50) / 100))
    } else if milliseconds < MINUTE_MS {
        format!("{seconds} s")
    } else if milliseconds < HOUR_MS {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    } else if milliseconds < DAY_MS {
        format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60)
    } else {
        format!("{} d {} h", milliseconds / DAY_MS, milliseconds % DAY_MS / HOUR_MS)
    }
}

/// `just now`, `3 min ago`, `in 30 d`; a date after 30 days.
pub fn relative(at: Timestamp, now: Timestamp) -> String {
    let ago = now.0.saturating_sub(at.0);
    if ago.abs() < 10 * SECOND_MS {
        return "just now".to_owned();
    }
    if ago > 30 * DAY_MS {
        return date(at);
    }
    let distance = ago.abs();
    let units = [(DAY_MS, "d"), (HOUR_MS, "h"), (MINUTE_MS, "min")];
    let (unit_ms, unit) = units.into_iter().find(|(unit_ms, _)| distance >= *unit_ms).unwrap_or((SECOND_MS, "s"));
    let text = format!("{} {unit}", distance / unit_ms);
    if ago > 0 { format!("{text} ago") } else { format!("in {text}") }
}

/// `2026-11-24`
pub fn date(at: Timestamp) -> String {
    Day::of(at).to_string()
}

/// `2026-11-24 14:05`
pub fn minute(at: Timestamp) -> String {
    let of_day = at.0.rem_euclid(DAY_MS) / MINUTE_MS;
    format!("{} {:02}:{:02}", date(at), of_day / 60, of_day % 60)
}

/// `2026-11-24 14:05:09 UTC`
pub fn utc(at: Timestamp) -> String {
    format!("{}:{:02} UTC", minute(at), at.0.rem_euclid(MINUTE_MS) / SECOND_MS)
}

/// `2026-11-24T14:05:09.123Z`, for `<time datetime>`.
pub fn iso(at: Timestamp) -> String {
    let of_day = at.0.rem_euclid(DAY_MS);
    let (seconds, milliseconds) = (of_day / SECOND_MS, of_day % SECOND_MS);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z", date(at))
}

/// The causes, then how the sync ended: `3 files failed their checksum; aborted by nightly-etl`.
pub fn failure_reason(causes: &str, message: &str) -> String {
    match (causes, message) {
        ("", only) | (only, "") => only.to_owned(),
        (causes, message) => format!("{causes}; {message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_thousands_separators() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(counted(1, "file"), "1 file");
        assert_eq!(counted(1200, "file"), "1,200 files");
        assert_eq!(and_more(1200), "and 1,200 more");
    }

    #[test]
    fn a_sync_without_a_name_is_titled_by_its_id() {
        assert_eq!(sync_title(SyncId(7), "nightly"), "nightly");
        assert_eq!(sync_title(SyncId(7), ""), "Sync 7");
    }

    #[test]
    fn durations_keep_two_units() {
        let written = [38, 1_400, 12_000, 185_000, 7_800_000, 273_600_000].map(duration);
        assert_eq!(written, ["38 ms", "1.4 s", "12 s", "3 min 05 s", "2 h 10 min", "3 d 4 h"].map(str::to_owned));
    }

    #[test]
    fn times_are_written_from_the_calendar() {
        let at = Timestamp(1_638_728_596_890);
        assert_eq!(iso(at), "2021-12-05T18:23:16.890Z");
        assert_eq!(utc(at), "2021-12-05 18:23:16 UTC");
        assert_eq!(date(Timestamp(951_782_400_000)), "2000-02-29");
        assert_eq!(date(Timestamp(-1)), "1969-12-31");
    }

    #[test]
    fn relative_times_look_both_ways() {
        let now = Timestamp(1_000_000_000_000);
        assert_eq!(relative(Timestamp(now.0 - 3000), now), "just now");
        assert_eq!(relative(Timestamp(now.0 - 180_000), now), "3 min ago");
        assert_eq!(relative(Timestamp(now.0 + 2 * DAY_MS), now), "in 2 d");
        assert_eq!(relative(Timestamp(now.0 - 40 * DAY_MS), now), "2001-07-31");
    }

    #[test]
    fn a_reason_is_the_cause_and_then_how_the_sync_ended() {
        let reason = failure_reason("3 files failed their checksum", "aborted by nightly-etl");
        assert_eq!(reason, "3 files failed their checksum; aborted by nightly-etl");
        assert_eq!(failure_reason("", "aborted by ada"), "aborted by ada");
        assert_eq!(failure_reason("1 file failed its checksum", ""), "1 file failed its checksum");
    }
}
