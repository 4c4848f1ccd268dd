//! Landed uploads whose versions are not written yet. The versions of a landing take four more pages of the log than its
//! upload, a fifth of its time. So a group of new files is only noted in memory, and all groups since the last time are
//! versioned by one statement ([`super::landed`]): before a version is read, before anything other than a landing is
//! written, and every [`UNVERSIONED_MAX`] uploads.
//!
//! Numbers and contents of versions do not depend on when they are written: each group makes one. After a crash, the groups
//! are read from the rows of the uploads.

use super::super::query::{Row, fetch_all, values};
use super::super::writing::Writing;
use super::landed;
use crate::row::{bytes, number, path, time};
use crate::versions::landing::LandedFile;
use lakeshore::Error;
use lakeshore::model::digest::Digest;
use lakeshore::model::id::SyncId;
use sqlx::Row as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Uploads that are kept in memory: some hundred bytes each.
const UNVERSIONED_MAX: usize = 512;

/// Whether there are unversioned uploads, for readers.
#[derive(Debug, Clone)]
pub(in super::super) struct HasUnversioned(Arc<AtomicBool>);

impl Default for HasUnversioned {
    /// A process that ended may have left some.
    fn default() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }
}

impl HasUnversioned {
    pub(in super::super) fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    fn set(&self, value: bool) {
        self.0.store(value, Ordering::Release);
    }
}

/// Unversioned uploads, in the order of their landing.
#[derive(Default)]
pub(in super::super) struct Unversioned {
    /// `None` where they have to be read from the database.
    landed: Option<Vec<LandedFile>>,
    /// Whether they have to be versioned in this transaction.
    is_urgent: bool,
    exists: HasUnversioned,
}

impl Unversioned {
    pub(in super::super) fn exists(&self) -> &HasUnversioned {
        &self.exists
    }

    /// The transaction failed, so what was noted and versioned in it was not.
    pub(in super::super) fn forget(&mut self) {
        self.landed = None;
        self.is_urgent = false;
        self.exists.set(true);
    }

    pub(in super::super) fn is_due(&self) -> bool {
        self.is_urgent || self.landed.as_ref().is_none_or(|landed| landed.len() >= UNVERSIONED_MAX)
    }

    /// The transaction was committed.
    pub(in super::super) fn committed(&self) {
        self.exists.set(self.landed.as_ref().is_none_or(|landed| !landed.is_empty()));
    }
}

/// Notes a group in the transaction that writes its uploads. One that has replaced files, or whose uploads had rows before,
/// is versioned in the same transaction: their rows do not tell what they replaced, or in which order they landed.
pub(in super::super) async fn add(writing: &mut Writing, group: Vec<LandedFile>, is_urgent: bool) -> Result<(), Error> {
    if writing.unversioned.landed.is_none() {
        // Rows of this group may be there already.
        let ids: Vec<_> = group.iter().map(|landed| landed.history_id).collect();
        let mut before = read(writing).await?;
        before.retain(|landed| !ids.contains(&landed.history_id));
        writing.unversioned.landed = Some(before);
    }
    let unversioned = &mut writing.unversioned;
    unversioned.landed.get_or_insert_default().extend(group);
    unversioned.is_urgent |= is_urgent;
    unversioned.exists.set(true);
    Ok(())
}

/// Writes the versions of all unversioned uploads. Returns whether there were any.
pub(in super::super) async fn write(writing: &mut Writing) -> Result<bool, Error> {
    let landed = match writing.unversioned.landed.take() {
        Some(landed) => landed,
        None => read(writing).await?,
    };
    if !landed.is_empty() {
        landed::write(writing, &landed).await?;
    }
    writing.unversioned.is_urgent = false;
    writing.unversioned.landed = Some(Vec::new());
    Ok(!landed.is_empty())
}

