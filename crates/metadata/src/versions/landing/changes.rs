//! Changes that groups of landings make in trees and datasets.

use super::{KnownTree, KnownTrees, LandedFile, OpenEntries, OpenEntry};
use crate::query::{Dialect, Text, Value, WritingConnection, execute};
use crate::row::id;
use crate::uploads::folder_of;
use crate::versions::heads::{Rows, TreeTotals, add_rows, digits};
use lakeshore::Error;
use lakeshore::model::version::ListTotals;
use std::collections::{BTreeMap, BTreeSet};

/// Changes of groups, to be written together.
#[derive(Default)]
pub(crate) struct Changes {
    /// By their tree and path: the change from which on each is there, and its upload.
    entries: BTreeMap<(i64, String), (i64, i64)>,
    /// Entries that end: tree, path, first change, last change, and trash key.
    closed: Vec<(i64, String, i64, i64, Option<String>)>,
    /// Rows that left the trees.
    rows_of_trees: BTreeMap<i64, Rows>,
    trees: BTreeSet<i64>,
    pub(crate) versions: Vec<NewVersion>,
    /// Change of the rows of each version: folder, number, rows.
    rows: Vec<(i64, i64, Rows)>,
    /// Tree and first change of the entry of each upload.
    pub(crate) uploads: Vec<(i64, i64, i64)>,
    pub(crate) last_landed: i64,
}

/// Version that a group makes.
pub(crate) struct NewVersion {
    pub(crate) folder_id: i64,
    pub(crate) number: i64,
    pub(crate) seq: i64,
    pub(crate) at: i64,
    pub(crate) sync_id: i64,
    pub(crate) by: String,
    pub(crate) files: i64,
    pub(crate) bytes: i64,
    /// In hexadecimal.
    pub(crate) digest: String,
    pub(crate) is_complete: bool,
}

impl Changes {
    /// Adds what a group changes at `seq`, and updates the known trees and the open entries.
    pub(crate) fn add(&mut self, known: &mut KnownTrees, open: &mut OpenEntries, group: &[LandedFile], seq: i64) {
        // By their paths: the last upload, and the change of the rows.
        let mut datasets: BTreeMap<String, (&LandedFile, Rows)> = BTreeMap::new();
        for landed in group {
            let tree_id = known.tree_of(landed).unwrap_or(0);
            let from_seq = if landed.is_full { 0 } else { seq };
            let new = ListTotals::of(landed.target.as_str(), &landed.digest);
            let place = (tree_id, landed.target.as_str().to_owned());
            let held = TreeTotals { totals: new, rows: Rows::default() };
            let before = open.insert(place.clone(), OpenEntry { from_seq, held });
            let gone = before.map_or_else(TreeTotals::default, |before| before.held);
            if let Some(before) = before.filter(|before| before.from_seq != from_seq) {
                self.closed.push((tree_id, place.1.clone(), before.from_seq, seq, landed.trash_key.clone()));
            }
            let rows_of_tree = self.rows_of_trees.entry(tree_id).or_default();
            *rows_of_tree = rows_of_tree.plus(gone.rows);
            if let Some(tree) = known.trees.get_mut(&tree_id) {
                tree.totals = tree.totals.plus(new).minus(gone.totals);
            }
            self.trees.insert(tree_id);
            self.entries.insert(place, (from_seq, landed.history_id));
            self.uploads.push((landed.history_id, tree_id, from_seq));
            self.last_landed = self.last_landed.max(landed.history_id);
            if landed.is_full {
                continue;
            }
            let of = known.folders.get(folder_of(&landed.target)).map(|folder| folder.datasets.as_slice());
            for path in of.unwrap_or_default() {
                let Some(head) = known.heads.get_mut(path) else { continue };
                head.totals = head.totals.plus(new).minus(gone.totals);
                match datasets.get_mut(path) {
                    Some((last, rows)) => (*last, *rows) = (landed, rows.minus(gone.rows)),
                    None => _ = datasets.insert(path.clone(), (landed, Rows::default().minus(gone.rows))),
                }
            }
        }
        for (path, (last, rows)) in datasets {
            let Some(head) = known.heads.get_mut(&path) else { continue };
            head.number += 1;
            head.at = head.at.max(last.at.0);
            let ListTotals { files, bytes, .. } = head.totals;
            self.versions.push(NewVersion {
                folder_id: head.folder_id,
                number: head.number,
                seq,
                at: head.at,
                sync_id: id(last.sync_id.0),
                by: last.by.clone(),
                files,
                bytes,
                digest: digits(&head.totals),
                is_complete: head.is_complete,
            });
            self.rows.push((head.folder_id, head.number, rows));
        }
    }

    /// Ends the entries that the groups replaced, and counts the rows that left with them.
    pub(crate) async fn end_entries<W: WritingConnection>(&self, writing: &mut W) -> Result<(), Error> {
        if !self.closed.is_empty() {
            execute(writing, close::<W::Db>(), vec![Value::rows(&self.closed)?]).await?;
        }
        let uncounted: Vec<_> = self
            .rows_of_trees
            .iter()
            .filter(|(_, rows)| **rows != Rows::default())
            .map(|(tree_id, rows)| (tree_id, rows.rows, rows.counted))
            .collect();
        if !uncounted.is_empty() {
            execute(writing, uncount::<W::Db>(), vec![Value::rows(&uncounted)?]).await?;
        }
        add_rows(writing, &self.rows).await
    }

    /// Rows of entries: tree, path, first change, and upload.
    pub(crate) fn entry_rows(&self) -> Result<Value, Error> {
        Value::rows_of(
            self.entries.iter().map(|((tree_id, path), (from_seq, history_id))| (tree_id, path, from_seq, history_id)),
        )
    }

    /// Rows of trees: id, path, files, bytes, and digest.
    pub(crate) fn tree_rows(&self, known: &KnownTrees) -> Result<Value, Error> {
        Value::rows_of(self.trees.iter().filter_map(|tree_id| {
            let KnownTree { path, totals } = known.trees.get(tree_id)?;
            Some((*tree_id, path, totals.files, totals.bytes, digits(totals)))
        }))
    }
}

fn close<D: Dialect>() -> &'static str {
    static CLOSE: Text = Text::new();
    CLOSE.of::<D>(|| {
        let [tree_id, from_seq, until_seq] = [0, 2, 3].map(|column| D::number(&format!("w.value ->> {column}")));
        format!(
            "UPDATE version_files SET until_seq = {until_seq}, trash_key = w.value ->> 4 FROM json_each($1) w \
             WHERE version_files.tree_id = {tree_id} AND version_files.path = w.value ->> 1 AND from_seq = {from_seq}"
        )
    })
}

fn uncount<D: Dialect>() -> &'static str {
    static UNCOUNT: Text = Text::new();
    UNCOUNT.of::<D>(|| {
        let [tree_id, rows, counted] = [0, 1, 2].map(|column| D::number(&format!("value ->> {column}")));
        format!(
            "UPDATE trees SET row_count = row_count - ({rows}), counted = counted - ({counted}) \
             FROM json_each($1) WHERE tree_id = {tree_id}"
        )
    })
}
