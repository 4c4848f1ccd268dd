//! Waterfall of a sync: a bar for each upload from its start to its end, in order of their start, and the same as a
//! table. Rendered on the server, so the browser has none of this code.

use crate::components::status::StatusPill;
use crate::components::table_head::{column, table_head};
use crate::drawing::Drawing;
use crate::format;
use crate::visible::visible;
use lakeshore::model::sync::status::Status;
use lakeshore::model::sync::timeline::{Timeline, TimelineUpload};
use lakeshore::model::time::Timestamp;
use leptos::prelude::*;

/// Size of the picture in its own units; the page stretches its width.
const WIDTH: f64 = 1000.0;
const HEIGHT_MAX: f64 = 360.0;
const ROW_MAX: f64 = 16.0;
/// Minimum width of a bar, so that it stays visible.
const BAR_WIDTH_MIN: f64 = 2.0;

/// Bars of uploads in flight end at `now`.
pub fn draw(timeline: &Timeline, now: Timestamp) -> Drawing {
    let has_failed = timeline.uploads.iter().any(|upload| upload.sync_status == Status::Failed);
    if timeline.uploads.is_empty() {
        return Drawing::default();
    }
    let (picture, table) = (picture(timeline, now).to_html(), table(timeline, now).to_html());
    Drawing { has_failed, picture, table }
}

/// Time range of the picture.
fn span(uploads: &[TimelineUpload], now: Timestamp) -> (i64, i64) {
    let begin = uploads.iter().map(|upload| upload.start_time.0).min().unwrap_or(now.0);
    let end = uploads.iter().map(|upload| end_of(upload, now)).max().unwrap_or(now.0);
    (begin, end.max(begin + 1))
}

fn end_of(upload: &TimelineUpload, now: Timestamp) -> i64 {
    let end = if upload.end_time == Timestamp::NOT_YET { now } else { upload.end_time };
    end.0.max(upload.start_time.0)
}

/// Left edge and width of a bar.
fn bar(upload: &TimelineUpload, now: Timestamp, (begin, end): (i64, i64)) -> (f64, f64) {
    let scale = WIDTH / (end - begin) as f64;
    let width = ((end_of(upload, now) - upload.start_time.0) as f64 * scale).max(BAR_WIDTH_MIN);
    let left = (upload.start_time.0 - begin) as f64 * scale;
    (left.min(WIDTH - width).max(0.0), width)
}

fn class_of(status: Status) -> &'static str {
    match status {
        Status::Syncing => "bar-syncing",
        Status::Finished => "bar-finished",
        Status::Failed => "bar-failed",
    }
}

fn picture(timeline: &Timeline, now: Timestamp) -> AnyView {
    let uploads = &timeline.uploads;
    let span = span(uploads, now);
    let row = (HEIGHT_MAX / uploads.len() as f64).min(ROW_MAX);
    let height = row * uploads.len() as f64;
    let (fill, length) = (if row > 4.0 { row - 2.0 } else { row * 0.8 }, span.1 - span.0);
    let bars = uploads.iter().enumerate().map(|(index, upload)| {
        let (left, width) = bar(upload, now, span);
        let took = format::duration(end_of(upload, now) - upload.start_time.0);
        let title = format!(
            "{}: {}, {took}, {}",
            visible(upload.file_name.clone()),
            upload.sync_status.as_str(),
            format::bytes(upload.size_bytes)
        );
        view! {
            <rect
                class=class_of(upload.sync_status)
                x=tenths(left)
                y=tenths(row * index as f64)
                width=tenths(width)
                height=tenths(fill)
            >
                <title>{title}</title>
            </rect>
        }
    });
    let shown = uploads.len() as u64;
    let number = if shown < timeline.num_uploads {
        format!("{shown} of {}, evenly sampled", format::counted(timeline.num_uploads, "upload"))
    } else {
        format::counted(shown, "upload")
    };
    let label = format!("{number} in {}", format::duration(length));
    let marks = [0, 1, 2, 3, 4].map(|quarter| view! { <span>{format::duration(length * quarter / 4)}</span> });
    view! {
        <figure class="waterfall">
            <svg
                viewBox=format!("0 0 {WIDTH} {}", tenths(height))
                height=tenths(height)
                preserveAspectRatio="none"
                role="img"
                aria-label=label.clone()
            >
                {bars.collect_view()}
            </svg>
            <div class="waterfall-axis" aria-hidden="true">
                {marks.into_iter().collect_view()}
            </div>
            <figcaption class="quiet">{label}</figcaption>
        </figure>
    }
    .into_any()
}

fn table(timeline: &Timeline, now: Timestamp) -> AnyView {
    let (begin, _) = span(&timeline.uploads, now);
    let rows = timeline.uploads.iter().map(|upload| {
        view! {
            <tr>
                <td class="cell-main">{visible(upload.file_name.clone())}</td>
                <td data-label="Status">
                    <StatusPill status=upload.sync_status/>
                </td>
                <td data-label="Started after" class="number">{format::duration(upload.start_time.0 - begin)}</td>
                <td data-label="Duration" class="number">{format::duration(end_of(upload, now) - upload.start_time.0)}</td>
                <td data-label="Size" class="number">{format::bytes(upload.size_bytes)}</td>
            </tr>
        }
    });
    view! {
        <table class="table table-timeline">
            {table_head([
                column("File"), column("Status"), column("Started after").number(), column("Duration").number(),
                column("Size").number(),
            ])}
            <tbody>{rows.collect_view()}</tbody>
        </table>
    }
    .into_any()
}

/// Formats with one decimal place, which is enough for a picture.
fn tenths(number: f64) -> String {
    format!("{:.1}", number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lakeshore::model::id::UploadId;

    fn upload(start: i64, end: i64) -> TimelineUpload {
        TimelineUpload {
            history_id: UploadId(1),
            file_name: "a".into(),
            start_time: Timestamp(start),
            end_time: Timestamp(end),
            sync_status: Status::Finished,
            size_bytes: 1,
        }
    }

    #[test]
    fn bars_lie_in_the_picture_and_what_runs_reaches_to_now() {
        let uploads = [upload(1000, 1500), upload(1200, 0), upload(2000, 2000)];
        let now = Timestamp(2000);
        let span = span(&uploads, now);
        assert_eq!(span, (1000, 2000));
        assert_eq!(bar(&uploads[0], now, span), (0.0, 500.0));
        assert_eq!(bar(&uploads[1], now, span), (200.0, 800.0));
        let (left, width) = bar(&uploads[2], now, span);
        assert!(width >= BAR_WIDTH_MIN && left + width <= WIDTH);
    }

    #[test]
    fn an_upload_of_no_time_has_a_picture_too() {
        let uploads = [upload(1000, 1000)];
        assert_eq!(span(&uploads, Timestamp(1000)), (1000, 1001));
        assert_eq!(bar(&uploads[0], Timestamp(1000), (1000, 1001)).0, 0.0);
    }
}
