//! Snapshots: versions in folders of their own, for readers that list a folder and then open its files. They are made,
//! renewed and dropped by their owners, and removed after they expire.
//!
//! The row of a snapshot exists before its folder and after it, so a folder without a row is removed.

use super::Lake;
use super::access::caller_turns::CallerTurns;
use super::versions::{Lookups, file_gone, which};
use crate::model::access::key::{Caller, may_administer};
use crate::model::error::Error;
use crate::model::limits::{
    EMPTYING_REMOVALS_MAX, SNAPSHOT_LIFETIME_DEFAULT, SNAPSHOT_LIFETIME_MAX, SNAPSHOTS_MADE_SHARE_MAX,
};
use crate::model::path::LakePath;
use crate::model::snapshot::{NewSnapshot, Snapshot, SnapshotState, SnapshotToken};
use crate::model::snapshot_requests::{ListedSnapshot, TakeSnapshot};
use crate::model::storage_path::StoragePath;
use crate::model::version::VersionFile;
use crate::ports::metadata::version::VersionFilesQuery;
use crate::ports::storage::{RemovedSnapshot, Snapped, SnapshotFile, Touched};
use std::collections::BTreeSet;
use std::time::Duration;

/// Progress of the snapshots that are kept in memory.
pub(super) struct Snapshots {
    being_made: CallerTurns,
    /// Held while hard links of files are added or removed, until their change times are recorded: so each record follows
    /// the one before.
    links: async_lock::Mutex<()>,
    /// Snapshots with links that may not be recorded.
    doubtful: parking_lot::Mutex<BTreeSet<SnapshotToken>>,
}

impl Default for Snapshots {
    fn default() -> Self {
        Self {
            being_made: CallerTurns::new("snapshots being made", SNAPSHOTS_MADE_SHARE_MAX),
            links: async_lock::Mutex::default(),
            doubtful: parking_lot::Mutex::default(),
        }
    }
}

/// Result of a step of removing snapshots.
#[derive(Debug)]
pub enum SnapshotRemoval {
    Nothing,
    /// Some files of a snapshot are removed.
    Begun,
    Removed(SnapshotToken),
    Failed(SnapshotToken, Error),
}

/// Files added to a snapshot in one step.
const TOGETHER: u64 = 256;

fn lifetime(wanted: Option<Duration>) -> Result<Duration, Error> {
    let lifetime = wanted.unwrap_or(SNAPSHOT_LIFETIME_DEFAULT);
    if lifetime.is_zero() || lifetime > SNAPSHOT_LIFETIME_MAX {
        let days = SNAPSHOT_LIFETIME_MAX.as_secs() / (24 * 3600);
        return Err(Error::Invalid(format!(
            "the lifetime of a snapshot must be more than 0 and at most {days} days; renew the snapshot to keep it longer"
        )));
    }
    Ok(lifetime)
}

impl Lake {
    /// Makes a folder with exactly one version, kept until it expires. Refused below the reserve: its names take space,
    /// and so do copies of files that change later.
    pub async fn take_snapshot(&self, caller: &Caller, wanted: &TakeSnapshot) -> Result<ListedSnapshot, Error> {
        caller.may_read()?;
        let lifetime = lifetime(wanted.lifetime)?;
        let which = which(wanted.version, wanted.as_of)?;
        let _turn = self.0.snapshots.being_made.turn(caller).await?;
        self.has_room().await?;
        let dataset = self.exact_dataset(caller, &wanted.path).await?;
        let version = self.seen_version(&dataset, which).await?.version;
        let token = SnapshotToken::from_random(self.random()?);
        let at = self.now();
        let new = NewSnapshot {
            token: token.clone(),
            path: dataset,
            version,
            owner: caller.principal(),
            made_by: caller.name().to_owned(),
            at,
            expires_at: at.plus(lifetime),
        };
        self.0.state.begin_snapshot(&new).await?;
        if let Err(error) = self.fill_snapshot(&new).await {
            self.0.snapshots.doubtful.lock().insert(token.clone());
            // On failure, the next start drops it.
            let _ = self.0.state.set_snapshot(&token, SnapshotState::Dropped, at).await;
            return Err(error);
        }
        // The lifetime begins now, as making the snapshot took some time.
        let expires_at = self.now().plus(lifetime);
        self.0.state.set_snapshot(&token, SnapshotState::Ready, expires_at).await?;
        let NewSnapshot { path, owner, made_by, .. } = new;
        let state = SnapshotState::Ready;
        Ok(Snapshot { token, path, version, owner, made_by, made_at: at, expires_at, state }.into())
    }

    async fn fill_snapshot(&self, new: &NewSnapshot) -> Result<(), Error> {
        let NewSnapshot { token, path, version, .. } = new;
        self.0.files.begin_snapshot(token, path.leaf()).await?;
        let mut query =
            VersionFilesQuery { dataset: path.clone(), version: *version, below: None, after: None, size: TOGETHER };
        loop {
            let files = self.0.state.version_files(&query).await?;
            let is_last = (files.len() as u64) < TOGETHER;
            query.after = files.last().map(|file| file.path.clone());
            self.has_room().await?;
            self.snap_some(new, files).await?;
            if is_last {
                return self.0.files.finish_snapshot(token).await;
            }
        }
    }

