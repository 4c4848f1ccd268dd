//! Timeline of a dataset's syncs over the last days.

use super::{escaped, short_day};
use crate::format;
use crate::routes;
use crate::visible::visible;
use lakeshore::model::dataset::day::{DAY_MS, Day};
use lakeshore::model::dataset::record::RECENT_DAYS;
use lakeshore::model::sync::job::SyncJob;
use lakeshore::model::sync::status::Status;
use lakeshore::model::time::Timestamp;
use std::fmt::Write;

/// Minimum width of a sync in percent, so that it stays visible.
const WIDTH_MIN: f64 = 0.35;
/// Most rows for syncs that ran at the same time.
const LANES_MAX: usize = 4;
const LANE_HEIGHT: usize = 10;

/// Renders the syncs, in any order. Those that ended earlier are left out.
pub fn timeline(syncs: &[SyncJob], now: Timestamp) -> String {
    let first = Day::of(now).plus(1 - RECENT_DAYS);
    let (start, end) = (first.start(), Day::of(now).plus(1).start());
    let span = (RECENT_DAYS * DAY_MS) as f64;
    let place = |at: Timestamp| (at.0.clamp(start.0, end.0) - start.0) as f64 / span * 100.0;
    let mut shown: Vec<_> = syncs
        .iter()
        .map(|sync| (sync, if sync.end_time == Timestamp::NOT_YET { now } else { sync.end_time }))
        .filter(|(_, ended)| *ended >= start)
        .collect();
    shown.sort_by_key(|(sync, _)| sync.start_time);
    let mut lanes: Vec<f64> = Vec::new();
    let mut rects = String::new();
    for (sync, ended) in shown {
        let left = place(sync.start_time);
        let width = (place(ended) - left).max(WIDTH_MIN);
        let lane = match lanes.iter().position(|busy_until| *busy_until <= left) {
            Some(lane) => lane,
            None if lanes.len() < LANES_MAX => {
                lanes.push(0.0);
                lanes.len() - 1
            }
            None => LANES_MAX - 1,
        };
        lanes[lane] = left + width;
        let status = sync.sync_status;
        let class = match status {
            Status::Syncing => "ran-syncing",
            Status::Finished => "ran-finished",
            Status::Failed => "ran-failed",
        };
        // Writing to a String cannot fail.
        let _ = write!(
            rects,
            "<a href=\"{}\" tabindex=\"-1\"><rect class=\"{class}\" x=\"{left:.2}\" y=\"{}\" width=\"{width:.2}\" height=\"{}\"><title>{}: {}, {}</title></rect></a>",
            routes::sync(sync.sync_id),
            lane * LANE_HEIGHT + 1,
            LANE_HEIGHT - 2,
            escaped(&visible(sync.name.clone())),
            status.as_str(),
            format::utc(sync.start_time),
        );
    }
    let height = lanes.len().max(1) * LANE_HEIGHT;
    format!(
        "<div class=\"timeline\" aria-hidden=\"true\"><svg class=\"lanes lanes-{}\" viewBox=\"0 0 100 {height}\" preserveAspectRatio=\"none\">{rects}</svg><div class=\"chart-axis\"><span>{}</span><span>{}</span><span>Today</span></div></div>",
        lanes.len().max(1),
        short_day(first),
        short_day(first.plus(RECENT_DAYS / 2)),
    )
}
