//! Trees and datasets as the last change has left them, and what a change writes of them.

use crate::query::{
    Connection, Dialect, RowOf, Text, Value, WritingConnection, execute, execute_returning, fetch_all, fetch_optional,
    values,
};
use crate::row::{DbRow, bytes};
use lakeshore::Error;
use lakeshore::model::digest::Digest;
use lakeshore::model::path::at_and_above;
use lakeshore::model::version::{ListDigest, ListTotals};
use std::collections::BTreeSet;

/// A tree that is live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tree {
    pub(crate) id: i64,
    pub(crate) path: String,
    pub(crate) held: TreeTotals,
    pub(crate) is_complete: bool,
}

/// Totals of a tree, or a part of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct TreeTotals {
    pub(crate) totals: ListTotals,
    pub(crate) rows: Rows,
}

impl TreeTotals {
    pub(crate) fn plus(self, other: Self) -> Self {
        Self { totals: self.totals.plus(other.totals), rows: self.rows.plus(other.rows) }
    }

    pub(crate) fn minus(self, other: Self) -> Self {
        Self { totals: self.totals.minus(other.totals), rows: self.rows.minus(other.rows) }
    }
}

/// Rows of files, and of how many files they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Rows {
    pub(crate) rows: i64,
    pub(crate) counted: i64,
}

impl Rows {
    pub(crate) fn of(count: Option<i64>) -> Self {
        Self { rows: count.unwrap_or(0), counted: count.is_some().into() }
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self { rows: self.rows.saturating_add(other.rows), counted: self.counted.saturating_add(other.counted) }
    }

    pub(crate) fn minus(self, other: Self) -> Self {
        Self { rows: self.rows.saturating_sub(other.rows), counted: self.counted.saturating_sub(other.counted) }
    }
}

/// A dataset as its newest version is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) folder_id: i64,
    /// 0 where there is none yet.
    pub(crate) number: i64,
    /// Time of the newest version.
    pub(crate) at: i64,
    pub(crate) totals: ListTotals,
    pub(crate) is_complete: bool,
}

/// From `files, bytes, digest`.
pub(crate) fn totals_of(row: &impl DbRow) -> sqlx::Result<ListTotals> {
    let digest = ListDigest::from_stored(bytes(row, "digest")?);
    Ok(ListTotals { files: row.get("files")?, bytes: row.get("bytes")?, digest })
}

/// From `files, bytes, digest, row_count, counted`.
fn held_of(row: &impl DbRow) -> sqlx::Result<TreeTotals> {
    let rows = Rows { rows: row.get("row_count")?, counted: row.get("counted")? };
    Ok(TreeTotals { totals: totals_of(row)?, rows })
}

pub(crate) fn tree_of(row: &impl DbRow) -> sqlx::Result<Tree> {
    let (id, path, is_complete) = (row.get("tree_id")?, row.get("path")?, row.get("is_complete")?);
    Ok(Tree { id, path, held: held_of(row)?, is_complete })
}

pub(crate) fn head_of(row: &impl DbRow) -> sqlx::Result<Head> {
    Ok(Head {
        folder_id: row.get("folder_id")?,
        number: row.get("number")?,
        at: row.get("at")?,
        totals: totals_of(row)?,
        is_complete: row.get("is_complete")?,
    })
}

/// In hexadecimal, for `unhex`.
pub(crate) fn digits(totals: &ListTotals) -> String {
    hex::encode(totals.digest.as_bytes())
}

/// The places that hold something of a list, with themselves.
pub(crate) fn all_above<'a>(places: impl IntoIterator<Item = &'a str>) -> BTreeSet<&'a str> {
    places.into_iter().flat_map(at_and_above).filter(|place| !place.is_empty()).collect()
}

/// The bounds of what is strictly below a place.
pub(crate) fn below(place: &str) -> (String, String) {
    (format!("{place}/"), format!("{place}0"))
}

const TREE_COLUMNS: &str = "t.tree_id, t.path, t.files, t.bytes, t.digest, t.row_count, t.counted, t.is_complete";

