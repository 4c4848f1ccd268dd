//! Calendar of a quarter, one column a week: the standing of a dataset on each day.

use super::{month, short_day};
use crate::format;
use lakeshore::model::dataset::day::Day;
use lakeshore::model::dataset::schedule::{CalendarDay, Timeliness};
use std::fmt::Write;

const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// Sign and text for a standing, beside its colour.
fn shown(standing: Timeliness) -> (&'static str, &'static str) {
    match standing {
        Timeliness::NotExpected => ("", "no files"),
        Timeliness::Landed => ("✓", "landed"),
        Timeliness::NotYet => ("…", "not due yet"),
        Timeliness::Late => ("L", "late"),
        Timeliness::Overdue => ("!", "overdue"),
        Timeliness::Short => ("S", "incomplete"),
        Timeliness::Missing => ("×", "missing"),
    }
}

/// Table of weekdays by weeks. `days` are in order.
pub fn calendar(days: &[CalendarDay]) -> String {
    let (Some(first), Some(last)) = (days.first(), days.last()) else { return String::new() };
    let monday = first.day.plus(-i64::from(first.day.weekday()));
    let weeks: Vec<Day> = (0..).map(|week| monday.plus(week * 7)).take_while(|week| *week <= last.day).collect();
    let mut html = String::from("<div class=\"table-scroll\"><table class=\"calendar\"><thead><tr><td></td>");
    let mut before = "";
    for week in &weeks {
        let name = month(*week);
        let shown = if name == before { "" } else { name };
        before = name;
        // Writing to a String cannot fail, here and below.
        let _ = write!(
            html,
            "<th scope=\"col\"><span class=\"visually-hidden\">week of {}</span><span aria-hidden=\"true\">{shown}</span></th>",
            short_day(*week)
        );
    }
    html.push_str("</tr></thead><tbody>");
    for (weekday, name) in (0..).zip(WEEKDAYS) {
        let _ = write!(html, "<tr><th scope=\"row\">{name}</th>");
        for week in &weeks {
            let day = week.plus(weekday);
            match usize::try_from(day.0 - first.day.0).ok().and_then(|index| days.get(index)) {
                None => html.push_str("<td class=\"calendar-none\"></td>"),
                Some(day) => cell(&mut html, day),
            }
        }
        html.push_str("</tr>");
    }
    html.push_str("</tbody></table></div><ul class=\"legend calendar-legend\">");
    for standing in Timeliness::ALL {
        let (sign, words) = shown(standing);
        let class = standing.as_str();
        let _ = write!(
            html,
            "<li><span class=\"calendar-sign standing-{class}\" aria-hidden=\"true\">{sign}</span>{words}</li>"
        );
    }
    html.push_str("</ul>");
    html
}

fn cell(html: &mut String, day: &CalendarDay) {
    let (sign, words) = shown(day.standing);
    let came = if day.files > 0 {
        format!(", {}, {}", format::counted(day.files, "file"), format::bytes(day.bytes))
    } else {
        String::new()
    };
    let class = day.standing.as_str();
    let says = format!("{}: {words}{came}", day.day);
    let _ = write!(
        html,
        "<td class=\"standing-{class}\" data-day=\"{}\" title=\"{says}\"><span aria-hidden=\"true\">{sign}</span><span class=\"visually-hidden\">{says}</span></td>",
        day.day
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_day_is_in_the_row_of_its_weekday() {
        let day = |day, standing| CalendarDay { day, standing, files: 2, bytes: 10 };
        let wednesday = Day::parse("2026-11-25").unwrap();
        let html = calendar(&[day(wednesday, Timeliness::Landed), day(wednesday.plus(1), Timeliness::Missing)]);
        let says = "<tr><th scope=\"row\">Wed</th><td class=\"standing-landed\" data-day=\"2026-11-25\" title=\"2026-11-25: landed, 2 files, 10 B\">";
        assert!(html.contains(says), "{html}");
        assert!(html.contains("<tr><th scope=\"row\">Tue</th><td class=\"calendar-none\">"), "{html}");
    }
}