    /// Looks up again files that move meanwhile.
    async fn snap_some(&self, new: &NewSnapshot, mut files: Vec<VersionFile>) -> Result<(), Error> {
        files.iter_mut().for_each(|file| file.landed_at = self.changed_at_max(file));
        let mut lookups = Lookups::default();
        loop {
            files = self.try_to_snap(new, files).await?;
            let Some(first) = files.first() else { return Ok(()) };
            if !lookups.again(self, &first.path).await? {
                return Err(file_gone(&new.path, new.version, first));
            }
            files = self.look_up_again(&new.path, new.version, files).await?;
        }
    }

    /// Returns the files that were not at their recorded location.
    async fn try_to_snap(&self, new: &NewSnapshot, files: Vec<VersionFile>) -> Result<Vec<VersionFile>, Error> {
        let mut wanted = Vec::with_capacity(files.len());
        for file in &files {
            let Some(from) = file.place() else { return Err(file_gone(&new.path, new.version, file)) };
            let relative = new.path.relative(&file.path).unwrap_or(file.path.leaf());
            wanted.push(SnapshotFile {
                from,
                relative: format!("{}/{relative}", new.path.leaf()),
                size_bytes: file.content.size_bytes,
                identity: file.identity.clone(),
                changed_at_max: file.landed_at,
            });
        }
        let _alone = self.0.snapshots.links.lock().await;
        let snapped = self.0.files.snap(&new.token, &wanted).await;
        let mut left = Vec::new();
        let mut touched = Vec::new();
        let mut fault = None;
        for (file, snapped) in files.into_iter().zip(snapped) {
            match snapped {
                Ok(Snapped::Copied) => {}
                Ok(Snapped::Linked(by)) => touched.push((file.path, by)),
                Ok(Snapped::Elsewhere) => left.push(file),
                Err(error) => fault = Some(error),
            }
        }
        self.remember_touched(&touched).await?;
        fault.map_or(Ok(left), Err)
    }

    async fn remember_touched(&self, touched: &[(LakePath, Touched)]) -> Result<(), Error> {
        if touched.is_empty() { Ok(()) } else { self.0.state.set_touched(touched).await }
    }

    /// Snapshot that the caller may use: its own, one made without a key, or, for an administrator of the whole lake,
    /// any.
    async fn held_snapshot(&self, caller: &Caller, token: &str) -> Result<Snapshot, Error> {
        caller.may_read()?;
        let unknown = || Error::NoSuchSnapshot(token.chars().take(64).collect());
        let parsed = SnapshotToken::parse(token).ok_or_else(unknown)?;
        let snapshot = self.0.state.snapshot(&parsed).await?;
        let snapshot = snapshot.filter(|snapshot| snapshot.state == SnapshotState::Ready).ok_or_else(unknown)?;
        if self.holds(caller, &snapshot) { Ok(snapshot) } else { Err(unknown()) }
    }

    fn holds(&self, caller: &Caller, snapshot: &Snapshot) -> bool {
        use crate::model::access::principal::Principal;
        let is_own = caller.principal().owns(snapshot.owner) || snapshot.owner == Principal::Guest;
        (is_own && caller.sees(&snapshot.path)) || may_administer(caller).is_ok()
    }

    /// Snapshots of the caller, oldest first. Those made without a key are not listed: only clients with their names
    /// may use them.
    pub async fn snapshots(&self, caller: &Caller) -> Result<Vec<ListedSnapshot>, Error> {
        caller.may_read()?;
        let is_admin = may_administer(caller).is_ok();
        let is_listed = |snapshot: &Snapshot| {
            snapshot.state == SnapshotState::Ready
                && (is_admin || (caller.principal().owns(snapshot.owner) && caller.sees(&snapshot.path)))
        };
        let all = self.0.state.snapshots().await?;
        Ok(all.into_iter().filter(is_listed).map(ListedSnapshot::from).collect())
    }

    /// Extends a snapshot by a lifetime from now on.
    pub async fn renew_snapshot(
        &self,
        caller: &Caller,
        token: &str,
        wanted: Option<Duration>,
    ) -> Result<ListedSnapshot, Error> {
        let lifetime = lifetime(wanted)?;
        let snapshot = self.held_snapshot(caller, token).await?;
        let expires_at = self.now().plus(lifetime);
        self.0.state.set_snapshot(&snapshot.token, SnapshotState::Ready, expires_at).await?;
        Ok(Snapshot { expires_at, ..snapshot }.into())
    }

    /// Drops a snapshot. It is invisible at once; its files are removed in the background.
    pub async fn drop_snapshot(&self, caller: &Caller, token: &str) -> Result<(), Error> {
        let snapshot = self.held_snapshot(caller, token).await?;
        self.0.state.set_snapshot(&snapshot.token, SnapshotState::Dropped, snapshot.expires_at).await
    }

