//! Writes the versions that groups of landings make, and the entries of their files. Many groups go into one statement; each
//! has its own change, and so its own versions.

use super::super::landing_facts::FOLDERS_KNOWN_MAX;
use super::super::query::{Row, Value, changed, rows, values};
use super::super::writing::Writing;
use super::unversioned::Landed;
use crate::row::{id, index};
use crate::uploads::folder_of;
use crate::versions::heads::{
    self, Head, Held, Rows, add_rows, all_above, around, at_and_above, digits, held_at, held_of_file, last_seq,
};
use lakeshore::Error;
use lakeshore::model::version::ListTotals;
use sqlx::Row as _;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Rows of entries, trees, versions and uploads as JSON arrays, then the last change and the last upload.
const WRITE: &str = "\
    INSERT INTO version_files (tree_id, path, from_seq, history_id) \
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each($1) WHERE true \
    ON CONFLICT (tree_id, path, from_seq) DO UPDATE SET history_id = excluded.history_id; \
    INSERT INTO trees (tree_id, path, files, bytes, digest) \
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, unhex(value ->> 4) FROM json_each($2) WHERE true \
    ON CONFLICT (tree_id) DO UPDATE SET files = excluded.files, bytes = excluded.bytes, digest = excluded.digest; \
    INSERT INTO versions (folder_id, number, seq, at, kind, sync_id, made_by, files, bytes, digest, is_complete) \
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, 'landing', value ->> 4, value ->> 5, value ->> 6, value ->> 7, \
        unhex(value ->> 8), value ->> 9 FROM json_each($3); \
    UPDATE uploads SET tree_id = value ->> 1, tree_seq = value ->> 2 FROM json_each($4) WHERE history_id = value ->> 0; \
    UPDATE version_state SET last_seq = max(last_seq, $5), last_landed = max(last_landed, $6)";

/// Facts kept between groups: see [`super::super::landing_facts::Known`].
#[derive(Default)]
pub(in super::super) struct Known {
    last_seq: Option<i64>,
    /// By their ids; those that are being staged too.
    trees: HashMap<i64, KnownTree>,
    folders: HashMap<String, Folder>,
    /// By their paths.
    heads: HashMap<String, Head>,
}

#[derive(Clone)]
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

impl Known {
    pub(in super::super) fn forget(&mut self) {
        *self = Self::default();
    }
}

/// The entry that is open at a path of a tree.
#[derive(Clone, Copy)]
struct Open {
    from_seq: i64,
    held: Held,
}

/// The entries that are open at paths of trees: the last of each.
const OPEN: &str = "\
    SELECT w.key AS number, f.from_seq, f.path, u.size_bytes, u.sha256, s.row_count FROM json_each($1) w \
    CROSS JOIN version_files f ON f.tree_id = w.value ->> 0 AND f.path = w.value ->> 1 AND f.from_seq = \
        (SELECT max(from_seq) FROM version_files l WHERE l.tree_id = w.value ->> 0 AND l.path = w.value ->> 1) \
    CROSS JOIN uploads u ON u.history_id = f.history_id LEFT JOIN file_schemas s ON s.history_id = f.history_id \
    WHERE f.until_seq IS NULL";

const CLOSE: &str = "\
    UPDATE version_files SET until_seq = w.value ->> 3, trash_key = w.value ->> 4 FROM json_each($1) w \
    WHERE version_files.tree_id = w.value ->> 0 AND version_files.path = w.value ->> 1 AND from_seq = w.value ->> 2";

/// Changes of groups.
#[derive(Default)]
struct Changes {
    /// By their tree and path: the change from which on each is there, and its upload.
    entries: BTreeMap<(i64, String), (i64, i64)>,
    /// Entries that end: tree, path, first change, last change, and trash key.
    closed: Vec<(i64, String, i64, i64, Option<String>)>,
    /// Rows that left the trees.
    rows_of_trees: BTreeMap<i64, Rows>,
    trees: BTreeSet<i64>,
    versions: Vec<NewVersion>,
    /// Change of the rows of each version: folder, number, rows.
    rows: Vec<(i64, i64, Rows)>,
    /// Tree and first change of the entry of each upload.
    uploads: Vec<(i64, i64, i64)>,
    last_landed: i64,
}

/// Columns in the order of [`WRITE`].
type NewVersion = (i64, i64, i64, i64, i64, String, i64, i64, String, i64);

pub(in super::super) async fn write(writing: &mut Writing, landed: &[Landed]) -> Result<(), Error> {
    let mut known = std::mem::take(&mut writing.known.versions);
    let mut rest = landed;
    while !rest.is_empty() {
        let count = write_some(writing, &mut known, rest).await?;
        rest = rest.get(count..).unwrap_or_default();
    }
    writing.known.versions = known;
    Ok(())
}

