//! The versions that groups of landings make, and the entries of their files, on either database. Each database decides
//! when they are written, and writes the rows ([`Changes`]) by a statement of its own.

mod changes;

pub(crate) use changes::{Changes, NewVersion};

use super::heads::{self, Head, TreeTotals, add_rows, all_above, around, digits, held_at, held_of_file, last_seq};
use crate::query::{RowOf, Value, WritingConnection, execute, fetch_all, values};
use crate::row::{DbRow, id, index};
use crate::uploads::folder_of;
use lakeshore::model::digest::Digest;
use lakeshore::model::id::SyncId;
use lakeshore::model::path::LakePath;
use lakeshore::model::path::at_and_above;
use lakeshore::model::version::ListTotals;
use lakeshore::{Error, Timestamp};
use std::collections::{BTreeSet, HashMap};

/// A landed upload that has its row.
#[derive(Debug, Clone)]
pub(crate) struct LandedFile {
    pub(crate) history_id: i64,
    /// Same for all uploads of a group, and no others, where several groups are versioned together.
    pub(crate) group: i64,
    pub(crate) sync_id: SyncId,
    /// Path of the sync, and its folder.
    pub(crate) dataset: String,
    pub(crate) folder_id: i64,
    pub(crate) is_full: bool,
    pub(crate) target: LakePath,
    pub(crate) digest: Digest,
    pub(crate) by: String,
    pub(crate) at: Timestamp,
    /// Trash key of the file that it replaced.
    pub(crate) trash_key: Option<String>,
}

/// Trees and datasets that landings change, as the last change has left them.
#[derive(Default)]
pub(crate) struct KnownTrees {
    /// `None` where nothing was read yet.
    pub(crate) last_seq: Option<i64>,
    /// By their ids; those that are being staged too.
    trees: HashMap<i64, KnownTree>,
    folders: HashMap<String, Folder>,
    /// By their paths.
    heads: HashMap<String, Head>,
}

struct KnownTree {
    path: String,
    totals: ListTotals,
}

/// Containers of a folder.
#[derive(Clone)]
struct Folder {
    tree: Option<i64>,
    /// The paths of the datasets that hold it.
    datasets: Vec<String>,
}

/// The entry that is open at a path of a tree.
#[derive(Clone, Copy)]
pub(crate) struct OpenEntry {
    from_seq: i64,
    held: TreeTotals,
}

/// Open entries by their tree and path.
pub(crate) type OpenEntries = HashMap<(i64, String), OpenEntry>;

impl KnownTrees {
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Number of the folders that are kept.
    pub(crate) fn num_folders(&self) -> usize {
        self.folders.len()
    }

    /// Whether all is known that these uploads need.
    pub(crate) fn covers(&self, landed: &[LandedFile]) -> bool {
        let is_known = |landed: &LandedFile| match landed.is_full {
            true => self.trees.contains_key(&id(landed.sync_id.0)),
            false => self.folders.contains_key(folder_of(&landed.target)),
        };
        self.last_seq.is_some() && landed.iter().all(is_known)
    }

    /// Whether the upload has a tree to land in, and its dataset has a version.
    pub(crate) fn is_settled(&self, landed: &LandedFile) -> bool {
        let folder = || self.folders.get(folder_of(&landed.target));
        landed.is_full
            || folder().is_some_and(|folder| folder.tree.is_some() && folder.datasets.contains(&landed.dataset))
    }

    fn tree_of(&self, landed: &LandedFile) -> Option<i64> {
        match landed.is_full {
            true => Some(id(landed.sync_id.0)),
            false => self.folders.get(folder_of(&landed.target)).and_then(|folder| folder.tree),
        }
    }

    /// Reads what these uploads need. Facts that are known already stay.
    pub(crate) async fn read<W: WritingConnection>(
        &mut self,
        writing: &mut W,
        landed: &[LandedFile],
    ) -> Result<(), Error> {
        let incremental = || landed.iter().filter(|landed| !landed.is_full);
        let folders: BTreeSet<_> = incremental().map(|landed| folder_of(&landed.target)).collect();
        let places = all_above(folders.iter().copied());
        let staged: BTreeSet<_> =
            landed.iter().filter(|landed| landed.is_full).map(|landed| id(landed.sync_id.0)).collect();
        let asked = vec![Value::column(&places)?, Value::column(&staged)?];
        let connection = writing.settled().await?;
        let seq = last_seq(connection).await?;
        let (mut live, mut datasets, mut newest) = (HashMap::new(), BTreeSet::new(), HashMap::new());
        let mut trees = HashMap::new();
        for found in fetch_all(connection, around::<W::Db>(), asked, heads::known).await? {
            match found {
                heads::HeadRow::Tree(tree) => {
                    if places.contains(tree.path.as_str()) && !staged.contains(&tree.id) {
                        live.insert(tree.path.clone(), tree.id);
                    }
                    trees.insert(tree.id, KnownTree { path: tree.path, totals: tree.held.totals });
                }
                heads::HeadRow::Dataset(path, _) => _ = datasets.insert(path),
                heads::HeadRow::Head(path, head) => _ = newest.insert(path, head),
            }
        }
        self.last_seq.get_or_insert(seq);
        for landed in landed.iter().filter(|landed| landed.is_full) {
            let tree = KnownTree { path: landed.dataset.clone(), totals: ListTotals::default() };
            trees.entry(id(landed.sync_id.0)).or_insert(tree);
        }
        for (tree_id, tree) in trees {
            self.trees.entry(tree_id).or_insert(tree);
        }
        for folder in folders {
            let above = at_and_above(folder);
            let tree = above.iter().rev().find_map(|place| live.get(*place)).copied();
            let of = above.iter().filter(|place| datasets.contains(**place) && newest.contains_key(**place));
            let containers = Folder { tree, datasets: of.map(|place| (*place).to_owned()).collect() };
            self.folders.entry(folder.to_owned()).or_insert(containers);
        }
        for (path, head) in newest {
            self.heads.entry(path).or_insert(head);
        }
        Ok(())
    }

