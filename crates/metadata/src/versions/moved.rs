//! The versions that moves make: of a whole tree, by publishing or restoring one, and of a single file that comes back. No entry
//! of a tree is touched when the tree moves, however many there are.

use super::heads::{
    Around, Head, Heads, Tree, TreeTotals, add_rows, all_above, below, digits, heads, held_at, held_below,
    held_of_file, live_trees, next_seq, tree,
};
use crate::content::landed_as;
use crate::query::{execute, fetch_optional, values};
use crate::row::{DbRow, id};
use crate::transaction::WriteTransaction;
use lakeshore::model::access::actor::Actor;
use lakeshore::model::id::{SyncId, VersionNumber};
use lakeshore::model::path::at_and_above;
use lakeshore::model::storage_path::Identity;
use lakeshore::model::trash::{TrashEntry, TrashKind};
use lakeshore::model::version::{ListTotals, VersionKind};
use lakeshore::{Error, Timestamp};
use std::collections::HashMap;

/// Facts shared by all versions that one change makes.
struct Change<'a> {
    seq: i64,
    kind: VersionKind,
    sync_id: Option<SyncId>,
    restored_from: Option<i64>,
    by: &'a Actor,
    at: Timestamp,
}

/// Totals added to and removed from a path by a change.
#[derive(Clone, Copy)]
struct Exchanged {
    came: TreeTotals,
    went: TreeTotals,
    /// The tree that came is all that is at the place, a dataset.
    is_whole: bool,
    is_complete: bool,
}

/// The staged tree of a full sync has become its dataset; what was there lies in the slot, if anything.
pub(crate) async fn published(
    writing: &mut impl WriteTransaction,
    sync_id: SyncId,
    path: &str,
    slot: Option<&str>,
    by: &Actor,
    at: Timestamp,
) -> Result<(), Error> {
    let seq = next_seq(writing).await?;
    // One that has landed nothing has none.
    let sql = "INSERT INTO trees (tree_id, path, digest) VALUES ($1, $2, unhex($3)) ON CONFLICT DO NOTHING";
    execute(writing, sql, values![id(sync_id.0), path, digits(&ListTotals::default())]).await?;
    let sql = "SELECT restores_version FROM syncs WHERE sync_id = ?";
    let restored_from: Option<i64> =
        fetch_optional(writing, sql, values![id(sync_id.0)], |row| row.at(0)).await?.flatten();
    let kind = if restored_from.is_some() { VersionKind::Restore } else { VersionKind::Publish };
    let exchanged = exchange(writing, seq, path, id(sync_id.0), slot).await?;
    let change = Change { seq, kind, sync_id: Some(sync_id), restored_from, by, at };
    make_versions(writing, &change, path, exchanged).await
}

/// Whether the staged tree of a full sync has the list of a version of its dataset.
pub(crate) async fn is_staged_as(
    writing: &mut impl WriteTransaction,
    sync_id: SyncId,
    path: &str,
    version: VersionNumber,
) -> Result<bool, Error> {
    // A sync that has landed nothing has no tree.
    let sql = "SELECT 1 FROM folders f CROSS JOIN versions v LEFT JOIN trees t ON t.tree_id = $1 \
               WHERE f.path = $2 AND v.folder_id = f.folder_id AND v.number = $3 \
               AND v.files = coalesce(t.files, 0) AND v.digest = coalesce(t.digest, unhex($4))";
    let empty = digits(&ListTotals::default());
    let asked = values![id(sync_id.0), path, id(version.0), empty];
    Ok(fetch_optional(writing, sql, asked, |_| Ok(())).await?.is_some())
}

/// The staged tree of a full sync lies in a slot of the trash: it never was a version.
pub(crate) async fn dropped(writing: &mut impl WriteTransaction, sync_id: SyncId, slot: &str) -> Result<(), Error> {
    let sql = "UPDATE trees SET trash_key = $2 WHERE tree_id = $1 AND NOT is_live AND trash_key IS NULL \
               AND NOT EXISTS (SELECT 1 FROM trees WHERE trash_key = $2)";
    execute(writing, sql, values![id(sync_id.0), slot]).await.map(drop)
}

