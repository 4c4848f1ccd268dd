//! Charts, drawn on the server: HTML and SVG that pages show as it is, so that nothing of it is in the WASM.
//!
//! By hand, because no library draws within these bounds. leptos-chartistry measures its place by script before it draws,
//! and sets inline styles, which the pages' policy refuses; plotters and charts-rs write a colour into each element, which
//! no theme can change, and text into the picture, which shrinks with it on a narrow screen; charming runs a JavaScript
//! engine. Here colours are classes, bars stretch, and words stay HTML of their own size. What a bar says shows on hover, by
//! style alone; and behind each chart is a table with the same figures, for those who do not see it.

mod bars;
mod calendar;
mod spark;
mod timeline;
mod waterfall;

pub use bars::{Measure, bars};
pub use calendar::calendar;
pub use spark::spark;
pub use timeline::timeline;
pub use waterfall::draw as waterfall;

use lakeshore::model::dataset::day::Day;
use std::borrow::Cow;

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A text as it stands in HTML, in an attribute in double quotes too.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>', '"', '\'']) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    Cow::Owned(escaped)
}

fn month(day: Day) -> &'static str {
    let (_, month, _) = day.civil();
    usize::try_from(month - 1).ok().and_then(|index| MONTHS.get(index)).copied().unwrap_or_default()
}

/// `24 Nov`
fn short_day(day: Day) -> String {
    let (_, _, of_month) = day.civil();
    format!("{of_month} {}", month(day))
}

/// The height of a part, in hundredths of `max`; what is there is seen.
fn height(part: u64, max: u64) -> f64 {
    if part == 0 || max == 0 { 0.0 } else { (part as f64 / max as f64 * 100.0).max(0.8) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_write_html() {
        assert_eq!(escaped("/data/a"), "/data/a");
        assert_eq!(escaped("/<b a=\"'&"), "/&lt;b a=&quot;&#39;&amp;");
    }

    #[test]
    fn days_are_short() {
        assert_eq!(Day::parse("2026-11-05").map(short_day).as_deref(), Some("5 Nov"));
    }
}