async fn read(writing: &mut Writing) -> Result<Vec<LandedFile>, Error> {
    let sql = "SELECT u.history_id, u.tree_seq, u.sync_id, u.target, u.size_bytes, u.sha256, u.end_time, \
                   coalesce(u.landed_by, s.started_by) AS landed_by, s.path, s.sync_type = 'FullSync' AS is_full, f.folder_id \
               FROM version_state v CROSS JOIN uploads u ON u.history_id > v.last_landed \
               CROSS JOIN syncs s USING (sync_id) CROSS JOIN folders f ON f.path = s.path \
               WHERE +u.status = 'Finished' AND u.tree_id IS NULL ORDER BY u.history_id";
    let decode = |row: &Row| {
        let history_id = row.try_get("history_id")?;
        Ok(LandedFile {
            history_id,
            group: row.try_get::<Option<i64>, _>("tree_seq")?.unwrap_or(history_id),
            sync_id: SyncId(number(row, "sync_id")?),
            dataset: row.try_get("path")?,
            folder_id: row.try_get("folder_id")?,
            is_full: row.try_get("is_full")?,
            target: path(row, "target")?,
            digest: Digest { size_bytes: number(row, "size_bytes")?, sha256: bytes(row, "sha256")? },
            by: row.try_get("landed_by")?,
            at: time(row, "end_time")?,
            trash_key: None,
        })
    };
    fetch_all(writing.settled().await?, sql, values![], decode).await
}

#[cfg(test)]
mod tests {
    use crate::sqlite::SqliteState;
    use crate::sqlite::query::{fetch_optional, values};
    use crate::sqlite::test_uploads::{start, upload};
    use lakeshore::Timestamp;
    use lakeshore::model::id::SyncId;
    use lakeshore::model::storage_path::TrashKey;
    use lakeshore::model::trash::{NewTrash, TrashKind, TrashReason};
    use lakeshore::ports::metadata::State;
    use lakeshore::ports::metadata::upload::{FinishedLandings, LandedUpload};

    async fn land(state: &SqliteState, sync_id: SyncId, name: &str, trash_key: Option<&str>) {
        let upload = upload(sync_id, name);
        let trash = trash_key.map(|key| NewTrash {
            key: TrashKey::from_stored(key.into()),
            origin: upload.target.clone(),
            kind: TrashKind::File,
            reason: TrashReason::Overwritten,
            sync_id: Some(sync_id),
            by: "me".into(),
            at: Timestamp(30),
        });
        let state: &dyn State = state;
        let (id, _) = state.write_intents(None, std::slice::from_ref(&upload)).await.unwrap();
        let landed = vec![LandedUpload { upload, trash }];
        let finished = FinishedLandings { id, landed, left: Vec::new(), at: Timestamp(30) };
        state.finish_landings(&finished).await.unwrap();
    }

    #[tokio::test]
    async fn each_landed_upload_names_its_entry_whenever_its_version_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lakeshore.db");
        let state = SqliteState::open(&file).await.unwrap();
        let sync_id = start(&state).await;
        land(&state, sync_id, "first", None).await;
        land(&state, sync_id, "second", None).await;
        // Versioned in the same transaction, with those before.
        land(&state, sync_id, "first", Some("t1")).await;
        land(&state, sync_id, "third", None).await;
        state.close().await;
        let state = SqliteState::open(&file).await.unwrap();
        let sql = "SELECT count(*), count(e.history_id) FROM uploads u LEFT JOIN version_files e \
                   ON e.tree_id = u.tree_id AND e.path = u.target AND e.from_seq = u.tree_seq \
                   AND e.history_id = u.history_id";
        let mut connection = state.readers.look().await.unwrap();
        let counts = fetch_optional(&mut connection, sql, values![], |row| {
            use sqlx::Row as _;
            Ok((row.try_get::<i64, _>(0)?, row.try_get::<i64, _>(1)?))
        });
        assert_eq!(counts.await.unwrap(), Some((4, 4)));
    }
}
