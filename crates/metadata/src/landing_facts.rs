//! Facts about syncs, folders and rows that a group of landings needs, as the database has them. Each database reads them
//! in its own way.

use crate::counts::Position;
use crate::days::{Counted, DayTally, counted_of};
use crate::row::{DbRow, duplicate_names, id, number, path};
use crate::uploads::folder_of;
use lakeshore::model::dataset::record::DayCounts;
use lakeshore::model::id::SyncId;
use lakeshore::model::path::LakePath;
use lakeshore::model::totals::Totals;
use lakeshore::ports::metadata::upload::{CompletedUpload, LandedUpload};
use lakeshore::{Error, Timestamp};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Data of the database about a group's syncs, folders and rows.
#[derive(Default)]
pub(crate) struct Facts {
    pub(crate) last_id: i64,
    /// Uploads that are not finished; `None` means all.
    pub(crate) intended: Option<Vec<CompletedUpload>>,
    pub(crate) syncs: BTreeMap<SyncId, SyncChange>,
    pub(crate) folders: HashMap<String, i64>,
    pub(crate) uploads: HashMap<i64, Position>,
    /// Digest of the last file that the sync has landed at a target.
    pub(crate) earlier: HashMap<(LakePath, SyncId), [u8; 32]>,
}

/// Changes of a group in one sync.
#[derive(Clone)]
pub(crate) struct SyncChange {
    pub(crate) of: Counted,
    pub(crate) path: LakePath,
    pub(crate) started_by: String,
    /// Rows of the sync before the group.
    pub(crate) listed: i64,
    pub(crate) added: i64,
    pub(crate) no_longer_in_flight: i64,
    pub(crate) size_bytes: i64,
    pub(crate) duplicate_names: Vec<String>,
    pub(crate) num_duplicates: i64,
}

/// Decodes `sync_id, listed, folder_id, sync_type, path, started_by, duplicate_names`.
pub(crate) fn sync_change(row: &impl DbRow) -> sqlx::Result<(SyncId, SyncChange)> {
    let change = SyncChange {
        of: counted_of(row)?,
        path: path(row, "path")?,
        started_by: row.get("started_by")?,
        listed: row.get("listed")?,
        added: 0,
        no_longer_in_flight: 0,
        size_bytes: 0,
        duplicate_names: duplicate_names(row)?,
        num_duplicates: 0,
    };
    Ok((SyncId(number(row, "sync_id")?), change))
}

/// Keys of the rows that the facts of a group are read from.
pub(crate) struct FactKeys<'a> {
    pub(crate) syncs: Vec<i64>,
    /// Folders of uploads that have no row.
    pub(crate) folders: BTreeSet<&'a str>,
    /// Uploads that have a row.
    pub(crate) uploads: Vec<i64>,
}

impl<'a> FactKeys<'a> {
    pub(crate) fn of(landed: &'a [LandedUpload]) -> Self {
        let uploads = || landed.iter().map(|landed| &landed.upload);
        let syncs: BTreeSet<_> = uploads().map(|upload| id(upload.sync_id.0)).collect();
        let without_row = uploads().filter(|upload| upload.upload_id.is_none());
        Self {
            syncs: syncs.into_iter().collect(),
            folders: without_row.map(|upload| folder_of(&upload.target)).collect(),
            uploads: uploads().filter_map(|upload| upload.upload_id).map(|upload| id(upload.0)).collect(),
        }
    }
}

/// Row of a sync's changes: its id, rows added, rows no longer in flight, bytes, duplicates, and their names as JSON
/// where they changed.
type SyncRow = (i64, i64, i64, i64, i64, Option<String>);

impl Facts {
    pub(crate) fn is_intended(&self, upload: &CompletedUpload) -> bool {
        self.intended.as_ref().is_none_or(|all| all.iter().any(|intended| intended.partial == upload.partial))
    }

    /// Refuses uploads of unknown syncs. Call it before anything is written.
    pub(crate) fn refuse_unknown_syncs(&self, landed: &[LandedUpload]) -> Result<(), Error> {
        let mut syncs = landed.iter().map(|landed| landed.upload.sync_id);
        match syncs.find(|sync_id| !self.syncs.contains_key(sync_id)) {
            Some(unknown) => Err(Error::NoSuchSync(unknown)),
            None => Ok(()),
        }
    }

    /// Syncs with landed files, and the totals of those.
    fn landed(&self) -> impl Iterator<Item = (SyncId, &SyncChange, Totals)> {
        self.syncs.iter().filter_map(|(sync_id, change)| {
            let files = (change.added + change.no_longer_in_flight).cast_unsigned();
            let totals = Totals { files, bytes: change.size_bytes.cast_unsigned() };
            (files > 0).then_some((*sync_id, change, totals))
        })
    }

    /// Changes of the days and arrivals of the datasets.
    pub(crate) fn day_counts(&self, at: Timestamp) -> DayTally {
        let mut days = DayTally::default();
        for (_, change, totals) in self.landed() {
            let Totals { files, bytes } = totals;
            days.add(change.of, at, DayCounts { files, bytes, ..DayCounts::default() });
            if !change.of.is_full {
                days.arrived(change.of, at, totals);
            }
        }
        days
    }

    /// Syncs whose landed files readers of their datasets can see now.
    pub(crate) fn visible_syncs(&self) -> Vec<i64> {
        self.landed().filter(|(_, change, _)| !change.of.is_full).map(|(sync_id, ..)| id(sync_id.0)).collect()
    }

    pub(crate) fn sync_rows(&self) -> Result<Vec<SyncRow>, Error> {
        let row = |(sync_id, change): (&SyncId, &SyncChange)| {
            let names = (change.num_duplicates > 0).then(|| serde_json::to_string(&change.duplicate_names));
            let names = names.transpose().map_err(Error::internal)?;
            let SyncChange { added, no_longer_in_flight, size_bytes, num_duplicates, .. } = change;
            Ok((id(sync_id.0), *added, *no_longer_in_flight, *size_bytes, *num_duplicates, names))
        };
        self.syncs.iter().map(row).collect()
    }
}
