//! Sparkline of thirty days.

use super::height;
use crate::format;
use lakeshore::model::dataset::day::Day;
use lakeshore::model::dataset::record::{RECENT_DAYS, RecentDay};
use std::fmt::Write;

/// Bytes of each of the last days. Days without files are not in the list.
pub fn spark(days: &[RecentDay], today: Day) -> String {
    let max = days.iter().map(|day| day.counts.bytes).max().unwrap_or(0);
    let total: u64 = days.iter().map(|day| day.counts.bytes).sum();
    let on = days.iter().filter(|day| day.counts.files > 0).count();
    let label = format!("{} on {} of {RECENT_DAYS} days", format::bytes(total), on);
    let mut html = format!(
        "<svg class=\"spark\" viewBox=\"0 0 {RECENT_DAYS} 100\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{label}\"><title>{label}</title><path class=\"chart-grid\" d=\"M0 100H{RECENT_DAYS}\"/>"
    );
    let first = today.plus(1 - RECENT_DAYS);
    for day in days {
        let part = height(day.counts.bytes, max);
        if part > 0.0 && day.day >= first {
            let (left, top) = (day.day.0 - first.0, 100.0 - part);
            // Writing to a String cannot fail.
            let _ = write!(
                html,
                "<rect class=\"series-0\" x=\"{left}.1\" y=\"{top:.1}\" width=\"0.8\" height=\"{part:.1}\"/>"
            );
        }
    }
    html.push_str("</svg>");
    html
}
