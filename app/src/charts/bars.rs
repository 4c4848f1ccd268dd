//! Bars of days, each stacked of the same parts.

use super::{escaped, height, short_day};
use crate::format;
use lakeshore::day::Day;
use lakeshore::overview::Series;
use std::fmt::Write;

/// Days of which the axis names one.
const DAYS_OF_A_LABEL: usize = 7;
/// Of a day's width, what its bar takes; the rest parts it from the next.
const BAR_WIDTH: f64 = 0.76;

/// What the bars count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    Bytes,
    Files,
}

impl Measure {
    fn of(self, series: &Series) -> &[u64] {
        match self {
            Self::Bytes => &series.bytes,
            Self::Files => &series.files,
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Bytes => "Bytes per day",
            Self::Files => "Files per day",
        }
    }

    fn write(self, number: u64) -> String {
        match self {
            Self::Bytes => format::bytes(number),
            Self::Files => format::count(number),
        }
    }
}

/// A round number at or above the greatest: 1, 2 or 5 and zeros.
fn ceiling(greatest: u64) -> u64 {
    let mut ten = 1_u64;
    loop {
        for step in [1, 2, 5] {
            let round = ten.saturating_mul(step);
            if round >= greatest || round == u64::MAX {
                return round;
            }
        }
        ten = ten.saturating_mul(10);
    }
}

/// The colour of the part: what is not one thing has none of its own.
fn class(index: usize, series: &Series, is_of_datasets: bool) -> String {
    if is_of_datasets && series.path.is_none() { "series-rest".to_owned() } else { format!("series-{index}") }
}

/// A figure with its bars, a legend, what each day says on hover, and the table. `id` tells it apart on its page.
pub fn bars(id: &str, measure: Measure, days: &[Day], series: &[Series]) -> String {
    let is_of_datasets = series.iter().any(|series| series.path.is_some());
    let parts: Vec<_> = series
        .iter()
        .enumerate()
        .map(|(index, series)| (class(index, series, is_of_datasets), escaped(&series.name), measure.of(series)))
        .collect();
    let number = |numbers: &[u64], day: usize| numbers.get(day).copied().unwrap_or(0);
    let total = |day: usize| parts.iter().map(|(_, _, numbers)| number(numbers, day)).sum::<u64>();
    let greatest = (0..days.len()).map(total).max().unwrap_or(0);
    let top = ceiling(greatest.max(1));
    let mut html = String::new();
    // Writing to a String cannot fail, here and below.
    let _ = write!(
        html,
        "<figure class=\"chart\" aria-labelledby=\"{id}-title\"><figcaption><h2 id=\"{id}-title\">{}</h2><ul class=\"legend\">",
        measure.title()
    );
    for (class, name, _) in &parts {
        let _ =
            write!(html, "<li><span class=\"swatch {class}\"></span><span class=\"legend-name\">{name}</span></li>");
    }
    let _ = write!(
        html,
        "</ul></figcaption><div class=\"chart-plot\" aria-hidden=\"true\"><div class=\"chart-scale\"><span>{}</span><span>{}</span><span>0</span></div><div class=\"chart-area\">",
        measure.write(top),
        if top > 1 { measure.write(top / 2) } else { String::new() },
    );
    let _ = write!(
        html,
        "<svg class=\"chart-bars\" viewBox=\"0 0 {} 100\" preserveAspectRatio=\"none\"><path class=\"chart-grid\" d=\"M0 0H{0}M0 50H{0}M0 100H{0}\"/>",
        days.len()
    );
    for day in 0..days.len() {
        let mut bottom = 100.0;
        for (class, _, numbers) in &parts {
            let part = height(number(numbers, day), top);
            if part > 0.0 {
                bottom -= part;
                let left = day as f64 + (1.0 - BAR_WIDTH) / 2.0;
                let _ = write!(
                    html,
                    "<rect class=\"{class}\" x=\"{left:.2}\" y=\"{bottom:.2}\" width=\"{BAR_WIDTH}\" height=\"{part:.2}\"/>"
                );
            }
        }
    }
    html.push_str("</svg><div class=\"chart-hover\">");
    for (index, day) in days.iter().enumerate() {
        let _ = write!(html, "<div class=\"chart-day\"><div class=\"chart-tip\"><b>{}</b>", short_day(*day));
        for (class, name, numbers) in &parts {
            let value = measure.write(number(numbers, index));
            let _ = write!(html, "<span><i class=\"swatch {class}\"></i><em>{name}</em><span>{value}</span></span>");
        }
        html.push_str("</div></div>");
    }
    html.push_str("</div></div><div class=\"chart-axis\">");
    for (index, day) in days.iter().enumerate() {
        // Counted from the last, which is today.
        if (days.len() - 1 - index).is_multiple_of(DAYS_OF_A_LABEL) {
            let label = if index + 1 == days.len() { "Today".to_owned() } else { short_day(*day) };
            let _ = write!(html, "<span>{label}</span>");
        }
    }
    html.push_str("</div></div>");
    table(&mut html, measure, days, &parts.iter().map(|(_, name, numbers)| (&**name, *numbers)).collect::<Vec<_>>());
    html.push_str("</figure>");
    html
}

