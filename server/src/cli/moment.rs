//! Times in a readable form.

use lakeshore::Timestamp;
use time::OffsetDateTime;
use time::macros::format_description;

/// UTC, to the minute; `otherwise` for no time.
pub fn moment(at: Option<Timestamp>, otherwise: &str) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]Z");
    at.and_then(|at| OffsetDateTime::from_unix_timestamp(at.0.div_euclid(1000)).ok())
        .and_then(|at| at.format(format).ok())
        .unwrap_or_else(|| otherwise.to_owned())
}
