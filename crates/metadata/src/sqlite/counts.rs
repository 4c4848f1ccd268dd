//! Writes the counts of [`crate::counts`], and finds pages by them.

use super::query::{Row, Select, Value, changed, clamp};
use super::writing::Writing;
use crate::counts::{NARROW, Slice, Tally, WIDE};
use lakeshore::Error;
use lakeshore::model::page::{Order, Page};
use sqlx::{Row as _, SqliteConnection};
use std::ops::Range;
use std::sync::LazyLock;

pub(super) async fn write(tally: &Tally, writing: &mut Writing) -> Result<(), Error> {
    static ADD_COUNTS: LazyLock<String> = LazyLock::new(|| add_counts("$1"));
    if tally.is_empty() {
        return Ok(());
    }
    changed(writing, ADD_COUNTS.as_str(), vec![Value::rows(&tally.rows())?]).await.map(drop)
}

/// Statement that adds the rows of a [`Tally`], bound at `place`. A folder's counts are added to all folders above it.
pub(super) fn add_counts(place: &str) -> String {
    format!(
        "INSERT INTO upload_counts \
         SELECT scope, scope_id, span, block, sum(total), sum(finished), sum(failed) FROM ( \
             SELECT value ->> 0 AS scope, value ->> 1 AS scope_id, value ->> 2 AS span, value ->> 3 AS block, \
                 value ->> 4 AS total, value ->> 5 AS finished, value ->> 6 AS failed FROM json_each({place}) \
             UNION ALL \
             SELECT 2, above_id, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6 \
             FROM json_each({place}) CROSS JOIN folders_above ON folder_id = value ->> 1 \
             WHERE value ->> 0 = 2 AND above_id <> folder_id \
         ) GROUP BY scope, scope_id, span, block \
         ON CONFLICT DO UPDATE SET total = total + excluded.total, finished = finished + excluded.finished, \
             failed = failed + excluded.failed"
    )
}

/// Finds the slice of a page. `blocks` selects `block, sum(…)` up to its WHERE, from the counts of the matching rows.
/// `None` where the page lies after the last of them.
pub(super) async fn slice(
    connection: &mut SqliteConnection,
    page: &Page,
    blocks: impl Fn(&mut Select),
) -> Result<Option<Slice>, Error> {
    let counts_of = |span: u32, range: Range<i64>| {
        let mut select = Select::new("");
        blocks(&mut select);
        select.push(" AND span = ").bind(span);
        select.push(" AND block >= ").bind(range.start).push(" AND block < ").bind(range.end);
        select.push(" GROUP BY block ORDER BY block").push(super::query::direction(page.order));
        select
    };
    if page.size == 0 {
        return Ok(None);
    }
    let wanted = page.from.saturating_add(page.size);
    let mut passed = 0;
    let mut slice: Option<Slice> = None;
    for (wide, count) in counts_of(WIDE, 0..i64::MAX).rows(connection, counted).await? {
        if passed + count <= page.from {
            passed += count;
            continue;
        }
        let ratio = 1 << (WIDE - NARROW);
        let of_wide = counts_of(NARROW, wide * ratio..(wide + 1) * ratio);
        for (narrow, count) in of_wide.rows(connection, counted).await? {
            let positions = narrow << NARROW..(narrow + 1) << NARROW;
            match &mut slice {
                None if passed + count <= page.from => {}
                None => slice = Some(Slice { positions, skipped: page.from - passed }),
                Some(slice) => {
                    slice.positions.start = slice.positions.start.min(positions.start);
                    slice.positions.end = slice.positions.end.max(positions.end);
                }
            }
            passed += count;
            if passed >= wanted {
                return Ok(slice);
            }
        }
    }
    Ok(slice)
}

fn counted(row: &Row) -> sqlx::Result<(i64, u64)> {
    Ok((row.try_get(0)?, row.try_get::<i64, _>(1)?.cast_unsigned()))
}

/// Adds the order and the limits of a slice.
pub(super) fn page_of_slice(select: &mut Select, column: &str, page: &Page, slice: &Slice) {
    select.push(" AND ").push(column).push(" >= ").bind(slice.positions.start);
    select.push(" AND ").push(column).push(" < ").bind(slice.positions.end);
    select.page(column, page.order, page.size, slice.skipped);
}

/// Adds order and page by a column that counts from 1 without gaps up to `last` (a subquery), so that skipping is a
/// comparison.
pub(super) fn dense_page(select: &mut Select, column: &str, last: &str, page: &Page) {
    select.push(" AND ").push(column);
    match page.order {
        Order::Asc => select.push(" > ").bind(clamp(page.from)),
        Order::Desc => select.push(" <= ").push(last).push(" - ").bind(clamp(page.from)),
    };
    select.page(column, page.order, page.size, 0);
}
