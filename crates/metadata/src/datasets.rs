//! Datasets: the table `datasets`. Syncs and uploads record here which datasets they write to.

use crate::query::{Dialect, Text, Value, changed, values};
use crate::row::id;
use crate::transaction::WriteTransaction;
use lakeshore::model::id::SyncId;
use lakeshore::{Error, Timestamp};
use std::collections::BTreeSet;

/// Statement of [`remember`]; the arguments say where the ids of the syncs and the time are bound. Two syncs may have one
/// path, whose row is written once.
pub(crate) fn remember_text<D: Dialect>(syncs: &str, at: &str) -> String {
    let sync_id = D::number("value ->> 0");
    format!(
        "INSERT INTO datasets (path, last_sync_id, first_landed, last_landed) \
         SELECT s.path, max(s.sync_id), {at}, {at} FROM json_each({syncs}) CROSS JOIN syncs s \
         WHERE s.sync_id = {sync_id} GROUP BY s.path ON CONFLICT (path) DO UPDATE SET \
         last_sync_id = max(datasets.last_sync_id, excluded.last_sync_id), \
         last_landed = max(datasets.last_landed, excluded.last_landed)"
    )
}

/// Statements of [`touch`]; the argument says where the folders are bound. The second, for the flag, finds no row where the
/// dataset waits for its count already.
pub(crate) fn touch_text<D: Dialect>(places: &str) -> String {
    let places = format!("WHERE path IN (SELECT value ->> 0 FROM json_each({places}))");
    let change = format!("UPDATE datasets SET change = change + 1 {places}");
    if D::HAS_UNCOUNTED_FLAG {
        format!("{change}; UPDATE datasets SET is_uncounted = 1 {places} AND is_uncounted = 0")
    } else {
        change
    }
}

/// Records that the path of the sync holds a dataset, which has received files.
pub(crate) async fn remember<W: WriteTransaction>(
    writing: &mut W,
    sync_id: SyncId,
    at: Timestamp,
) -> Result<(), Error> {
    static REMEMBER: Text = Text::new();
    let sql = REMEMBER.of::<W::Db>(|| remember_text::<W::Db>("$1", "$2"));
    changed(writing, sql, values![Value::column([id(sync_id.0)])?, at.0]).await.map(drop)
}

/// Records that the content of these folders has changed, so that the datasets around them are counted again.
pub(crate) async fn touch<'a, W: WriteTransaction>(
    writing: &mut W,
    folders: impl IntoIterator<Item = &'a str>,
) -> Result<(), Error> {
    static TOUCH: Text = Text::new();
    let places = Value::column(folders_to_touch(folders))?;
    changed(writing, TOUCH.of::<W::Db>(|| touch_text::<W::Db>("$1")), vec![places]).await.map(drop)
}

/// Paths at which a dataset may hold one of the folders: the folder itself, and each above it.
pub(crate) fn folders_to_touch<'a>(folders: impl IntoIterator<Item = &'a str>) -> BTreeSet<&'a str> {
    let mut places: BTreeSet<&str> = BTreeSet::new();
    for folder in folders {
        let mut place = folder;
        while !place.is_empty() && places.insert(place) {
            place = place.rsplit_once('/').map_or("", |(above, _)| above);
        }
    }
    places
}