/// Writes the first groups, as many as one statement can write: not two that land at one path, and none that begins a tree or
/// a dataset after another. Returns the number of their uploads.
async fn write_some(writing: &mut Writing, known: &mut Known, landed: &[Landed]) -> Result<usize, Error> {
    look_around(writing, known, landed).await?;
    let mut open = open_entries(writing, known, landed).await?;
    let mut changes = Changes::default();
    let mut places = HashSet::new();
    let mut count = 0;
    for group in landed.chunk_by(|one, next| one.group == next.group) {
        let place = |landed: &Landed| (landed.is_full.then_some(landed.sync_id), landed.target.clone());
        let depends = |landed: &Landed| places.contains(&place(landed)) || !known.is_settled(landed);
        if count > 0 && group.iter().any(depends) {
            break;
        }
        let is_seen = group.iter().any(|landed| !landed.is_full);
        let seq = known.last_seq.unwrap_or(0) + i64::from(is_seen);
        for landed in group.iter().filter(|landed| !landed.is_full) {
            settle_in(writing, known, landed, seq).await?;
        }
        known.last_seq = Some(seq);
        changes.add(known, &mut open, group, seq);
        places.extend(group.iter().map(place));
        count += group.len();
    }
    changes.write(writing, known).await?;
    Ok(count)
}

impl Known {
    fn tree_of(&self, landed: &Landed) -> Option<i64> {
        match landed.is_full {
            true => Some(id(landed.sync_id.0)),
            false => self.folders.get(folder_of(&landed.target)).and_then(|folder| folder.tree),
        }
    }

    /// Whether the upload has a tree to land in, and its dataset has a version.
    fn is_settled(&self, landed: &Landed) -> bool {
        let folder = || self.folders.get(folder_of(&landed.target));
        landed.is_full
            || folder().is_some_and(|folder| folder.tree.is_some() && folder.datasets.contains(&landed.dataset))
    }
}

impl Changes {
    fn add(&mut self, known: &mut Known, open: &mut HashMap<(i64, String), Open>, group: &[Landed], seq: i64) {
        // By their paths: the last upload, and the change of the rows.
        let mut datasets: BTreeMap<String, (&Landed, Rows)> = BTreeMap::new();
        for landed in group {
            let tree_id = known.tree_of(landed).unwrap_or(0);
            let from_seq = if landed.is_full { 0 } else { seq };
            let new = ListTotals::of(landed.target.as_str(), &landed.digest);
            let place = (tree_id, landed.target.as_str().to_owned());
            let held = Held { totals: new, rows: Rows::default() };
            let before = open.insert(place.clone(), Open { from_seq, held });
            let gone = before.map_or_else(Held::default, |before| before.held);
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
            let digest = digits(&head.totals);
            let sync_id = id(last.sync_id.0);
            let is_complete = i64::from(head.is_complete);
            let by = last.by.clone();
            let (folder_id, number) = (head.folder_id, head.number);
            self.versions.push((folder_id, number, seq, head.at, sync_id, by, files, bytes, digest, is_complete));
            self.rows.push((folder_id, number, rows));
        }
    }

    async fn write(self, writing: &mut Writing, known: &Known) -> Result<(), Error> {
        let Self { entries, closed, rows_of_trees, trees, versions, rows, uploads, last_landed } = self;
        if !closed.is_empty() {
            changed(writing, CLOSE, vec![Value::rows(&closed)?]).await?;
        }
        let uncounted: Vec<_> = rows_of_trees
            .into_iter()
            .filter(|(_, rows)| *rows != Rows::default())
            .map(|(tree_id, rows)| (tree_id, rows.rows, rows.counted))
            .collect();
        if !uncounted.is_empty() {
            let sql = "UPDATE trees SET row_count = row_count - (value ->> 1), counted = counted - (value ->> 2) \
                       FROM json_each($1) WHERE tree_id = value ->> 0";
            changed(writing, sql, vec![Value::rows(&uncounted)?]).await?;
        }
        add_rows(writing, &rows).await?;
        let entry = |((tree_id, path), (from_seq, history_id))| (tree_id, path, from_seq, history_id);
        let entries: Vec<(i64, String, i64, i64)> = entries.into_iter().map(entry).collect();
        let tree_row = |tree_id: &i64| {
            let KnownTree { path, totals } = known.trees.get(tree_id)?;
            Some((*tree_id, path, totals.files, totals.bytes, digits(totals)))
        };
        let trees: Vec<_> = trees.iter().filter_map(tree_row).collect();
        let values = vec![
            Value::rows(&entries)?,
            Value::rows(&trees)?,
            Value::rows(&versions)?,
            Value::rows(&uploads)?,
            Value::Integer(known.last_seq.unwrap_or(0)),
            Value::Integer(last_landed),
        ];
        changed(writing, WRITE, values).await.map(drop)
    }
}