/// The newest day first. `<data>` holds each number exactly.
fn table(html: &mut String, measure: Measure, days: &[Day], parts: &[(&str, &[u64])]) {
    html.push_str("<details class=\"chart-table\"><summary>Table of these figures</summary><div class=\"table-scroll\"><table class=\"table-plain\"><thead><tr><th scope=\"col\">Day (UTC)</th>");
    for (name, _) in parts {
        let _ = write!(html, "<th scope=\"col\" class=\"number\">{name}</th>");
    }
    html.push_str("<th scope=\"col\" class=\"number\">All</th></tr></thead><tbody>");
    for (index, day) in days.iter().enumerate().rev() {
        let _ = write!(html, "<tr><th scope=\"row\">{day}</th>");
        let mut total = 0;
        for (_, numbers) in parts {
            let number = numbers.get(index).copied().unwrap_or(0);
            total += number;
            let _ = write!(html, "<td class=\"number\"><data value=\"{number}\">{}</data></td>", measure.write(number));
        }
        let _ = write!(html, "<td class=\"number\"><data value=\"{total}\">{}</data></td></tr>", measure.write(total));
    }
    html.push_str("</tbody></table></div></details>");
}

#[cfg(test)]
mod tests {
    use super::*;
    use lakeshore::path::LakePath;

    fn one(name: &str, path: Option<&str>, files: [u64; 2]) -> Series {
        let path = path.map(|path| LakePath::parse(path).unwrap());
        Series { name: name.to_owned(), path, files: files.to_vec(), bytes: vec![0, 0] }
    }

    #[test]
    fn the_scale_ends_at_a_round_number() {
        let ceilings = [1, 2, 3, 7, 10, 11, 480, 512, u64::MAX].map(ceiling);
        assert_eq!(ceilings, [1, 2, 5, 10, 10, 20, 500, 1000, u64::MAX]);
    }

    #[test]
    fn bars_stand_on_each_other_and_the_table_says_the_same() {
        let days = [Day(100), Day(101)];
        let series = [one("/a", Some("/a"), [4, 0]), one("<b>", None, [1, 3])];
        let html = bars("files", Measure::Files, &days, &series);
        assert!(
            html.contains("<rect class=\"series-0\" x=\"0.12\" y=\"20.00\" width=\"0.76\" height=\"80.00\"/>"),
            "{html}"
        );
        assert!(html.contains("<rect class=\"series-rest\" x=\"0.12\" y=\"0.00\""), "{html}");
        assert_eq!(html.matches("<rect").count(), 3, "what is nothing has no bar: {html}");
        assert!(html.contains("<td class=\"number\"><data value=\"5\">5</data></td></tr></tbody>"), "{html}");
        assert!(!html.contains("<b>:") && html.contains("&lt;b&gt;"), "{html}");
        assert!(!html.contains("style="), "the policy refuses inline styles");
    }
}
