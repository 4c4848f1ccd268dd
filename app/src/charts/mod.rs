//! Charts rendered on the server as HTML and SVG, so that none of this code is in the WASM.
//!
//! Written by hand, because no library meets the requirements. leptos-chartistry measures its place by script before it
//! renders, and sets inline styles, which the content security policy refuses. plotters and charts-rs write colours
//! into each element, which no theme can change, and text into the picture, which shrinks on narrow screens. charming
//! runs a JavaScript engine. Here colours are classes, bars stretch, and labels are HTML with a fixed size. Details
//! show on hover by style alone, and each chart has a table with the same figures for people who do not see it.

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

/// Escapes text for HTML, also for quoted attributes.
pub(crate) use html_escape::encode_quoted_attribute as escaped;

use lakeshore::model::dataset::day::Day;

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

fn month(day: Day) -> &'static str {
    MONTHS.get(usize::from(u8::from(day.date().month())) - 1).copied().unwrap_or_default()
}

/// Formats `24 Nov`.
fn short_day(day: Day) -> String {
    format!("{} {}", day.date().day(), month(day))
}

/// Height of a part in percent of `max`. Parts above zero stay visible.
fn height(part: u64, max: u64) -> f64 {
    if part == 0 || max == 0 { 0.0 } else { (part as f64 / max as f64 * 100.0).max(0.8) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_write_html() {
        assert_eq!(escaped("/data/a"), "/data/a");
        assert_eq!(escaped("/<b a=\"'&"), "/&lt;b a=&quot;&#x27;&amp;");
    }

    #[test]
    fn days_are_short() {
        assert_eq!(Day::parse("2026-11-05").map(short_day).as_deref(), Some("5 Nov"));
    }
}
