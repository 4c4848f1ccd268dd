//! Offsets in filtered lists: the start of a page is found by adding counts of blocks instead of stepping over rows.
//!
//! Every upload counts in the blocks of its position: one of 2^10 positions and one of 2^20, in the whole history, in
//! its sync, and in its folder and each folder above. So the n-th failed upload of ten million is found by adding ten
//! large counts, then at most a thousand small ones, then stepping over at most a thousand rows.

use crate::query::{Connection, Dialect, Select, Text, Value, WritingConnection, clamp, direction, execute};
use crate::row::DbRow;
use lakeshore::Error;
use lakeshore::model::page::{Order, Page};
use lakeshore::model::sync::status::Status;
use std::collections::BTreeMap;
use std::ops::Range;

/// Blocks have 2^SPAN positions; the wide ones come first.
pub(crate) const WIDE: u32 = 20;
pub(crate) const NARROW: u32 = 10;

/// Rows that are counted together, and the position that orders them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scope {
    /// The whole history, by `history_id`.
    History,
    /// A sync, by `ordinal`.
    Sync(i64),
    /// A folder and everything below it, by `history_id`.
    Folder(i64),
}

impl Scope {
    fn key(self) -> (i64, i64) {
        match self {
            Self::History => (0, 0),
            Self::Sync(id) => (1, id),
            Self::Folder(id) => (2, id),
        }
    }
}

/// Changes of counts, summed over a transaction: many uploads of one sync change the same few blocks.
#[derive(Default)]
pub(crate) struct Tally(BTreeMap<(Scope, u32, i64), [i64; 3]>);

/// Positions of a row in each scope.
#[derive(Clone, Copy)]
pub(crate) struct Position {
    pub(crate) history_id: i64,
    pub(crate) sync_id: i64,
    pub(crate) ordinal: i64,
    pub(crate) folder_id: i64,
}

impl Position {
    /// Decodes `history_id, sync_id, ordinal, folder_id`.
    pub(crate) fn of(row: &impl DbRow) -> sqlx::Result<Self> {
        Ok(Self {
            history_id: row.get("history_id")?,
            sync_id: row.get("sync_id")?,
            ordinal: row.get("ordinal")?,
            folder_id: row.get("folder_id")?,
        })
    }
}

impl Tally {
    /// Counts a new row.
    pub(crate) fn began(&mut self, position: Position) {
        self.add(position, [1, 0, 0]);
    }

    /// Counts the end of a row that was added before.
    pub(crate) fn ended(&mut self, position: Position, status: Status) {
        self.add(position, [0, i64::from(status == Status::Finished), i64::from(status == Status::Failed)]);
    }

    fn add(&mut self, Position { history_id, sync_id, ordinal, folder_id }: Position, change: [i64; 3]) {
        let scopes =
            [(Scope::History, history_id), (Scope::Sync(sync_id), ordinal), (Scope::Folder(folder_id), history_id)];
        for (scope, position) in scopes {
            for span in [NARROW, WIDE] {
                self.change((scope, span, position >> span), change);
            }
        }
    }

    fn change(&mut self, block: (Scope, u32, i64), change: [i64; 3]) {
        let counts = self.0.entry(block).or_default();
        counts.iter_mut().zip(change).for_each(|(count, change)| *count += change);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Rows to add: kind and id of the scope, span, block, and the changes of its total, finished and failed rows.
    pub(crate) fn rows(&self) -> Vec<(i64, i64, u32, i64, i64, i64, i64)> {
        let row = |((scope, span, block), [total, finished, failed]): (&(Scope, u32, i64), &[i64; 3])| {
            let (scope, scope_id) = scope.key();
            (scope, scope_id, *span, *block, *total, *finished, *failed)
        };
        self.0.iter().map(row).collect()
    }
}

/// Rows of a page within a range of positions: `skipped` matching rows are left out first, in the order of the page.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Slice {
    pub(crate) positions: Range<i64>,
    pub(crate) skipped: u64,
}

pub(crate) async fn write(tally: &Tally, writing: &mut impl WritingConnection) -> Result<(), Error> {
    match tally.is_empty() {
        true => Ok(()),
        false => add(tally, writing).await,
    }
}