pub(crate) async fn tree(connection: &mut impl Connection, id: i64) -> Result<Option<Tree>, Error> {
    let sql = format!("SELECT {TREE_COLUMNS} FROM trees t WHERE t.tree_id = ?");
    fetch_optional(connection, sql, values![id], tree_of).await
}

/// The live trees at a place, above it, and below it.
pub(crate) struct Around {
    pub(crate) at: Option<Tree>,
    /// The lowest.
    pub(crate) above: Option<Tree>,
    pub(crate) below: Vec<Tree>,
}

fn live<D: Dialect>() -> String {
    let (set, live) = (D::SET, D::indexed_by("trees_live"));
    format!(
        "SELECT {TREE_COLUMNS} FROM json_each($1) CROSS JOIN trees t \
         WHERE t.path = value ->> 0 AND t.is_live{set} ORDER BY length(t.path); \
         SELECT {TREE_COLUMNS} FROM trees t{live} WHERE t.is_live{set} AND t.path >= $2 AND t.path < $3"
    )
}

pub(crate) async fn live_trees<C: Connection>(connection: &mut C, place: &str) -> Result<Around, Error> {
    static LIVE: Text = Text::new();
    let (first, last) = below(place);
    let asked = vec![Value::column(at_and_above(place))?, Value::Text(first), Value::Text(last)];
    let mut around = Around { at: None, above: None, below: Vec::new() };
    for tree in fetch_all(connection, LIVE.of::<C::Db>(live::<C::Db>), asked, tree_of).await? {
        if tree.path == place {
            around.at = Some(tree);
        } else if tree.path.len() < place.len() {
            around.above = Some(tree);
        } else {
            around.below.push(tree);
        }
    }
    Ok(around)
}

/// Totals of a tree below a place now. Visits each file there.
pub(crate) async fn held_below<C: Connection>(
    connection: &mut C,
    tree_id: i64,
    place: &str,
) -> Result<TreeTotals, Error> {
    let sql = "SELECT f.path, u.size_bytes, u.sha256, s.row_count FROM version_files f \
               CROSS JOIN uploads u LEFT JOIN file_schemas s ON s.history_id = f.history_id \
               WHERE u.history_id = f.history_id AND f.tree_id = ? AND f.path >= ? AND f.path < ? AND f.until_seq IS NULL";
    let (first, last) = below(place);
    let mut held = TreeTotals::default();
    let add = |row: &RowOf<C>| {
        held = held.plus(held_of_file(row)?);
        Ok(())
    };
    fetch_all(connection, sql, values![tree_id, first, last], add).await?;
    Ok(held)
}

/// From `path, size_bytes, sha256, row_count`.
pub(crate) fn held_of_file(row: &impl DbRow) -> sqlx::Result<TreeTotals> {
    let size_bytes: i64 = row.get("size_bytes")?;
    let content = Digest { size_bytes: size_bytes.cast_unsigned(), sha256: bytes(row, "sha256")? };
    let totals = ListTotals::of(row.text("path")?, &content);
    Ok(TreeTotals { totals, rows: Rows::of(row.get("row_count")?) })
}

/// Totals at a place and below now, by the trees.
pub(crate) async fn held_at(connection: &mut impl Connection, place: &str) -> Result<TreeTotals, Error> {
    let Around { at, above, below } = live_trees(connection, place).await?;
    let mut held = match (at, above) {
        (Some(tree), _) => tree.held,
        (None, Some(above)) => held_below(connection, above.id, place).await?,
        (None, None) => TreeTotals::default(),
    };
    for tree in below {
        held = held.plus(tree.held);
    }
    Ok(held)
}

/// The heads of the datasets at these places, as far as they have one; and which of the places hold a dataset, each with its
/// folder.
pub(crate) struct Heads {
    pub(crate) of_datasets: Vec<(String, i64)>,
    pub(crate) heads: Vec<(String, Head)>,
}

/// Queries of the datasets at the paths of `$1`, and of their newest versions.
macro_rules! datasets {
    () => {
        "SELECT 'dataset' AS is_of, d.path, f.folder_id FROM json_each($1) CROSS JOIN datasets d CROSS JOIN folders f \
         WHERE d.path = value ->> 0 AND f.path = d.path; \
         SELECT 'head' AS is_of, f.path, v.folder_id, v.number, v.at, v.files, v.bytes, v.digest, v.is_complete \
         FROM json_each($1) CROSS JOIN folders f CROSS JOIN versions v WHERE f.path = value ->> 0 \
         AND v.folder_id = f.folder_id AND v.number = (SELECT max(number) FROM versions WHERE folder_id = f.folder_id)"
    };
}