    /// Drops unfinished snapshots of a server that stopped. Only at start. The stop may have come between a change of the
    /// hard links of files and its record, so these files are verified before the removal.
    pub(super) async fn recover_snapshots(&self) -> Result<(), Error> {
        for snapshot in self.0.state.snapshots().await? {
            if snapshot.state == SnapshotState::Making {
                self.0.state.set_snapshot(&snapshot.token, SnapshotState::Dropped, snapshot.expires_at).await?;
            }
            if snapshot.state != SnapshotState::Ready {
                self.0.snapshots.doubtful.lock().insert(snapshot.token);
            }
        }
        Ok(())
    }

    /// Whether a snapshot has expired, in time measured by the server: a step of the clock during its lifetime postpones
    /// the expiry.
    fn is_expired(&self, snapshot: &Snapshot) -> bool {
        let lifetime_ms = snapshot.expires_at.0.saturating_sub(snapshot.made_at.0);
        // Not positive if the clock was set back before a renewal.
        let lifetime = u64::try_from(lifetime_ms).ok().filter(|lifetime_ms| *lifetime_ms > 0);
        let lifetime = lifetime.map_or(SNAPSHOT_LIFETIME_MAX, Duration::from_millis);
        let now = self.older_than(Duration::ZERO);
        snapshot.state == SnapshotState::Ready && snapshot.expires_at.plus(self.postponement(lifetime)) <= now
    }

    /// One small step of removing dropped and expired snapshots, and folders without a row, except for the skipped ones.
    pub async fn remove_some_snapshots(&self, skipped: &BTreeSet<SnapshotToken>) -> Result<SnapshotRemoval, Error> {
        let known = self.0.state.snapshots().await?;
        for snapshot in known.iter().filter(|snapshot| self.is_expired(snapshot)) {
            self.0.state.set_snapshot(&snapshot.token, SnapshotState::Dropped, snapshot.expires_at).await?;
        }
        let is_removed = |snapshot: &&Snapshot| snapshot.state == SnapshotState::Dropped || self.is_expired(snapshot);
        let removed = known.iter().filter(is_removed).find(|snapshot| !skipped.contains(&snapshot.token));
        if let Some(snapshot) = removed {
            return Ok(self.try_to_remove(&snapshot.token, Some(snapshot)).await);
        }
        // Folders are listed after the rows were read, as a row exists before its folder.
        for entry in self.0.files.list(&StoragePath::Snapshots).await? {
            let token = StoragePath::snapshot_of(&entry.name).filter(|token| !skipped.contains(token));
            let Some(token) = token else { continue };
            if self.0.state.snapshot(&token).await?.is_none() {
                return Ok(self.try_to_remove(&token, None).await);
            }
        }
        Ok(SnapshotRemoval::Nothing)
    }

    async fn try_to_remove(&self, token: &SnapshotToken, snapshot: Option<&Snapshot>) -> SnapshotRemoval {
        match self.remove_step(token, snapshot).await {
            Ok(true) => SnapshotRemoval::Removed(token.clone()),
            Ok(false) => SnapshotRemoval::Begun,
            Err(fault) => SnapshotRemoval::Failed(token.clone(), fault),
        }
    }

    /// True when the snapshot is removed completely.
    async fn remove_step(&self, token: &SnapshotToken, snapshot: Option<&Snapshot>) -> Result<bool, Error> {
        let is_doubtful = self.0.snapshots.doubtful.lock().contains(token);
        if is_doubtful && let Some(snapshot) = snapshot {
            self.verify_links(snapshot).await?;
            self.0.snapshots.doubtful.lock().remove(token);
        }
        let _alone = self.0.snapshots.links.lock().await;
        let removed = self.0.files.remove_snapshot(token, EMPTYING_REMOVALS_MAX).await?;
        let RemovedSnapshot { touched, has_more, fault } = removed;
        if let Some(Snapshot { path: dataset, .. }) = snapshot {
            // The first component is the name of the dataset.
            let target = |path: &str| dataset.join(path.split_once('/')?.1).ok();
            let touched: Vec<_> =
                touched.into_iter().filter_map(|(path, touched)| Some((target(&path)?, touched))).collect();
            let remembered = self.remember_touched(&touched).await;
            remembered.inspect_err(|_| _ = self.0.snapshots.doubtful.lock().insert(token.clone()))?;
        }
        if let Some(fault) = fault {
            return Err(fault);
        }
        if !has_more {
            self.0.state.delete_snapshot(token).await?;
        }
        Ok(!has_more)
    }

    /// Reads the files of a snapshot whose change times are not explained, and records those that have their bytes.
    async fn verify_links(&self, snapshot: &Snapshot) -> Result<(), Error> {
        let Snapshot { path: dataset, version, .. } = snapshot;
        let mut query =
            VersionFilesQuery { dataset: dataset.clone(), version: *version, below: None, after: None, size: TOGETHER };
        loop {
            let files = self.0.state.version_files(&query).await?;
            for file in &files {
                self.verified(file).await?;
            }
            match files.last() {
                Some(last) if files.len() as u64 == TOGETHER => query.after = Some(last.path.clone()),
                _ => return Ok(()),
            }
        }
    }
}
