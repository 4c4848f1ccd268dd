//! The versions that a group of landings makes, and the entries of its files.

use super::query::{Batch, Row, Value, changed, rows, values};
use super::writing::Writing;
use crate::row::{id, index};
use crate::uploads::folder_of;
use crate::versions::heads::{
    self, Head, Held, Rows, add_rows, all_above, around, at_and_above, digits, held_at, held_of_file, last_seq,
};
use lakeshore::model::id::SyncId;
use lakeshore::model::version::ListTotals;
use lakeshore::ports::metadata::upload::CompletedUpload;
use lakeshore::{Error, Timestamp};
use sqlx::{PgConnection, Row as _};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Writes what a group changes beside its uploads. `$4` is the time, `$5` the change.
const WRITE: &str = "\
    INSERT INTO version_files (tree_id, path, from_seq, history_id) \
    SELECT (value ->> 0)::bigint, value ->> 1, (value ->> 2)::bigint, (value ->> 3)::bigint FROM json_each($1) \
    ON CONFLICT (tree_id, path, from_seq) DO UPDATE SET history_id = excluded.history_id; \
    INSERT INTO trees (tree_id, path, files, bytes, digest) \
    SELECT (value ->> 0)::bigint, value ->> 1, (value ->> 2)::bigint, (value ->> 3)::bigint, decode(value ->> 4, 'hex') \
    FROM json_each($2) \
    ON CONFLICT (tree_id) DO UPDATE SET files = excluded.files, bytes = excluded.bytes, digest = excluded.digest; \
    INSERT INTO versions (folder_id, number, seq, at, kind, sync_id, made_by, files, bytes, digest, is_complete) \
    SELECT (value ->> 0)::bigint, (value ->> 1)::bigint, (value ->> 2)::bigint, \
        greatest($4, (SELECT b.at FROM versions b WHERE b.folder_id = (value ->> 0)::bigint \
            AND b.number = (value ->> 1)::bigint - 1)), 'landing', (value ->> 3)::bigint, \
        value ->> 4, (value ->> 5)::bigint, (value ->> 6)::bigint, decode(value ->> 7, 'hex'), (value ->> 8)::boolean \
    FROM json_each($3); \
    UPDATE version_state SET last_seq = $5 WHERE $5 > last_seq";

