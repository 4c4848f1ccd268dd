//! Writes the counts of [`crate::counts`], and finds pages by them.

use super::query::{Batch, Row, Select, Value, clamp};
use super::writing::Writing;
use crate::counts::{NARROW, Slice, Tally, WIDE};
use lakeshore::Error;
use lakeshore::model::page::{Order, Page};
use sqlx::{PgConnection, Row as _};
use std::ops::Range;
use std::sync::LazyLock;

pub(super) async fn write(tally: &Tally, writing: &mut Writing) -> Result<(), Error> {
    let mut batch = Batch::default();
    add_to(&mut batch, tally)?;
    batch.run(writing).await
}

pub(super) fn add_to(batch: &mut Batch, tally: &Tally) -> Result<(), Error> {
    static ADD_COUNTS: LazyLock<String> = LazyLock::new(|| add_counts("$1"));
    if !tally.is_empty() {
        batch.add(&ADD_COUNTS, vec![Value::rows(&tally.rows())?]);
    }
    Ok(())
}

/// Statement that adds the rows of a [`Tally`], bound at `place`. A folder's counts are added to all folders above it.
pub(super) fn add_counts(place: &str) -> String {
    format!(
        "INSERT INTO upload_counts AS c \
         SELECT scope, scope_id, span, block, sum(total)::bigint, sum(finished)::bigint, sum(failed)::bigint FROM ( \
             WITH added AS (SELECT (value ->> 0)::bigint AS scope, (value ->> 1)::bigint AS scope_id, \
                 (value ->> 2)::bigint AS span, (value ->> 3)::bigint AS block, (value ->> 4)::bigint AS total, \
                 (value ->> 5)::bigint AS finished, (value ->> 6)::bigint AS failed FROM json_rows({place})) \
             SELECT * FROM added \
             UNION ALL \
             SELECT 2, above_id, span, block, total, finished, failed \
             FROM added JOIN folders_above ON folder_id = scope_id WHERE scope = 2 AND above_id <> folder_id \
         ) AS changes GROUP BY scope, scope_id, span, block \
         ON CONFLICT (scope, scope_id, span, block) DO UPDATE SET total = c.total + excluded.total, \
             finished = c.finished + excluded.finished, failed = c.failed + excluded.failed"
    )
}

/// Finds the slice of a page. `blocks` selects `block, sum(…)` up to its WHERE, from the counts of the matching rows.
/// `None` where the page lies after the last of them.
pub(super) async fn slice(
    connection: &mut PgConnection,
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
