//! Stacked bars, one for each day.

use super::{escaped, height, short_day};
use crate::drawing::RenderedChart;
use crate::format;
use crate::visible::visible;
use lakeshore::model::dataset::day::Day;
use lakeshore::model::overview::Series;
use std::fmt::Write;

/// Days between two labels of the axis.
const DAYS_OF_A_LABEL: usize = 7;
/// Share of a day's width that its bar takes; the rest is the gap.
const BAR_WIDTH: f64 = 0.76;

/// Unit of the bars.
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

    fn write(self, number: u64) -> String {
        match self {
            Self::Bytes => format::bytes(number),
            Self::Files => format::count(number),
        }
    }
}

/// Smallest round number at or above the greatest value whose half is a whole number.
fn ceiling(greatest: u64) -> u64 {
    let mut ten = 1_u64;
    loop {
        for step in [1, 2, 3, 4, 5, 6, 8] {
            let round = ten.saturating_mul(step);
            if round == u64::MAX || round >= greatest && (round == 1 || round.is_multiple_of(2)) {
                return round;
            }
        }
        ten = ten.saturating_mul(10);
    }
}

/// Class for the colour of a part. The sum of the remaining datasets has a colour of its own.
fn class(index: usize, series: &Series, is_of_datasets: bool) -> String {
    if is_of_datasets && series.path.is_none() { "series-rest".to_owned() } else { format!("series-{index}") }
}

/// Chart with a legend, bars and details on hover, and its table.
pub fn bars(measure: Measure, days: &[Day], series: &[Series]) -> RenderedChart {
    let is_of_datasets = series.iter().any(|series| series.path.is_some());
    let parts: Vec<_> = series
        .iter()
        .enumerate()
        .map(|(index, series)| {
            (
                class(index, series, is_of_datasets),
                escaped(&visible(series.name.clone())).into_owned(),
                measure.of(series),
            )
        })
        .collect();
    let number = |numbers: &[u64], day: usize| numbers.get(day).copied().unwrap_or(0);
    let total = |day: usize| parts.iter().map(|(_, _, numbers)| number(numbers, day)).sum::<u64>();
    let greatest = (0..days.len()).map(total).max().unwrap_or(0);
    let top = ceiling(greatest.max(1));
    let mut html = String::from("<ul class=\"legend\">");
    // Writing to a String cannot fail, here and below.
    for (class, name, _) in &parts {
        let _ =
            write!(html, "<li><span class=\"swatch {class}\"></span><span class=\"legend-name\">{name}</span></li>");
    }
    let _ = write!(
        html,
        "</ul><div class=\"chart-plot\" aria-hidden=\"true\"><div class=\"chart-scale\"><span>{}</span><span>{}</span><span>0</span></div><div class=\"chart-area\">",
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
        // Counted back from the last day, which is today.
        if (days.len() - 1 - index).is_multiple_of(DAYS_OF_A_LABEL) {
            let label = if index + 1 == days.len() { "Today".to_owned() } else { short_day(*day) };
            let _ = write!(html, "<span>{label}</span>");
        }
    }
    html.push_str("</div></div>");
    let of_table: Vec<_> = parts.iter().map(|(_, name, numbers)| (&**name, *numbers)).collect();
    RenderedChart { bars: html, table: table(measure, days, &of_table) }
}

/// Table with the newest day first. `<data>` has each exact number.
fn table(measure: Measure, days: &[Day], parts: &[(&str, &[u64])]) -> String {
    let mut html = String::from("<table class=\"table-plain\"><thead><tr><th scope=\"col\">Day (UTC)</th>");
    for (name, _) in parts {
        let _ = write!(html, "<th scope=\"col\" class=\"number\">{name}</th>");
    }
    html.push_str("<th scope=\"col\" class=\"number\">Total</th></tr></thead><tbody>");
    for (index, day) in days.iter().enumerate().rev() {
        let _ = write!(
            html,
            "<tr><th scope=\"row\"><time datetime=\"{day}\" title=\"{day}, from 00:00 to 24:00 UTC\">{day}</time></th>"
        );
        let mut total = 0;
        for (_, numbers) in parts {
            let number = numbers.get(index).copied().unwrap_or(0);
            total += number;
            let _ = write!(html, "<td class=\"number\"><data value=\"{number}\">{}</data></td>", measure.write(number));
        }
        let _ = write!(html, "<td class=\"number\"><data value=\"{total}\">{}</data></td></tr>", measure.write(total));
    }
    html.push_str("</tbody></table>");
    html
}

#[cfg(test)]
mod tests {
    use super::*;
    use lakeshore::model::path::LakePath;

    fn one(name: &str, path: Option<&str>, files: [u64; 2]) -> Series {
        let path = path.map(|path| LakePath::parse(path).unwrap());
        Series { name: name.to_owned(), path, files: files.to_vec(), bytes: vec![0, 0] }
    }

    #[test]
    fn the_scale_ends_at_a_round_number() {
        let ceilings = [1, 2, 3, 7, 9, 11, 23, 480, 512, u64::MAX].map(ceiling);
        assert_eq!(ceilings, [1, 2, 4, 8, 10, 20, 30, 500, 600, u64::MAX]);
    }

    #[test]
    fn bars_stand_on_each_other_and_the_table_says_the_same() {
        let days = [Day(100), Day(101)];
        let series = [one("/a", Some("/a"), [8, 0]), one("<b>", None, [2, 3])];
        let RenderedChart { bars, table } = bars(Measure::Files, &days, &series);
        let below = "<rect class=\"series-0\" x=\"0.12\" y=\"20.00\" width=\"0.76\" height=\"80.00\"/>";
        assert!(bars.contains(below), "{bars}");
        assert!(bars.contains("<rect class=\"series-rest\" x=\"0.12\" y=\"0.00\""), "{bars}");
        assert_eq!(bars.matches("<rect").count(), 3, "what is nothing has no bar: {bars}");
        assert!(table.contains("<td class=\"number\"><data value=\"10\">10</data></td></tr></tbody>"), "{table}");
        assert!(!bars.contains("<b></span>") && table.contains("&lt;b&gt;"), "{table}");
        assert!(!bars.contains("style=") && !table.contains("style="), "the policy refuses inline styles");
    }
}