/// An item of the trash has come back from its slot, which holds what was in its place now, if anything was.
pub(crate) async fn restored(
    writing: &mut impl WriteTransaction,
    entry: &TrashEntry,
    slot: &str,
    identity: Option<&Identity>,
    has_replaced: bool,
    by: &Actor,
    at: Timestamp,
) -> Result<(), Error> {
    let seq = next_seq(writing).await?;
    let path = entry.origin.as_str();
    let mut change = Change { seq, kind: VersionKind::Restore, sync_id: None, restored_from: None, by, at };
    let exchanged = match entry.kind {
        TrashKind::Dataset => {
            let sql = "SELECT tree_id FROM trees WHERE trash_key = ?";
            let known: Option<i64> = fetch_optional(writing, sql, values![slot], |row| row.at(0)).await?;
            let tree_id = match known {
                Some(tree_id) => tree_id,
                None => unknown_tree(writing, seq, path).await?,
            };
            change.restored_from = last_version_of(writing, tree_id, path).await?;
            exchange(writing, seq, path, tree_id, has_replaced.then_some(slot)).await?
        }
        TrashKind::File => file_came_back(writing, seq, path, slot, identity, has_replaced).await?,
    };
    make_versions(writing, &change, path, exchanged).await
}

/// Creates a tree for a restored folder without known uploads.
async fn unknown_tree(writing: &mut impl WriteTransaction, seq: i64, path: &str) -> Result<i64, Error> {
    // Even ids are for restored folders, odd ones for split trees.
    let tree_id = -2 * seq;
    let sql = "INSERT INTO trees (tree_id, path, digest, is_complete) VALUES ($1, $2, unhex($3), FALSE)";
    execute(writing, sql, values![tree_id, path, digits(&ListTotals::default())]).await?;
    Ok(tree_id)
}

/// The version of the dataset that was the tree when it was live last.
async fn last_version_of(writing: &mut impl WriteTransaction, tree_id: i64, path: &str) -> Result<Option<i64>, Error> {
    let sql = "SELECT v.number FROM tree_spans s CROSS JOIN folders f CROSS JOIN versions v \
               WHERE s.tree_id = ? AND s.path = ? AND s.until_seq IS NOT NULL AND f.path = s.path \
               AND v.folder_id = f.folder_id AND v.seq < s.until_seq ORDER BY s.from_seq DESC, v.seq DESC LIMIT 1";
    fetch_optional(writing, sql, values![tree_id, path], |row| row.at(0)).await
}

/// A tree becomes what lies at the path. What was there lies in the slot, or is gone.
async fn exchange(
    writing: &mut impl WriteTransaction,
    seq: i64,
    path: &str,
    incoming: i64,
    slot: Option<&str>,
) -> Result<Exchanged, Error> {
    let missing = || Error::internal(sqlx::Error::RowNotFound);
    let came = tree(writing, incoming).await?.ok_or_else(missing)?;
    execute(writing, "UPDATE trees SET trash_key = NULL WHERE tree_id = ?", values![incoming]).await?;
    let Around { at, above, below } = live_trees(writing, path).await?;
    let mut went = TreeTotals::default();
    match (at, above) {
        (Some(old), _) => {
            went = went.plus(old.held);
            end_tree(writing, seq, &old, slot).await?;
        }
        (None, Some(around)) => went = went.plus(part(writing, seq, &around, path, slot).await?),
        (None, None) => {}
    }
    // Somebody has removed those by hand: else nothing would have moved.
    for gone in below {
        went = went.plus(gone.held);
        end_tree(writing, seq, &gone, None).await?;
    }
    let sql = "UPDATE trees SET is_live = TRUE WHERE tree_id = $3; \
               INSERT INTO tree_spans (path, from_seq, tree_id) VALUES ($1, $2, $3)";
    execute(writing, sql, values![path, seq, incoming]).await?;
    Ok(Exchanged { came: came.held, went, is_whole: true, is_complete: came.is_complete })
}

async fn end_tree(writing: &mut impl WriteTransaction, seq: i64, old: &Tree, slot: Option<&str>) -> Result<(), Error> {
    let sql = "UPDATE trees SET is_live = FALSE, trash_key = $3 WHERE tree_id = $1; \
               UPDATE tree_spans SET until_seq = $2 WHERE path = $4 AND until_seq IS NULL";
    execute(writing, sql, values![old.id, seq, slot, old.path]).await.map(drop)
}