    /// Takes the change of a group, and makes sure that its uploads have trees and its datasets heads. A group of full
    /// syncs alone makes no change, as nobody sees it yet.
    pub(crate) async fn begin_group(
        &mut self,
        writing: &mut impl WritingConnection,
        group: &[LandedFile],
    ) -> Result<i64, Error> {
        let is_seen = group.iter().any(|landed| !landed.is_full);
        let seq = self.last_seq.unwrap_or(0) + i64::from(is_seen);
        for landed in group.iter().filter(|landed| !landed.is_full) {
            self.settle(writing, landed, seq).await?;
        }
        self.last_seq = Some(seq);
        Ok(seq)
    }

    /// Makes sure that there is a tree for the upload to land in, and that its dataset has a head.
    async fn settle(
        &mut self,
        writing: &mut impl WritingConnection,
        landed: &LandedFile,
        seq: i64,
    ) -> Result<(), Error> {
        let folder = folder_of(&landed.target);
        let Some(Folder { tree, datasets }) = self.folders.get(folder).cloned() else { return Ok(()) };
        let is_of_its_dataset = datasets.contains(&landed.dataset);
        if tree.is_some() && is_of_its_dataset {
            return Ok(());
        }
        // A dataset that the lake hears of for the first time, or again: what it holds already is counted.
        if !is_of_its_dataset {
            let held = held_at(writing.settled().await?, &landed.dataset).await?;
            let folder_id = landed.folder_id;
            let before = self.heads.get(&landed.dataset);
            let (number, at) = before.map_or((0, 0), |head| (head.number, head.at));
            let head = Head { folder_id, number, at, totals: held.totals, is_complete: true };
            add_rows(writing, &[(folder_id, number + 1, held.rows)]).await?;
            self.heads.insert(landed.dataset.clone(), head);
        }
        let tree_id = match tree {
            Some(tree_id) => tree_id,
            None => self.begin_tree(writing, landed, seq).await?,
        };
        let (prefix, dataset) = (format!("{}/", landed.dataset), landed.dataset.as_str());
        for (place, folder) in &mut self.folders {
            if place != dataset && !place.starts_with(&prefix) {
                continue;
            }
            folder.tree.get_or_insert(tree_id);
            if !folder.datasets.iter().any(|path| path == dataset) {
                folder.datasets.push(dataset.to_owned());
            }
        }
        Ok(())
    }

    async fn begin_tree(
        &mut self,
        writing: &mut impl WritingConnection,
        landed: &LandedFile,
        seq: i64,
    ) -> Result<i64, Error> {
        let no_digest = digits(&ListTotals::default());
        let mut tree_id = id(landed.sync_id.0);
        loop {
            let sql = "INSERT INTO trees (tree_id, path, is_live, digest) VALUES ($1, $2, TRUE, unhex($3)) \
                       ON CONFLICT DO NOTHING";
            if execute(writing, sql, values![tree_id, landed.dataset.as_str(), no_digest]).await? > 0 {
                break;
            }
            // Its sync has begun one that is not there any more.
            if tree_id < 0 {
                return Err(Error::internal(sqlx::Error::RowNotFound));
            }
            tree_id = 1 - 2 * seq;
        }
        let sql = "INSERT INTO tree_spans (path, from_seq, tree_id) VALUES (?, ?, ?)";
        execute(writing, sql, values![landed.dataset.as_str(), seq, tree_id]).await?;
        let tree = KnownTree { path: landed.dataset.clone(), totals: ListTotals::default() };
        self.trees.insert(tree_id, tree);
        Ok(tree_id)
    }

    /// Open entries at the paths of the uploads, by a statement of the database that takes trees and paths.
    pub(crate) async fn open_entries<W: WritingConnection>(
        &self,
        writing: &mut W,
        landed: &[LandedFile],
        sql: &'static str,
    ) -> Result<OpenEntries, Error> {
        let place = |landed: &LandedFile| Some((self.tree_of(landed)?, landed.target.as_str().to_owned()));
        let mut places: Vec<_> = landed.iter().filter_map(place).collect();
        let decode = |row: &RowOf<W>| {
            let held = held_of_file(row)?;
            Ok((index(row, "number")?, OpenEntry { from_seq: row.get("from_seq")?, held }))
        };
        let found = fetch_all(writing.settled().await?, sql, vec![Value::rows(&places)?], decode).await?;
        let at = |(number, open): (usize, OpenEntry)| {
            let place = places.get_mut(number)?;
            Some((std::mem::take(place), open))
        };
        Ok(found.into_iter().filter_map(at).collect())
    }
}