/// Reads the facts that are not known yet.
async fn look_around(writing: &mut Writing, known: &mut Known, landed: &[Landed]) -> Result<(), Error> {
    let is_known = |landed: &Landed| match landed.is_full {
        true => known.trees.contains_key(&id(landed.sync_id.0)),
        false => known.folders.contains_key(folder_of(&landed.target)),
    };
    if known.last_seq.is_some() && landed.iter().all(is_known) {
        return Ok(());
    }
    if known.folders.len() > FOLDERS_KNOWN_MAX {
        known.forget();
    }
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
    for found in rows(connection, around::<sqlx::Sqlite>(), asked, heads::known).await? {
        match found {
            heads::Known::Tree(tree) => {
                if places.contains(tree.path.as_str()) && !staged.contains(&tree.id) {
                    live.insert(tree.path.clone(), tree.id);
                }
                trees.insert(tree.id, KnownTree { path: tree.path, totals: tree.held.totals });
            }
            heads::Known::Dataset(path, _) => _ = datasets.insert(path),
            heads::Known::Head(path, head) => _ = newest.insert(path, head),
        }
    }
    known.last_seq.get_or_insert(seq);
    for landed in landed.iter().filter(|landed| landed.is_full) {
        let tree = KnownTree { path: landed.dataset.clone(), totals: ListTotals::default() };
        trees.entry(id(landed.sync_id.0)).or_insert(tree);
    }
    for (tree_id, tree) in trees {
        known.trees.entry(tree_id).or_insert(tree);
    }
    for folder in folders {
        let above = at_and_above(folder);
        let tree = above.iter().rev().find_map(|place| live.get(*place)).copied();
        let of = above.iter().filter(|place| datasets.contains(**place) && newest.contains_key(**place));
        let folder_known = Folder { tree, datasets: of.map(|place| (*place).to_owned()).collect() };
        known.folders.entry(folder.to_owned()).or_insert(folder_known);
    }
    for (path, head) in newest {
        known.heads.entry(path).or_insert(head);
    }
    Ok(())
}

/// Makes sure that there is a tree for the upload to land in, and that its dataset has a head.
async fn settle_in(writing: &mut Writing, known: &mut Known, landed: &Landed, seq: i64) -> Result<(), Error> {
    let folder = folder_of(&landed.target);
    let Some(Folder { tree, datasets }) = known.folders.get(folder).cloned() else { return Ok(()) };
    let is_of_its_dataset = datasets.contains(&landed.dataset);
    if tree.is_some() && is_of_its_dataset {
        return Ok(());
    }
    // A dataset that the lake hears of for the first time, or again: what it holds already is counted.
    if !is_of_its_dataset {
        let held = held_at(writing.settled().await?, &landed.dataset).await?;
        let folder_id = landed.folder_id;
        let before = known.heads.get(&landed.dataset);
        let (number, at) = before.map_or((0, 0), |head| (head.number, head.at));
        let head = Head { folder_id, number, at, totals: held.totals, is_complete: true };
        add_rows(writing, &[(folder_id, number + 1, held.rows)]).await?;
        known.heads.insert(landed.dataset.clone(), head);
    }
    let tree_id = match tree {
        Some(tree_id) => tree_id,
        None => begin_tree(writing, known, landed, seq).await?,
    };
    let (prefix, dataset) = (format!("{}/", landed.dataset), landed.dataset.as_str());
    for (place, folder) in &mut known.folders {
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

async fn begin_tree(writing: &mut Writing, known: &mut Known, landed: &Landed, seq: i64) -> Result<i64, Error> {
    let no_digest = digits(&ListTotals::default());
    let mut tree_id = id(landed.sync_id.0);
    loop {
        let sql = "INSERT OR IGNORE INTO trees (tree_id, path, is_live, digest) VALUES ($1, $2, 1, unhex($3))";
        if changed(writing, sql, values![tree_id, landed.dataset.as_str(), no_digest]).await? > 0 {
            break;
        }
        // Its sync has begun one that is not there any more.
        if tree_id < 0 {
            return Err(Error::internal(sqlx::Error::RowNotFound));
        }
        tree_id = 1 - 2 * seq;
    }
    let sql = "INSERT INTO tree_spans (path, from_seq, tree_id) VALUES (?, ?, ?)";
    changed(writing, sql, values![landed.dataset.as_str(), seq, tree_id]).await?;
    let tree = KnownTree { path: landed.dataset.clone(), totals: ListTotals::default() };
    known.trees.insert(tree_id, tree);
    Ok(tree_id)
}

/// Open entries at the paths of the uploads.
async fn open_entries(
    writing: &mut Writing,
    known: &Known,
    landed: &[Landed],
) -> Result<HashMap<(i64, String), Open>, Error> {
    let place = |landed: &Landed| Some((known.tree_of(landed)?, landed.target.as_str().to_owned()));
    let mut places: Vec<_> = landed.iter().filter_map(place).collect();
    let decode = |row: &Row| {
        let held = held_of_file(row)?;
        Ok((index(row, "number")?, Open { from_seq: row.try_get("from_seq")?, held }))
    };
    let found = rows(writing.settled().await?, OPEN, vec![Value::rows(&places)?], decode).await?;
    let at = |(number, open): (usize, Open)| {
        let place = places.get_mut(number)?;
        Some((std::mem::take(place), open))
    };
    Ok(found.into_iter().filter_map(at).collect())
}