/// Trees and datasets that a group needs, as the database has them.
#[derive(Default)]
struct Known {
    last_seq: i64,
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

/// An upload that has landed, and has its row.
pub(super) struct Arrival<'a> {
    pub(super) history_id: i64,
    pub(super) upload: &'a CompletedUpload,
    /// The path of its sync.
    pub(super) dataset: &'a str,
    pub(super) is_full: bool,
    /// The slot that holds what it has replaced.
    pub(super) trash_key: Option<&'a str>,
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
    CROSS JOIN LATERAL (SELECT * FROM version_files l WHERE l.tree_id = (w.value ->> 0)::bigint \
        AND l.path = w.value ->> 1 ORDER BY l.from_seq DESC LIMIT 1) AS f \
    JOIN uploads u ON u.history_id = f.history_id LEFT JOIN file_schemas s ON s.history_id = f.history_id \
    WHERE f.until_seq IS NULL";

const CLOSE: &str = "\
    UPDATE version_files SET until_seq = $2, trash_key = w.value ->> 3 FROM json_each($1) w \
    WHERE version_files.tree_id = (w.value ->> 0)::bigint AND version_files.path = w.value ->> 1 \
    AND from_seq = (w.value ->> 2)::bigint";

/// Changes of a group, being gathered.
#[derive(Default)]
struct Changes {
    entries: BTreeMap<(i64, String), (i64, i64)>,
    closed: Vec<(i64, String, i64, Option<String>)>,
    /// Of trees, what went out of their counted rows.
    rows_of_trees: BTreeMap<i64, Rows>,
    trees: BTreeSet<i64>,
    /// By their paths: the last sync, who has brought it, and by how much its rows change.
    datasets: BTreeMap<String, (SyncId, String, Rows)>,
}

/// Makes the entries and the versions of a group, the last of them with the batch. Requires the lock of the history. Of each upload, the tree of its entry,
/// and the change since which it is there.
pub(super) async fn landed(
    writing: &mut Writing,
    batch: &mut Batch,
    arrivals: &[Arrival<'_>],
    folder_ids: &HashMap<SyncId, i64>,
    at: Timestamp,
) -> Result<HashMap<i64, (i64, i64)>, Error> {
    if arrivals.is_empty() {
        return Ok(HashMap::new());
    }
    let mut known = look_around(writing, arrivals).await?;
    land(writing, batch, &mut known, arrivals, folder_ids, at).await
}

async fn look_around(connection: &mut PgConnection, arrivals: &[Arrival<'_>]) -> Result<Known, Error> {
    let incremental = || arrivals.iter().filter(|arrival| !arrival.is_full);
    let folders: BTreeSet<_> = incremental().map(|arrival| folder_of(&arrival.upload.target)).collect();
    let places = all_above(folders.iter().copied());
    let staged: BTreeSet<_> =
        arrivals.iter().filter(|arrival| arrival.is_full).map(|arrival| id(arrival.upload.sync_id.0)).collect();
    let asked = vec![Value::column(&places)?, Value::column(&staged)?];
    let last_seq = last_seq(connection).await?;
    let (mut live, mut datasets, mut newest) = (HashMap::new(), BTreeSet::new(), HashMap::new());
    let mut trees = HashMap::new();
    for found in rows(connection, around::<sqlx::Postgres>(), asked, heads::known).await? {
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
    for arrival in arrivals.iter().filter(|arrival| arrival.is_full) {
        let tree = KnownTree { path: arrival.dataset.to_owned(), totals: ListTotals::default() };
        trees.entry(id(arrival.upload.sync_id.0)).or_insert(tree);
    }
    let of_folder = |folder: &str| {
        let above = at_and_above(folder);
        let tree = above.iter().rev().find_map(|place| live.get(*place)).copied();
        let of = above.iter().filter(|place| datasets.contains(**place) && newest.contains_key(**place));
        (folder.to_owned(), Folder { tree, datasets: of.map(|place| (*place).to_owned()).collect() })
    };
    let folders = folders.into_iter().map(of_folder).collect();
    Ok(Known { last_seq, trees, folders, heads: newest })
}

async fn land(
    writing: &mut Writing,
    batch: &mut Batch,
    known: &mut Known,
    arrivals: &[Arrival<'_>],
    folder_ids: &HashMap<SyncId, i64>,
    at: Timestamp,
) -> Result<HashMap<i64, (i64, i64)>, Error> {
    let last = known.last_seq;
    let is_seen = arrivals.iter().any(|arrival| !arrival.is_full);
    let seq = if is_seen { last + 1 } else { last };
    for arrival in arrivals.iter().filter(|arrival| !arrival.is_full) {
        settle_in(writing, known, arrival, folder_ids, seq).await?;
    }
    let tree_of = |arrival: &Arrival<'_>| match arrival.is_full {
        true => id(arrival.upload.sync_id.0),
        false => known.folders.get(folder_of(&arrival.upload.target)).and_then(|folder| folder.tree).unwrap_or(0),
    };
    let trees: Vec<_> = arrivals.iter().map(tree_of).collect();
    let mut open = open_entries(writing, arrivals, &trees).await?;
    let mut changes = Changes::default();
    let mut of_uploads = HashMap::with_capacity(arrivals.len());
    for (arrival, &tree_id) in arrivals.iter().zip(&trees) {
        let upload = arrival.upload;
        let from_seq = if arrival.is_full { 0 } else { seq };
        let new = ListTotals::of(upload.target.as_str(), &upload.digest);
        let place = (tree_id, upload.target.as_str().to_owned());
        let held = Held { totals: new, rows: Rows::default() };
        let before = open.insert(place.clone(), Open { from_seq, held });
        let gone = before.map_or_else(Held::default, |before| before.held);
        if let Some(before) = before.filter(|before| before.from_seq != from_seq) {
            changes.closed.push((tree_id, place.1.clone(), before.from_seq, arrival.trash_key.map(str::to_owned)));
        }
        let rows_of_tree = changes.rows_of_trees.entry(tree_id).or_default();
        *rows_of_tree = rows_of_tree.plus(gone.rows);
        if let Some(tree) = known.trees.get_mut(&tree_id) {
            tree.totals = tree.totals.plus(new).minus(gone.totals);
        }
        changes.trees.insert(tree_id);
        changes.entries.insert(place, (from_seq, arrival.history_id));
        of_uploads.insert(arrival.history_id, (tree_id, from_seq));
        if arrival.is_full {
            continue;
        }
        let datasets = known.folders.get(folder_of(&upload.target)).map(|folder| folder.datasets.clone());
        for path in datasets.unwrap_or_default() {
            let Some(head) = known.heads.get_mut(&path) else { continue };
            head.totals = head.totals.plus(new).minus(gone.totals);
            let change = changes.datasets.entry(path).or_insert((upload.sync_id, String::new(), Rows::default()));
            change.0 = upload.sync_id;
            change.1.clone_from(&upload.by);
            change.2 = change.2.minus(gone.rows);
        }
    }
    write(writing, batch, known, changes, seq, at).await?;
    Ok(of_uploads)
}

/// Makes sure that there is a tree for the upload to land in, and that its dataset has a head.
async fn settle_in(
    writing: &mut Writing,
    known: &mut Known,
    arrival: &Arrival<'_>,
    folder_ids: &HashMap<SyncId, i64>,
    seq: i64,
) -> Result<(), Error> {
    let folder = folder_of(&arrival.upload.target);
    let Some(Folder { tree, datasets }) = known.folders.get(folder).cloned() else { return Ok(()) };
    let is_of_its_dataset = datasets.iter().any(|path| path == arrival.dataset);
    if tree.is_some() && is_of_its_dataset {
        return Ok(());
    }
    // A dataset that the lake hears of for the first time, or again: what it holds already is counted.
    if !is_of_its_dataset {
        let held = held_at(writing, arrival.dataset).await?;
        let folder_id = folder_ids.get(&arrival.upload.sync_id).copied();
        let folder_id = folder_id.ok_or(Error::NoSuchSync(arrival.upload.sync_id))?;
        let before = known.heads.get(arrival.dataset);
        let (number, at) = before.map_or((0, 0), |head| (head.number, head.at));
        let head = Head { folder_id, number, at, totals: held.totals, is_complete: true };
        add_rows(writing, &[(folder_id, number + 1, held.rows)]).await?;
        known.heads.insert(arrival.dataset.to_owned(), head);
    }
    let tree_id = match tree {
        Some(tree_id) => tree_id,
        None => begin_tree(writing, known, arrival, seq).await?,
    };
    let (prefix, dataset) = (format!("{}/", arrival.dataset), arrival.dataset);
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

async fn begin_tree(writing: &mut Writing, known: &mut Known, arrival: &Arrival<'_>, seq: i64) -> Result<i64, Error> {
    let no_digest = digits(&ListTotals::default());
    let mut tree_id = id(arrival.upload.sync_id.0);
    loop {
        let sql = "INSERT INTO trees (tree_id, path, is_live, digest) VALUES ($1, $2, TRUE, decode($3, 'hex')) \
                   ON CONFLICT DO NOTHING";
        if changed(writing, sql, values![tree_id, arrival.dataset, no_digest]).await? > 0 {
            break;
        }
        // Its sync has begun one that is not there any more.
        if tree_id < 0 {
            return Err(Error::internal(sqlx::Error::RowNotFound));
        }
        tree_id = 1 - 2 * seq;
    }
    let sql = "INSERT INTO tree_spans (path, from_seq, tree_id) VALUES (?, ?, ?)";
    changed(writing, sql, values![arrival.dataset, seq, tree_id]).await?;
    let tree = KnownTree { path: arrival.dataset.to_owned(), totals: ListTotals::default() };
    known.trees.insert(tree_id, tree);
    Ok(tree_id)
}

async fn open_entries(
    writing: &mut Writing,
    arrivals: &[Arrival<'_>],
    trees: &[i64],
) -> Result<HashMap<(i64, String), Open>, Error> {
    let places: Vec<_> =
        arrivals.iter().zip(trees).map(|(arrival, tree_id)| (*tree_id, arrival.upload.target.as_str())).collect();
    let decode = |row: &Row| {
        let held = held_of_file(row)?;
        Ok((index(row, "number")?, Open { from_seq: row.try_get("from_seq")?, held }))
    };
    let found = rows(writing, OPEN, vec![Value::rows(&places)?], decode).await?;
    let at = |(number, open): (usize, Open)| {
        let (tree_id, path) = places.get(number)?;
        Some(((*tree_id, (*path).to_owned()), open))
    };
    Ok(found.into_iter().filter_map(at).collect())
}

async fn write(
    writing: &mut Writing,
    batch: &mut Batch,
    known: &mut Known,
    changes: Changes,
    seq: i64,
    at: Timestamp,
) -> Result<(), Error> {
    let Changes { entries, closed, rows_of_trees, trees, datasets } = changes;
    if !closed.is_empty() {
        changed(writing, CLOSE, vec![Value::rows(&closed)?, Value::Integer(seq)]).await?;
    }
    let uncounted: Vec<_> = rows_of_trees
        .into_iter()
        .filter(|(_, rows)| *rows != Rows::default())
        .map(|(tree_id, rows)| (tree_id, rows.rows, rows.counted))
        .collect();
    if !uncounted.is_empty() {
        let sql = "UPDATE trees SET row_count = row_count - (value ->> 1)::bigint, counted = counted - (value ->> 2)::bigint \
                   FROM json_each($1) WHERE tree_id = (value ->> 0)::bigint";
        changed(writing, sql, vec![Value::rows(&uncounted)?]).await?;
    }
    let mut versions = Vec::with_capacity(datasets.len());
    let mut rows = Vec::new();
    for (path, (sync_id, by, change)) in &datasets {
        let Some(head) = known.heads.get_mut(path) else { continue };
        head.number += 1;
        let ListTotals { files, bytes, .. } = head.totals;
        let digest = digits(&head.totals);
        versions.push((head.folder_id, head.number, seq, id(sync_id.0), by, files, bytes, digest, head.is_complete));
        rows.push((head.folder_id, head.number, *change));
    }
    add_rows(writing, &rows).await?;
    let entries: Vec<_> =
        entries.iter().map(|((tree, path), (from_seq, history_id))| (tree, path, from_seq, history_id)).collect();
    let tree_row = |tree_id: &i64| {
        let KnownTree { path, totals } = known.trees.get(tree_id)?;
        Some((*tree_id, path, totals.files, totals.bytes, digits(totals)))
    };
    let trees: Vec<_> = trees.iter().filter_map(tree_row).collect();
    let (entries, trees, versions) = (Value::rows(&entries)?, Value::rows(&trees)?, Value::rows(&versions)?);
    batch.add(WRITE, values![entries, trees, versions, at.0, seq]);
    Ok(())
}
