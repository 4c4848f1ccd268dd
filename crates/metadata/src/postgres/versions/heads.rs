//! Trees and datasets as the last change has left them, and what a change writes of them.

use super::super::query::{Row, Value, changed, found, rows, values};
use super::super::writing::Writing;
use crate::row::{DbRow as _, bytes};
use lakeshore::Error;
use lakeshore::model::digest::Digest;
use lakeshore::model::version::{ListDigest, ListTotals};
use sqlx::{PgConnection, Row as _};
use std::collections::BTreeSet;

/// A tree that is live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tree {
    pub(super) id: i64,
    pub(super) path: String,
    pub(super) held: Held,
    pub(super) is_complete: bool,
}

/// What a tree holds, or a part of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Held {
    pub(super) totals: ListTotals,
    pub(super) rows: Rows,
}

impl Held {
    pub(super) fn plus(self, other: Self) -> Self {
        Self { totals: self.totals.plus(other.totals), rows: self.rows.plus(other.rows) }
    }

    pub(super) fn minus(self, other: Self) -> Self {
        Self { totals: self.totals.minus(other.totals), rows: self.rows.minus(other.rows) }
    }
}

/// Rows of files, and of how many files they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Rows {
    pub(super) rows: i64,
    pub(super) counted: i64,
}

impl Rows {
    pub(super) fn of(count: Option<i64>) -> Self {
        Self { rows: count.unwrap_or(0), counted: count.is_some().into() }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self { rows: self.rows.saturating_add(other.rows), counted: self.counted.saturating_add(other.counted) }
    }

    pub(super) fn minus(self, other: Self) -> Self {
        Self { rows: self.rows.saturating_sub(other.rows), counted: self.counted.saturating_sub(other.counted) }
    }
}

/// A dataset as its newest version is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) folder_id: i64,
    /// 0 where there is none yet.
    pub(super) number: i64,
    pub(super) totals: ListTotals,
    pub(super) is_complete: bool,
}

/// From `files, bytes, digest`.
pub(super) fn totals_of(row: &Row) -> sqlx::Result<ListTotals> {
    let digest = ListDigest::remembered(bytes(row, "digest")?);
    Ok(ListTotals { files: row.try_get("files")?, bytes: row.try_get("bytes")?, digest })
}

/// From `files, bytes, digest, row_count, counted`.
fn held_of(row: &Row) -> sqlx::Result<Held> {
    let rows = Rows { rows: row.try_get("row_count")?, counted: row.try_get("counted")? };
    Ok(Held { totals: totals_of(row)?, rows })
}

pub(super) fn tree_of(row: &Row) -> sqlx::Result<Tree> {
    let (id, path, is_complete) = (row.try_get("tree_id")?, row.try_get("path")?, row.try_get("is_complete")?);
    Ok(Tree { id, path, held: held_of(row)?, is_complete })
}

pub(super) fn head_of(row: &Row) -> sqlx::Result<Head> {
    Ok(Head {
        folder_id: row.try_get("folder_id")?,
        number: row.try_get("number")?,
        totals: totals_of(row)?,
        is_complete: row.try_get("is_complete")?,
    })
}

/// In hexadecimal, for `decode`.
pub(super) fn digits(totals: &ListTotals) -> String {
    hex::encode(totals.digest.as_bytes())
}

/// A place, and each above it, the highest first.
pub(in super::super) fn at_and_above(place: &str) -> Vec<&str> {
    let ends = place.match_indices('/').map(|(at, _)| at).skip(1).chain([place.len()]);
    ends.map(|end| &place[..end]).collect()
}

/// The places that hold something of a list, with themselves.
pub(super) fn all_above<'a>(places: impl IntoIterator<Item = &'a str>) -> BTreeSet<&'a str> {
    places.into_iter().flat_map(at_and_above).filter(|place| !place.is_empty()).collect()
}

/// The bounds of what is strictly below a place.
pub(super) fn below(place: &str) -> (String, String) {
    (format!("{place}/"), format!("{place}0"))
}

const TREE_COLUMNS: &str = "t.tree_id, t.path, t.files, t.bytes, t.digest, t.row_count, t.counted, t.is_complete";

pub(super) async fn tree(connection: &mut PgConnection, id: i64) -> Result<Option<Tree>, Error> {
    let sql =
        "SELECT tree_id, path, files, bytes, digest, row_count, counted, is_complete FROM trees WHERE tree_id = ?";
    found(connection, sql, values![id], tree_of).await
}

/// The live trees at a place, above it, and below it.
pub(super) struct Around {
    pub(super) at: Option<Tree>,
    /// The lowest.
    pub(super) above: Option<Tree>,
    pub(super) below: Vec<Tree>,
}