/// Files below the path in a tree around it become a tree of their own, in the slot, or gone. The first time that a
/// full sync has its path in the midst of another dataset; visits each file there.
async fn part(
    writing: &mut impl WriteTransaction,
    seq: i64,
    around: &Tree,
    path: &str,
    slot: Option<&str>,
) -> Result<TreeTotals, Error> {
    let held = held_below(writing, around.id, path).await?;
    if held == TreeTotals::default() {
        return Ok(held);
    }
    let (first, last) = below(path);
    let parted = 1 - 2 * seq;
    let ListTotals { files, bytes, .. } = held.totals;
    let sql = "INSERT INTO trees (tree_id, path, trash_key, files, bytes, digest, row_count, counted) \
               VALUES ($1, $2, $3, $4, $5, unhex($6), $7, $8)";
    let digest = digits(&held.totals);
    execute(writing, sql, values![parted, path, slot, files, bytes, digest, held.rows.rows, held.rows.counted]).await?;
    let sql = "INSERT INTO version_files (tree_id, path, from_seq, history_id, is_copy) \
               SELECT $1, path, $3, history_id, TRUE FROM version_files \
               WHERE tree_id = $2 AND path >= $4 AND path < $5 AND until_seq IS NULL; \
               UPDATE version_files SET until_seq = $3 \
               WHERE tree_id = $2 AND path >= $4 AND path < $5 AND until_seq IS NULL";
    execute(writing, sql, values![parted, around.id, seq, first, last]).await?;
    add_to_tree(writing, around, TreeTotals::default(), held).await?;
    Ok(held)
}

async fn add_to_tree(
    writing: &mut impl WriteTransaction,
    tree: &Tree,
    came: TreeTotals,
    went: TreeTotals,
) -> Result<(), Error> {
    let held = tree.held.plus(came).minus(went);
    let ListTotals { files, bytes, .. } = held.totals;
    let sql = "UPDATE trees SET files = $2, bytes = $3, digest = unhex($4), row_count = $5, counted = $6 \
               WHERE tree_id = $1";
    let digest = digits(&held.totals);
    execute(writing, sql, values![tree.id, files, bytes, digest, held.rows.rows, held.rows.counted]).await.map(drop)
}

/// A single file lies at its path again, in whatever tree is there.
async fn file_came_back(
    writing: &mut impl WriteTransaction,
    seq: i64,
    path: &str,
    slot: &str,
    identity: Option<&Identity>,
    has_replaced: bool,
) -> Result<Exchanged, Error> {
    let Around { at, above, .. } = live_trees(writing, path).await?;
    let around = match at.or(above) {
        Some(around) => around,
        None => tree_for_file(writing, seq, path).await?,
    };
    let sql = "UPDATE version_files SET trash_key = NULL WHERE trash_key = ?";
    execute(writing, sql, values![slot]).await?;
    let open = "SELECT f.path, f.from_seq, u.size_bytes, u.sha256, s.row_count FROM version_files f \
                CROSS JOIN uploads u LEFT JOIN file_schemas s ON s.history_id = f.history_id \
                WHERE u.history_id = f.history_id AND f.tree_id = ? AND f.path = ? AND f.until_seq IS NULL";
    let before = fetch_optional(writing, open, values![around.id, path], |row| {
        Ok((row.get::<i64>("from_seq")?, held_of_file(row)?))
    })
    .await?;
    if let Some((from_seq, _)) = before {
        let sql = "UPDATE version_files SET until_seq = $4, trash_key = $5 \
                   WHERE tree_id = $1 AND path = $2 AND from_seq = $3";
        let slot = has_replaced.then_some(slot);
        execute(writing, sql, values![around.id, path, from_seq, seq, slot]).await?;
    }
    let history_id = match identity {
        Some(identity) => landed_as(writing, path, identity).await?,
        None => None,
    };
    let mut came = TreeTotals::default();
    if let Some(history_id) = history_id {
        let sql = "INSERT INTO version_files (tree_id, path, from_seq, history_id, is_copy) VALUES (?, ?, ?, ?, TRUE)";
        execute(writing, sql, values![around.id, path, seq, history_id]).await?;
        let sql = "SELECT u.target AS path, u.size_bytes, u.sha256, s.row_count FROM uploads u \
                   LEFT JOIN file_schemas s ON s.history_id = u.history_id WHERE u.history_id = ?";
        came = fetch_optional(writing, sql, values![history_id], held_of_file).await?.unwrap_or_default();
    }
    let went = before.map_or_else(TreeTotals::default, |(_, held)| held);
    add_to_tree(writing, &around, came, went).await?;
    Ok(Exchanged { came, went, is_whole: false, is_complete: history_id.is_some() && around.is_complete })
}

