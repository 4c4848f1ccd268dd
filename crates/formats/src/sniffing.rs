//! Guesses the type of a column from its values, for formats without types.

use super::identifiers::Identifier;
use lakeshore::model::dataset::schema::Column;
use lakeshore::model::preview::CELL_CHARACTERS_MAX;

/// Types that all values of a column, so far, have.
#[derive(Debug, Clone)]
pub(super) struct Guess {
    could_be: [bool; KINDS.len()],
    has_values: bool,
    has_nulls: bool,
}

/// Name of a type, and a test for its values.
type Kind = (&'static str, fn(&str) -> bool);

/// From the narrowest to the widest; the first that fits all values is the type.
const KINDS: [Kind; 5] = [
    ("boolean", is_boolean),
    ("integer", is_integer),
    ("number", is_number),
    ("date", is_date),
    ("timestamp", |text| is_timestamp(text) || is_date(text)),
];

impl Default for Guess {
    fn default() -> Self {
        Self { could_be: [true; KINDS.len()], has_values: false, has_nulls: false }
    }
}

impl Guess {
    pub(super) fn see(&mut self, value: &str) {
        self.has_values = true;
        for (could_be, (_, is_one)) in self.could_be.iter_mut().zip(KINDS) {
            *could_be = *could_be && is_one(value);
        }
    }

    pub(super) fn see_null(&mut self) {
        self.has_nulls = true;
    }

    pub(super) fn column(&self, name: String) -> Column {
        let narrowest = self.could_be.iter().zip(KINDS).find(|(could_be, _)| **could_be).map(|(_, (kind, _))| kind);
        let kind = if self.has_values { narrowest.unwrap_or("text") } else { "empty" };
        Column { name, kind: kind.to_owned(), nullable: self.has_nulls }
    }

    /// Whether a value has the type of the values so far. `None` if these are texts, or there are no values.
    pub(super) fn fits(&self, value: &str) -> Option<bool> {
        let narrowest = self.could_be.iter().zip(KINDS).find(|(could_be, _)| **could_be);
        narrowest.filter(|_| self.has_values).map(|(_, (_, is_one))| is_one(value))
    }
}

/// Whether a value stands for a missing one.
pub(super) fn is_missing(value: &str) -> bool {
    const MISSING: [&str; 8] = ["", "-", "?", "\\N", "na", "n/a", "nan", "none"];
    MISSING.iter().any(|missing| value.eq_ignore_ascii_case(missing)) || value.eq_ignore_ascii_case("null")
}

/// Shape of a value, with its letters and digits replaced: `$19.50` and `$3.00` are both `$9.9`.
pub(super) fn shape(value: &str) -> String {
    const CHARACTERS_MAX: usize = 32;
    let mut shape = String::new();
    for character in value.chars() {
        let class = match character {
            _ if character.is_ascii_digit() => '9',
            _ if character.is_alphabetic() => 'a',
            other => other,
        };
        if !(matches!(class, '9' | 'a') && shape.ends_with(class)) {
            shape.push(class);
        }
        if shape.len() >= CHARACTERS_MAX {
            break;
        }
    }
    shape
}

/// Whether a value is a number, boolean, date, time, address or identifier, also in notations that do not count as a
/// type.
pub(super) fn is_value(value: &str) -> bool {
    const SHAPES: [&str; 6] = ["9,9", "9.9.9", "9/9/9", "9-9-9", "9:9", "9:9:9"];
    let is_address = || value.contains("://") || value.split_once('@').is_some_and(|(_, host)| host.contains('.'));
    let signless = value.strip_prefix(['-', '+']).unwrap_or(value);
    let shape = shape(signless);
    // A day or a zone that does not exist is no name either.
    let is_time = || ["9-9-9a9:9", "9-9-9 9:9"].iter().any(|time| shape.starts_with(time));
    is_typed(value) || SHAPES.contains(&shape.as_str()) || is_time() || is_address() || Identifier::of(value).is_some()
}

/// Whether a value has a type narrower than text.
pub(super) fn is_typed(value: &str) -> bool {
    KINDS.iter().any(|(_, is_one)| is_one(value))
}

/// Truncates a value for display.
pub(super) fn cell(value: &str) -> String {
    match value.char_indices().nth(CELL_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}

fn is_boolean(text: &str) -> bool {
    text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false")
}

/// A leading zero marks a code, such as a postal code, not a number.
fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_plain = digits == "0" || !digits.starts_with('0');
    is_plain && (1..=38).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_number(text: &str) -> bool {
    let is_of_digits = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text).as_bytes();
    let is_code = digits.len() > 1 && digits[0] == b'0' && digits[1].is_ascii_digit();
    is_of_digits && !is_code && text.parse::<f64>().is_ok()
}

/// Number of exactly `count` digits.
fn digits(part: &str, count: usize) -> Option<u16> {
    let is_number = part.len() == count && part.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { part.parse().ok() } else { None }
}

/// Matches `2026-11-24`, if that day exists.
pub(super) fn is_date(text: &str) -> bool {
    let Some((date, "")) = text.split_at_checked(10) else { return false };
    let parts: Vec<&str> = date.split('-').collect();
    let [year, month, day] = parts[..] else { return false };
    let (Some(year), Some(month), Some(day)) = (digits(year, 4), digits(month, 2), digits(day, 2)) else {
        return false;
    };
    let is_leap_year = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u16::from(is_leap_year),
        _ => 0,
    };
    (1..=days).contains(&day)
}

