//! Text of one cell, and how single values are written into it.
//!
//! Nothing is rounded, and nothing wraps: dates and times of any size are computed from the numbers of the file. No cell
//! grows beyond its length.

use arrow_schema::TimeUnit;
use lakeshore::model::preview::CELL_CHARACTERS_MAX;
use num_bigint::BigInt;
use std::fmt::{self, Write};

const NANOSECONDS_PER_DAY: i128 = 86_400_000_000_000;
/// Julian day of 1970-01-01: INT96 timestamps count Julian days.
const JULIAN_DAY_OF_1970: i128 = 2_440_588;

/// A cell under construction. A write beyond its length fails, which ends the formatting.
pub(super) struct Cell {
    text: String,
    characters_left: usize,
}

impl Cell {
    pub(super) fn new() -> Self {
        Self { text: String::new(), characters_left: CELL_CHARACTERS_MAX }
    }

    pub(super) fn is_full(&self) -> bool {
        self.characters_left == 0
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }
}

impl Write for Cell {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        match text.char_indices().nth(self.characters_left) {
            Some((end, _)) => {
                self.text.push_str(&text[..end]);
                self.characters_left = 0;
                Err(fmt::Error)
            }
            None => {
                self.text.push_str(text);
                self.characters_left -= text.chars().count();
                Ok(())
            }
        }
    }
}

/// Place of a text: within lists and structs, an ambiguous one is quoted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ValuePlace {
    Row,
    Within,
}

#[derive(Clone, Copy)]
pub(super) enum NumberFormat {
    Date,
    Time(TimeUnit),
    Timestamp(TimeUnit, bool),
}

/// Quotes texts such as `null` and `a, b` within a list, where they would be ambiguous.
pub(super) fn write_text(text: &str, place: ValuePlace, cell: &mut Cell) -> fmt::Result {
    let is_ambiguous = || {
        text.is_empty()
            || text.eq_ignore_ascii_case("null")
            || text.trim().len() < text.len()
            || text.contains([',', ':', '[', ']', '{', '}', '"', '\''])
    };
    if place == ValuePlace::Row || !is_ambiguous() {
        return cell.write_str(text);
    }
    // Long texts are truncated before they are quoted.
    let shown: String = text.chars().take(CELL_CHARACTERS_MAX + 1).collect();
    write!(cell, "\"{}\"", shown.replace('\\', "\\\\").replace('"', "\\\""))
}

pub(super) fn write_hex(bytes: &[u8], cell: &mut Cell) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(cell, "{byte:02x}"))
}

pub(super) fn write_number(number: i64, format: NumberFormat, cell: &mut Cell) -> fmt::Result {
    match format {
        NumberFormat::Date => write_date(number, cell),
        NumberFormat::Time(unit) => {
            let nanoseconds = i128::from(number) * per_unit(unit);
            // 24:00 is the end of a day.
            if (0..=NANOSECONDS_PER_DAY).contains(&nanoseconds) {
                write_time(nanoseconds, cell)
            } else {
                write!(cell, "not a time of day: {number} {}", super::types::unit_words(unit))
            }
        }
        NumberFormat::Timestamp(unit, is_utc) => {
            write_timestamp(i128::from(number) * per_unit(unit), cell)?;
            cell.write_str(if is_utc { "Z" } else { "" })
        }
    }
}

fn per_unit(unit: TimeUnit) -> i128 {
    match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1000,
        TimeUnit::Nanosecond => 1,
    }
}

/// Formats nanoseconds since 1970.
fn write_timestamp(nanoseconds: i128, cell: &mut Cell) -> fmt::Result {
    let days = nanoseconds.div_euclid(NANOSECONDS_PER_DAY);
    write_date(i64::try_from(days).map_err(|_| fmt::Error)?, cell)?;
    cell.write_char('T')?;
    write_time(nanoseconds.rem_euclid(NANOSECONDS_PER_DAY), cell)
}

/// Formats nanoseconds since midnight, with 0, 3, 6 or 9 fractional digits.
fn write_time(nanoseconds: i128, cell: &mut Cell) -> fmt::Result {
    let (seconds, part) = (nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000);
    write!(cell, "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)?;
    match (part % 1_000_000, part % 1000) {
        _ if part == 0 => Ok(()),
        (0, _) => write!(cell, ".{:03}", part / 1_000_000),
        (_, 0) => write!(cell, ".{:06}", part / 1000),
        _ => write!(cell, ".{part:09}"),
    }
}

/// Formats days since 1970, in the proleptic Gregorian calendar. A year with more than four digits has a sign (ISO
/// 8601).
///
/// `chrono` and `time` end at some hundred thousand years, which a file may exceed.
/// <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>
fn write_date(days: i64, cell: &mut Cell) -> fmt::Result {
    let days = i128::from(days) + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i128::from(month <= 2);
    if (0..=9999).contains(&year) {
        write!(cell, "{year:04}-{month:02}-{day:02}")
    } else {
        write!(cell, "{year:+05}-{month:02}-{day:02}")
    }
}

/// Nanoseconds of a day and Julian day, as Impala and Spark write them.
pub(super) fn write_int96(bytes: &[u8], cell: &mut Cell) -> fmt::Result {
    let (Some(nanoseconds), Some(day)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<4>()) else {
        return Err(fmt::Error);
    };
    let days = i128::from(i32::from_le_bytes(*day)) - JULIAN_DAY_OF_1970;
    write_timestamp(days * NANOSECONDS_PER_DAY + i128::from(i64::from_le_bytes(*nanoseconds)), cell)
}

/// Formats the integer divided by ten to the power of the scale.
pub(super) fn write_decimal(number: &BigInt, scale: i64, cell: &mut Cell) -> fmt::Result {
    const ZEROS_MAX: usize = 4096;
    match usize::try_from(scale) {
        Ok(0) => write!(cell, "{number}"),
        Ok(scale) if scale <= ZEROS_MAX => {
            let digits = format!("{:0>1$}", number.magnitude(), scale + 1);
            let (whole, part) = digits.split_at(digits.len() - scale);
            let sign = if number.sign() == num_bigint::Sign::Minus { "-" } else { "" };
            write!(cell, "{sign}{whole}.{part}")
        }
        _ => write!(cell, "{number}E{:+}", -i128::from(scale)),
    }
}

/// Three independent numbers, none of which converts to another.
pub(super) fn write_interval(bytes: &[u8], cell: &mut Cell) -> fmt::Result {
    let mut numbers = bytes.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes));
    let mut next = || numbers.next().ok_or(fmt::Error);
    write!(cell, "{} months {} days {} ms", next()?, next()?, next()?)
}

pub(super) fn write_uuid(bytes: &[u8], cell: &mut Cell) -> fmt::Result {
    for (position, byte) in bytes.iter().enumerate() {
        cell.write_str(if matches!(position, 4 | 6 | 8 | 10) { "-" } else { "" })?;
        write!(cell, "{byte:02x}")?;
    }
    Ok(())
}