/// Of a file that comes back to where nothing is: of the dataset around it, or of its folder.
async fn tree_for_file(writing: &mut impl WriteTransaction, seq: i64, path: &str) -> Result<Tree, Error> {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let Heads { of_datasets, .. } = heads(writing, &all_above([folder])).await?;
    let dataset = of_datasets.into_iter().map(|(path, _)| path).max_by_key(String::len);
    let path = dataset.unwrap_or_else(|| folder.to_owned());
    let tree_id = 1 - 2 * seq;
    let sql = "INSERT INTO trees (tree_id, path, is_live, digest) VALUES ($1, $2, TRUE, unhex($3)); \
               INSERT INTO tree_spans (path, from_seq, tree_id) VALUES ($2, $4, $1)";
    execute(writing, sql, values![tree_id, path, digits(&ListTotals::default()), seq]).await?;
    Ok(Tree { id: tree_id, path, held: TreeTotals::default(), is_complete: true })
}

/// A version of each dataset that holds the place. One that has none yet is counted.
async fn make_versions(
    writing: &mut impl WriteTransaction,
    change: &Change<'_>,
    place: &str,
    exchanged: Exchanged,
) -> Result<(), Error> {
    let places = all_above([place]);
    let Heads { of_datasets, heads } = heads(writing, &places).await?;
    let mut heads: HashMap<_, _> = heads.into_iter().collect();
    let mut folders: HashMap<_, _> = of_datasets.into_iter().collect();
    if exchanged.is_whole && !folders.contains_key(place) {
        folders.insert(place.to_owned(), writing.folder_id(place).await?);
    }
    for path in at_and_above(place) {
        let Some(folder_id) = folders.get(path).copied() else { continue };
        let before = heads.remove(path);
        let number = before.as_ref().map_or(0, |head| head.number) + 1;
        let at = change.at.0.max(before.as_ref().map_or(0, |head| head.at));
        let (totals, rows, is_complete) = match &before {
            Some(head) => {
                let Exchanged { came, went, is_whole, is_complete } = exchanged;
                let is_whole = is_whole && path == place;
                let before = if is_whole { went.totals } else { head.totals };
                let is_complete = is_complete && (is_whole || head.is_complete);
                (before.plus(came.totals).minus(went.totals), came.rows.minus(went.rows), is_complete)
            }
            None => {
                let held = held_at(writing, path).await?;
                (held.totals, held.rows, exchanged.is_complete)
            }
        };
        let head = Head { folder_id, number, at, totals, is_complete };
        insert_version(writing, change, &head).await?;
        add_rows(writing, &[(folder_id, number, rows)]).await?;
    }
    Ok(())
}

async fn insert_version(writing: &mut impl WriteTransaction, change: &Change<'_>, head: &Head) -> Result<(), Error> {
    let Change { seq, kind, sync_id, restored_from, by, .. } = change;
    let sql = "INSERT INTO versions (folder_id, number, seq, at, kind, sync_id, restored_from, key_id, made_by, files, bytes, \
               digest, is_complete) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, unhex($12), $13)";
    let values = values![
        head.folder_id,
        head.number,
        *seq,
        head.at,
        kind.as_str(),
        sync_id.map(|sync_id| id(sync_id.0)),
        *restored_from,
        by.trace.key_id.map(|key_id| id(key_id.0)),
        by.name,
        head.totals.files,
        head.totals.bytes,
        digits(&head.totals),
        head.is_complete,
    ];
    execute(writing, sql, values).await.map(drop)
}