/// Matches offsets from UTC that are in use, up to 14 hours: `+02`, `+0200`, `-05:30`.
fn is_offset(zone: &str) -> bool {
    const MINUTES_MAX: u16 = 14 * 60;
    let Some(offset) = zone.strip_prefix(['+', '-']) else { return false };
    let (hours, minutes) = match offset.split_at_checked(2) {
        Some((hours, "")) => (hours, "00"),
        Some((hours, minutes)) => (hours, minutes.strip_prefix(':').unwrap_or(minutes)),
        None => return false,
    };
    let minutes = digits(minutes, 2).filter(|minutes| *minutes < 60);
    digits(hours, 2).zip(minutes).is_some_and(|(hours, minutes)| hours * 60 + minutes <= MINUTES_MAX)
}

/// Matches `2026-11-24T14:05`, with optional seconds, fraction and zone.
fn is_timestamp(text: &str) -> bool {
    let Some((date, time)) = text.split_at_checked(10) else { return false };
    let Some(time) = time.strip_prefix(['T', ' ']) else { return false };
    let end = time.find(|character: char| !(character.is_ascii_digit() || ":.".contains(character)));
    let (time, zone) = time.split_at(end.unwrap_or(time.len()));
    let is_of_day = |part: &str, last: u16| digits(part, 2).is_some_and(|number| number <= last);
    let parts: Vec<_> = time.split(':').collect();
    let is_time = match parts[..] {
        [hour, minute] => is_of_day(hour, 23) && is_of_day(minute, 59),
        [hour, minute, second] => {
            let (whole, part) = second.split_once('.').unwrap_or((second, "0"));
            let is_fraction = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            is_of_day(hour, 23) && is_of_day(minute, 59) && is_of_day(whole, 60) && is_fraction
        }
        _ => false,
    };
    let is_zone = matches!(zone, "" | "Z" | "z" | " UTC") || is_offset(zone);
    is_date(date) && is_time && is_zone
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(values: &[&str]) -> String {
        let mut guess = Guess::default();
        values.iter().for_each(|value| guess.see(value));
        guess.column(String::new()).kind
    }

    #[test]
    fn a_column_is_the_narrowest_that_all_its_values_are() {
        for (values, expected) in [
            (&["1", "-20"] as &[&str], "integer"),
            (&["1", "2.5", "1e9"], "number"),
            (&["true", "FALSE"], "boolean"),
            (&["2026-11-24", "1999-01-31"], "date"),
            (&["2026-11-24", "2026-11-24T14:05:09.123+02:00", "2026-11-24 14:05"], "timestamp"),
            (&["01234", "99999"], "text"),
            (&["2026-13-01"], "text"),
            (&["1", "x"], "text"),
            (&["nan", "inf"], "text"),
            (&["2026-11-24T25:00"], "text"),
            (&[], "empty"),
        ] {
            assert_eq!(kind(values), expected, "{values:?}");
        }
    }

    #[test]
    fn days_and_zones_that_do_not_exist_are_text() {
        for (value, expected) in [
            ("2028-02-29", "date"),
            ("2000-02-29", "date"),
            ("2026-02-28", "date"),
            ("2026-02-29", "text"),
            ("2026-02-31", "text"),
            ("1900-02-29", "text"),
            ("2026-04-31", "text"),
            ("2026-00-10", "text"),
            ("2026-01-00", "text"),
            ("2026-02-30T10:00", "text"),
            ("2026-02-28T10:00+14:00", "timestamp"),
            ("2026-02-28T10:00-0930", "timestamp"),
            ("2026-02-28T10:00+05", "timestamp"),
            ("2026-02-28T10:00+14:01", "text"),
            ("2026-02-28T10:00-15:00", "text"),
            ("2026-02-28T10:00+99", "text"),
            ("2026-02-28T10:00+02:60", "text"),
            ("2026-02-28T10:00+0:200", "text"),
            ("2026-02-28T10:00:00.1.2", "text"),
        ] {
            assert_eq!(kind(&[value]), expected, "{value}");
            assert!(is_value(value), "{value} is no name of a column");
        }
    }
}