async fn add<W: WritingConnection>(tally: &Tally, writing: &mut W) -> Result<(), Error> {
    execute(writing, addition::<W::Db>(), vec![Value::rows(&tally.rows())?]).await.map(drop)
}

/// Statement that adds the rows of a [`Tally`].
pub(crate) fn addition<D: Dialect>() -> &'static str {
    static ADD: Text = Text::new();
    ADD.of::<D>(|| add_counts::<D>("$1"))
}

/// Like [`addition`], with the rows bound at `place`. A folder's counts are added to all folders above it.
pub(crate) fn add_counts<D: Dialect>(place: &str) -> String {
    let [scope, scope_id, span, block, total, finished, failed] =
        std::array::from_fn(|column| D::number(&format!("value ->> {column}")));
    format!(
        "INSERT INTO upload_counts \
         SELECT scope, scope_id, span, block, sum(total), sum(finished), sum(failed) FROM ( \
             SELECT {scope} AS scope, {scope_id} AS scope_id, {span} AS span, {block} AS block, {total} AS total, \
                 {finished} AS finished, {failed} AS failed FROM json_each({place}) \
             UNION ALL \
             SELECT 2, above_id, {span}, {block}, {total}, {finished}, {failed} \
             FROM json_each({place}) CROSS JOIN folders_above \
             WHERE folder_id = {scope_id} AND {scope} = 2 AND above_id <> folder_id \
         ) AS changes GROUP BY scope, scope_id, span, block \
         ON CONFLICT (scope, scope_id, span, block) DO UPDATE SET total = upload_counts.total + excluded.total, \
             finished = upload_counts.finished + excluded.finished, failed = upload_counts.failed + excluded.failed"
    )
}

/// Finds the slice of a page. `blocks` selects `block, sum(…)` up to its WHERE, from the counts of the matching rows.
/// `None` where the page lies after the last of them.
pub(crate) async fn slice(
    connection: &mut impl Connection,
    page: &Page,
    blocks: impl Fn(&mut Select),
) -> Result<Option<Slice>, Error> {
    let counts_of = |span: u32, range: Range<i64>| {
        let mut select = Select::new("");
        blocks(&mut select);
        select.push(" AND span = ").bind(span);
        select.push(" AND block >= ").bind(range.start).push(" AND block < ").bind(range.end);
        select.push(" GROUP BY block ORDER BY block").push(direction(page.order));
        select
    };
    if page.size == 0 {
        return Ok(None);
    }
    let wanted = page.from.saturating_add(page.size);
    let mut passed = 0;
    let mut slice: Option<Slice> = None;
    for (wide, count) in counts_of(WIDE, 0..i64::MAX).fetch_all(connection, counted).await? {
        if passed + count <= page.from {
            passed += count;
            continue;
        }
        let ratio = 1 << (WIDE - NARROW);
        let of_wide = counts_of(NARROW, wide * ratio..(wide + 1) * ratio);
        for (narrow, count) in of_wide.fetch_all(connection, counted).await? {
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

fn counted(row: &impl DbRow) -> sqlx::Result<(i64, u64)> {
    Ok((row.at(0)?, row.at::<i64>(1)?.cast_unsigned()))
}

/// Adds the order and the limits of a slice.
pub(crate) fn page_of_slice(select: &mut Select, column: &str, page: &Page, slice: &Slice) {
    select.push(" AND ").push(column).push(" >= ").bind(slice.positions.start);
    select.push(" AND ").push(column).push(" < ").bind(slice.positions.end);
    select.page(column, page.order, page.size, slice.skipped);
}

/// Adds order and page by a column that counts from 1 without gaps up to `last` (a subquery), so that skipping is a
/// comparison.
pub(crate) fn dense_page(select: &mut Select, column: &str, last: &str, page: &Page) {
    select.push(" AND ").push(column);
    match page.order {
        Order::Asc => select.push(" > ").bind(clamp(page.from)),
        Order::Desc => select.push(" <= ").push(last).push(" - ").bind(clamp(page.from)),
    };
    select.page(column, page.order, page.size, 0);
}