pub(crate) async fn heads(connection: &mut impl Connection, places: &BTreeSet<&str>) -> Result<Heads, Error> {
    let mut all = Heads { of_datasets: Vec::new(), heads: Vec::new() };
    for found in fetch_all(connection, datasets!(), vec![Value::column(places)?], known).await? {
        match found {
            HeadRow::Dataset(path, folder_id) => all.of_datasets.push((path, folder_id)),
            HeadRow::Head(path, head) => all.heads.push((path, head)),
            HeadRow::Tree(_) => {}
        }
    }
    Ok(all)
}

/// Row of [`around`].
pub(crate) enum HeadRow {
    Tree(Tree),
    Dataset(String, i64),
    Head(String, Head),
}

pub(crate) fn known(row: &impl DbRow) -> sqlx::Result<HeadRow> {
    Ok(match row.text("is_of")? {
        "tree" => HeadRow::Tree(tree_of(row)?),
        "dataset" => HeadRow::Dataset(row.get("path")?, row.get("folder_id")?),
        _ => HeadRow::Head(row.get("path")?, head_of(row)?),
    })
}

/// Queries of all that a group of landings needs to know: live trees at the paths of `$1`, staged ones of the ids of `$2`,
/// datasets at the paths, and their newest versions.
pub(crate) fn around<D: Dialect>() -> &'static str {
    static AROUND: Text = Text::new();
    AROUND.of::<D>(|| {
        format!(
            "SELECT 'tree' AS is_of, {TREE_COLUMNS} FROM json_each($1) CROSS JOIN trees t \
             WHERE t.path = value ->> 0 AND t.is_live{set}; \
             SELECT 'tree' AS is_of, {TREE_COLUMNS} FROM json_each($2) CROSS JOIN trees t \
             WHERE t.tree_id = CAST(value ->> 0 AS BIGINT) AND NOT t.is_live; {datasets}",
            set = D::SET,
            datasets = datasets!()
        )
    })
}

pub(crate) async fn last_seq(connection: &mut impl Connection) -> Result<i64, Error> {
    let sql = "SELECT last_seq FROM version_state";
    Ok(fetch_optional(connection, sql, values![], |row| row.at(0)).await?.unwrap_or(0))
}

/// Allocates the next change number.
pub(crate) async fn next_seq(writing: &mut impl WritingConnection) -> Result<i64, Error> {
    let sql = "UPDATE version_state SET last_seq = last_seq + 1 RETURNING last_seq";
    let next = execute_returning(writing, sql, values![], |row| row.at(0)).await?;
    next.into_iter().next().ok_or_else(|| Error::internal(sqlx::Error::RowNotFound))
}

/// Adds to the rows of versions: of each, its folder, its number, and by how much it has more than the version before.
pub(crate) async fn add_rows(writing: &mut impl WritingConnection, changes: &[(i64, i64, Rows)]) -> Result<(), Error> {
    let changes: Vec<_> = changes
        .iter()
        .filter(|(_, _, rows)| *rows != Rows::default())
        .map(|(folder_id, number, rows)| (folder_id, number, rows.rows, rows.counted))
        .collect();
    if changes.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO version_rows SELECT CAST(value ->> 0 AS BIGINT), span, CAST(value ->> 1 AS BIGINT) >> span, \
               sum(CAST(value ->> 2 AS BIGINT)), sum(CAST(value ->> 3 AS BIGINT)) FROM json_each($1) \
               CROSS JOIN (SELECT 0 AS span UNION ALL SELECT 10 UNION ALL SELECT 20) AS spans WHERE true GROUP BY 1, 2, 3 \
               ON CONFLICT (folder_id, span, block) DO UPDATE SET \
               row_count = version_rows.row_count + excluded.row_count, counted = version_rows.counted + excluded.counted";
    execute(writing, sql, vec![Value::rows(&changes)?]).await.map(drop)
}
