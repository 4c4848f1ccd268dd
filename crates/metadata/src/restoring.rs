//! Restores from the trash and landings exclude each other, path by path.
//!
//! Both move a file in one step and write its rows in a later one. Between the steps of one, those of the other would
//! leave rows that contradict the files. So a restore does not begin while a landing to its path has an intent, and no
//! intent is written for a path while it is being restored. Each takes the locks of the syncs before it looks.

use crate::query::{Connection, Select, fetch_all, values};
use crate::row::{DbRow, number, path};
use crate::syncs::overlapping_syncs;
use crate::transaction::{SyncLock, WriteTransaction};
use lakeshore::Error;
use lakeshore::model::id::TrashId;
use lakeshore::model::path::LakePath;
use lakeshore::ports::metadata::upload::CompletedUpload;

/// Paths that are being restored from the trash.
#[derive(Debug, Default)]
pub(crate) struct Restores(Vec<(TrashId, LakePath)>);

impl Restores {
    pub(crate) async fn find(connection: &mut impl Connection) -> Result<Self, Error> {
        let restoring = Select::new("SELECT trash_id, origin FROM trash WHERE restoring IS NOT NULL");
        let restoring =
            restoring.fetch_all(connection, |row| Ok((number(row, "trash_id")?, path(row, "origin")?))).await?;
        Ok(Self(restoring.into_iter().map(|(trash_id, origin)| (TrashId(trash_id), origin)).collect()))
    }

    /// # Errors
    /// [`Error::PathRestoring`] while a path that overlaps this one is being restored.
    pub(crate) fn refuse(&self, path: &LakePath) -> Result<(), Error> {
        match self.0.iter().find(|(_, origin)| origin.overlaps(path)) {
            Some((trash_id, origin)) => {
                Err(Error::PathRestoring { path: path.clone(), trash_id: *trash_id, origin: origin.clone() })
            }
            None => Ok(()),
        }
    }
}

/// Locks the open syncs around a path that is about to be restored, so that none of them writes an intent meanwhile.
/// Requires the lock of starts.
pub(crate) async fn lock_open_syncs(writing: &mut impl WriteTransaction, origin: &LakePath) -> Result<(), Error> {
    let around = overlapping_syncs(writing, origin).await?;
    writing.lock_syncs(around, SyncLock::Change).await
}

/// # Errors
/// [`Error::Moving`] while an upload to a path that overlaps this one lands.
pub(crate) async fn refuse_amid_landing(connection: &mut impl Connection, origin: &LakePath) -> Result<(), Error> {
    let intended =
        fetch_all(connection, "SELECT intended FROM landings", values![], |row| row.get::<String>("intended"));
    for intended in intended.await? {
        let uploads: Vec<CompletedUpload> = serde_json::from_str(&intended).map_err(Error::internal)?;
        if uploads.iter().any(|upload| upload.target.overlaps(origin)) {
            return Err(Error::Moving(origin.clone()));
        }
    }
    Ok(())
}