pub(super) async fn live_trees(connection: &mut PgConnection, place: &str) -> Result<Around, Error> {
    let sql = format!(
        "SELECT {TREE_COLUMNS} FROM trees t WHERE t.path = ANY($1) AND t.is_live ORDER BY length(t.path); \
         SELECT {TREE_COLUMNS} FROM trees t WHERE t.is_live AND t.path >= $2 AND t.path < $3"
    );
    let (first, last) = below(place);
    let asked = vec![Value::texts(at_and_above(place)), Value::Text(first), Value::Text(last)];
    let mut around = Around { at: None, above: None, below: Vec::new() };
    for tree in rows(connection, &sql, asked, tree_of).await? {
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

/// What a tree holds below a place now. Visits each file there.
pub(super) async fn held_below(connection: &mut PgConnection, tree_id: i64, place: &str) -> Result<Held, Error> {
    let sql = "SELECT f.path, u.size_bytes, u.sha256, s.row_count FROM version_files f \
               JOIN uploads u ON u.history_id = f.history_id \
               LEFT JOIN file_schemas s ON s.history_id = f.history_id \
               WHERE f.tree_id = ? AND f.path >= ? AND f.path < ? AND f.until_seq IS NULL";
    let (first, last) = below(place);
    let mut held = Held::default();
    let add = |row: &Row| {
        held = held.plus(held_of_file(row)?);
        Ok(())
    };
    rows(connection, sql, values![tree_id, first, last], add).await?;
    Ok(held)
}

/// From `path, size_bytes, sha256, row_count`.
pub(super) fn held_of_file(row: &Row) -> sqlx::Result<Held> {
    let size_bytes: i64 = row.try_get("size_bytes")?;
    let content = Digest { size_bytes: size_bytes.cast_unsigned(), sha256: bytes(row, "sha256")? };
    let totals = ListTotals::of(row.text("path")?, &content);
    Ok(Held { totals, rows: Rows::of(row.try_get("row_count")?) })
}

/// What lies at a place and below now, by the trees.
pub(super) async fn held_at(connection: &mut PgConnection, place: &str) -> Result<Held, Error> {
    let Around { at, above, below } = live_trees(connection, place).await?;
    let mut held = match (at, above) {
        (Some(tree), _) => tree.held,
        (None, Some(above)) => held_below(connection, above.id, place).await?,
        (None, None) => Held::default(),
    };
    for tree in below {
        held = held.plus(tree.held);
    }
    Ok(held)
}

/// The heads of the datasets at these places, as far as they have one; and which of the places hold a dataset, each with its
/// folder.
pub(super) struct Heads {
    pub(super) of_datasets: Vec<(String, i64)>,
    pub(super) heads: Vec<(String, Head)>,
}

const HEADS: &str = "\
    SELECT 'dataset' AS is_of, d.path, f.folder_id FROM datasets d JOIN folders f ON f.path = d.path \
    WHERE d.path = ANY($1); \
    SELECT 'head' AS is_of, f.path, v.folder_id, v.number, v.files, v.bytes, v.digest, v.is_complete \
    FROM folders f JOIN versions v ON v.folder_id = f.folder_id \
    AND v.number = (SELECT max(number) FROM versions WHERE folder_id = f.folder_id) WHERE f.path = ANY($1)";

enum Found {
    Dataset(String, i64),
    Head(String, Head),
}

pub(super) async fn heads(connection: &mut PgConnection, places: &BTreeSet<&str>) -> Result<Heads, Error> {
    let decode = |row: &Row| {
        Ok(match row.text("is_of")? {
            "dataset" => Found::Dataset(row.try_get("path")?, row.try_get("folder_id")?),
            _ => Found::Head(row.try_get("path")?, head_of(row)?),
        })
    };
    let mut all = Heads { of_datasets: Vec::new(), heads: Vec::new() };
    for found in rows(connection, HEADS, vec![Value::texts(places.iter().copied())], decode).await? {
        match found {
            Found::Dataset(path, folder_id) => all.of_datasets.push((path, folder_id)),
            Found::Head(path, head) => all.heads.push((path, head)),
        }
    }
    Ok(all)
}

pub(super) async fn last_seq(connection: &mut PgConnection) -> Result<i64, Error> {
    let sql = "SELECT last_seq FROM version_state";
    Ok(found(connection, sql, values![], |row| row.try_get(0)).await?.unwrap_or(0))
}

/// Takes the next change.
pub(super) async fn next_seq(writing: &mut Writing) -> Result<i64, Error> {
    let sql = "UPDATE version_state SET last_seq = last_seq + 1 RETURNING last_seq";
    let next = found(writing, sql, values![], |row| row.try_get(0)).await?;
    next.ok_or_else(|| Error::internal(sqlx::Error::RowNotFound))
}

/// Adds to the rows of versions: of each, its folder, its number, and by how much it has more than the version before.
pub(super) async fn add_rows(writing: &mut Writing, changes: &[(i64, i64, Rows)]) -> Result<(), Error> {
    let changes: Vec<_> = changes
        .iter()
        .filter(|(_, _, rows)| *rows != Rows::default())
        .map(|(folder_id, number, rows)| (folder_id, number, rows.rows, rows.counted))
        .collect();
    if changes.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO version_rows AS r SELECT (value ->> 0)::bigint, span, (value ->> 1)::bigint >> span::int, \
               sum((value ->> 2)::bigint)::bigint, sum((value ->> 3)::bigint)::bigint \
               FROM json_rows($1) CROSS JOIN (VALUES (0::bigint), (10), (20)) AS spans (span) GROUP BY 1, 2, 3 \
               ON CONFLICT (folder_id, span, block) DO UPDATE SET row_count = r.row_count + excluded.row_count, \
               counted = r.counted + excluded.counted";
    changed(writing, sql, vec![Value::rows(&changes)?]).await.map(drop)
}
