//! Least and greatest values as JSON, never narrower than the values they bound.

use super::{Reading, TEXT_CHARACTERS_MAX, Value};
use std::cmp::Ordering;
use std::fmt::Write as _;
use time::{Date, OffsetDateTime};

/// As JSON; `None` where JSON or Delta has no such value. `side` tells whether it may become less or greater.
pub(super) fn shown(value: Value, reading: Reading, side: Ordering) -> Option<String> {
    match (value, reading) {
        (Value::Whole(whole), Reading::Signed | Reading::Unsigned) => Some(whole.to_string()),
        (Value::Whole(unscaled), Reading::Decimal { scale }) => Some(decimal(unscaled, scale)),
        (Value::Whole(days), Reading::Date) => date(i64::try_from(days).ok()?).map(|date| format!("\"{date}\"")),
        (Value::Whole(ticks), Reading::Timestamp { per_ms, has_zone }) => {
            let ticks = i64::try_from(ticks).ok()?;
            let floor = ticks.div_euclid(per_ms);
            let is_between = ticks.rem_euclid(per_ms) != 0;
            let ms = if side == Ordering::Greater && is_between { floor.checked_add(1)? } else { floor };
            timestamp(ms).map(|at| format!("\"{at}{}\"", if has_zone { "Z" } else { "" }))
        }
        // Either zero may stand for the other.
        (Value::Float(0.0), Reading::Float) => Some(if side == Ordering::Greater { "0.0" } else { "-0.0" }.to_owned()),
        (Value::Float(float), Reading::Float) => float.is_finite().then(|| serde_json::Value::from(float).to_string()),
        (Value::Text(text), Reading::Text) => {
            let cut = if side == Ordering::Greater { raised(&text) } else { Some(prefix(&text).to_owned()) };
            cut.map(|text| super::quoted(&text))
        }
        _ => None,
    }
}

/// With all places: `-0.05`.
fn decimal(unscaled: i128, scale: u8) -> String {
    let digits = unscaled.unsigned_abs().to_string();
    let places = usize::from(scale);
    let digits = format!("{digits:0>width$}", width = places + 1);
    let (whole, fraction) = digits.split_at(digits.len() - places);
    let sign = if unscaled < 0 { "-" } else { "" };
    if places == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// Days since 1970. `None` beyond the years that have four digits.
fn date(days: i64) -> Option<String> {
    const JULIAN_DAY_OF_1970: i64 = 2_440_588;
    let day = Date::from_julian_day(i32::try_from(days.checked_add(JULIAN_DAY_OF_1970)?).ok()?).ok()?;
    (1..=9999).contains(&day.year()).then(|| format!("{:04}-{:02}-{:02}", day.year(), u8::from(day.month()), day.day()))
}

fn timestamp(ms: i64) -> Option<String> {
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000).ok()?;
    let mut text = date(ms.div_euclid(86_400_000))?;
    let (hour, minute, second, ms) = at.to_hms_milli();
    // Writing to a string does not fail.
    let _ = write!(text, "T{hour:02}:{minute:02}:{second:02}.{ms:03}");
    Some(text)
}

/// At most [`TEXT_CHARACTERS_MAX`]: never greater than the text.
fn prefix(text: &str) -> &str {
    text.char_indices().nth(TEXT_CHARACTERS_MAX).map_or(text, |(end, _)| &text[..end])
}

/// A text of at most as many characters that is never less. `None` where none is greater.
fn raised(text: &str) -> Option<String> {
    let cut = prefix(text);
    if cut.len() == text.len() {
        return Some(text.to_owned());
    }
    let mut characters: Vec<char> = cut.chars().collect();
    while let Some(last) = characters.pop() {
        let next = match last {
            '\u{10ffff}' => continue,
            // The next ones are no characters.
            '\u{d7ff}' => '\u{e000}',
            other => char::from_u32(u32::from(other) + 1)?,
        };
        characters.push(next);
        return Some(characters.into_iter().collect());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dates_and_times_are_rounded_away_from_the_values() {
        let naive = Reading::Timestamp { per_ms: 1_000_000, has_zone: false };
        let show = |ticks, side| shown(Value::Whole(ticks), naive, side);
        assert_eq!(show(-1, Ordering::Less).unwrap(), "\"1969-12-31T23:59:59.999\"");
        assert_eq!(show(-1, Ordering::Greater).unwrap(), "\"1970-01-01T00:00:00.000\"");
        assert_eq!(show(1, Ordering::Greater).unwrap(), "\"1970-01-01T00:00:00.001\"");
        let utc = Reading::Timestamp { per_ms: 1, has_zone: true };
        assert_eq!(
            shown(Value::Whole(1_700_000_000_123), utc, Ordering::Less).unwrap(),
            "\"2023-11-14T22:13:20.123Z\""
        );
        assert_eq!(shown(Value::Whole(i64::MAX.into()), utc, Ordering::Less), None);
        assert_eq!(shown(Value::Whole(253_402_300_800_000), utc, Ordering::Greater), None, "the year 10000");
        assert_eq!(date(-719_162).unwrap(), "0001-01-01");
        assert_eq!(date(-719_163), None);
        assert_eq!(date(2_932_896).unwrap(), "9999-12-31");
        assert_eq!(date(i64::MAX), None);
    }

    #[test]
    fn numbers_are_written_in_full() {
        assert_eq!(decimal(-5, 2), "-0.05");
        assert_eq!(decimal(12_340, 3), "12.340");
        assert_eq!(decimal(7, 0), "7");
        assert_eq!(decimal(i128::MIN, 38), "-1.70141183460469231731687303715884105728");
        let float = |float: f64| shown(Value::Float(float), Reading::Float, Ordering::Less);
        assert_eq!(float(0.1_f32.into()).unwrap(), "0.10000000149011612", "exact, so that it holds as a double too");
        assert_eq!(float(0.0).unwrap(), "-0.0");
        assert_eq!(float(f64::NEG_INFINITY), None);
    }

    proptest! {
        #[test]
        fn a_cut_text_still_bounds_it(text in prop::collection::vec(
            prop_oneof![any::<char>(), Just('\u{10ffff}'), Just('\u{d7ff}')], 0..40,
        )) {
            let text: String = text.into_iter().collect();
            prop_assert!(prefix(&text).as_bytes() <= text.as_bytes());
            prop_assert!(prefix(&text).chars().count() <= TEXT_CHARACTERS_MAX);
            if let Some(raised) = raised(&text) {
                prop_assert!(raised.as_bytes() >= text.as_bytes());
                prop_assert!(raised.chars().count() <= TEXT_CHARACTERS_MAX);
            } else {
                let has_a_next = prefix(&text).chars().any(|c| c < char::MAX);
                prop_assert!(!has_a_next);
            }
        }

        #[test]
        fn rounded_times_bound_the_time(ticks: i64, per_ms in prop::sample::select(vec![1_i64, 1000, 1_000_000])) {
            let floor = ticks.div_euclid(per_ms);
            let side = |side| shown(Value::Whole(ticks.into()), Reading::Timestamp { per_ms, has_zone: true }, side);
            if let (Some(least), Some(greatest)) = (side(Ordering::Less), side(Ordering::Greater)) {
                prop_assert!(least <= greatest);
                prop_assert_eq!(Some(least), timestamp(floor).map(|at| format!("\"{at}Z\"")));
            }
        }
    }
}
